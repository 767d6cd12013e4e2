"""The numbers of a comparison: each side's score, each pair's difference, the rows where they disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from rung import stats
from rung.errors import RungError
from rung.evaluate.judging import Duel
from rung.ladder.kept import Kept
from rung.ladder.record import Reading
from rung.ladder.versus import Versus, versus
from rung.metrics import METRICS


@dataclass(frozen=True)
class Comparison:
    """Sides on the same rows. `readings` hold each one's score with its 95 % interval, `pairs` the paired differences
    with 95 % intervals and p-values adjusted over all pairs (Holm); `dropped` counts rows that were not common;
    `duels` are a judge's verdicts, pair by pair, where one was asked."""

    sides: tuple[Kept, ...] = field(repr=False)
    readings: tuple[Reading, ...]
    pairs: tuple[Versus, ...]
    dropped: int = 0
    duels: tuple[Duel, ...] = ()

    @property
    def metric(self) -> str:
        """The score's name."""
        return self.sides[0].metric

    @cached_property
    def table(self) -> np.ndarray:
        """Shape (rows, sides): the score of each row."""
        return np.column_stack([side.row_scores for side in self.sides])

    @cached_property
    def disagreeing(self) -> list[int]:
        """The rows whose scores differ, or whose answers do where no single row has a score: the widest apart first."""
        spread, split = np.ptp(self.table, axis=1), self.table.var(axis=1)
        if METRICS[self.metric].kind == "corpus":
            said = [{side.completions[row].text for side in self.sides} for row in range(len(spread))]
            split = np.array([len(texts) - 1 for texts in said], dtype=float)
        order = np.lexsort((np.arange(len(spread)), -split, -spread))
        return [int(row) for row in order if spread[row] > 0 or split[row] > 0]

    def to_json(self) -> dict[str, Any]:
        """Scores, differences, and how many rows disagree; the rows themselves are in the files."""
        return {
            "task": self.sides[0].task,
            "metric": self.metric,
            "rows": len(self.sides[0].items),
            "dropped": self.dropped,
            "sides": [
                {"name": side.name, **vars_of(reading), "errors": side.errors}
                for side, reading in zip(self.sides, self.readings)
            ],
            "pairs": [vars_of(pair) for pair in self.pairs],
            "disagreeing": len(self.disagreeing),
            "judged": [duel.to_json() for duel in self.duels],
        }


def compare(sides: Sequence[Kept], *, dropped: int = 0, duels: Sequence[Duel] = ()) -> Comparison:
    """Compare sides that stand on the same rows (`aligned`).

    Right-or-wrong scores: mid-p McNemar with Tango's interval; others: approximate randomisation with an interval of
    t. Raises RungError where the metric cannot score the answers.
    """
    scheme = sides[0].scheme
    try:
        readings = tuple(_reading(side) for side in sides)
    except RungError as error:
        mend = error.mend or "choose another with --score"
        raise RungError(error.what, where=f"score {sides[0].metric}", mend=mend) from error
    return Comparison(tuple(sides), readings, versus(sides, scheme), dropped, tuple(duels))


def _reading(side: Kept) -> Reading:
    score, scheme = side.validation, side.scheme
    value = stats.estimate(score, scheme)
    if stats.refusal(score.kind, len(score), scheme.groups) is not None:
        return Reading(value, count=len(score))
    return Reading(value, *stats.interval(score, scheme), len(score))


def vars_of(value: Any) -> dict[str, Any]:
    """The fields of a flat value."""
    return dict(vars(value))
