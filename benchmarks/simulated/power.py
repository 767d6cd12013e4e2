"""How often items show what the plan said they would: stated power against power found."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rung import stats
from rung.ladder.ledger import look_level
from simulated.rate import Rate, mean_score

POWER, POINTS = 0.8, 0.03
"""What the plan states, and how far it may be off."""


def _rate(name: str, shown: int, lives: int, power: float = POWER) -> Rate:
    return Rate(name, shown, lives, power, slack=POINTS, two_sided=True)


def power_of_rates(lives: int) -> Iterator[Rate]:
    """Right-or-wrong items: `detectable` and `items_needed`, each at the truth it names."""
    generator = np.random.default_rng(37)
    for count, goal, look in ((100, 0.8, 1), (300, 0.8, 1), (300, 0.5, 3), (1000, 0.95, 5)):
        level = look_level(look)
        truth = stats.detectable(count, goal, level, POWER)
        assert truth is not None
        shown = _shown(generator.binomial(count, truth, lives), count, goal, level)
        yield _rate(f"detectable, {count} items, goal {goal}, look {look}: {truth:.3f}", shown, lives)
    for truth, goal, look in ((0.9, 0.8, 1), (0.85, 0.8, 1), (0.6, 0.5, 3), (0.97, 0.95, 5)):
        level = look_level(look)
        needed = stats.items_needed(truth, goal, level, POWER)
        assert needed is not None
        shown = _shown(generator.binomial(needed, truth, lives), needed, goal, level)
        yield _rate(f"items needed, true {truth}, goal {goal}, look {look}: {needed:,}", shown, lives)


def _shown(right: np.ndarray, count: int, goal: float, level: float) -> int:
    """How many of these results have a bound that reaches the goal."""
    kinds, often = np.unique(right, return_counts=True)
    return int(sum(n for k, n in zip(kinds, often) if stats.clopper_pearson_lower(int(k), count, level) >= goal))


def power_of_means(lives: int) -> Iterator[Rate]:
    """Graded items from beta distributions of one size, whose scatter is known."""
    size = 10.0
    for count, goal, look in ((60, 0.6, 1), (150, 0.7, 1), (300, 0.8, 3)):
        level, truth = look_level(look), goal
        for _ in range(20):  # the scatter depends on the truth, and the truth on the scatter
            found = stats.detectable(count, goal, level, POWER, stats.Spread(np.sqrt(truth * (1 - truth) / (size + 1))))
            assert found is not None
            truth = found
        generator = np.random.default_rng([41, count])
        drawn = generator.beta(size * truth, size * (1 - truth), (lives, count))
        shown = sum(stats.lower(mean_score(items, "graded"), level) >= goal for items in drawn)
        yield _rate(f"detectable, {count} graded items, goal {goal}, look {look}: {truth:.3f}", shown, lives)


def power_of_groups(lives: int, truth: float = 0.9, goal: float = 0.8, each: int = 5, habit: float = 7 / 3) -> Rate:
    """Documents of five questions each: as many as `items_needed` asks for."""
    deviation = np.sqrt(truth * (1 - truth) * (1 + (each - 1) / (habit + 1)))
    level = look_level(1)
    needed = stats.items_needed(truth, goal, level, POWER, stats.Spread(deviation, group_size=each))
    assert needed is not None
    groups = -(-needed // each)
    scheme = stats.Scheme(groups=tuple(str(n // each) for n in range(groups * each)))
    generator = np.random.default_rng(43)
    habits = generator.beta(truth * habit, (1 - truth) * habit, (lives, groups))
    right = generator.random((lives, groups * each)) < np.repeat(habits, each, axis=1)
    shown = sum(stats.lower(mean_score(row), level, scheme) >= goal for row in right)
    return _rate(f"items needed, true {truth}, goal {goal}, groups of {each}: {groups * each:,}", shown, lives)


def power_of_guards(lives: int) -> Iterator[Rate]:
    """As many guard items as the plan asks for, right or wrong, where two equally good systems differ on a share."""
    for margin, share, look in ((0.02, 0.1, 1), (0.05, 0.1, 1), (0.05, 0.2, 3)):
        level = look_level(look)
        needed = stats.guard_items(margin, level, share, POWER)
        generator = np.random.default_rng([47, needed])
        cells = generator.multinomial(needed, [share / 2, share / 2, 1 - share], lives)
        kinds, often = np.unique(cells[:, :2], axis=0, return_counts=True)
        kept = [stats.tango_lower(int(won), int(lost), needed, level) > -margin for won, lost in kinds]
        shown = int(often[np.array(kept)].sum())
        yield _rate(f"guard items, margin {margin}, {share:.0%} change, look {look}: {needed:,}", shown, lives)
