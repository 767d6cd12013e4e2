"""What `rung.stats` and the decision promise, simulated on fewer lives than `benchmarks/promises.py` has.

A promise counts as broken where the share found had a chance below 1 in 2,000 were it kept; seeds are fixed. That the simulations can fail is shown by forgetting the ledger, by ignoring groups, and by leaving Holm out.
"""

from __future__ import annotations

import pytest

from rung import stats
from rung.ladder.ledger import PROMISE
from simulated import levels, power
from simulated.climbs import CLIMBS, forgetful, good
from simulated.populations import MEANS, PAIRS, Mean, Pair, corpora
from simulated.rate import Rate, rate

pytestmark = pytest.mark.slow


def broken(rates: list[Rate]) -> list[str]:
    """Promises that were not kept, in words; what is only reported promises nothing."""
    return [f"{r.name}: {r.share:.4f}, not {r.promise:.4f}" for r in rates if not (r.kept or r.reported)]


# -- the decision ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLIMBS)
def test_at_most_five_per_cent_of_climbs_recommend_wrongly(name: str) -> None:
    climbing = CLIMBS[name]
    found = rate(name, int(900 * climbing.weight), climbing.live(), 1)
    assert found.kept and found.share >= climbing.least, found


def test_forgetting_the_ledger_breaks_the_promise() -> None:
    found = rate("forgotten ledger", 80, forgetful, 7)
    assert not found.kept and found.share > 3 * PROMISE


def test_good_rungs_do_get_recommended() -> None:
    """A promise is easily kept by never recommending. Six points above the goal, 300 items suffice in most climbs."""
    assert rate("recommended, truth 0.863", 600, good, 8).share == pytest.approx(0.8, abs=0.05)


# -- bounds and intervals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [30, 100])
@pytest.mark.parametrize("population", MEANS, ids=lambda one: one.name)
def test_bounds_of_rates_and_means_from_30_items(population: Mean, count: int) -> None:
    assert broken(list(levels.rates_of_means(population, count, 3000))) == []


@pytest.mark.parametrize("count", [30, 100])
@pytest.mark.parametrize("population", PAIRS, ids=lambda one: one.name)
def test_bounds_of_paired_differences_from_30_items(population: Pair, count: int) -> None:
    assert broken(list(levels.rates_of_pairs(population, count, 3000))) == []


@pytest.mark.parametrize("name", corpora())
def test_bounds_of_whole_split_scores_and_ratios_from_their_fewest_items(name: str) -> None:
    corpus = corpora()[name]
    assert broken(list(levels.rates_of_corpora(corpus, corpus.fewest, 600))) == []


@pytest.mark.parametrize("name", levels.SHAPES)
def test_clustered_items_widen_the_bound(name: str) -> None:
    *aware, blind = levels.rates_of_groups(name, 3000)
    assert broken(aware) == [] and blind.share > 4 * blind.promise
    assert levels.width_of_groups(name, 3000) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("count,between", [(300, 0.0), (300, 0.02), (300, 0.05), (2000, 0.05)])
def test_bound_of_training_again(count: int, between: float) -> None:
    found = levels.rates_of_seeds(5, count, between, 1500)
    assert found.kept, found


# -- multiplicity ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("better", [0, 3])
def test_holm_keeps_the_family_of_all_pairs(better: int) -> None:
    found = levels.family("eight systems", "binary", 8, better, 200, 400)
    assert found.kept, found


def test_holm_keeps_the_family_of_graded_systems() -> None:
    found = levels.family("four graded systems", "graded", 4, 1, 100, 120)
    assert found.kept, found


def test_without_holm_the_family_errs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "holm", list)
    assert not levels.family("no adjustment", "binary", 8, 0, 200, 120).kept


# -- power -------------------------------------------------------------------------------------------------------------


def test_stated_power_is_had_within_three_points() -> None:
    found = [
        *power.power_of_rates(50_000),
        *power.power_of_means(3000),
        power.power_of_groups(3000),
        *power.power_of_guards(20_000),
    ]
    assert broken(found) == []
