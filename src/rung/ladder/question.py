"""What the decision is given: the question (goal, splits, guards), the candidates, and what one look brings back.

Values and one protocol. How they are judged is in `judge`, in which order in `decision`; nothing here knows a model,
a task file or a training.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from rung import stats
from rung.errors import RungError
from rung.types import Score, ScoreKind

ERRORS_ALLOWED = 0.01
"""The share of calls that may return nothing in a rung that is recommended."""


@dataclass(frozen=True)
class Sample:
    """The items of one split: how many, how they were drawn, and (test and guards) their keys in the ledger."""

    count: int
    scheme: stats.Scheme = stats.ITEMS
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Guard:
    """Another task on which the artefact may lose at most `margin` (in its score's units) against the base.

    `span` is the length of its score's scale, best - worst.
    """

    margin: float
    sample: Sample
    kind: ScoreKind = "binary"
    span: float = 1.0


@dataclass(frozen=True)
class Question:
    """What is asked of the ladder. With `goal` None: which cheaper rung comes within `margin` of the best one?

    `worst` and `best` end the metric's scale; `noun` is what the sentence calls the items. Raises RungError where no
    look could ever answer: a goal off the scale, or a test split or guard that can carry no bound.
    """

    metric: str
    kind: ScoreKind
    goal: float | None
    validation: Sample
    test: Sample
    guards: Mapping[str, Guard] = field(default_factory=dict)
    margin: float = 0.05
    worst: float = 0.0
    best: float = 1.0
    noun: str = "examples"

    def __post_init__(self) -> None:
        if self.goal is not None and not self.worst < self.goal < self.best:
            raise RungError(
                f"a goal of {self.goal} can be neither missed nor shown on a scale from {self.worst} to {self.best}",
                where=f"goal {self.metric}",
                mend="choose a goal between the two ends",
            )
        if not 0.0 < self.margin < math.inf:
            raise RungError(f"the margin {self.margin} is not above 0", where="margin", mend="choose one above 0")
        if self.validation.count < 2:
            raise RungError(
                f"{self.validation.count} validation items show no scatter",
                where="validation split",
                mend="add examples",
            )
        if self.validation.scheme.groups is not None and len(set(self.validation.scheme.groups)) < 2:
            raise RungError("one group shows no scatter", where="validation split", mend="add examples of other groups")
        _check_carries(self.kind, self.test, "test split")
        for name, guard in self.guards.items():
            if not 0.0 < guard.margin < math.inf:
                raise RungError(
                    f"the margin {guard.margin} is not above 0", where=f"guard {name}", mend="choose one above 0"
                )
            _check_carries(guard.kind, guard.sample, f"guard {name}")

    @property
    def guard_keys(self) -> frozenset[str]:
        """Ledger keys of the items of all guards."""
        return frozenset().union(*(guard.sample.keys for guard in self.guards.values()))


def _check_carries(kind: ScoreKind, sample: Sample, where: str) -> None:
    reason = stats.refusal(kind, sample.count, sample.scheme.groups, sample.scheme.least)
    if reason:
        raise RungError(reason, where=where, mend="add examples")
    if not sample.keys:
        raise ValueError(f"{where}: the ledger needs the keys of its items")


@dataclass(frozen=True)
class Candidate:
    """A rung that was built and scored on validation.

    `cost` is the computed cost that orders the ladder (any unit, never the clock); `price` the same in words.
    `errors` is the share of validation calls that returned nothing.
    """

    name: str
    cost: float
    validation: Score
    errors: float = 0.0
    price: str = ""


@dataclass(frozen=True)
class Skipped:
    """A rung that could not be built (budget, window, a missing extra), and why."""

    name: str
    cost: float
    reason: str
    price: str = ""


@dataclass(frozen=True)
class Planned:
    """A rung of the ladder before anything is built."""

    name: str
    cost: float
    price: str = ""


@dataclass(frozen=True)
class GuardScores:
    """The artefact and the base on the same items of one guard."""

    artefact: Score
    base: Score

    def to_json(self) -> list[dict[str, Any]]:
        """JSON-ready; every number comes back bit for bit."""
        return [score_to_json(self.artefact), score_to_json(self.base)]

    @classmethod
    def from_json(cls, value: Any) -> GuardScores:
        """The inverse of `to_json`."""
        return cls(score_from_json(value[0]), score_from_json(value[1]))


@dataclass(frozen=True)
class LookResult:
    """What scoring one artefact on test and guards gave.

    `errors` is the share of test calls that returned nothing. A guard is None where the artefact answers it with the
    very weights and prompt of the base, so that nothing can differ.
    """

    score: Score
    errors: float = 0.0
    guards: Mapping[str, GuardScores | None] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; every number comes back bit for bit."""
        guards = {name: None if pair is None else pair.to_json() for name, pair in self.guards.items()}
        return {"score": score_to_json(self.score), "errors": self.errors, "guards": guards}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> LookResult:
        """The inverse of `to_json`."""
        guards = {name: None if pair is None else GuardScores.from_json(pair) for name, pair in value["guards"].items()}
        return cls(score_from_json(value["score"]), float(value["errors"]), guards)


class Examiner(Protocol):
    """What can score the exact artefact to ship. Handed in by the climb."""

    def artefact(self, rung: str) -> str:
        """Makes the artefact of a finalist as it would ship (merged, quantised) and returns its digest."""
        ...

    def examine(self, rung: str) -> LookResult:
        """Scores that artefact on test and guards. Called only after the look is in the ledger."""
        ...


def score_to_json(score: Score) -> dict[str, Any]:
    """JSON-ready; every number comes back bit for bit."""
    table = np.ascontiguousarray(score.statistics, dtype="<f8")
    return {
        "metric": score.metric,
        "kind": score.kind,
        "value": score.value,
        "worst": score.worst,
        "best": score.best,
        "shape": list(table.shape),
        "statistics": base64.b64encode(zlib.compress(table.tobytes())).decode("ascii"),
    }


def score_from_json(value: Mapping[str, Any]) -> Score:
    """The inverse of `score_to_json`."""
    table = np.frombuffer(zlib.decompress(base64.b64decode(value["statistics"])), dtype="<f8")
    table = table.reshape(value["shape"]).astype(float)
    return Score(value["metric"], value["kind"], value["value"], table, value["worst"], value["best"])
