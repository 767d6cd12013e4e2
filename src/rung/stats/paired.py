"""Right-or-wrong items: exact and score bounds of shares and of paired differences, and McNemar's test.

Functions of counts alone; how a `Score` becomes counts, and what other scores get, is in `bounds` and `comparison`.
"""

from __future__ import annotations

import math

from rung.stats.quantile import z_quantile
from rung.types import Score


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
    z = z_quantile(level)
    low, high = -1.0, (won - lost) / count
    if math.isinf(z):
        return low
    for _ in range(80):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if tango_statistic(won, lost, count, middle) > z:
            low = middle
        else:
            high = middle
    return low


def tango_statistic(won: int, lost: int, count: int, difference: float) -> float:
    """(won - lost - n d) / sqrt(n v), v the variance at the difference d."""
    variance = count * tango_variance(won, lost, count, difference)
    gap = won - lost - count * difference
    return math.inf if variance <= 0.0 else gap / math.sqrt(variance)


def tango_variance(won: float, lost: float, count: float, difference: float) -> float:
    """2 q + d (1 - d), the variance of one item's difference, q the restricted estimate of the share of lost items."""
    linear = (2 * count - won + lost) * difference - won - lost
    constant = -lost * difference * (1 - difference)
    root = math.sqrt(max(linear * linear - 8 * count * constant, 0.0))
    share = (root - linear) / (4 * count)
    return 2 * share + difference * (1 - difference)


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


def discordant(first: Score, second: Score) -> tuple[int, int]:
    """How many items only the first got right, and only the second."""
    gap = first.items - second.items
    return int((gap > 0).sum()), int((gap < 0).sum())
