"""What a climb found, as plain values: the content of `report.json`, with its way to JSON and back.

No judging and no drawing: `decision` judged, the `report*` files draw. **Whatever a clock, a memory gauge or the
machine's name said lives under a key called `measured`, and nothing else does**, so that two climbs of the same task on
the same set-up give the same bytes outside of it.
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from rung.errors import RungError, nearest

VERSION = 1


# -- scores ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """A score over `count` rows with its two-sided 95 % interval; no interval where the split can carry none."""

    value: float
    low: float | None = None
    high: float | None = None
    count: int = 0


@dataclass(frozen=True)
class Versus:
    """This rung minus `other` on the same validation rows, with its 95 % interval; `p` is adjusted (Holm)."""

    other: str
    difference: float
    low: float | None = None
    high: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class Tested:
    """The artefact on the test split: look number `look`, whose lower bound errs with probability `level`."""

    value: float
    lower: float
    upper: float
    level: float
    count: int
    look: int
    passed: bool


@dataclass(frozen=True)
class GuardChange:
    """Artefact minus base on a guard's rows, with its bounds; `kept` where the lower one lies above -margin."""

    name: str
    difference: float
    lower: float
    upper: float
    margin: float
    kept: bool


@dataclass(frozen=True)
class GuardSeen:
    """Artefact minus base on a guard's validation rows, with its 95 % interval where the rows can carry one.

    `unchanged` marks a rung that leaves the base's weights as they are: nothing can differ.
    """

    name: str
    difference: float
    low: float | None = None
    high: float | None = None
    count: int = 0
    unchanged: bool = False


# -- one rung ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """What a rung costs by computation, never by the clock.

    `order` is the number that orders the ladder, in `unit`; `adapt_flops` are spent once, `request_flops` and the
    tokens for each answer; `trainable` counts the parameters that move. `price` says it in words.
    """

    order: float
    unit: str = "FLOPs"
    adapt_flops: float | None = None
    request_flops: float | None = None
    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    trainable: int | None = None
    price: str = ""


@dataclass(frozen=True)
class Forecast:
    """What the plan said before anything was spent: peak bytes, seconds to adapt, seconds an answer."""

    memory: int | None = None
    seconds: float | None = None
    latency_s: float | None = None


@dataclass(frozen=True)
class CurvePoint:
    """One moment of training: optimiser step, mean loss since the last point (nats a token), validation score."""

    step: int
    loss: float | None = None
    score: float | None = None


@dataclass(frozen=True)
class Trial:
    """One setting tried. `stage` counts the rounds of successive halving from 0; `budget` is what it was given there,
    in words; `kept` says whether it went on (in the last round: whether it was chosen)."""

    settings: Mapping[str, Any]
    score: float | None
    budget: str = ""
    stage: int = 0
    kept: bool = False


@dataclass(frozen=True)
class Row:
    """What one rung answered to one validation item. `score` is None where the metric has none for a single row."""

    id: str
    answer: str
    score: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str | None = None


@dataclass(frozen=True)
class Again:
    """What trainings with other seeds say, on validation, of one more.

    `mean` is their average score, `seeds` the standard deviation that seeds make, `items` the standard error that the
    choice of rows makes, `lower` the bound that one more training's true score reaches (95 % sure).
    """

    mean: float
    seeds: float
    items: float
    lower: float


@dataclass(frozen=True)
class ConfusionRecord:
    """Counts of (target, answer) by place in `labels`; the place after the last stands for answers that are no label.

    `cells` holds (target, answer, rows) for the pairs seen, in rising order.
    """

    labels: tuple[str, ...]
    cells: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, labels: Sequence[str], counts: Sequence[Sequence[int]]) -> ConfusionRecord:
        """From a matrix of shape (C, C + 1), as `rung.metrics.confusion` gives it."""
        cells = [(t, a, int(n)) for t, row in enumerate(counts) for a, n in enumerate(row) if n]
        return cls(tuple(labels), tuple(cells))

    def matrix(self) -> list[list[int]]:
        """Shape (C, C + 1)."""
        table = [[0] * (len(self.labels) + 1) for _ in self.labels]
        for target, answer, rows in self.cells:
            table[target][answer] = rows
        return table


@dataclass(frozen=True)
class RungMeasured:
    """What the clock and the memory gauge said. `latencies_s` go with the rows, in their order."""

    train_seconds: float | None = None
    answer_seconds: float | None = None
    latency_s: float | None = None
    peak_memory: int | None = None
    tokens_per_second: float | None = None
    cpu_seconds: float | None = None
    latencies_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class RungEntry:
    """Everything about one rung. `floor` marks a row that is no rung but the least worth beating (the most frequent
    label, an echo): it is never recommended. `state` is empty until the climb is decided. `errors` counts validation
    calls that returned nothing; `guards_seen` are guards on validation rows, `guards` on test rows; `seed_values` are the validation scores of all trainings where there were
    several, `again` what they say where they are enough."""

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    state: str = ""
    reason: str = ""
    floor: bool = False
    validation: Reading | None = None
    versus: Versus | None = None
    test: Tested | None = None
    also: Mapping[str, Reading] = field(default_factory=dict)
    errors: int = 0
    guards: tuple[GuardChange, ...] = ()
    guards_seen: tuple[GuardSeen, ...] = ()
    cost: Cost | None = None
    forecast: Forecast | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    seed_values: tuple[float, ...] = ()
    again: Again | None = None
    rows: tuple[Row, ...] = ()
    confusion: ConfusionRecord | None = None
    measured: RungMeasured | None = None

    def judged(self, verdict: Mapping[str, Any]) -> RungEntry:
        """This entry with what the decision found: one of `Decision.to_json()["rungs"]`, of the same name."""
        if verdict["name"] != self.name:
            raise ValueError(f"the verdict on {verdict['name']} does not belong to {self.name}")
        changes: dict[str, Any] = {"state": verdict["state"], "reason": verdict["reason"]}
        seen, look = verdict.get("validation"), verdict.get("look")
        if seen:
            changes["validation"] = Reading(seen["value"], seen["low"], seen["high"], seen["count"])
        if look:
            numbers = {part: look[part] for part in ("value", "lower", "upper", "level", "count", "passed")}
            changes["test"] = Tested(look=look["number"], **numbers)
            changes["guards"] = tuple(
                GuardChange(g["name"], g["gap"]["value"], g["gap"]["lower"], g["gap"]["upper"], g["margin"], g["kept"])
                for g in look["guards"]
            )
        return replace(self, **changes)


# -- what was asked ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SplitRecord:
    """One frozen split: its name, rows and content hash."""

    name: str
    size: int
    digest: str = ""


@dataclass(frozen=True)
class GuardRecord:
    """One guard of the task and the loss it allows."""

    name: str
    margin: float


@dataclass(frozen=True)
class TaskRecord:
    """The task as climbed. `score_kind` is binary, graded or corpus; `set_aside` counts rows by reason; `leaks` lists
    in words the rows dropped because a held-out split holds them too."""

    name: str
    kind: str
    metric: str
    score_kind: str = "graded"
    digest: str = ""
    goal: float | None = None
    margin: float = 0.05
    worst: float = 0.0
    best: float = 1.0
    also: tuple[str, ...] = ()
    guards: tuple[GuardRecord, ...] = ()
    splits: tuple[SplitRecord, ...] = ()
    labels: tuple[str, ...] = ()
    instructions: tuple[str, ...] = ()
    set_aside: Mapping[str, int] = field(default_factory=dict)
    leaks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    requests: int | None = None
    machine_hour: str = ""


@dataclass(frozen=True)
class BaseRecord:
    """The base model: its name, kind, number of parameters, content hash, context window (tokens), and the numbers that
    its weights were held in (`float32`, `bfloat16`, `int8`)."""

    name: str
    kind: str = ""
    parameters: int | None = None
    digest: str = ""
    window: int | None = None
    precision: str = ""


@dataclass(frozen=True)
class Item:
    """One validation item, told once: every rung's rows point here by id. `target` is the first right answer, `group`
    whom it belongs with where items come in groups."""

    id: str
    prompt: str
    target: str = ""
    references: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True)
class LooksRecord:
    """How often the test split was looked at: by this climb, and ever according to the ledger."""

    here: int = 0
    ever: int = 0


@dataclass(frozen=True)
class BreakEven:
    """From how many requests on `second` costs less than `first`: estimate and 95 % range, None meaning never.

    `price` is the factor on the stated machine price: 0.5, 1 or 2.
    """

    first: str
    second: str
    price: float
    requests: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Measured:
    """What the machine said of the whole climb: its parts in words, when it began (ISO 8601), seconds of work."""

    hardware: Mapping[str, str] = field(default_factory=dict)
    started: str = ""
    seconds: float | None = None
    break_even: tuple[BreakEven, ...] = ()


@dataclass(frozen=True)
class Report:
    """One climb, whole. `decision` is `Decision.to_json()`; `rungs` stand in order of computed cost, the floor first."""

    task: TaskRecord
    base: BaseRecord
    decision: Mapping[str, Any] = field(default_factory=dict)
    rungs: tuple[RungEntry, ...] = ()
    items: tuple[Item, ...] = ()
    looks: LooksRecord = LooksRecord()
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    measured: Measured = Measured()
    version: int = VERSION

    @property
    def recommended(self) -> str | None:
        """The name of the recommended rung, if there is one."""
        name = self.decision.get("recommended")
        return None if name is None else str(name)

    def entry(self, name: str) -> RungEntry:
        """The rung of that name."""
        return next(rung for rung in self.rungs if rung.name == name)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, in the order of the fields."""
        plain = _plain(self)
        assert isinstance(plain, dict)
        for rung in plain["rungs"]:
            # A forecast rests on a rate that was timed and on the memory in use.
            rung["forecast"] = rung["forecast"] and {"measured": rung["forecast"]}
        return {"version": plain.pop("version"), **plain}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Report:
        """The inverse of `to_json`. Raises RungError for another version, an unknown key or a missing one."""
        version = value.get("version")
        if version != VERSION:
            raise RungError(f"version {version}, not {VERSION}", where="report.json", mend="use the rung that wrote it")
        report = _made(cls, value, "report.json")
        assert isinstance(report, Report)
        return report

    def to_bytes(self) -> bytes:
        """The bytes of `report.json`: the same report gives the same bytes."""
        text = json.dumps(self.to_json(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
        return text.encode("utf-8", "backslashreplace")  # a lone surrogate becomes its own JSON escape

    @classmethod
    def from_bytes(cls, content: bytes) -> Report:
        """The inverse of `to_bytes`."""
        return cls.from_json(json.loads(content))


# -- JSON --------------------------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: _plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _made(kind: Any, value: Any, where: str) -> Any:
    """`value` as the type `kind` says: dataclasses, tuples and mappings of them, all the way down."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return None if value is None else _made(next(part for part in inner if part is not type(None)), value, where)
    if is_dataclass(kind) and isinstance(kind, type):
        return _record(kind, value, where)
    if origin is tuple:
        parts = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(_made(part, item, f"{where}[{n}]") for n, (part, item) in enumerate(zip(parts, value)))
    if origin is not None and inner and issubclass(origin, Mapping):
        return {key: _made(inner[1], item, f"{where}.{key}") for key, item in value.items()}
    if kind is float and isinstance(value, int):
        return float(value)
    return value


def _record(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise RungError(f"{value!r} is no object", where=where, mend="climb again")
    if kind is RungEntry and isinstance(value.get("forecast"), Mapping):
        value = {**value, "forecast": value["forecast"].get("measured")}
    known = {part.name: part for part in fields(kind)}
    for key in value:
        if key not in known:
            raise RungError(f"unknown key {key}", where=where, mend=nearest(str(key), known))
    for name, part in known.items():
        if name not in value and part.default is MISSING and part.default_factory is MISSING:
            raise RungError(f"{name} is missing", where=where, mend="climb again")
    hints = _hints(kind)
    return kind(**{name: _made(hints[name], item, f"{where}.{name}") for name, item in value.items()})
