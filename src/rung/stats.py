"""Intervals, one-sided bounds, paired tests, multiplicity and power: pure functions of `Score`s.

Every bound takes `level`, the one-sided probability of being wrong. What a bound is used for (goals, looks, guards)
lives in `ladder`; how answers become a `Score` lives in `metrics`.

One idea carries all bounds that are not exact: **some units of the worst score are added** before Student's t is used,
a unit being an item, or a whole group where items come in groups. Without them a split on which nothing went wrong
would prove perfection, since its standard error is zero. How many is said at `_added`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from rung.errors import RungError
from rung.types import Score, ScoreKind

Value = Callable[[np.ndarray, Any], Any]
"""`value(totals, count)`: column sums of shape (..., k) and the number of items, to metric values of shape (...)."""

CORPUS_ITEMS = 100
"""Fewest items from which a corpus score has a bound."""
GROUPS = 10
"""Fewest groups from which grouped items have a bound."""
SEEDS = 5
"""Fewest training seeds from which anything is said about training again."""
BOOTSTRAP_DRAWS = 4000
"""Resamples behind a bootstrap standard error: its own relative error is 1/sqrt(2 x 4000) = 1.1 %."""
RANDOMISATION_DRAWS = 10_000
_CELLS = 4_000_000  # numbers held at once while resampling
_EXACT_ITEMS = 5_000  # up to here the power of the binary bound is computed exactly


@dataclass(frozen=True)
class Scheme:
    """How a split's items were drawn and read.

    `groups` names the group of each item (customer, document, ...) where items of one group are not independent;
    `value` is the metric's function from column sums to its value, needed for corpus scores; `seed` seeds resampling.
    """

    groups: tuple[str, ...] | None = None
    value: Value | None = None
    seed: int = 0


ITEMS = Scheme()
"""Items drawn one by one, and a score that is a mean over items."""


@dataclass(frozen=True)
class Spread:
    """What power needs besides the truth: how far items scatter.

    `sd` is the standard deviation of one item (for corpus scores and groups: standard error x sqrt(n)); None means
    right-or-wrong items, whose scatter follows from the truth. `worst` and `best` end the scale; `group_size` is
    what the function of that name gives.
    """

    sd: float | None = None
    worst: float = 0.0
    best: float = 1.0
    group_size: float = 1.0


BINARY = Spread()


@dataclass(frozen=True)
class Comparison:
    """Two scores on the same items, two-sided. `difference` is first minus second; `p` is not yet adjusted."""

    difference: float
    low: float
    high: float
    p: float
    method: Literal["mid-p McNemar", "approximate randomisation"]


# -- checks ------------------------------------------------------------------------------------------------------------


def refusal(kind: ScoreKind, count: int, groups: Sequence[str] | None = None) -> str | None:
    """Why a split of `count` items can carry no bound, in words; None where it can."""
    if count < 1:
        return "there are no items"
    if kind == "corpus" and count < CORPUS_ITEMS:
        return f"a score of the whole split needs {CORPUS_ITEMS} items or more for a bound; there are {count}"
    if groups is not None and len(set(groups)) < GROUPS:
        return f"grouped items need {GROUPS} groups or more for a bound; there are {len(set(groups))}"
    return None


def _check_level(level: float) -> None:
    if not 0.0 <= level <= 0.5:
        raise ValueError(f"level is a one-sided probability of error between 0 and 0.5, not {level}")


def _check_score(score: Score, scheme: Scheme) -> None:
    """Refuse what no statistic can be computed from."""
    table = score.statistics
    where = f"score {score.metric}"
    if table.ndim != 2:
        raise ValueError(f"statistics of {score.metric} have shape {table.shape}, not (n, k)")
    if not len(score):
        raise RungError("there are no items to score", where=where, mend="give the split at least one example")
    if not np.isfinite(table).all():
        rows = np.flatnonzero(~np.isfinite(table).all(axis=1))
        raise RungError(f"item {rows[0]} has no finite score ({len(rows)} in all)", where=where)
    if not (math.isfinite(score.worst) and math.isfinite(score.best) and score.worst < score.best):
        raise RungError(f"the scale {score.worst} to {score.best} has no ends to compute with", where=where)
    if scheme.groups is not None and len(scheme.groups) != len(score):
        raise ValueError(f"{len(scheme.groups)} groups for {len(score)} items of {score.metric}")
    if score.kind == "corpus":
        if scheme.value is None:
            raise ValueError(f"{score.metric} is a corpus score: its value function is needed")
        return
    if score.kind == "binary" and not np.isin(score.items, (0.0, 1.0)).all():
        raise ValueError(f"{score.metric} is binary, yet has items that are neither 0 nor 1")
    slack = 1e-9 * (score.best - score.worst)
    if score.items.min() < score.worst - slack or score.items.max() > score.best + slack:
        raise RungError(
            f"items from {score.items.min()} to {score.items.max()} leave the scale {score.worst} to {score.best}",
            where=where,
        )


def _check_pair(first: Score, second: Score, scheme: Scheme) -> None:
    _check_score(first, scheme)
    _check_score(second, scheme)
    same = (first.metric, first.kind, first.worst, first.best) == (
        second.metric,
        second.kind,
        second.worst,
        second.best,
    )
    if not same or len(first) != len(second):
        raise ValueError(f"{first.metric} on {len(first)} items cannot be paired with {second.metric} on {len(second)}")


def _refuse(score: Score, scheme: Scheme) -> None:
    reason = refusal(score.kind, len(score), scheme.groups)
    if reason:
        raise RungError(reason, where=f"score {score.metric}", mend="add examples to the split")


# -- quantiles ---------------------------------------------------------------------------------------------------------


def _t(level: float, freedom: float) -> float:
    """Upper `level` quantile of Student's t."""
    from scipy.special import stdtrit

    return math.inf if level <= 0.0 else -float(stdtrit(freedom, level))


def _z(level: float) -> float:
    """Upper `level` quantile of the normal distribution."""
    from scipy.special import ndtri

    return math.inf if level <= 0.0 else -float(ndtri(level))


# -- estimates and standard errors -------------------------------------------------------------------------------------


def estimate(score: Score, scheme: Scheme = ITEMS) -> float:
    """The score's value, computed anew from its statistics."""
    _check_score(score, scheme)
    if score.kind != "corpus":
        return float(score.items.mean())
    assert scheme.value is not None
    return float(scheme.value(score.statistics.sum(axis=0), len(score)))


def standard_error(score: Score, scheme: Scheme = ITEMS) -> float:
    """Standard error of the score's value: of a mean, cluster-robust where items are grouped, else by bootstrap.

    Infinite where one unit alone says nothing about scatter.
    """
    _check_score(score, scheme)
    if score.kind == "corpus":
        return _bootstrap_error(score.statistics, scheme, _value_of(scheme))
    return _mean_error(score.items, scheme)


def difference_error(first: Score, second: Score, scheme: Scheme = ITEMS) -> float:
    """Standard error of (first - second) on the same items."""
    _check_pair(first, second, scheme)
    if first.kind == "corpus":
        return _bootstrap_error(np.hstack([first.statistics, second.statistics]), scheme, _difference_of(scheme))
    return _mean_error(first.items - second.items, scheme)


def _mean_error(items: np.ndarray, scheme: Scheme) -> float:
    """Standard error of a mean. Grouped items: the cluster-robust sandwich times G / (G - 1) (Cameron & Miller 2015)."""
    units = _draws(items.size, scheme)
    if units < 2:
        return math.inf
    residuals = items - items.mean()
    if scheme.groups is not None:
        residuals = _by_group(residuals[:, None], scheme.groups)[0][:, 0]
    return math.sqrt(float(residuals @ residuals) * units / (units - 1)) / items.size


def _draws(count: int, scheme: Scheme) -> int:
    """How many units were drawn: items, or groups."""
    return count if scheme.groups is None else len(set(scheme.groups))


def group_size(scheme: Scheme) -> float:
    """The size of the group that the average item stands in; 1 where items are drawn one by one."""
    if scheme.groups is None:
        return 1.0
    sizes = np.unique(np.asarray(scheme.groups, dtype=str), return_counts=True)[1].astype(float)
    return float(sizes @ sizes / sizes.sum())


def _units(count: int, scheme: Scheme) -> float:
    """How many independent units a bound may count on: items, or the effective number of groups (Kish 1965).

    Groups of unequal size count as n^2 / (sum of squared sizes) equal ones. Where one customer sends half of the items
    the plain number of groups makes bounds that err up to ten times as often as they say.
    """
    return count / group_size(scheme)


def _by_group(table: np.ndarray, groups: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Column sums of each group, shape (G, k), and the number of items in each, shape (G,)."""
    names, inverse = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    sums = np.zeros((len(names), table.shape[1]))
    np.add.at(sums, inverse, table)
    return sums, np.bincount(inverse, minlength=len(names)).astype(float)


def _value_of(scheme: Scheme) -> Value:
    assert scheme.value is not None
    return scheme.value


def _difference_of(scheme: Scheme) -> Value:
    """The value function of two tables laid side by side: first minus second."""
    value = _value_of(scheme)

    def difference(totals: np.ndarray, count: Any) -> Any:
        half = totals.shape[-1] // 2
        return value(totals[..., :half], count) - value(totals[..., half:], count)

    return difference


def _bootstrap_error(table: np.ndarray, scheme: Scheme, value: Value) -> float:
    """Standard deviation of the value over multinomial resamples of the units.

    Units with equal statistics are drawn together: the same distribution, in as many columns as there are kinds.
    """
    units = _draws(table.shape[0], scheme)
    if units < 2:
        return math.inf
    sizes = np.ones(table.shape[0])
    if scheme.groups is not None:
        table, sizes = _by_group(table, scheme.groups)
    kinds, repeats = np.unique(np.column_stack([table, sizes]), axis=0, return_counts=True)
    generator = np.random.default_rng([scheme.seed, units, 1])
    chunk = max(1, _CELLS // max(kinds.shape))
    values: list[np.ndarray] = []
    for start in range(0, BOOTSTRAP_DRAWS, chunk):
        weights = generator.multinomial(units, repeats / units, size=min(chunk, BOOTSTRAP_DRAWS - start))
        totals = weights.astype(float) @ kinds
        count: Any = units if scheme.groups is None else totals[:, -1]
        values.append(np.asarray(value(totals[:, :-1], count), dtype=float))
    replicates = np.concatenate(values)
    if not np.isfinite(replicates).all():
        raise RungError(
            f"the score is undefined on {int((~np.isfinite(replicates)).sum())} of {BOOTSTRAP_DRAWS} resamples",
            where="bootstrap",
            mend="add examples to the split, or choose a score that is defined on every split",
        )
    return float(replicates.std(ddof=1)) * math.sqrt(units / (units - 1))


# -- one-sided bounds --------------------------------------------------------------------------------------------------


def lower(score: Score, level: float, scheme: Scheme = ITEMS) -> float:
    """One-sided lower bound: the true score lies below it with probability `level` at most.

    Right-or-wrong items: Clopper & Pearson (1934), exact. Graded, corpus and grouped: t with worst units added.
    Raises RungError below 100 items (corpus) or 10 groups.
    """
    _check_level(level)
    _check_score(score, scheme)
    _refuse(score, scheme)
    if score.kind == "binary" and scheme.groups is None:
        return clopper_pearson_lower(int(score.items.sum()), len(score), level)
    return _bound_below(
        estimate(score, scheme), standard_error(score, scheme), _units(len(score), scheme), score.worst, level
    )


def upper(score: Score, level: float, scheme: Scheme = ITEMS) -> float:
    """One-sided upper bound, the mirror image of `lower`: units of the best score are added."""
    _check_level(level)
    _check_score(score, scheme)
    _refuse(score, scheme)
    if score.kind == "binary" and scheme.groups is None:
        wrong = len(score) - int(score.items.sum())
        return 1.0 - clopper_pearson_lower(wrong, len(score), level)
    return -_bound_below(
        -estimate(score, scheme), standard_error(score, scheme), _units(len(score), scheme), -score.best, level
    )


def interval(score: Score, scheme: Scheme = ITEMS, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided interval for showing: both one-sided bounds at half the error each."""
    level = (1.0 - confidence) / 2
    return lower(score, level, scheme), upper(score, level, scheme)


def paired_lower(first: Score, second: Score, level: float, scheme: Scheme = ITEMS) -> float:
    """One-sided lower bound of the true (first - second) on the same items.

    Right-or-wrong items: Tango's score interval (1998). Graded, corpus and grouped: t with worst
    differences (worst - best) added. Raises RungError below 100 items (corpus) or 10 groups.
    """
    _check_level(level)
    _check_pair(first, second, scheme)
    _refuse(first, scheme)
    if first.kind == "binary" and scheme.groups is None:
        won, lost = _discordant(first, second)
        return tango_lower(won, lost, len(first), level)
    difference = estimate(first, scheme) - estimate(second, scheme)
    error = difference_error(first, second, scheme)
    return _bound_below(difference, error, _units(len(first), scheme), first.worst - first.best, level)


def paired_upper(first: Score, second: Score, level: float, scheme: Scheme = ITEMS) -> float:
    """One-sided upper bound of the true (first - second) on the same items."""
    return -paired_lower(second, first, level, scheme)


def clopper_pearson_lower(right: int, count: int, level: float) -> float:
    """The p at which `right` or more of `count` would be seen with probability `level` (exact, one-sided)."""
    from scipy.special import betaincinv

    if not 0 <= right <= count or count < 1:
        raise ValueError(f"{right} right of {count}")
    return 0.0 if right == 0 or level <= 0.0 else float(betaincinv(right, count - right + 1, level))


def tango_lower(won: int, lost: int, count: int, level: float) -> float:
    """Lower score limit for a difference of paired proportions (Tango 1998, Statistics in Medicine 17, 891-908).

    `won` items only the first got right, `lost` items only the second, of `count`. The limit is the difference d < 0
    or > 0 at which the score statistic, with the nuisance share of lost items at its restricted maximum likelihood,
    equals the normal quantile; the statistic falls in d, so bisection finds it.
    """
    if won < 0 or lost < 0 or won + lost > count or count < 1:
        raise ValueError(f"{won} won and {lost} lost of {count}")
    z = _z(level)
    low, high = -1.0, (won - lost) / count
    if math.isinf(z):
        return low
    for _ in range(80):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if _tango_statistic(won, lost, count, middle) > z:
            low = middle
        else:
            high = middle
    return low


def _tango_statistic(won: int, lost: int, count: int, difference: float) -> float:
    """(won - lost - n d) / sqrt(n (2 q + d (1 - d))), q the restricted estimate of the share of lost items."""
    linear = (2 * count - won + lost) * difference - won - lost
    constant = -lost * difference * (1 - difference)
    root = math.sqrt(max(linear * linear - 8 * count * constant, 0.0))
    share = (root - linear) / (4 * count)
    variance = count * (2 * share + difference * (1 - difference))
    gap = won - lost - count * difference
    return math.inf if variance <= 0.0 else gap / math.sqrt(variance)


def _added(level: float) -> float:
    """How many units of the worst score join before t is used: (z^2 + 2) / 3, so 1.9 at 2.5 %, 3.1 at 0.3 %.

    As many as skewness can hide. On a scale that ends at `worst` the third moment of a score lies above
    -(mean - worst) x variance, so the skewness correction of t (Johnson 1978, JASA 73, 536-544) lowers a bound by at
    most (2 z^2 + 1) / 6 x (mean - worst) / n: the shift of (z^2 + 1/2) / 3 worst units. The rest covers the steps of
    scores that take few values: on right-or-wrong items the bound never exceeds Clopper and Pearson's. A single unit
    at every level is not enough: over twelve looks at truths on the goal it lets up to 9 % pass instead of 5 %.
    """
    return (_z(level) ** 2 + 2) / 3


def _bound_below(
    value: float, error: float, units: float, worst: float, level: float, freedom: float | None = None
) -> float:
    """Student's lower bound after `_added(level)` units of score `worst` joined `units` units; never below `worst`.

    For a mean over items this equals weighting the added item in mean, standard deviation and degrees of freedom.
    Groups and corpus scores use the same algebra on their standard error. `freedom` overrides the degrees of freedom.
    """
    if math.isinf(error) or level <= 0.0:
        return worst
    added = _added(level)
    joined = units + added
    squares = error * error * units * (units - 1) + units * added / joined * (value - worst) ** 2
    mean = value - added / joined * (value - worst)
    reach = _t(level, joined - 1 if freedom is None else freedom)
    return max(worst, mean - reach * math.sqrt(squares / (joined - 1) / joined))


def ceiling(count: int, level: float, spread: Spread = BINARY) -> float:
    """The highest lower bound that `count` items can give at `level`: every one of them with the best score."""
    if count < 1:
        return spread.worst
    if spread.sd is None:
        return clopper_pearson_lower(count, count, level)
    return _bound_below(spread.best, 0.0, max(1.0, count / spread.group_size), spread.worst, level)


def retrained_lower(scores: Sequence[Score], level: float, scheme: Scheme = ITEMS) -> float:
    """Lower bound for the true score of one more training with a new seed.

    `scores` come from trainings that differ in the seed alone, on the same items. The variance of seeds,
    s^2 (1 + 1/S), is added to the variance of items of their average; S - 1 degrees of freedom, the fewest that either
    part has. Raises RungError below 5 seeds: then only the spread can be shown.
    """
    _check_level(level)
    if len(scores) < SEEDS:
        raise RungError(
            f"{len(scores)} training seeds say nothing about training again",
            mend=f"train with {SEEDS} seeds or more",
        )
    for score in scores[1:]:
        _check_pair(scores[0], score, scheme)
    _check_score(scores[0], scheme)
    _refuse(scores[0], scheme)
    values = np.array([estimate(score, scheme) for score in scores])
    if scores[0].kind == "corpus":
        # The average of the errors bounds the error of the average from above.
        items = float(np.mean([standard_error(score, scheme) for score in scores]))
    else:
        items = _mean_error(np.mean([score.items for score in scores], axis=0), scheme)
    error = math.sqrt(float(values.var(ddof=1)) * (1 + 1 / len(scores)) + items * items)
    units = _units(len(scores[0]), scheme)
    return _bound_below(float(values.mean()), error, units, scores[0].worst, level, freedom=len(scores) - 1)


# -- rung against rung -------------------------------------------------------------------------------------------------


def compare(first: Score, second: Score, scheme: Scheme = ITEMS, confidence: float = 0.95) -> Comparison:
    """Two scores on the same items, two-sided.

    Right-or-wrong items: mid-p McNemar with Tango's interval. Else approximate randomisation (Noreen 1989), whole
    groups at a time, with an interval of t x standard error (bootstrap for corpus scores).
    """
    _check_pair(first, second, scheme)
    level = (1.0 - confidence) / 2
    if first.kind == "binary" and scheme.groups is None:
        won, lost = _discordant(first, second)
        low, high = tango_lower(won, lost, len(first), level), -tango_lower(lost, won, len(first), level)
        return Comparison((won - lost) / len(first), low, high, mcnemar_mid_p(won, lost), "mid-p McNemar")
    difference = estimate(first, scheme) - estimate(second, scheme)
    error = difference_error(first, second, scheme)
    units = _units(len(first), scheme)
    reach = _t(level, max(1.0, units - 1)) * error
    span = first.best - first.worst
    p = _randomisation(first, second, scheme)
    low, high = max(difference - reach, -span), min(difference + reach, span)
    return Comparison(difference, low, high, p, "approximate randomisation")


def mcnemar_mid_p(won: int, lost: int) -> float:
    """Two-sided mid-p McNemar test: 2 P(X < k) + P(X = k), X ~ Bin(won + lost, 1/2), k the smaller count."""
    from scipy.special import bdtr

    if won < 0 or lost < 0:
        raise ValueError(f"{won} won and {lost} lost")
    if won == lost:
        return 1.0
    fewer, count = min(won, lost), won + lost
    below = float(bdtr(fewer - 1, count, 0.5)) if fewer else 0.0
    return min(1.0, below + float(bdtr(fewer, count, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjustment, in the order given: reject where the result is at most the level."""
    if any(not 0.0 <= p <= 1.0 for p in p_values):
        raise ValueError(f"p-values lie between 0 and 1: {list(p_values)}")
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def _discordant(first: Score, second: Score) -> tuple[int, int]:
    """How many items only the first got right, and only the second."""
    gap = first.items - second.items
    return int((gap > 0).sum()), int((gap < 0).sum())


def _randomisation(first: Score, second: Score, scheme: Scheme) -> float:
    """p by swapping the two answers of each unit with probability 1/2. Units that differ alike are drawn together."""
    one, two = first.statistics, second.statistics
    value: Value = _value_of(scheme) if first.kind == "corpus" else _mean_value
    gaps = two - one
    if scheme.groups is not None:
        gaps = _by_group(gaps, scheme.groups)[0]
    kinds, repeats = np.unique(gaps[np.any(gaps != 0, axis=1)], axis=0, return_counts=True)
    if not len(kinds):
        return 1.0
    totals, others, count = one.sum(axis=0), two.sum(axis=0), len(first)
    seen = abs(float(value(totals, count) - value(others, count)))
    generator = np.random.default_rng([scheme.seed, count, 2])
    chunk = max(1, _CELLS // max(kinds.shape))
    as_large = 0
    for start in range(0, RANDOMISATION_DRAWS, chunk):
        size = (min(chunk, RANDOMISATION_DRAWS - start), len(kinds))
        moved = generator.binomial(repeats, 0.5, size=size).astype(float) @ kinds
        drawn = np.abs(value(totals + moved, count) - value(others - moved, count))
        as_large += int((drawn >= seen - 1e-12).sum())
    return (1 + as_large) / (1 + RANDOMISATION_DRAWS)


def _mean_value(totals: np.ndarray, count: Any) -> Any:
    return totals[..., 0] / count


# -- power -------------------------------------------------------------------------------------------------------------


def spread(score: Score, scheme: Scheme = ITEMS) -> Spread:
    """How far this score's items scatter, for planning another split of the same kind."""
    size = group_size(scheme)
    if score.kind == "binary" and scheme.groups is None:
        return Spread(None, score.worst, score.best)
    return Spread(standard_error(score, scheme) * math.sqrt(len(score)), score.worst, score.best, size)


def difference_spread(first: Score, second: Score, scheme: Scheme = ITEMS) -> Spread:
    """The same for (first - second), whose scale runs from worst - best to best - worst."""
    span = first.best - first.worst
    return Spread(difference_error(first, second, scheme) * math.sqrt(len(first)), -span, span, group_size(scheme))


def detectable(count: int, goal: float, level: float, power: float = 0.8, scatter: Spread = BINARY) -> float | None:
    """The smallest true score that `count` items show to reach `goal` with probability `power`; None: none does.

    Right-or-wrong items: exact. Else by the normal approximation to where the bound will fall.
    """
    _check_plan(count, goal, level, power, scatter)
    if goal <= scatter.worst:
        return scatter.worst
    if scatter.sd is None:
        from scipy.special import betaincinv
        from scipy.stats import binom

        needed = int(binom.isf(level, count, goal)) + 1 if level > 0 else count + 1
        return None if needed > count else float(betaincinv(needed, count - needed + 1, power))
    low, high = goal, scatter.best
    if not _shown(count, high, goal, level, power, scatter):
        return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _shown(count, middle, goal, level, power, scatter) else (middle, high)
    return high


def items_needed(truth: float, goal: float, level: float, power: float = 0.8, scatter: Spread = BINARY) -> int | None:
    """How many items show a true score of `truth` to reach `goal` with probability `power`; None: no number does.

    For right-or-wrong items power rises in a saw-tooth; the answer is the size from which it stays above `power`.
    """
    _check_plan(1, goal, level, power, scatter)
    if truth <= goal or level <= 0.0:
        return None
    if scatter.sd is None:
        return _binary_needed(min(truth, 1.0), goal, level, power)
    high = 2
    while not _shown(high, truth, goal, level, power, scatter):
        high *= 2
        if high > 10**12:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _shown(middle, truth, goal, level, power, scatter) else (middle, high)
    return high


def items_needed_range(
    score: Score, goal: float, level: float, power: float = 0.8, scheme: Scheme = ITEMS
) -> tuple[int | None, int | None]:
    """`items_needed` were the truth at the upper and at the lower end of the score's 95 % interval: fewest, most."""
    low, high = interval(score, scheme)
    scatter = spread(score, scheme)
    return items_needed(high, goal, level, power, scatter), items_needed(low, goal, level, power, scatter)


def bearable_scatter(
    count: int, margin: float, level: float, power: float = 0.8, kind: ScoreKind = "binary", span: float = 1.0
) -> float:
    """How far the paired differences of two equally good systems may scatter for `count` items to show them within
    `margin`: the standard deviation of one difference, 0 where no scatter is small enough.

    For right-or-wrong items its square is the share of items on which only one of the two is right.
    """
    _check_plan(count, -margin, level, power, Spread(0.0, -span, span))
    if kind == "binary":
        if count < items_for_no_change(margin, level):
            return 0.0
        return min(1.0, margin * math.sqrt(count) / (_z(level) + _z(1 - power)))
    low, high = 0.0, span
    for _ in range(60):
        middle = (low + high) / 2
        fits = _shown(count, 0.0, -margin, level, power, Spread(middle, -span, span))
        low, high = (middle, high) if fits else (low, middle)
    return 0.0 if low < 1e-9 * span else low


def items_for_no_change(margin: float, level: float, kind: ScoreKind = "binary", span: float = 1.0) -> int:
    """Items from which "not one item differs" has a paired lower bound above -margin: fewer can never keep a guard.

    `span` is best - worst. Tango's bound is then -z^2 / (n + z^2).
    """
    _check_level(level)
    if not margin > 0.0:
        raise ValueError(f"the margin {margin} is not above 0")
    if kind == "binary":
        square = _z(level) ** 2
        return max(1, math.floor(square * (1 - margin) / margin) + 1)
    count = 1
    while _bound_below(0.0, 0.0, count, -span, level) <= -margin:
        count = math.ceil(count * 1.01) + 1
    while count > 1 and _bound_below(0.0, 0.0, count - 1, -span, level) > -margin:
        count -= 1
    return max(count, CORPUS_ITEMS) if kind == "corpus" else count


def _check_plan(count: int, goal: float, level: float, power: float, scatter: Spread) -> None:
    _check_level(level)
    if count < 1:
        raise RungError(f"{count} items can show nothing", mend="give the split at least one example")
    if not scatter.worst <= goal <= scatter.best:
        raise RungError(f"the goal {goal} lies outside the scale {scatter.worst} to {scatter.best}", where="goal")
    if not 0.0 < power < 1.0:
        raise ValueError(f"power lies between 0 and 1, not {power}")


def _shown(count: int, truth: float, goal: float, level: float, power: float, scatter: Spread) -> bool:
    """Whether the bound will reach the goal with probability `power`, by the normal approximation."""
    assert scatter.sd is not None
    units = count / scatter.group_size
    if units < 2:
        return False  # as one unit shows no scatter
    error = scatter.sd / math.sqrt(count)
    return _bound_below(truth, error, units, scatter.worst, level) - _z(1 - power) * error >= goal


@lru_cache(maxsize=1024)
def _binary_needed(truth: float, goal: float, level: float, power: float) -> int | None:
    """The size from which Clopper-Pearson's bound reaches the goal with probability `power`, whatever the saw-tooth."""

    if goal <= 0.0:
        return 1
    if truth >= 1.0:
        return max(1, math.ceil(math.log(level) / math.log(goal) - 1e-12)) if goal < 1.0 else None
    scatter = _z(level) * math.sqrt(goal * (1 - goal)) + _z(1 - power) * math.sqrt(truth * (1 - truth))
    guess = (scatter / (truth - goal)) ** 2 + 1 / (truth - goal)
    if guess > _EXACT_ITEMS:
        return math.ceil(guess)
    low, high = max(1, int(0.85 * guess) - 30), int(1.15 * guess) + 60
    while True:
        counts = np.arange(low, high + 1)
        short = np.flatnonzero(_binary_power(counts, truth, goal, level) < power)
        if short.size and short[-1] + 1 < counts.size:
            return int(counts[short[-1]]) + 1
        if not short.size and low == 1:
            return 1
        low, high = (low, 2 * high) if short.size else (max(1, low // 2), high)


def _binary_power(counts: np.ndarray, truth: float, goal: float, level: float) -> np.ndarray:
    """P(Clopper-Pearson's bound reaches the goal) for each number of items, exactly."""
    from scipy.special import betainc

    def tail(right: np.ndarray, chance: float) -> np.ndarray:
        """P(X >= right), X ~ Bin(counts, chance)."""
        inside = np.clip(right, 1, counts)
        shares: np.ndarray = betainc(inside, counts - inside + 1, chance)
        return np.where(right < 1, 1.0, np.where(right > counts, 0.0, shares))

    # The fewest right items whose chance at the goal is at most `level`: a normal guess, then steps of one.
    needed = np.ceil(counts * goal + _z(level) * np.sqrt(counts * goal * (1 - goal)))
    needed = np.clip(needed, 1, counts + 1)
    while True:
        more = tail(needed, goal) > level
        fewer = ~more & (tail(needed - 1, goal) <= level)
        if not (more | fewer).any():
            return tail(needed, truth)
        needed = needed + more - fewer
