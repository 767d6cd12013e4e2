"""Rung against rung on validation: told in the report, never deciding.

Every pair of built rungs, two-sided and paired, with Holm's adjustment over all pairs. The tests are in `stats`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

from rung import stats
from rung.types import Score


class Scored(Protocol):
    """Whatever has a name and a score on validation: a rung of a climb, one side of a comparison."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def validation(self) -> Score:
        """Its score."""
        ...


@dataclass(frozen=True)
class Versus:
    """Two rungs on the same validation items. `difference` is first - second with its 95 % interval `low` to `high`;
    `p` is the test's own, `adjusted` Holm's over all pairs."""

    first: str
    second: str
    difference: float
    low: float
    high: float
    p: float
    adjusted: float
    method: str


def versus(candidates: Sequence[Scored], scheme: stats.Scheme = stats.ITEMS) -> tuple[Versus, ...]:
    """Compares all pairs in the order given. Fewer than two: nothing to compare."""
    pairs = list(combinations(candidates, 2))
    found = [stats.compare(first.validation, second.validation, scheme) for first, second in pairs]
    adjusted = stats.holm([comparison.p for comparison in found])
    return tuple(
        Versus(first.name, second.name, c.difference, c.low, c.high, c.p, p, c.method)
        for (first, second), c, p in zip(pairs, found, adjusted, strict=True)
    )
