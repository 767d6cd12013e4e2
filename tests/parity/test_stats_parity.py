"""Our statistics against scipy, published worked examples, and plain recomputation by another road."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.ter import TER
from scipy import optimize
from scipy import stats as reference

from rung import stats
from rung.metrics import METRICS
from rung.stats.paired import tango_statistic
from rung.stats.quantile import z_quantile
from rung.types import Score


@pytest.mark.parametrize("right,count", [(0, 7), (1, 7), (7, 7), (81, 263), (15, 148), (255, 300), (9990, 10_000)])
@pytest.mark.parametrize("level", [0.025, 0.0125, 0.05 / 2**10])
def test_clopper_pearson_equals_scipy(right: int, count: int, level: float) -> None:
    items = np.r_[np.ones(right), np.zeros(count - right)]
    score = Score("accuracy", "binary", right / count, items[:, None])
    for alternative, ours in (("greater", stats.lower(score, level)), ("less", stats.upper(score, level))):
        test = reference.binomtest(right, count, alternative=alternative)
        theirs = test.proportion_ci(1 - level, method="exact")
        assert ours == pytest.approx(theirs.low if alternative == "greater" else theirs.high, abs=1e-9)


@pytest.mark.parametrize(
    "right,count,low,high",
    [(81, 263, 0.2527, 0.3676), (15, 148, 0.0578, 0.1617), (0, 20, 0.0, 0.1684), (1, 29, 0.0009, 0.1776)],
)
def test_exact_intervals_of_newcombe_1998(right: int, count: int, low: float, high: float) -> None:
    """The four worked examples of Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 5."""
    items = np.r_[np.ones(right), np.zeros(count - right)]
    found = stats.interval(Score("accuracy", "binary", right / count, items[:, None]))
    assert found == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("added", [1, 2, 5])
def test_t_bound_equals_scipy_where_whole_items_are_added(added: int) -> None:
    """At the level whose (z^2 + 2) / 3 is a whole number the bound is scipy's t interval of the longer sample."""
    level = float(reference.norm.sf(math.sqrt(3 * added - 2)))
    items = np.random.default_rng(1).beta(5, 2, 73)
    joined = reference.ttest_1samp(np.r_[items, np.zeros(added)], 0.0, alternative="greater")
    score = Score("rougeL", "graded", float(items.mean()), items[:, None])
    theirs = joined.confidence_interval(1 - level).low
    assert stats.lower(score, level) == pytest.approx(theirs, rel=1e-10)


def test_mid_p_mcnemar_of_fagerland_2013() -> None:
    """Airway hyper-responsiveness before and after transplantation, 1 against 7 of 21: mid-p 0.039 (exact 0.070)."""
    assert stats.mcnemar_mid_p(1, 7) == pytest.approx(0.039, abs=5e-4)
    exact = reference.binomtest(1, 8).pvalue
    point = reference.binom.pmf(1, 8, 0.5)
    assert stats.mcnemar_mid_p(1, 7) == pytest.approx(exact - point)


@pytest.mark.parametrize(
    "won,lost,count,confidence,low,high,digits",
    [
        (1, 7, 21, 0.95, -0.517, -0.026, 3),  # the same patients: Fagerland, Lydersen & Laake (2014)
        (28, 25, 618, 0.90, -0.0148, 0.0247, 4),  # as R's PropCIs::scoreci.mp gives it
    ],
)
def test_tango_interval_as_published(
    won: int, lost: int, count: int, confidence: float, low: float, high: float, digits: int
) -> None:
    level = (1 - confidence) / 2
    found = (stats.tango_lower(won, lost, count, level), -stats.tango_lower(lost, won, count, level))
    assert found == pytest.approx((low, high), abs=0.5 * 10**-digits)


def _score_statistic(won: int, lost: int, count: int, gap: float) -> float:
    """Tango's statistic with the nuisance found by maximising the trinomial likelihood numerically."""

    def surprise(share: float) -> float:
        chances = (share + gap, share, 1 - 2 * share - gap)
        counts = (won, lost, count - won - lost)
        return -sum(k * math.log(max(p, 1e-300)) for k, p in zip(counts, chances, strict=True) if k)

    bounds = (max(0.0, -gap), (1 - gap) / 2)
    share = optimize.minimize_scalar(surprise, bounds=bounds, method="bounded", options={"xatol": 1e-13}).x
    return float((won - lost - count * gap) / math.sqrt(count * (2 * share + gap - gap * gap)))


@pytest.mark.parametrize("won,lost,count", [(12, 2, 50), (3, 9, 60), (40, 20, 160), (28, 25, 618), (5, 0, 40)])
@pytest.mark.parametrize("level", [0.025, 0.05 / 2**6])
def test_tango_limit_by_numerical_likelihood(won: int, lost: int, count: int, level: float) -> None:
    z = float(reference.norm.isf(level))

    def gap(difference: float) -> float:
        return _score_statistic(won, lost, count, difference) - z

    theirs = optimize.brentq(gap, -0.9, (won - lost) / count, xtol=1e-10)
    assert stats.tango_lower(won, lost, count, level) == pytest.approx(theirs, abs=1e-5)


def test_tango_keeps_its_level_by_exact_enumeration() -> None:
    """P(lower > -margin) where the truth is -margin, summed over every outcome, at three looks."""
    count, margin = 120, 0.05
    for won_share in (0.02, 0.05, 0.15):
        wins = np.arange(count + 1)
        outcome = reference.binom.pmf(wins, count, won_share)[:, None] * np.array(
            [reference.binom.pmf(wins, count - w, (won_share + margin) / (1 - won_share)) for w in wins]
        )
        likely = np.argwhere(outcome > 1e-10)
        for look in (1, 3, 5):
            level = 0.05 / 2**look
            wrong = sum(
                outcome[won, lost]
                for won, lost in likely
                if tango_statistic(won, lost, count, -margin) > z_quantile(level)
            )
            assert wrong < 1.08 * level


def test_cluster_robust_error_equals_least_squares_with_the_sandwich() -> None:
    """The general formula (X'X)^-1 (sum of X'uu'X) (X'X)^-1 for a regression on a constant, with G / (G - 1)."""
    generator = np.random.default_rng(3)
    groups = generator.integers(0, 14, 160)
    items = np.clip(generator.random(160) * 0.5 + groups / 30, 0, 1)
    design = np.ones((160, 1))
    residuals = items - items.mean()
    meat = sum(
        design[groups == g].T @ np.outer(residuals[groups == g], residuals[groups == g]) @ design[groups == g]
        for g in range(14)
    )
    bread = np.linalg.inv(design.T @ design)
    expected = math.sqrt(float((bread @ meat @ bread)[0, 0]) * 14 / 13)
    score = Score("rougeL", "graded", float(items.mean()), items[:, None])
    scheme = stats.Scheme(groups=tuple(f"{g:02d}" for g in groups))
    assert stats.standard_error(score, scheme) == pytest.approx(expected)


def test_bootstrap_error_equals_resampling_rows_one_by_one() -> None:
    """Macro-F1, drawn as indices with scipy's bootstrap, against our multinomial draw over kinds of rows."""
    generator = np.random.default_rng(4)
    truth = generator.integers(0, 4, 200)
    answer = np.where(generator.random(200) < 0.8, truth, generator.integers(0, 4, 200))
    seen = np.eye(4)
    hits = seen[truth] * seen[answer]
    table = np.hstack([hits, seen[answer] - hits, seen[truth] - hits])

    def macro_f1(totals: np.ndarray, count: object) -> np.ndarray:
        right, extra, missed = totals[..., :4], totals[..., 4:8], totals[..., 8:]
        return np.asarray((2 * right / np.maximum(2 * right + extra + missed, 1)).mean(axis=-1))

    def of_rows(rows: np.ndarray, axis: int = -1) -> np.ndarray:
        return macro_f1(table[rows].sum(axis=-2), 200)

    theirs = reference.bootstrap(
        (np.arange(200),), of_rows, n_resamples=4000, vectorized=True, method="basic", rng=np.random.default_rng(5)
    ).standard_error
    score = Score("macro-f1", "corpus", float(macro_f1(table.sum(axis=0), 200)), table)
    assert stats.standard_error(score, stats.Scheme(value=macro_f1)) == pytest.approx(theirs, rel=0.06)


# -- systems of WMT17, English to German: p-values that Moses and MultEval published ------------------------------------


Wmt17 = tuple[Callable[[str, Any], dict[str, Score]], dict[str, Any]]


@pytest.fixture(scope="module")
def wmt17(real_data: Path) -> Wmt17:
    """A function that scores the 16 systems, the baseline first, and the published p-values against it."""
    folder = real_data / "sacrebleu"
    with gzip.open(folder / "wmt17_en_de_systems.json.gz", "rt", encoding="utf-8") as file:
        found = json.load(file)
    references = found["references"][1]
    published = json.loads((folder / "reference_values.json").read_text("utf-8"))["test_significance.py"]

    def scores(name: str, counter: Any) -> dict[str, Score]:
        made, metric = {}, METRICS[name]
        for system, said in found["systems"]:
            table = np.array(counter._extract_corpus_statistics(said, references), dtype=float)
            made[system] = Score(name, "corpus", float(metric.value(table.sum(axis=0), len(table))), table)
        return made

    return scores, published


def test_paired_bootstrap_of_moses(wmt17: Wmt17) -> None:
    """Moses counts how often |gap| on a resample exceeds its mean by more than the |gap| seen (Koehn 2004)."""
    scores, published = wmt17
    systems = scores("bleu", BLEU(tokenize="none", force=True))
    values = stats.bootstrap(list(systems.values()), stats.Scheme(value=METRICS["bleu"].value, seed=1), 4000)
    gaps = np.abs(values - values[:, :1])
    seen = np.array([score.value for score in systems.values()])
    found = ((gaps - gaps.mean(axis=0) > np.abs(seen - seen[0])).sum(axis=0) + 1) / (len(gaps) + 1)
    ours = dict(zip(systems, found, strict=True))
    for system, p in published["MOSES_P_VALS"].items():
        assert ours[system] == pytest.approx(p, abs=1e-2 + 3 * math.sqrt(p * (1 - p) / 4000)), system


@pytest.mark.slow
def test_approximate_randomisation_of_multeval(wmt17: Wmt17) -> None:
    scores, published = wmt17
    for place, (name, counter) in enumerate((("bleu", BLEU(tokenize="none", force=True)), ("one_minus_ter", TER()))):
        systems = scores(name, counter)
        baseline, *others = systems
        scheme = stats.Scheme(value=METRICS[name].value, seed=1)
        for system in others:
            p = published["MULTEVAL_P_VALS"][system][place]
            found = stats.compare(systems[system], systems[baseline], scheme)
            assert found.method == "approximate randomisation"
            noise = 4 * math.sqrt(2 * p * (1 - p) / stats.RANDOMISATION_DRAWS)  # of both sides' draws
            assert found.p == pytest.approx(p, abs=2e-3 + noise), (name, system)
