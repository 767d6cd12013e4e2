"""Bounds, paired tests, multiplicity and power, against what they are defined to be."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats as reference

from rung import stats
from rung.errors import RungError
from rung.stats.bounds import bound_below
from rung.stats.error import measure
from rung.stats.paired import tango_statistic
from rung.types import Score


def binary(right: int, count: int) -> Score:
    items = np.r_[np.ones(right), np.zeros(count - right)]
    return Score("accuracy", "binary", right / count, items[:, None])


def graded(items: Sequence[float], worst: float = 0.0, best: float = 1.0) -> Score:
    table = np.asarray(items, dtype=float)[:, None]
    return Score("rougeL", "graded", float(table.mean()), table, worst, best)


def mean_of_totals(totals: np.ndarray, count: Any) -> Any:
    return totals[..., 0] / count


def corpus(items: Sequence[float], worst: float = 0.0, best: float = 1.0) -> Score:
    """A corpus score that is secretly a mean, so that its bound is known."""
    table = np.asarray(items, dtype=float)[:, None]
    return Score("secret-mean", "corpus", float(table.mean()), table, worst, best)


def micro_f1(totals: np.ndarray, count: Any) -> Any:
    hits, wrong = totals[..., 0], totals[..., 1]
    return 2 * hits / np.maximum(2 * hits + wrong, 1)


CORPUS = stats.Scheme(value=mean_of_totals, seed=3)


# -- one-sided bounds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("right,count,level", [(0, 10, 0.025), (1, 10, 0.025), (7, 12, 0.01), (40, 50, 0.05 / 2**9)])
def test_binary_lower_bound_is_where_the_result_has_the_chance_of_the_level(
    right: int, count: int, level: float
) -> None:
    bound = stats.lower(binary(right, count), level)
    chance = reference.binom.sf(right - 1, count, bound) if right else 1.0
    assert bound == 0.0 if right == 0 else chance == pytest.approx(level, rel=1e-9)


def test_binary_bounds_of_perfect_and_failed_splits() -> None:
    assert stats.lower(binary(60, 60), 0.025) == pytest.approx(0.025 ** (1 / 60))
    assert stats.upper(binary(60, 60), 0.025) == 1.0
    assert stats.upper(binary(0, 60), 0.025) == pytest.approx(1 - 0.025 ** (1 / 60))


def test_binary_bounds_mirror_each_other() -> None:
    assert stats.upper(binary(13, 40), 0.01) == pytest.approx(1 - stats.lower(binary(27, 40), 0.01))


def joined_bound(items: np.ndarray, end: float, level: float) -> float:
    """The definition, written out: items of weight 1 and (z^2 + 2) / 3 items of the worst score; t with n + w - 1."""
    weight = (reference.norm.isf(level) ** 2 + 2) / 3
    values, weights = np.r_[items, end], np.r_[np.ones(len(items)), weight]
    total = weights.sum()
    mean = float(weights @ values) / total
    variance = float(weights @ (values - mean) ** 2) / (total - 1)
    return mean - float(reference.t.isf(level, total - 1)) * math.sqrt(variance / total)


@pytest.mark.parametrize("worst,best", [(0.0, 1.0), (-1.0, 1.0), (0.0, 100.0)])
@pytest.mark.parametrize("level", [0.025, 0.05 / 2**7])
def test_graded_bound_is_t_with_items_of_the_worst_score_added(worst: float, best: float, level: float) -> None:
    items = worst + (best - worst) * np.random.default_rng(1).beta(4, 2, 57)
    score = graded(items, worst, best)
    assert stats.lower(score, level) == pytest.approx(joined_bound(items, worst, level), rel=1e-10)
    assert stats.upper(score, level) == pytest.approx(-joined_bound(-items, -best, level), rel=1e-10)


@pytest.mark.parametrize("count", [2, 3, 10, 47, 300, 4000])
def test_graded_bound_of_right_or_wrong_items_never_exceeds_the_exact_one(count: int) -> None:
    """Exactness where it can be had: calling a binary score graded gains nothing, at any look."""
    rights = range(count + 1) if count < 50 else [*range(count - 60, count + 1), count // 2, 5]
    for look in (1, 2, 3, 5, 8, 12, 20, 40):
        level = 0.05 / 2**look
        for right in rights:
            share = right / count
            error = math.sqrt(share * (1 - share) / (count - 1))
            found = bound_below(share, error, count, 0.0, level)
            assert found <= stats.clopper_pearson_lower(right, count, level) + 1e-12


def test_equal_items_prove_no_certainty() -> None:
    assert stats.lower(graded([1.0] * 20), 0.025) < 0.87
    assert stats.upper(graded([0.0] * 20), 0.025) > 0.13
    assert stats.paired_lower(graded([0.5] * 20), graded([0.5] * 20), 0.025) < -0.13


def test_bounds_never_leave_the_scale() -> None:
    assert stats.lower(graded([0.01, 0.0]), 0.001) == 0.0
    assert stats.upper(graded([0.99]), 0.025) == 1.0
    assert stats.lower(graded([0.9]), 0.025) == 0.0  # one item shows no scatter


def test_bounds_widen_as_the_level_falls() -> None:
    for score in (binary(40, 50), graded(np.linspace(0.4, 1.0, 50)), corpus(np.linspace(0.4, 1.0, 150))):
        scheme = CORPUS if score.kind == "corpus" else stats.ITEMS
        lowers = [stats.lower(score, 0.05 / 2**look, scheme) for look in range(1, 12)]
        assert lowers == sorted(lowers, reverse=True)
        assert lowers[0] > lowers[-1]


def test_level_zero_gives_the_end_of_the_scale() -> None:
    assert stats.lower(binary(50, 50), 0.0) == 0.0
    assert stats.lower(graded([0.5] * 50), 0.0) == 0.0
    assert stats.tango_lower(5, 0, 10, 0.0) == -1.0


def test_grouped_bound_is_t_over_groups_with_groups_of_the_worst_score_added() -> None:
    """With groups of one size the sandwich is the t bound of the groups' means."""
    generator = np.random.default_rng(5)
    means = generator.beta(6, 2, 30)
    items = (generator.random((30, 8)) < means[:, None]).astype(float)
    scheme = stats.Scheme(groups=tuple(f"customer {i // 8}" for i in range(240)))
    score = Score("accuracy", "binary", float(items.mean()), items.reshape(-1, 1))
    expected = joined_bound(items.mean(axis=1), 0.0, 0.025)
    assert stats.lower(score, 0.025, scheme) == pytest.approx(expected, rel=1e-10)
    assert stats.lower(score, 0.025, scheme) < stats.lower(score, 0.025)


def test_one_large_group_counts_for_little() -> None:
    """Twenty groups of ten count as twenty; with half of the items in one group they count as four at most."""
    even = stats.Scheme(groups=tuple(str(i // 10) for i in range(200)))
    lumpy = stats.Scheme(groups=tuple("big" if i < 100 else str(i) for i in range(200)))
    assert 200 / stats.group_size(even) == pytest.approx(20.0)
    assert 200 / stats.group_size(lumpy) == pytest.approx(200**2 / (100**2 + 100))
    items = np.random.default_rng(7).permutation(np.r_[np.ones(180), np.zeros(20)])
    score = Score("accuracy", "binary", 0.9, items[:, None])
    assert stats.lower(score, 0.025, lumpy) < stats.lower(score, 0.025, even) < 0.9


def test_grouped_standard_error_of_groups_of_unequal_size() -> None:
    """The CR1 sandwich of a mean, written out group by group."""
    items, groups = [1.0, 0.0, 0.5, 0.5, 1.0, 0.0], ("a", "a", "a", "b", "b", "c")
    mean = 0.5
    sums = [sum(x - mean for x, g in zip(items, groups, strict=True) if g == name) for name in "abc"]
    expected = math.sqrt(3 / 2 * sum(total**2 for total in sums)) / 6
    assert stats.standard_error(graded(items), stats.Scheme(groups=groups)) == pytest.approx(expected)


def test_corpus_bound_agrees_with_the_graded_bound_of_the_same_mean() -> None:
    items = np.random.default_rng(2).beta(3, 2, 200)
    exact, found = stats.lower(graded(items), 0.0125), stats.lower(corpus(items), 0.0125, CORPUS)
    width = float(items.mean()) - exact
    assert found == pytest.approx(exact, abs=0.05 * width)


def test_corpus_bootstrap_follows_its_seed_and_not_the_order_of_items() -> None:
    items = np.random.default_rng(2).beta(3, 2, 120).round(1)
    score, shuffled = corpus(items), corpus(items[::-1])
    again = stats.lower(shuffled, 0.025, CORPUS)
    assert stats.lower(score, 0.025, CORPUS) == again
    other = stats.lower(score, 0.025, stats.Scheme(value=mean_of_totals, seed=4))
    assert other != again
    assert other == pytest.approx(again, abs=0.01)


def test_corpus_bootstrap_of_groups_resamples_groups() -> None:
    """Groups that agree within themselves scatter like that many single items."""
    means = np.random.default_rng(4).random(40)
    items = np.repeat(means, 5)
    scheme = stats.Scheme(groups=tuple(str(i // 5) for i in range(200)), value=mean_of_totals)
    expected = means.std(ddof=1) / math.sqrt(40)
    assert stats.standard_error(corpus(items), scheme) == pytest.approx(expected, rel=0.05)


def test_ratio_scores_match_the_delta_method() -> None:
    generator = np.random.default_rng(6)
    table = np.column_stack([generator.binomial(3, 0.7, 400), generator.binomial(2, 0.3, 400)]).astype(float)
    scheme = stats.Scheme(value=micro_f1)
    score = Score("micro-f1", "corpus", float(micro_f1(table.sum(axis=0), 400)), table)
    hits, wrong = table.sum(axis=0)
    slope = np.array([2 * wrong, -2 * hits]) / (2 * hits + wrong) ** 2
    expected = math.sqrt(400 * float(np.var(table @ slope, ddof=1)))
    assert stats.standard_error(score, scheme) == pytest.approx(expected, rel=0.05)


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_what_carries_no_bound_is_told() -> None:
    with pytest.raises(RungError, match="100 items or more for a bound; there are 99"):
        stats.lower(corpus(np.linspace(0, 1, 99)), 0.025, CORPUS)
    nine = stats.Scheme(groups=tuple(str(i % 9) for i in range(90)))
    with pytest.raises(RungError, match="10 groups or more for a bound; there are 9"):
        stats.lower(binary(80, 90), 0.025, nine)
    with pytest.raises(RungError, match="no items"):
        stats.lower(Score("accuracy", "binary", 0.0, np.zeros((0, 1))), 0.025)
    assert stats.refusal("corpus", 100) is None
    assert stats.refusal("binary", 1) is None
    assert stats.refusal("binary", 0) is not None


def test_scores_that_are_no_numbers_are_told() -> None:
    with pytest.raises(RungError, match="item 1 has no finite score"):
        stats.lower(graded([0.5, math.nan, 0.3]), 0.025)
    with pytest.raises(RungError, match="leave the scale"):
        stats.lower(graded([0.5, 1.5]), 0.025)
    with pytest.raises(RungError, match="no ends"):
        stats.lower(graded([0.5, 0.6], worst=-math.inf), 0.025)
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        stats.lower(Score("accuracy", "binary", 0.5, np.array([[0.5], [0.5]])), 0.025)


def test_undefined_resamples_are_told() -> None:
    def fragile(totals: np.ndarray, count: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return totals[..., 0] / totals[..., 0]

    items = np.r_[1.0, np.zeros(119)]
    with pytest.raises(RungError, match="undefined on"):
        stats.lower(corpus(items), 0.025, stats.Scheme(value=fragile))


def test_misuse_is_a_defect() -> None:
    with pytest.raises(ValueError, match="level"):
        stats.lower(binary(5, 10), 0.975)
    with pytest.raises(ValueError, match="cannot be paired"):
        stats.paired_lower(binary(5, 10), binary(5, 11), 0.025)
    with pytest.raises(ValueError, match="groups for"):
        stats.lower(binary(5, 10), 0.025, stats.Scheme(groups=("a",)))
    with pytest.raises(ValueError, match="value function"):
        stats.lower(corpus(np.linspace(0, 1, 100)), 0.025)


# -- paired bounds -----------------------------------------------------------------------------------------------------


def test_tango_limit_solves_its_own_equation() -> None:
    for won, lost, count in [(0, 0, 30), (3, 1, 50), (1, 7, 21), (40, 20, 160), (30, 0, 30), (0, 30, 30)]:
        bound = stats.tango_lower(won, lost, count, 0.01)
        assert -1.0 <= bound <= (won - lost) / count
        if bound > -1.0 + 1e-9:
            z = reference.norm.isf(0.01)
            assert tango_statistic(won, lost, count, bound) == pytest.approx(z, rel=1e-6)


def test_tango_without_discordant_items_is_the_wilson_limit() -> None:
    z = reference.norm.isf(0.025)
    assert stats.tango_lower(0, 0, 300, 0.025) == pytest.approx(-(z**2) / (300 + z**2))


def test_paired_bounds_mirror_each_other_and_hold_the_estimate() -> None:
    generator = np.random.default_rng(8)
    pairs: list[tuple[Score, Score, stats.Scheme]] = [
        (binary(30, 50), Score("accuracy", "binary", 0.5, generator.permutation(50)[:, None] % 2.0), stats.ITEMS),
        (graded(generator.random(60)), graded(generator.random(60)), stats.ITEMS),
        (corpus(generator.random(120)), corpus(generator.random(120)), CORPUS),
    ]
    for first, second, scheme in pairs:
        low, high = stats.paired_lower(first, second, 0.025, scheme), stats.paired_upper(first, second, 0.025, scheme)
        gap = stats.estimate(first, scheme) - stats.estimate(second, scheme)
        assert low < gap < high
        assert stats.paired_lower(second, first, 0.025, scheme) == pytest.approx(-high)


def test_graded_paired_bound_adds_worst_differences() -> None:
    generator = np.random.default_rng(9)
    one, two = generator.random(80), generator.random(80)
    found = stats.paired_lower(graded(one), graded(two), 0.025)
    assert found == pytest.approx(joined_bound(one - two, -1.0, 0.025), rel=1e-10)


def test_pairing_helps_where_answers_agree() -> None:
    items = np.random.default_rng(10).random(300)
    first, second = corpus(items), corpus(np.clip(items - 0.02, 0, 1))
    paired = stats.difference_error(first, second, CORPUS)
    assert paired < 0.2 * stats.standard_error(first, CORPUS)


# -- rung against rung -------------------------------------------------------------------------------------------------


def test_mcnemar_mid_p_by_counting_outcomes() -> None:
    for won, lost in [(1, 7), (0, 5), (12, 2), (3, 4), (9, 9)]:
        count = won + lost
        outcomes = [math.comb(count, k) / 2**count for k in range(count + 1)]
        fewer = min(won, lost)
        expected = min(1.0, 2 * (sum(outcomes[:fewer]) + outcomes[fewer] / 2))
        assert stats.mcnemar_mid_p(won, lost) == pytest.approx(1.0 if won == lost else expected)
    assert stats.mcnemar_mid_p(0, 0) == 1.0


def test_randomisation_equals_trying_every_swap() -> None:
    generator = np.random.default_rng(11)
    one, two = generator.random(9), generator.random(9) * 0.8
    gaps = one - two
    every = [abs(float(np.dot(signs, gaps))) for signs in itertools.product((-1, 1), repeat=9)]
    exact = np.mean([total >= abs(gaps.sum()) - 1e-12 for total in every])
    found = stats.compare(graded(one), graded(two))
    assert found.method == "approximate randomisation"
    assert found.p == pytest.approx(exact, abs=0.02)


def test_comparison_of_a_score_with_itself_shows_nothing() -> None:
    for score, scheme in ((binary(30, 50), stats.ITEMS), (graded([0.2, 0.9, 0.4]), stats.ITEMS)):
        found = stats.compare(score, score, scheme)
        assert (found.difference, found.p) == (0.0, 1.0)
        assert found.low <= 0.0 <= found.high


def test_corpus_comparison_sees_a_clear_difference_and_not_a_mere_wobble() -> None:
    generator = np.random.default_rng(12)
    items = generator.random(150)
    better = stats.compare(corpus(np.clip(items + 0.1, 0, 1)), corpus(items), CORPUS)
    assert better.p < 0.001 < better.low < better.difference < better.high
    wobble = stats.compare(corpus(items), corpus(generator.permutation(items)), CORPUS)
    assert wobble.difference == pytest.approx(0.0, abs=1e-12)
    assert wobble.p > 0.9


def test_groups_are_swapped_whole() -> None:
    """Ten groups that agree within themselves are ten observations, however many items each has."""
    gaps = np.repeat(np.r_[np.ones(7), -np.ones(3)] * 0.3, 20)
    first, second = graded(0.5 + gaps / 2), graded(0.5 - gaps / 2)
    groups = tuple(str(i // 20) for i in range(200))
    alone, grouped = stats.compare(first, second), stats.compare(first, second, stats.Scheme(groups=groups))
    assert alone.p < 0.001
    assert grouped.p == pytest.approx(0.34375, abs=0.02)  # 2 P(X <= 3), X ~ Bin(10, 1/2)
    assert grouped.low < 0 < grouped.high


def test_holm_steps_down_and_keeps_the_order() -> None:
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([]) == []
    assert stats.holm([0.9, 0.8]) == [1.0, 1.0]
    with pytest.raises(ValueError, match="between 0 and 1"):
        stats.holm([1.2])


# -- training again ----------------------------------------------------------------------------------------------------


def test_fewer_than_five_seeds_say_nothing_about_training_again() -> None:
    with pytest.raises(RungError, match="4 training seeds say nothing"):
        stats.retrained_lower([binary(40, 50)] * 4, 0.025)


def test_variance_of_seeds_is_added_to_that_of_items() -> None:
    same = [binary(400, 500)] * 5
    spread_out = [binary(right, 500) for right in (380, 390, 400, 410, 420)]
    assert stats.retrained_lower(spread_out, 0.025) < stats.retrained_lower(same, 0.025) < stats.lower(same[0], 0.025)


def test_seeds_and_items_come_apart() -> None:
    """Crossed effects of known size: five trainings of 4,000 items, seeds scattering by 3 points."""
    generator = np.random.default_rng(21)
    found = []
    for _ in range(200):
        chance = 0.8 + 0.03 * generator.standard_normal((5, 1)) + 0.1 * np.sign(generator.random(4000) - 0.5)
        right = (generator.random((5, 4000)) < chance).astype(float)
        scores = [Score("accuracy", "binary", float(row.mean()), row[:, None]) for row in right]
        found.append(stats.retraining(scores))
    assert np.mean([one.seeds**2 for one in found]) == pytest.approx(0.03**2, rel=0.2)
    items = math.sqrt((0.1**2 + (0.16 - 0.1**2) / 5) / 4000)
    assert np.mean([one.items for one in found]) == pytest.approx(items, rel=0.05)
    assert min(one.freedom for one in found) >= 4.0 and np.median([one.freedom for one in found]) < 5.0


def test_without_scatter_of_seeds_the_items_give_the_degrees_of_freedom() -> None:
    found = stats.retraining([binary(400, 500)] * 5)
    assert found.seeds == 0.0 and found.freedom == pytest.approx(499.0)
    assert found.error == found.items == pytest.approx(stats.standard_error(binary(400, 500)))
    few = [graded(np.linspace(0.4, 1.0, 150)) for _ in range(5)]
    whole = [corpus(np.linspace(0.4, 1.0, 150)) for _ in range(5)]
    assert stats.retraining(whole, CORPUS).error == pytest.approx(stats.retraining(few).error, rel=0.05)


# -- bootstrap ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", [3, 400])
def test_a_bootstrap_shared_by_systems_is_paired(kinds: int) -> None:
    """Few kinds of rows are drawn as a multinomial, many row by row: both have the scatter that theory gives."""
    generator = np.random.default_rng(22)
    first = generator.integers(0, kinds, 400) / kinds
    second = np.clip(first + 0.1 * (generator.integers(0, 3, 400) - 1), 0, 1)
    values = stats.bootstrap([graded(first), graded(second)], draws=6000)
    assert values.shape == (6000, 2)
    assert values[:, 0].std() == pytest.approx(first.std() / 20, rel=0.05)
    assert (values[:, 0] - values[:, 1]).std() == pytest.approx((first - second).std() / 20, rel=0.05)
    assert values.mean(axis=0) == pytest.approx([first.mean(), second.mean()], abs=0.003)


def test_a_bias_counts_only_where_it_would_flatter() -> None:
    """Squares of a mean come out too high: the lower bound gives that up, the upper one does not take it."""

    def square(totals: np.ndarray, count: Any) -> Any:
        return (totals[..., 0] / count) ** 2

    table = np.random.default_rng(23).choice([0.0, 1.0], 120)[:, None]
    score = Score("square", "corpus", float(table.mean()) ** 2, table)
    scheme = stats.Scheme(value=square)
    found = measure(score, scheme)
    assert found.bias == pytest.approx(float(table.var()) / 120, rel=0.3)
    assert stats.lower(score, 0.025, scheme) == bound_below(found.value - found.bias, found.error, 120, 0.0, 0.025)
    assert stats.upper(score, 0.025, scheme) == -bound_below(-found.value, found.error, 120, -1.0, 0.025)


def test_ratios_are_bounded_from_30_items() -> None:
    score = corpus(np.linspace(0.4, 1.0, 40))
    assert stats.lower(score, 0.025, stats.Scheme(value=mean_of_totals, least=stats.RATIO_ITEMS)) < 0.7
    with pytest.raises(RungError, match="needs 30 items or more"):
        stats.lower(corpus([0.5] * 29), 0.025, stats.Scheme(value=mean_of_totals, least=stats.RATIO_ITEMS))


@pytest.mark.parametrize("margin,share", [(0.02, 0.05), (0.05, 0.2)])
def test_guard_items_and_bearable_scatter_are_inverse(margin: float, share: float) -> None:
    needed = stats.guard_items(margin, 0.025, share)
    assert stats.bearable_scatter(needed, margin, 0.025) ** 2 == pytest.approx(share, rel=0.01)
    assert stats.guard_items(margin, 0.025, 1e-9) == stats.items_for_no_change(margin, 0.025)
    graded_needed = stats.guard_items(margin, 0.025, 0.2, kind="graded")
    assert stats.bearable_scatter(graded_needed, margin, 0.025, kind="graded") == pytest.approx(0.2, rel=0.01)


# -- power -------------------------------------------------------------------------------------------------------------


def test_the_plan_of_300_items() -> None:
    assert stats.detectable(300, 0.80, 0.025) == pytest.approx(0.86, abs=0.005)


def test_detectable_truth_is_shown_with_just_that_power() -> None:
    least = stats.detectable(200, 0.7, 0.0125)
    assert least is not None
    counts = np.arange(201)
    passes = np.array([stats.lower(binary(int(k), 200), 0.0125) >= 0.7 for k in counts])
    assert float(reference.binom.pmf(counts, 200, least) @ passes) == pytest.approx(0.8, abs=1e-9)


def test_too_few_items_can_show_nothing() -> None:
    assert stats.detectable(10, 0.8, 0.025) is None  # 0.8^10 = 0.107
    assert stats.ceiling(10, 0.025) < 0.8 < stats.ceiling(17, 0.025)
    assert stats.detectable(50, 0.99, 0.025, scatter=stats.Spread(0.1)) is None
    assert stats.detectable(300, 0.0, 0.025) == 0.0


@pytest.mark.parametrize("truth,goal,level", [(0.86, 0.8, 0.025), (0.99, 0.95, 0.0125), (0.5, 0.3, 0.05 / 2**6)])
def test_items_needed_by_trying_every_number(truth: float, goal: float, level: float) -> None:
    counts = np.arange(1, 2000)
    fewest = reference.binom.isf(level, counts, goal)
    power = reference.binom.sf(fewest, counts, truth)
    good = [n for n in counts if 0.8 <= power[n - 1] <= 0.83 and power[n - 1 :].min() >= 0.77]
    assert stats.items_needed(truth, goal, level) == good[0]


def test_items_needed_without_hope() -> None:
    assert stats.items_needed(0.8, 0.8, 0.025) is None
    assert stats.items_needed(0.7, 0.8, 0.025) is None
    assert stats.items_needed(1.0, 0.8, 0.025) == 17
    assert stats.items_needed(0.9, 0.8, 0.0) is None


def test_graded_power_holds_in_simulation() -> None:
    """The sizes named for graded items reach the goal about four times in five."""
    generator = np.random.default_rng(13)
    truth, goal = 0.75, 0.70
    deviation = math.sqrt(0.75 * 0.25 / 9)  # Beta(6, 2)
    count = stats.items_needed(truth, goal, 0.025, scatter=stats.Spread(deviation))
    assert count is not None
    shown = [stats.lower(graded(generator.beta(6, 2, count)), 0.025) >= goal for _ in range(600)]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.06)
    least = stats.detectable(count, goal, 0.025, scatter=stats.Spread(deviation))
    assert least == pytest.approx(truth, abs=0.002)


def test_the_range_of_an_estimate_runs_from_its_upper_to_its_lower_end() -> None:
    score = binary(255, 300)
    low, high = stats.interval(score)
    fewest, most = stats.items_needed_range(score, 0.75, 0.025)
    assert fewest == stats.items_needed(high, 0.75, 0.025)
    assert most == stats.items_needed(low, 0.75, 0.025)
    assert fewest is not None and most is not None and fewest < most
    assert stats.items_needed_range(binary(245, 300), 0.80, 0.025)[1] is None


@pytest.mark.parametrize("margin,level", [(0.02, 0.025), (0.05, 0.0125)])
def test_unchanged_guards_need_that_many_items_and_not_one_less(margin: float, level: float) -> None:
    count = stats.items_for_no_change(margin, level)
    assert stats.tango_lower(0, 0, count, level) > -margin >= stats.tango_lower(0, 0, count - 1, level)
    count = stats.items_for_no_change(margin, level, "graded")
    for size, kept in ((count, True), (count - 1, False)):
        same = graded([0.5] * size)
        assert (stats.paired_lower(same, same, level) > -margin) is kept


def test_bearable_scatter_is_shown_four_times_in_five() -> None:
    generator = np.random.default_rng(15)
    most = stats.bearable_scatter(300, 0.05, 0.025)
    share = most * most / 2
    won, lost = generator.binomial(300, share, 2000), generator.binomial(300, share, 2000)
    shown = [stats.tango_lower(int(w), int(x), 300, 0.025) > -0.05 for w, x in zip(won, lost, strict=True)]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.04)
    most = stats.bearable_scatter(300, 0.05, 0.025, kind="graded")
    assert 0.1 < most < 0.5
    same = graded(np.full(300, 0.5))
    moved = [graded(0.5 + most * generator.choice((-1.0, 1.0), 300)) for _ in range(500)]
    shown = [stats.paired_lower(score, same, 0.025) > -0.05 for score in moved]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.06)
    assert stats.bearable_scatter(50, 0.05, 0.025) == stats.bearable_scatter(50, 0.05, 0.025, kind="graded") == 0.0


def test_spread_carries_the_design_effect() -> None:
    items = np.repeat(np.random.default_rng(14).random(30), 10)
    groups = stats.Scheme(groups=tuple(str(i // 10) for i in range(300)))
    grouped, alone = stats.spread(graded(items), groups), stats.spread(graded(items))
    assert grouped.sd is not None and alone.sd is not None
    assert grouped.sd == pytest.approx(alone.sd * math.sqrt(10), rel=0.05)
    assert grouped.group_size == 10.0
    more = stats.items_needed(0.8, 0.6, 0.025, scatter=grouped)
    fewer = stats.items_needed(0.8, 0.6, 0.025, scatter=alone)
    assert more is not None and fewer is not None and more > 5 * fewer


def test_goal_off_the_scale_is_told() -> None:
    with pytest.raises(RungError, match="outside the scale"):
        stats.detectable(100, 1.2, 0.025)
    with pytest.raises(RungError, match="0 items can show nothing"):
        stats.detectable(0, 0.8, 0.025)


def test_importing_the_statistics_and_the_decision_stays_light() -> None:
    code = (
        "import sys, rung.stats, rung.ladder.decision, rung.ladder.versus; "
        "heavy = {'torch', 'transformers', 'scipy', 'sklearn', 'datasets', 'pandas'} & set(sys.modules); "
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
