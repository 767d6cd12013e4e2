"""How often something went wrong in a simulation, and whether that is as often as was promised."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rung.types import Score, ScoreKind

Live = Callable[[np.random.Generator], bool]
"""One simulated life: whether it went wrong."""


@dataclass(frozen=True)
class Rate:
    """`count` of `lives` came out wrong (or, for power, right); `promise` is the share that was promised.

    `two_sided`: too few is as bad as too many. `slack` is what may be missed beyond the noise of the simulation.
    `reported` marks what nothing is promised of.
    """

    name: str
    count: int
    lives: int
    promise: float
    slack: float = 0.0
    two_sided: bool = False
    reported: bool = False

    @property
    def share(self) -> float:
        """The share found."""
        return self.count / self.lives

    @property
    def noise(self) -> float:
        """Standard error of the share, were the promise just kept."""
        return math.sqrt(self.promise * (1 - self.promise) / self.lives)

    @property
    def kept(self) -> bool:
        """Whether the promise held as far as so many lives can tell: three standard errors."""
        beyond = self.share - self.promise
        return (abs(beyond) if self.two_sided else beyond) <= self.slack + 3 * self.noise


def rate(name: str, lives: int, live: Live, seed: int, promise: float = 0.05) -> Rate:
    """Live `lives` times, each with a generator of its own."""
    count = sum(live(np.random.default_rng([2026, seed, life])) for life in range(lives))
    return Rate(name, count, lives, promise)


def mean_score(items: np.ndarray, kind: ScoreKind = "binary") -> Score:
    """A score that is the mean of `items`, on 0 to 1."""
    column = items.astype(float)[:, None]
    return Score("score", kind, float(column.mean()), column)
