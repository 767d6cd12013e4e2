"""A score's value and its standard error: of means by the sandwich, of whole-split scores by the bootstrap.

What may be claimed from them is in `bounds` and `comparison`; how resamples are drawn is in `resample`.
"""

from __future__ import annotations

import math

import numpy as np

from rung.stats.resample import BOOTSTRAP_DRAWS, resampled
from rung.stats.scheme import ITEMS, Scheme, by_group, check_pair, check_score, drawn_units, value_of
from rung.types import Score


def estimate(score: Score, scheme: Scheme = ITEMS) -> float:
    """The score's value, computed anew from its statistics."""
    check_score(score, scheme)
    return float(value_of(score, scheme)(score.statistics.sum(axis=0), len(score)))


def standard_error(score: Score, scheme: Scheme = ITEMS) -> float:
    """Standard error of the score's value: of a mean, cluster-robust where items are grouped, else by bootstrap.

    Infinite where one unit alone says nothing about scatter.
    """
    check_score(score, scheme)
    if score.kind == "corpus":
        return math.sqrt(float(_bootstrap_covariance([score], scheme)[0, 0]))
    return _mean_error(score.items, scheme)


def difference_error(first: Score, second: Score, scheme: Scheme = ITEMS) -> float:
    """Standard error of (first - second) on the same items."""
    check_pair(first, second, scheme)
    if first.kind == "corpus":
        among = _bootstrap_covariance([first, second], scheme)
        return math.sqrt(max(0.0, float(among[0, 0] + among[1, 1] - 2 * among[0, 1])))
    return _mean_error(first.items - second.items, scheme)


def covariance(scores: list[Score], scheme: Scheme = ITEMS) -> np.ndarray:
    """Covariance, shape (S, S), of the values of S scores on the same items, as far as the draw of items makes it."""
    for score in scores:
        check_pair(scores[0], score, scheme)
    if scores[0].kind == "corpus":
        return _bootstrap_covariance(scores, scheme)
    return _mean_covariance(np.stack([score.items for score in scores]), scheme)


def _mean_error(items: np.ndarray, scheme: Scheme) -> float:
    return math.sqrt(float(_mean_covariance(items[None, :], scheme)[0, 0]))


def _mean_covariance(items: np.ndarray, scheme: Scheme) -> np.ndarray:
    """Of means. Grouped items: the cluster-robust sandwich times G / (G - 1) (Cameron & Miller 2015)."""
    units = drawn_units(items.shape[1], scheme)
    if units < 2:
        return np.full((len(items), len(items)), math.inf)
    residuals = items - items.mean(axis=1, keepdims=True)
    if scheme.groups is not None:
        residuals = by_group(residuals.T, scheme.groups)[0].T
    among: np.ndarray = residuals @ residuals.T * units / (units - 1) / items.shape[1] ** 2
    return among


def _bootstrap_covariance(scores: list[Score], scheme: Scheme) -> np.ndarray:
    """Of whole-split scores, over resamples of the units."""
    units = drawn_units(len(scores[0]), scheme)
    if units < 2:
        return np.full((len(scores), len(scores)), math.inf)
    values = resampled(scores, scheme, BOOTSTRAP_DRAWS)
    centred = values - values.mean(axis=0)
    among: np.ndarray = centred.T @ centred / (len(values) - 1) * units / (units - 1)
    return among
