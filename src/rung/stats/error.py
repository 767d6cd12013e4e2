"""A score's value and its standard error: of means by the sandwich, of whole-split scores by the bootstrap.

What may be claimed from them is in `bounds` and `comparison`; how resamples are drawn is in `resample`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rung.stats.resample import BOOTSTRAP_DRAWS, resampled
from rung.stats.scheme import ITEMS, Scheme, by_group, check_pair, check_score, drawn_units, value_of
from rung.types import Score


@dataclass(frozen=True)
class Measured:
    """An estimate with its standard error and its bias: by how much samples of this size come out too high on average.

    A mean has none; a score of the whole split has what the bootstrap shows (Efron & Tibshirani 1993, chapter 10).
    """

    value: float
    error: float
    bias: float = 0.0


def measure(score: Score, scheme: Scheme = ITEMS) -> Measured:
    """The score's value, standard error and bias."""
    value = estimate(score, scheme)
    if score.kind != "corpus":
        return Measured(value, _mean_error(score.items, scheme))
    return _bootstrapped([score], np.ones(1), value, scheme)


def measure_difference(first: Score, second: Score, scheme: Scheme = ITEMS) -> Measured:
    """The same of (first - second) on the same items."""
    check_pair(first, second, scheme)
    value = estimate(first, scheme) - estimate(second, scheme)
    if first.kind != "corpus":
        return Measured(value, _mean_error(first.items - second.items, scheme))
    return _bootstrapped([first, second], np.array([1.0, -1.0]), value, scheme)


def estimate(score: Score, scheme: Scheme = ITEMS) -> float:
    """The score's value, computed anew from its statistics."""
    check_score(score, scheme)
    return float(value_of(score, scheme)(score.statistics.sum(axis=0), len(score)))


def standard_error(score: Score, scheme: Scheme = ITEMS) -> float:
    """Standard error of the score's value: of a mean, cluster-robust where items are grouped, else by bootstrap.

    Infinite where one unit alone says nothing about scatter.
    """
    return measure(score, scheme).error


def difference_error(first: Score, second: Score, scheme: Scheme = ITEMS) -> float:
    """Standard error of (first - second) on the same items."""
    return measure_difference(first, second, scheme).error


def covariance(scores: list[Score], scheme: Scheme = ITEMS) -> np.ndarray:
    """Covariance, shape (S, S), of the values of S scores on the same items, as far as the draw of items makes it."""
    for score in scores:
        check_pair(scores[0], score, scheme)
    if scores[0].kind != "corpus":
        return _mean_covariance(np.stack([score.items for score in scores]), scheme)
    units = drawn_units(len(scores[0]), scheme)
    if units < 2:
        return np.full((len(scores), len(scores)), math.inf)
    values = resampled(scores, scheme, BOOTSTRAP_DRAWS)
    centred = values - values.mean(axis=0)
    among: np.ndarray = centred.T @ centred / (len(values) - 1) * units / (units - 1)
    return among


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


def _bootstrapped(scores: list[Score], signs: np.ndarray, value: float, scheme: Scheme) -> Measured:
    """Standard error and bias of whole-split scores, added up with these signs, over resamples of the units."""
    units = drawn_units(len(scores[0]), scheme)
    if units < 2:
        return Measured(value, math.inf)
    values = resampled(scores, scheme, BOOTSTRAP_DRAWS) @ signs
    return Measured(value, float(values.std(ddof=1)) * math.sqrt(units / (units - 1)), float(values.mean()) - value)
