"""What the decision gives back: a verdict for every rung and the recommendation, as plain values with a JSON form.

No judging here, and no words beyond field names: `judge` fills these in, `wording` writes the sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rung.types import ScoreKind

State = Literal["meets", "misses", "cannot tell", "not tested", "skipped"]
Mode = Literal["early", "all", "reference"]


@dataclass(frozen=True)
class ValidationReading:
    """One rung on validation. `error` is the standard error, `low` to `high` the 95 % interval, `upper` the one-sided
    95 % bound; the three are None where the split can carry no bound. `gap_upper` is the one-sided 95 % upper bound
    of (rung - reference) where no goal is given; there too, `floor_gap` is (rung - floor), `floor_error` its standard
    error and `floor_upper` its one-sided 95 % upper bound."""

    value: float
    error: float
    low: float | None
    high: float | None
    upper: float | None
    count: int
    errors: float
    gap_upper: float | None = None
    floor_gap: float | None = None
    floor_error: float | None = None
    floor_upper: float | None = None


@dataclass(frozen=True)
class Gap:
    """(artefact - other) on the same items: estimate, standard error, lower bound at the look's level, 95 % upper bound."""

    value: float
    error: float
    lower: float
    upper: float


@dataclass(frozen=True)
class GuardReading:
    """One guard: `kept` where the lower bound lies above -margin, `broken` where the 95 % upper bound lies below."""

    name: str
    kind: ScoreKind
    margin: float
    level: float
    count: int
    span: float
    gap: Gap
    kept: bool
    broken: bool


@dataclass(frozen=True)
class LookReading:
    """One artefact on test. `lower` errs with probability `level`, `upper` with 5 %; `low` to `high` is the two-sided
    95 % interval, for showing and planning; `reference` is (rung - reference)
    where no goal is given. `passed` says whether it may be recommended."""

    number: int
    level: float
    artefact: str
    value: float
    lower: float
    upper: float
    low: float
    high: float
    count: int
    errors: float
    guards: tuple[GuardReading, ...]
    reference: Gap | None
    passed: bool


@dataclass(frozen=True)
class Verdict:
    """Where one rung ended, why, and the numbers behind it."""

    name: str
    cost: float
    price: str
    state: State
    reason: str
    finalist: bool = False
    validation: ValidationReading | None = None
    look: LookReading | None = None


@dataclass(frozen=True)
class Decision:
    """The outcome of a climb. `rungs` stand in order of cost; `looks` are the numbers of the looks it rests on; `floor`
    is the validation score of what can be had without a model."""

    mode: Mode
    metric: str
    kind: ScoreKind
    goal: float | None
    margin: float
    recommended: str | None
    reference: str | None
    rungs: tuple[Verdict, ...]
    looks: tuple[int, ...]
    sentence: str = ""
    advice: tuple[str, ...] = ()
    floor: float | None = None

    def verdict(self, name: str) -> Verdict:
        """The verdict on the rung of that name."""
        return next(verdict for verdict in self.rungs if verdict.name == name)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, without wall-clock: the same inputs give the same bytes."""
        value: dict[str, Any] = _lists(asdict(self))
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Decision:
        """The inverse of `to_json`."""
        rungs = tuple(_verdict(rung) for rung in value["rungs"])
        rest = {"rungs": rungs, "looks": tuple(value["looks"]), "advice": tuple(value["advice"])}
        return cls(**{**value, **rest})


def _lists(value: Any) -> Any:
    """Tuples become lists, as JSON would make them."""
    if isinstance(value, Mapping):
        return {key: _lists(item) for key, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, list | tuple) else value


def _verdict(value: Mapping[str, Any]) -> Verdict:
    validation = value["validation"] and ValidationReading(**value["validation"])
    return Verdict(**{**value, "validation": validation, "look": value["look"] and _look(value["look"])})


def _look(value: Mapping[str, Any]) -> LookReading:
    guards = tuple(GuardReading(**{**guard, "gap": Gap(**guard["gap"])}) for guard in value["guards"])
    reference = value["reference"] and Gap(**value["reference"])
    return LookReading(**{**value, "guards": guards, "reference": reference})
