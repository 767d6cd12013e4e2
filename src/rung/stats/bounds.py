"""One-sided bounds and two-sided intervals of a score, and of the difference of two scores on the same items.

One idea carries all bounds that are not exact: **some units of the worst score are added** before Student's t is used,
a unit being an item, or a whole group where items come in groups. Without them a split on which nothing went wrong
would prove perfection, since its standard error is zero. How many is said at `added`. Scores of a whole split may come
out too high or too low on average (macro-F1 where classes are rare); what the bootstrap shows of that is set against a
bound, never in its favour. Exact bounds are in `paired`.
"""

from __future__ import annotations

import math

from rung.stats.error import Measured, measure, measure_difference
from rung.stats.paired import clopper_pearson_lower, discordant, tango_lower
from rung.stats.quantile import t_quantile, z_quantile
from rung.stats.scheme import ITEMS, Scheme, check_level, check_pair, check_score, effective_units, refusal, refuse
from rung.types import Score


def lower(score: Score, level: float, scheme: Scheme = ITEMS) -> float:
    """One-sided lower bound: the true score lies below it with probability `level` at most.

    Right-or-wrong items: Clopper & Pearson (1934), exact. Graded, corpus and grouped: t with worst units added.
    Raises RungError below 100 items (corpus) or 10 groups.
    """
    check_level(level)
    check_score(score, scheme)
    refuse(score, scheme)
    if score.kind == "binary" and scheme.groups is None:
        return clopper_pearson_lower(int(score.items.sum()), len(score), level)
    return below(measure(score, scheme), len(score), score.worst, level, scheme)


def upper(score: Score, level: float, scheme: Scheme = ITEMS) -> float:
    """One-sided upper bound, the mirror image of `lower`: units of the best score are added."""
    check_level(level)
    check_score(score, scheme)
    refuse(score, scheme)
    if score.kind == "binary" and scheme.groups is None:
        wrong = len(score) - int(score.items.sum())
        return 1.0 - clopper_pearson_lower(wrong, len(score), level)
    return above(measure(score, scheme), len(score), score.best, level, scheme)


def interval(score: Score, scheme: Scheme = ITEMS, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided interval for showing: both one-sided bounds at half the error each."""
    level = (1.0 - confidence) / 2
    return lower(score, level, scheme), upper(score, level, scheme)


def shown(score: Score, scheme: Scheme = ITEMS, confidence: float = 0.95) -> tuple[float, float] | None:
    """`interval` where the items can carry one, else None: for tables, which leave the cell empty."""
    refused = refusal(score.kind, len(score), scheme.groups, scheme.least)
    return interval(score, scheme, confidence) if refused is None else None


def paired_lower(first: Score, second: Score, level: float, scheme: Scheme = ITEMS) -> float:
    """One-sided lower bound of the true (first - second) on the same items.

    Right-or-wrong items: Tango's score interval (1998). Graded, corpus and grouped: t with worst
    differences (worst - best) added. Raises RungError below 100 items (corpus) or 10 groups.
    """
    check_level(level)
    check_pair(first, second, scheme)
    refuse(first, scheme)
    if first.kind == "binary" and scheme.groups is None:
        won, lost = discordant(first, second)
        return tango_lower(won, lost, len(first), level)
    span = first.best - first.worst
    return below(measure_difference(first, second, scheme), len(first), -span, level, scheme)


def paired_upper(first: Score, second: Score, level: float, scheme: Scheme = ITEMS) -> float:
    """One-sided upper bound of the true (first - second) on the same items."""
    return -paired_lower(second, first, level, scheme)


def paired_interval(
    first: Score, second: Score, scheme: Scheme = ITEMS, confidence: float = 0.95
) -> tuple[float, float]:
    """Two-sided interval of the true (first - second) on the same items, for showing: both one-sided bounds at half the
    error each, given for few items too.

    Worst differences are added as in `paired_lower`: without them t about the difference misses the truth in 55 % of
    splits of 30 items, not 5 %, where one item in fifty changes much.
    """
    check_pair(first, second, scheme)
    level = (1.0 - confidence) / 2
    if first.kind == "binary" and scheme.groups is None:
        won, lost = discordant(first, second)
        return tango_lower(won, lost, len(first), level), -tango_lower(lost, won, len(first), level)
    found, span = measure_difference(first, second, scheme), first.best - first.worst
    return below(found, len(first), -span, level, scheme), above(found, len(first), span, level, scheme)


def below(found: Measured, count: int, worst: float, level: float, scheme: Scheme) -> float:
    """The lower bound; a bias counts where it would flatter."""
    value = found.value - max(0.0, found.bias)
    return bound_below(value, found.error, effective_units(count, scheme), worst, level)


def above(found: Measured, count: int, best: float, level: float, scheme: Scheme) -> float:
    """The upper bound, the mirror image."""
    value = found.value + max(0.0, -found.bias)
    return -bound_below(-value, found.error, effective_units(count, scheme), -best, level)


def added(level: float) -> float:
    """How many units of the worst score join before t is used: (z^2 + 2) / 3, so 1.9 at 2.5 %, 3.1 at 0.3 %.

    As many as skewness can hide. On a scale that ends at `worst` the third moment of a score lies above
    -(mean - worst) x variance, so the skewness correction of t (Johnson 1978, JASA 73, 536-544) lowers a bound by at
    most (2 z^2 + 1) / 6 x (mean - worst) / n: the shift of (z^2 + 1/2) / 3 worst units. The rest covers the steps of
    scores that take few values: on right-or-wrong items the bound never exceeds Clopper and Pearson's. A single unit
    at every level is not enough: over twelve looks at truths on the goal it lets up to 9 % pass instead of 5 %.
    """
    return (z_quantile(level) ** 2 + 2) / 3


def bound_below(
    value: float, error: float, units: float, worst: float, level: float, freedom: float | None = None
) -> float:
    """Student's lower bound after `added(level)` units of score `worst` joined `units` units; never below `worst`.

    For a mean over items this equals weighting the added item in mean, standard deviation and degrees of freedom.
    Groups and corpus scores use the same algebra on their standard error. `freedom` overrides the degrees of freedom.
    """
    if math.isinf(error) or level <= 0.0:
        return worst
    joining = added(level)
    joined = units + joining
    squares = error * error * units * (units - 1) + units * joining / joined * (value - worst) ** 2
    mean = value - joining / joined * (value - worst)
    reach = t_quantile(level, joined - 1 if freedom is None else freedom)
    return max(worst, mean - reach * math.sqrt(squares / (joined - 1) / joined))
