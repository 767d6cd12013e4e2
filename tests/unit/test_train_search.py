"""Successive halving: who goes on, what is recorded, and that nothing runs twice."""

from __future__ import annotations

from typing import Any

import pytest

from rung.errors import RungError
from rung.train.search import budgets, grid, halve
from rung.train.settings import Diverged


class Shelf(dict[str, Any]):
    def has(self, key: str) -> bool:
        return key in self

    def read(self, key: str) -> Any:
        return self[key]

    def write(self, key: str, value: Any) -> None:
        self[key] = value


TRIALS = grid(rank=[4, 8], learning_rate=[0.1, 0.2])


def test_the_better_half_goes_on_and_is_asked_for_more() -> None:
    asked: list[tuple[int, int]] = []

    def run(index: int, settings: Any, budget: int) -> float:
        asked.append((index, budget))
        return settings["rank"] * settings["learning_rate"] + budget / 1000

    found = halve(TRIALS, (10, 20, 40), run)
    assert asked == [(0, 10), (1, 10), (2, 10), (3, 10), (1, 20), (3, 20), (3, 40)]
    assert found.index == 3 and found.chosen == {"rank": 8, "learning_rate": 0.2}
    assert found.score == pytest.approx(1.64)
    assert [(t.index, t.budget) for t in found.trials if t.kept] == [(1, 10), (3, 10), (3, 20), (3, 40)]
    assert len(found.trials) == 7


def test_equal_scores_keep_the_earlier_trial() -> None:
    assert halve(TRIALS, (1, 2), lambda *_: 0.5).index == 0


def test_finished_trials_are_read_from_the_store() -> None:
    shelf, runs = Shelf(), 0

    def run(index: int, settings: Any, budget: int) -> float:
        nonlocal runs
        runs += 1
        if runs == 6:
            raise KeyboardInterrupt
        return float(index)

    with pytest.raises(KeyboardInterrupt):
        halve(TRIALS, (10, 20, 40), run, store=shelf, key="lora")
    assert len(shelf) == 5 and "lora/trial-2/20" in shelf
    resumed = halve(TRIALS, (10, 20, 40), run, store=shelf, key="lora")
    assert runs == 8
    assert resumed == halve(TRIALS, (10, 20, 40), lambda index, *_: float(index))


def test_a_diverged_trial_is_out() -> None:
    def run(index: int, settings: Any, budget: int) -> float:
        if index != 1:
            raise Diverged(3, 0.1)
        return -5.0

    shelf = Shelf()
    found = halve(TRIALS, (10, 20), run, store=shelf)
    assert found.index == 1 and [t.score for t in found.trials[:4]] == [None, -5.0, None, None]
    assert halve(TRIALS, (10, 20), run, store=shelf) == found
    with pytest.raises(RungError, match="every trial diverged"):
        halve(TRIALS[:1], (10,), run)


def test_budgets_rise_to_the_total() -> None:
    assert budgets(400, 8) == (50, 100, 200, 400)
    assert budgets(400, 1) == (400,)
    assert budgets(3, 16, least=2) == (2, 3)
    assert budgets(300, 9, keep=1 / 3) == (33, 100, 300)


def test_wrong_searches_are_refused() -> None:
    for trials, steps, keep in (((), (1,), 0.5), (TRIALS, (), 0.5), (TRIALS, (5, 5), 0.5), (TRIALS, (1,), 1.0)):
        with pytest.raises(RungError):
            halve(trials, steps, lambda *_: 0.0, keep=keep)
    with pytest.raises(RungError, match="must be numbers"):
        halve(TRIALS, (1,), lambda *_: float("nan"))
