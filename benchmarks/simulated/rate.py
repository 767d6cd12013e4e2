"""How often something went wrong in a simulation, and whether that is as often as was promised."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from rung.types import Score, ScoreKind

DOUBT = 0.0005
"""How unlikely a share must be before a promise is called broken."""
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
        """Standard error of the share."""
        return math.sqrt(max(self.share * (1 - self.share), 1 / self.lives) / self.lives)

    @property
    def kept(self) -> bool:
        """Whether the promise held as far as so many lives can tell: one kept just so is called broken once in 2,000."""
        most = min(1.0, self.promise + self.slack)
        kept = bool(binom.sf(self.count - 1, self.lives, most) >= DOUBT)
        if not self.two_sided:
            return kept
        return kept and bool(binom.cdf(self.count, self.lives, max(0.0, self.promise - self.slack)) >= DOUBT)


def rate(name: str, lives: int, live: Live, seed: int, promise: float = 0.05) -> Rate:
    """Live `lives` times, each with a generator of its own."""
    count = sum(live(np.random.default_rng([2026, seed, life])) for life in range(lives))
    return Rate(name, count, lives, promise)


def mean_score(items: np.ndarray, kind: ScoreKind = "binary") -> Score:
    """A score that is the mean of `items`, on 0 to 1."""
    column = items.astype(float)[:, None]
    return Score("score", kind, float(column.mean()), column)
