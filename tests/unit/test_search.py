"""Searching over settings: spaces as written, each method on a known surface, early ends, and going on after a kill."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from test_train_search import Shelf

from rung.errors import MissingExtra, RungError
from rung.train.search import METHODS, Range, SearchPlan, Values, points, read_space, search
from rung.train.search.importance import importances
from rung.train.search.page import render, written
from rung.train.settings import Diverged

SPACE = {"learning_rate": Range(1e-5, 1e-1, log=True), "rank": Values((2, 4, 8))}
BEST = 1e-3


def surface(settings: Any) -> float:
    """Highest (1.0) at a rate of 1e-3 and rank 8; the rate matters far more."""
    import math

    return 1 - 0.2 * math.log10(settings["learning_rate"] / BEST) ** 2 - 0.01 * (8 - settings["rank"])


def score(index: int, settings: Any, budget: int) -> float:
    return surface(settings) * budget / 40


def test_spaces_are_read_as_written() -> None:
    found = read_space(["learning-rate=1e-5..1e-2:log", "rank=4,8,16", "epochs=1..5", "mode=a,b", "share=0.5,1"])
    assert found == {
        "learning_rate": Range(1e-5, 1e-2, log=True),
        "rank": Values((4, 8, 16)),
        "epochs": Range(1, 5, whole=True),
        "mode": Values(("a", "b")),
        "share": Values((0.5, 1)),
    }
    assert len(points({"a": Values((1, 2)), "b": Values(("x", "y", "z"))})) == 6


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("rank", "no part of a space"),
        ("rank=", "no part of a space"),
        ("rank=8..4", "no range"),
        ("rank=a..b", "no range of numbers"),
        ("rate=0..1:log", "no logarithm"),
        ("rate=1..2:lin", "unknown scale"),
        ("rank=4,4", "one twice"),
    ],
)
def test_wrong_spaces_are_one_line(text: str, line: str) -> None:
    with pytest.raises(RungError, match=line):
        read_space([text])
    with pytest.raises(RungError, match="given twice"):
        read_space(["a=1,2", "a=3,4"])


@pytest.mark.parametrize(
    ("wrong", "line"),
    [({"method": "tbe"}, "did you mean tpe"), ({"prune": "medain"}, "median"), ({"trials": 0}, "1 or more")],
)
def test_wrong_plans_are_one_line(wrong: dict[str, Any], line: str) -> None:
    with pytest.raises(RungError, match=line):
        SearchPlan(**wrong)


@pytest.mark.parametrize("method", METHODS)
def test_each_method_comes_near_the_best(method: str, tmp_path: Path) -> None:
    space = (
        SPACE
        if method not in ("grid", "halving")
        else {"learning_rate": Values((1e-4, 1e-3, 1e-2)), "rank": SPACE["rank"]}
    )
    found = search(SearchPlan(method, 20, seed=1), space, 40, score, store=Shelf())
    assert 0.9 < found.score <= 1.0
    assert found.chosen == next(t.settings for t in found.trials if t.index == found.index)
    assert max(t.score for t in found.trials if t.budget == 40) == found.score
    again = search(SearchPlan(method, 20, seed=1), space, 40, score, store=Shelf())
    assert again == found  # the same seed, the same search


def test_what_a_model_chooses_is_better_than_chance(tmp_path: Path) -> None:
    """Regret of 16 trials, summed over seeds, on the surface above."""
    lost = {
        method: sum(
            1 - search(SearchPlan(method, 16, "none", seed=seed), SPACE, 40, score, store=Shelf()).score
            for seed in range(2)
        )
        for method in ("random", "gp")
    }  # fmt: skip
    assert lost["gp"] < 0.5 * lost["random"]


@pytest.mark.parametrize("prune", ["none", "median", "halving", "hyperband"])
def test_poor_trials_end_early(prune: str, tmp_path: Path) -> None:
    steps = dict[int, int]()

    def run(index: int, settings: Any, budget: int) -> float:
        steps[index] = budget
        return score(index, settings, budget)

    found = search(SearchPlan("random", 12, prune), SPACE, 40, run, store=Shelf())
    assert steps[found.index] == 40
    early = [index for index, budget in steps.items() if budget < 40]
    assert bool(early) is (prune != "none")
    assert set(steps.values()) <= ({40} if prune == "none" else {10, 20, 40})
    best = max(steps, key=lambda index: surface(next(t.settings for t in found.trials if t.index == index)))
    assert prune != "median" or found.index == best  # the best so far is never below the median


def test_a_search_that_was_stopped_goes_on(tmp_path: Path) -> None:
    asked: list[tuple[int, int]] = []

    def run(index: int, settings: Any, budget: int) -> float:
        if len(asked) == 9 and stop:
            raise KeyboardInterrupt
        asked.append((index, budget))
        return score(index, settings, budget)

    plan, stop, shelf = SearchPlan("tpe", 8, "median"), False, Shelf()
    straight = search(plan, SPACE, 40, run, store=Shelf())
    expected, stop = list(asked), True
    asked.clear()
    with pytest.raises(KeyboardInterrupt):
        search(plan, SPACE, 40, run, store=shelf)
    stop = False
    assert search(plan, SPACE, 40, run, store=shelf) == straight
    assert asked == expected  # nothing was run twice, and nothing else was run
    more = search(SearchPlan("tpe", 10, "median"), SPACE, 40, run, store=shelf)
    assert [t.settings for t in more.trials[: len(straight.trials)]] == [t.settings for t in straight.trials]
    assert {index for index, _ in asked} == set(range(10))
    with pytest.raises(RungError, match="another search"):
        search(plan, SPACE, 80, run, store=shelf)


def test_a_killed_search_goes_on(tmp_path: Path) -> None:
    code = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        from rung.run import Run
        from rung.train.search import Range, SearchPlan, Values, search
        left = int(sys.argv[2])
        def run(index, settings, budget):
            global left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), 9)
            return settings["rank"] * settings["rate"] * budget
        space = {"rate": Range(1e-5, 1e-1, log=True), "rank": Values((2, 4, 8))}
        print(search(SearchPlan("random", 6, "median"), space, 40, run, store=Run.open(Path(sys.argv[1]), {})).to_json())
        """
    )

    def start(folder: str, calls: int) -> str:
        words = [sys.executable, "-c", code, str(tmp_path / folder), str(calls)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode in (0, -9), done.stderr
        return done.stdout

    assert start("killed", 5) == ""
    assert start("killed", 99) == start("straight", 99) != ""


def test_a_diverged_trial_is_out(tmp_path: Path) -> None:
    def run(index: int, settings: Any, budget: int) -> float:
        if settings["learning_rate"] > 3e-3:
            raise Diverged(1, settings["learning_rate"])
        return score(index, settings, budget)

    found = search(SearchPlan("tpe", 12), SPACE, 40, run, store=Shelf())
    assert found.chosen["learning_rate"] <= 3e-3 and any(t.score is None for t in found.trials)

    def broken(index: int, settings: Any, budget: int) -> float:
        raise Diverged(1, 0.1)

    with pytest.raises(RungError, match="every trial diverged"):
        search(SearchPlan("random", 2), SPACE, 40, broken, store=Shelf())
    with pytest.raises(RungError, match="must be numbers"):
        search(SearchPlan("random", 2), SPACE, 40, lambda *_: float("nan"), store=Shelf())


def test_a_range_is_no_grid_and_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("grid", "halving"):
        with pytest.raises(RungError, match="learning_rate is a range"):
            search(SearchPlan(method), SPACE, 40, score, store=Shelf())
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"rung\[search\]"):
        search(SearchPlan("tpe"), SPACE, 40, score, store=Shelf())


def test_what_mattered_is_told_and_drawn(tmp_path: Path) -> None:
    space = {**SPACE, "nothing": Range(0.0, 1.0)}
    found = search(SearchPlan("random", 40, "none"), space, 40, score)
    shares = importances(found, space)
    assert sum(shares.values()) == pytest.approx(1.0) and next(iter(shares)) == "learning_rate"
    assert shares["learning_rate"] > 2 * max(shares["rank"], shares["nothing"])
    page = render(found, space, title="lora on orders", score="accuracy")
    assert page.count("<svg") >= 6 and "https:" not in page
    assert f"trial {found.index}: {written(found.chosen)}" in page.replace("&#x27;", "x")
    assert importances(search(SearchPlan("random", 3), SPACE, 40, score), SPACE) == {}
    assert "lora" in render(search(SearchPlan("random", 2, "none"), SPACE, 40, score), SPACE, title="lora", score="f1")
