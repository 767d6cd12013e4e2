"""Successive halving: who goes on, what is recorded, and that nothing runs twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_train import examples, llama, same, weights

from rung.errors import RungError
from rung.model.adapters import lora
from rung.train.loop import fit
from rung.train.search import budgets, grid, halve
from rung.train.settings import Diverged, TrainSettings


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


def test_a_kept_trial_goes_on_from_its_own_state(tmp_path: Path) -> None:
    rows, steps_run = examples(), 0

    def settings(trial: Any) -> TrainSettings:
        return TrainSettings(learning_rate=trial["learning_rate"], max_steps=8, batch_size=4, eval_every=2)

    def adapted(trial: Any) -> torch.nn.Module:
        return lora(llama(), rank=trial["rank"])

    def run(index: int, trial: Any, budget: int) -> float:
        nonlocal steps_run
        before = steps_run
        module = adapted(trial)

        def count(done: int, total: int) -> None:
            nonlocal steps_run
            steps_run += 1

        folder = tmp_path / str(index)
        result = fit(module, rows, settings(trial), folder=folder, validation=rows[:4], until=budget, progress=count)
        assert result.step == budget and steps_run > before
        ends[index] = weights(module)
        return result.best_score or 0.0

    ends: dict[int, dict[str, torch.Tensor]] = {}
    found = halve(grid(rank=[2, 4], learning_rate=[1e-4, 1e-2]), (2, 4, 8), run)
    assert steps_run == 4 * 2 + 2 * 2 + 1 * 4  # nothing is trained twice
    assert found.chosen["learning_rate"] == 1e-2
    straight = adapted(found.chosen)
    fit(straight, rows, settings(found.chosen), folder=tmp_path / "straight", validation=rows[:4])
    assert same(weights(straight), ends[found.index])
