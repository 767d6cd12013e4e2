"""The numbers of a comparison of precisions: each one's score, its difference from the finest, bytes and speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rung import stats
from rung.errors import MissingExtra, RungError, nearest
from rung.evaluate import evaluate
from rung.ladder.artefacts.source import Source
from rung.ladder.meter import Meter
from rung.ladder.quantize.rates import rates_of
from rung.ladder.question import score_from_json, score_to_json
from rung.ladder.samples import scheme_of
from rung.metrics import METRICS
from rung.model.precision import held_bytes
from rung.task import Task
from rung.types import Score

PRECISIONS: Mapping[str, str] = {
    "float32": "4 bytes a weight",
    "float16": "2 bytes, narrow range",
    "bfloat16": "2 bytes, few digits",
    "int8": "a byte in linear layers, a scale a row (torchao)",
    "int4": "half a byte in linear layers, groups of 128 (torchao, CUDA only)",
    "nf4": "half a byte in linear layers, blocks of 64, scales in 8 bits (bitsandbytes)",
}


@dataclass(frozen=True)
class Held:
    """What was found of one precision; `reason` says why nothing was. Bytes and rates are measured: `weights` what the
    weights take, `peak` what loading and answering added to the process, tokens a second."""

    precision: str
    reason: str = ""
    score: Score | None = field(default=None, repr=False)
    errors: int = 0
    weights: int | None = None
    peak: int | None = None
    scoring: float | None = None
    generating: float | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; every number comes back bit for bit."""
        return {**vars(self), "score": None if self.score is None else score_to_json(self.score)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Held:
        """The inverse of `to_json`."""
        return cls(**{**value, "score": None if value["score"] is None else score_from_json(value["score"])})


@dataclass(frozen=True)
class Line:
    """One precision in words and numbers: the score with its 95 % interval, the paired difference from the reference with
    its own and p by Holm over all, where there is one."""

    held: Held
    value: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    gap_low: float | None = None
    gap_high: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class Precisions:
    """The comparison. `reference` is the precision that the differences are from: the first that was measured."""

    name: str
    task: str
    metric: str
    rows: int
    reference: str
    device: str
    lines: tuple[Line, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values; what a clock or the memory said stands under `measured`."""
        return {
            "name": self.name, "task": self.task, "metric": self.metric, "rows": self.rows,
            "reference": self.reference, "device": self.device,
            "precisions": [_plain(line) for line in self.lines],
        }  # fmt: skip


def measure(source: Source, task: Task, precision: str) -> Held:
    """Load the source's weights in one precision, answer the validation rows, and take bytes and rates on the way."""
    model = replace(source.model, dtype=precision)
    try:
        with Meter(model.device) as meter:
            before = meter.peak
            system = source.asked(model)
            done = evaluate(system, task)
        rates = rates_of(system, task)
    except (RungError, MissingExtra) as error:  # what this machine lacks is a line of the table, as it was told
        return Held(precision, reason=f"not on this machine: {error.what}")
    return Held(
        precision, "", done.score, sum(done.errors), held_bytes(model.module),
        meter.peak - (0 if model.device.startswith("cuda") else before), rates.scoring, rates.generating,
    )  # fmt: skip


def chosen(only: Sequence[str]) -> tuple[str, ...]:
    """The precisions asked for, in the table's order. Raises RungError for an unknown one."""
    for name in only:
        if name not in PRECISIONS:
            raise RungError(f"no precision {name!r}", where="--only", mend=nearest(name, PRECISIONS))
    return tuple(name for name in PRECISIONS if not only or name in only)


def compared(source: Source, task: Task, found: Sequence[Held]) -> Precisions:
    """Put what was found side by side. Raises RungError where no precision could be measured."""
    measured = [held for held in found if held.score is not None]
    if not measured:
        reasons = "; ".join(f"{held.precision}: {held.reason}" for held in found)
        raise RungError(f"nothing was measured ({reasons})", where=source.name, mend="name other precisions")
    scheme, reference = scheme_of(task, task.validation), measured[0]
    refused = stats.refusal(METRICS[task.metric].kind, len(task.validation), scheme.groups, scheme.least)
    pairs = {}
    if refused is None:
        others = measured[1:]
        pairs = {one.precision: stats.compare(_score(one), _score(reference), scheme) for one in others}
        adjusted = dict(zip(pairs, stats.holm([pair.p for pair in pairs.values()])))
    lines = []
    for held in found:
        line = Line(held)
        if held.score is not None:
            low, high = stats.shown(held.score, scheme) or (None, None)
            line = replace(line, value=stats.estimate(held.score, scheme), low=low, high=high)
        if pair := pairs.get(held.precision):
            p = adjusted[held.precision]
            line = replace(line, difference=pair.difference, gap_low=pair.low, gap_high=pair.high, p=p)
        lines.append(line)
    return Precisions(
        source.name, task.name, task.metric, len(task.validation), reference.precision, source.model.device,
        tuple(lines),
    )  # fmt: skip


def _score(held: Held) -> Score:
    assert held.score is not None
    return held.score


def _plain(line: Line) -> dict[str, Any]:
    held = line.held
    told = {key: value for key, value in vars(line).items() if key != "held"}
    clock = {key: getattr(held, key) for key in ("weights", "peak", "scoring", "generating")}
    return {
        "precision": held.precision, "reason": held.reason, "errors": held.errors, **told, "measured": clock,
    }  # fmt: skip
