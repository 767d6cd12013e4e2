"""What a number of items can show, and how many a claim takes: for the plan, and for advice.

Scatter is guessed or measured (`Spread`). Exact for right-or-wrong items, else by the normal approximation to where the
bounds of `bounds` will fall.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rung.errors import RungError
from rung.stats.bounds import bound_below, interval
from rung.stats.error import difference_error, standard_error
from rung.stats.paired import clopper_pearson_lower, tango_variance
from rung.stats.quantile import z_quantile
from rung.stats.scheme import CORPUS_ITEMS, ITEMS, Scheme, check_level, group_size
from rung.types import Score, ScoreKind

_EXACT_ITEMS = 5_000  # up to here the power of the binary bound is computed exactly
_TOOTH = 0.03  # how far the power of right-or-wrong items may lie from what is stated


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


def ceiling(count: int, level: float, spread: Spread = BINARY) -> float:
    """The highest lower bound that `count` items can give at `level`: every one of them with the best score."""
    if count < 1:
        return spread.worst
    if spread.sd is None:
        return clopper_pearson_lower(count, count, level)
    return bound_below(spread.best, 0.0, max(1.0, count / spread.group_size), spread.worst, level)


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

    For right-or-wrong items power rises in a saw-tooth. The answer is the first size that has `power`, and 3 points more at
    most, from which on it never falls more than 3 points short.
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
        few, many = 0.0, 1.0
        for _ in range(60):
            middle = (few + many) / 2
            fits = _items_within(margin, level, middle, power) <= count
            few, many = (middle, many) if fits else (few, middle)
        return math.sqrt(few)
    low, high = 0.0, span
    for _ in range(60):
        middle = (low + high) / 2
        fits = _shown(count, 0.0, -margin, level, power, Spread(middle, -span, span))
        low, high = (middle, high) if fits else (low, middle)
    return 0.0 if low < 1e-9 * span else low


def guard_items(
    margin: float,
    level: float,
    scatter: float,
    power: float = 0.8,
    kind: ScoreKind = "binary",
    span: float = 1.0,
    least: int = CORPUS_ITEMS,
) -> int:
    """How many items show an artefact that is as good as its base to stay within `margin`, with probability `power`.

    `scatter` is how far it plausibly differs: for right-or-wrong items the share on which only one of the two is right,
    else the standard deviation of a paired difference. `span` is best - worst, `least` the fewest items that bound a
    corpus score. The inverse of `bearable_scatter`.
    """
    fewest = items_for_no_change(margin, level, kind, span, least)
    if kind == "binary":
        return max(fewest, math.ceil(_items_within(margin, level, scatter, power)))
    needed = items_needed(0.0, -margin, level, power, Spread(scatter, -span, span))
    assert needed is not None  # 0 lies above -margin
    return max(fewest, needed)


def _items_within(margin: float, level: float, share: float, power: float) -> float:
    """Items on which Tango's bound of two equally good systems, of which one alone is right on a `share`, is above
    -margin with probability `power`: its statistic has the variance of the hypothesis, the result that of the truth."""
    hypothesis = tango_variance(share / 2, share / 2, 1.0, -margin)
    reach = z_quantile(level) * math.sqrt(hypothesis) + z_quantile(1 - power) * math.sqrt(share)
    return (reach / margin) ** 2


def items_for_no_change(
    margin: float, level: float, kind: ScoreKind = "binary", span: float = 1.0, least: int = CORPUS_ITEMS
) -> int:
    """Items from which "not one item differs" has a paired lower bound above -margin: fewer can never keep a guard.

    `span` is best - worst. Tango's bound is then -z^2 / (n + z^2).
    """
    check_level(level)
    if not margin > 0.0:
        raise ValueError(f"the margin {margin} is not above 0")
    if kind == "binary":
        square = z_quantile(level) ** 2
        return max(1, math.floor(square * (1 - margin) / margin) + 1)
    count = 1
    while bound_below(0.0, 0.0, count, -span, level) <= -margin:
        count = math.ceil(count * 1.01) + 1
    while count > 1 and bound_below(0.0, 0.0, count - 1, -span, level) > -margin:
        count -= 1
    return max(count, least) if kind == "corpus" else count


def _check_plan(count: int, goal: float, level: float, power: float, scatter: Spread) -> None:
    check_level(level)
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
    return bound_below(truth, error, units, scatter.worst, level) - z_quantile(1 - power) * error >= goal


@lru_cache(maxsize=1024)
def _binary_needed(truth: float, goal: float, level: float, power: float) -> int | None:
    """The size at which Clopper-Pearson's bound reaches the goal with probability `power`, as `items_needed` says."""
    if goal <= 0.0:
        return 1
    if truth >= 1.0:
        return max(1, math.ceil(math.log(level) / math.log(goal) - 1e-12)) if goal < 1.0 else None
    scatter = z_quantile(level) * math.sqrt(goal * (1 - goal)) + z_quantile(1 - power) * math.sqrt(truth * (1 - truth))
    guess = (scatter / (truth - goal)) ** 2 + 1 / (truth - goal)
    if guess > _EXACT_ITEMS:
        return math.ceil(guess)
    low, high = max(1, int(0.85 * guess) - 30), int(1.15 * guess) + 60
    while True:
        counts = np.arange(low, high + 1)
        shown = _binary_power(counts, truth, goal, level)
        short = np.flatnonzero(shown < power - _TOOTH)
        settled = int(short[-1]) + 1 if short.size else 0
        enough = settled + np.flatnonzero(shown[settled:] >= power)
        if enough.size and (short.size or low == 1):
            close = enough[shown[enough] <= power + _TOOTH]
            return int(counts[close[0] if close.size else enough[0]])
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
    needed = np.ceil(counts * goal + z_quantile(level) * np.sqrt(counts * goal * (1 - goal)))
    needed = np.clip(needed, 1, counts + 1)
    while True:
        more = tail(needed, goal) > level
        fewer = ~more & (tail(needed - 1, goal) <= level)
        if not (more | fewer).any():
            return tail(needed, truth)
        needed = needed + more - fewer
