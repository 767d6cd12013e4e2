"""Training again: the scatter that training seeds make, told apart from the scatter that the choice of items makes.

Scores of several trainings that differ in the seed alone, on the same items. A claim about one artefact needs none of
this: its bounds are in `bounds`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rung.errors import RungError
from rung.stats.bounds import bound_below
from rung.stats.error import covariance, estimate
from rung.stats.scheme import ITEMS, Scheme, check_level, check_score, effective_units, refuse
from rung.types import Score

SEEDS = 5
"""Fewest training seeds from which anything is said about training again."""


@dataclass(frozen=True)
class Retraining:
    """What trainings that differ in the seed alone say of a further one.

    `mean` is their average score over `count` trainings. `seeds` is the standard deviation between them that items do
    not explain (0 where items explain all of it), `items` the standard error of the average that items make. `error`
    is the standard error of a further training's true score, with `freedom` degrees of freedom.
    """

    count: int
    mean: float
    seeds: float
    items: float
    error: float
    freedom: float


def retraining(scores: Sequence[Score], scheme: Scheme = ITEMS) -> Retraining:
    """Variance of seeds and variance of items, separated; trainings and items cross.

    With s^2 the variance between S trainings, a further one's true score errs by s^2 (1 + 1/S) for the seeds and by the
    items' part v of their average. What items make the trainings differ among themselves stays in s^2 for the error,
    which is then a little too large, and is taken out of `seeds`. The degrees of freedom are Satterthwaite's (1946,
    Biometrics Bulletin 2, 110-114): (a + v)^2 / (a^2 / (S - 1) + v^2 / (n - 1)), a = s^2 (1 + 1/S), n the number of
    units. Raises RungError below 5 seeds: then only the spread can be shown.
    """
    if len(scores) < SEEDS:
        raise RungError(
            f"{len(scores)} training seeds say nothing about training again",
            mend=f"train with {SEEDS} seeds or more",
        )
    check_score(scores[0], scheme)
    refuse(scores[0], scheme)
    count, units = len(scores), effective_units(len(scores[0]), scheme)
    among = covariance(list(scores), scheme)
    values = np.array([estimate(score, scheme) for score in scores])
    between, items = float(values.var(ddof=1)), float(among.sum()) / count**2
    by_items = (float(np.trace(among)) - count * items) / (count - 1)
    again = between * (1 + 1 / count)
    below = again**2 / (count - 1) + items**2 / max(1.0, units - 1)
    return Retraining(
        count=count,
        mean=float(values.mean()),
        seeds=math.sqrt(max(0.0, between - by_items)),
        items=math.sqrt(items),
        error=math.sqrt(again + items),
        freedom=(again + items) ** 2 / below if below > 0 else count - 1.0,
    )


def retrained_lower(scores: Sequence[Score], level: float, scheme: Scheme = ITEMS) -> float:
    """Lower bound for the true score of one more training with a new seed: t on `retraining`, worst units added.

    Raises RungError below 5 seeds.
    """
    check_level(level)
    found = retraining(scores, scheme)
    units = effective_units(len(scores[0]), scheme)
    return bound_below(found.mean, found.error, units, scores[0].worst, level, freedom=found.freedom)
