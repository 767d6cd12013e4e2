"""How often bounds and intervals miss the truth, against the level they state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from rung import stats
from rung.stats.bounds import above, below
from rung.stats.error import measure, measure_difference
from rung.types import Score, ScoreKind
from simulated.populations import Corpus, Mean, Pair
from simulated.rate import Rate, mean_score

LEVELS = (0.025, 0.05 / 2**5)
"""Of the first look, and of the fifth."""
WIDE = 0.05
"""What a two-sided interval of 95 % may miss."""


def rates_of_means(one: Mean, count: int, lives: int, *, reported: bool = False) -> Iterator[Rate]:
    """Lower and upper bounds at both levels, and the two-sided interval, of a mean of `count` items."""
    drawn = one.items(np.random.default_rng([7, count]), (lives, count))
    scores = [mean_score(items, one.kind) for items in drawn]
    where = f"{one.name}, n = {count}"
    for level in LEVELS:
        above = sum(stats.lower(score, level) > one.truth for score in scores)
        below = sum(stats.upper(score, level) < one.truth for score in scores)
        yield Rate(f"{where}: lower bound", above, lives, level, reported=reported)
        yield Rate(f"{where}: upper bound", below, lives, level, reported=reported)
        if level == LEVELS[0]:
            yield Rate(f"{where}: interval", above + below, lives, WIDE, reported=reported)


def rates_of_pairs(one: Pair, count: int, lives: int, *, reported: bool = False) -> Iterator[Rate]:
    """The lower bound of a paired difference at both levels, and the two-sided interval of `compare`."""
    drawn = one.items(np.random.default_rng([11, count]), (lives, count))
    pairs = [(mean_score(a, one.kind), mean_score(b, one.kind)) for a, b in zip(*drawn, strict=True)]
    where = f"{one.name}, n = {count}"
    for level in LEVELS:
        above = sum(stats.paired_lower(a, b, level) > one.truth for a, b in pairs)
        yield Rate(f"{where}: lower bound", above, lives, level, reported=reported)
    missed = [not low <= one.truth <= high for low, high in (stats.paired_interval(a, b) for a, b in pairs)]
    yield Rate(f"{where}: interval", sum(missed), lives, WIDE, reported=reported)


def rates_of_corpora(one: Corpus, count: int, lives: int) -> Iterator[Rate]:
    """Bounds of a whole-split score and of the paired difference, from one set of resamples a life."""
    first, second = one.truths
    gap, wrong, scheme = first - second, _Tally(), one.scheme
    generator = np.random.default_rng([13, count])
    for _ in range(lives):
        a, b = one.draw(generator, count)
        for what, found, span, truth in (
            ("", measure(a, scheme), (a.worst, a.best), first),
            (" of the difference", measure_difference(a, b, scheme), (a.worst - a.best, a.best - a.worst), gap),
        ):
            for level in LEVELS:
                low, high = below(found, count, span[0], level, scheme), above(found, count, span[1], level, scheme)
                wrong.add(f"lower bound{what}/{level}", low > truth)
                wrong.add(f"upper bound{what}/{level}", high < truth)
                if level == LEVELS[0]:
                    wrong.add(f"interval{what}/{WIDE}", not low <= truth <= high)
    for name, count_wrong in wrong.counts.items():
        what, _, promise = name.partition("/")
        reported = count < one.fewest or (one.rare and not what.startswith("lower"))
        yield Rate(f"{one.name}, n = {count}: {what}", count_wrong, lives, float(promise), reported=reported)


class _Tally:
    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def add(self, name: str, wrong: bool) -> None:
        self.counts[name] = self.counts.get(name, 0) + int(wrong)


# -- groups ------------------------------------------------------------------------------------------------------------

SHAPES: dict[str, np.ndarray] = {
    "10 documents of 10": np.full(10, 10),
    "30 documents of 10": np.full(30, 10),
    "60 documents of 1 to 40": np.r_[[40, 30, 20, 15, 15], np.full(24, 5), np.full(31, 1)],
}
HABIT = 7 / 3
"""A beta distribution of this size makes a correlation of 0.3 between two questions of one document."""


def rates_of_groups(name: str, lives: int, truth: float = 0.8) -> Iterator[Rate]:
    """Right-or-wrong questions of documents that differ: the bound that knows the groups, and the one that does not."""
    sizes = SHAPES[name]
    members = np.repeat(np.arange(sizes.size), sizes)
    scheme = stats.Scheme(groups=tuple(str(group) for group in members))
    generator = np.random.default_rng([17, sizes.sum()])
    habits = generator.beta(truth * HABIT, (1 - truth) * HABIT, (lives, sizes.size))
    scores = [mean_score(row) for row in generator.random((lives, members.size)) < habits[:, members]]
    for level in LEVELS:
        above = sum(stats.lower(score, level, scheme) > truth for score in scores)
        yield Rate(f"{name}: lower bound", above, lives, level)
        below = sum(stats.upper(score, level, scheme) < truth for score in scores)
        yield Rate(f"{name}: upper bound", below, lives, level)
    blind = sum(stats.lower(score, LEVELS[0]) > truth for score in scores)
    yield Rate(f"{name}: lower bound blind to the groups", blind, lives, LEVELS[0], reported=True)


def width_of_groups(name: str, lives: int, truth: float = 0.8) -> float:
    """The mean cluster-robust standard error over the true standard deviation of the estimate: 1 where it is right."""
    sizes = SHAPES[name]
    members = np.repeat(np.arange(sizes.size), sizes)
    scheme = stats.Scheme(groups=tuple(str(group) for group in members))
    generator = np.random.default_rng([19, sizes.sum()])
    habits = generator.beta(truth * HABIT, (1 - truth) * HABIT, (lives, sizes.size))
    scores = [mean_score(row) for row in generator.random((lives, members.size)) < habits[:, members]]
    errors = np.array([stats.standard_error(score, scheme) for score in scores])
    return float(np.sqrt(np.mean(errors**2)) / np.std([score.value for score in scores]))


# -- training again ----------------------------------------------------------------------------------------------------


def rates_of_seeds(seeds: int, count: int, between: float, lives: int, level: float = 0.05) -> Rate:
    """The bound for one more training: its true score differs from the mean by `between` (standard deviation).

    An item's chance to be answered right has a part of its own (as hard or easy for every training) and the training's.
    """
    generator = np.random.default_rng([23, seeds, count, round(1e4 * between)])
    wrong = 0
    for _ in range(lives):
        chance = 0.8 + between * generator.standard_normal(seeds + 1)[:, None]
        ease = 0.15 * np.sign(generator.random(count) - 0.5)
        right = generator.random((seeds, count)) < np.clip(chance[:-1] + ease, 0, 1)
        bound = stats.retrained_lower([mean_score(row) for row in right], level)
        wrong += bound > float(chance[-1, 0])
    return Rate(f"{seeds} seeds, n = {count}, seeds scatter by {100 * between:g} points", wrong, lives, level)


# -- rung against rung -------------------------------------------------------------------------------------------------


def family(name: str, kind: ScoreKind, systems: int, better: int, count: int, lives: int) -> Rate:
    """Holm over all pairs of `systems`, of which `better` are better than the rest: how often is a false "better" told
    of two that are equal?"""
    generator = np.random.default_rng([29, systems, better, count])
    wrong = 0
    for _ in range(lives):
        scores = list(_alike(generator, kind, systems, better, count))
        pairs = [(a, b) for a in range(systems) for b in range(a + 1, systems)]
        found = [stats.compare(scores[a], scores[b]).p for a, b in pairs]
        told = [pair for pair, p in zip(pairs, stats.holm(found), strict=True) if p <= WIDE]
        wrong += any((a < better) == (b < better) for a, b in told)
    return Rate(name, wrong, lives, WIDE)


def _alike(generator: np.random.Generator, kind: ScoreKind, systems: int, better: int, count: int) -> Iterable[Score]:
    """Systems that share how hard an item is."""
    ease = generator.beta(2, 1, count)
    for place in range(systems):
        chance = np.minimum(1.0, ease + (0.15 if place < better else 0.0))
        if kind == "binary":
            yield mean_score(generator.random(count) < chance)
        else:
            yield mean_score(np.clip(chance + 0.2 * (generator.random(count) - 0.5), 0, 1), "graded")


# -- against the studentised bootstrap ---------------------------------------------------------------------------------


def studentised(one: Pair, count: int, lives: int, level: float = LEVELS[0], draws: int = 1000) -> Rate:
    """The lower bound of a paired difference by the studentised bootstrap (Efron & Tibshirani 1993, chapter 12)."""
    generator = np.random.default_rng([31, count])
    first, second = one.items(generator, (lives, count))
    gaps, wrong = first.astype(float) - second, 0
    for gap in gaps:
        drawn = gap[generator.integers(0, count, (draws, count))]
        means, errors = drawn.mean(axis=1), drawn.std(axis=1, ddof=1)
        pivots = np.divide(means - gap.mean(), errors, out=np.zeros(draws), where=errors > 0)
        wrong += gap.mean() - np.quantile(pivots, 1 - level) * gap.std(ddof=1) > one.truth + 1e-12
    return Rate(f"{one.name}, n = {count}: studentised bootstrap", wrong, lives, level, reported=True)


Simulation = Callable[[int], Iterable[Rate]]
