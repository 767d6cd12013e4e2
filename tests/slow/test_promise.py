"""The promise, simulated: at most 5 % of climbs recommend wrongly, in the cases that are hardest to keep it in.

Every rung's truth lies exactly where passing would be wrong (at the goal, at -margin), every rung looks like a finalist
on validation, and answers of different rungs are drawn independently, so that each look is a fresh chance to err. The
real decision code and the real ledger are driven. A rate is told with its Monte-Carlo error; seeds are fixed. That
the simulation can fail is shown by forgetting the ledger between climbs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from rung.ladder.decision import decide
from rung.ladder.ledger import PROMISE, Ledger
from rung.ladder.question import Candidate, Guard, GuardScores, LookResult, Question, Sample
from rung.ladder.verdict import Decision
from rung.stats import Scheme
from rung.types import Score

pytestmark = pytest.mark.slow

Draw = Callable[[np.random.Generator, int], np.ndarray]
COUNT, GOAL, MARGIN = 300, 0.8, 0.05


def keys(start: int, stop: int, what: str = "test") -> frozenset[str]:
    return frozenset(f"{what} {i}" for i in range(start, stop))


def score(items: np.ndarray, kind: str = "binary") -> Score:
    column = items.astype(float)[:, None]
    return Score("score", "binary" if kind == "binary" else "graded", float(column.mean()), column)


def hopeful(rungs: int, kind: str = "binary") -> list[Candidate]:
    """Rungs that all look like finalists on validation, the costliest a little better than the rest."""
    items = [np.r_[np.ones(190 + min(i, 9)), np.zeros(10 - min(i, 9))] for i in range(rungs)]
    return [Candidate(f"rung {i}", i, score(column, kind)) for i, column in enumerate(items)]


class Fresh:
    """An examiner for which every artefact is new (another training seed) and every answer newly drawn."""

    def __init__(self, generator: np.random.Generator, count: int, draw: Draw, kind: str = "binary") -> None:
        self.generator, self.count, self.draw, self.kind = generator, count, draw, kind

    def artefact(self, rung: str) -> str:
        return f"{rung} {self.generator.integers(2**62)}"

    def examine(self, rung: str) -> LookResult:
        return LookResult(score(self.draw(self.generator, self.count), self.kind))


def at_goal(generator: np.random.Generator, count: int) -> np.ndarray:
    return generator.random(count) < GOAL


def beta(generator: np.random.Generator, count: int) -> np.ndarray:
    return generator.beta(8, 2, count)  # mean 0.8


def some_fail_wholly(generator: np.random.Generator, count: int) -> np.ndarray:
    """Mean 0.8: one answer in ten is worth nothing, the others about 0.89. Skewed to the side that deceives t."""
    return np.where(generator.random(count) < 0.1, 0.0, (0.8 / 0.9) + (generator.random(count) - 0.5) * 0.2)


def question(start: int = 0, stop: int = COUNT, kind: str = "binary", goal: float | None = GOAL) -> Question:
    sample = Sample(stop - start, keys=keys(start, stop))
    return Question("score", "binary" if kind == "binary" else "graded", goal, Sample(200), sample)


def rate(name: str, lives: int, live: Callable[[np.random.Generator], bool], seed: int) -> tuple[float, float]:
    """The share of lives that ended in a wrong recommendation and its Monte-Carlo error, also printed."""
    share = sum(live(np.random.default_rng([2026, seed, life])) for life in range(lives)) / lives
    error = math.sqrt(max(share * (1 - share), 1 / lives) / lives)
    print(f"{name}: {100 * share:.2f} % ± {100 * error:.2f} of {lives}")
    return share, error


def kept(name: str, lives: int, live: Callable[[np.random.Generator], bool], seed: int, least: float = 0.005) -> bool:
    """Whether the promise held as far as `lives` can tell (two Monte-Carlo errors), and was put to the test at all."""
    share, error = rate(name, lives, live, seed)
    return least <= share <= PROMISE + 2 * error


def wrong(decision: Decision) -> bool:
    return decision.recommended is not None


@pytest.mark.parametrize("everything,lives", [(False, 2000), (True, 1500)], ids=["early", "all"])
def test_six_rungs_exactly_at_the_goal(everything: bool, lives: int) -> None:
    candidates, asked = hopeful(6), question()

    def live(generator: np.random.Generator) -> bool:
        with Ledger(":memory:") as ledger:
            return wrong(decide(asked, candidates, Fresh(generator, COUNT, at_goal), ledger, everything=everything))

    assert kept(f"six rungs, everything={everything}", lives, live, 1)


@pytest.mark.parametrize("everything", [False, True], ids=["early", "all"])
def test_twenty_climbs_of_the_same_task_with_new_seeds(everything: bool) -> None:
    candidates, asked = hopeful(2 if everything else 1), question()

    def live(generator: np.random.Generator) -> bool:
        examiner = Fresh(generator, COUNT, at_goal)
        with Ledger(":memory:") as ledger:
            return any(wrong(decide(asked, candidates, examiner, ledger, everything=everything)) for _ in range(20))

    assert kept(f"twenty climbs, everything={everything}", 700, live, 2)


@pytest.mark.parametrize("step,growing", [(50, True), (75, False)], ids=["growing", "sliding"])
def test_test_items_added_between_climbs(step: int, growing: bool) -> None:
    """Fifty items are added for each climb; or a window of 150 moves on by half, dropping old items for new."""
    candidates = hopeful(1)
    asked = [question(0 if growing else step * climb, 150 + step * climb) for climb in range(8)]

    def live(generator: np.random.Generator) -> bool:
        with Ledger(":memory:") as ledger:
            return any(wrong(decide(q, candidates, Fresh(generator, q.test.count, at_goal), ledger)) for q in asked)

    assert kept(f"items added, growing={growing}", 800, live, 3)


@pytest.mark.parametrize("draw", [beta, some_fail_wholly])
def test_graded_scores_exactly_at_the_goal(draw: Draw) -> None:
    candidates, asked = hopeful(6, "graded"), question(kind="graded")

    def live(generator: np.random.Generator) -> bool:
        with Ledger(":memory:") as ledger:
            return wrong(decide(asked, candidates, Fresh(generator, COUNT, draw, "graded"), ledger))

    assert kept(f"graded, {draw.__name__}", 700, live, 4, least=0.0)


def test_grouped_items_exactly_at_the_goal() -> None:
    """Customers who differ (0.3 within-group correlation) and send from 1 to 40 of the items each."""
    sizes = np.array([40, 30, 20, 15, 15, *[5] * 24, *[1] * 60])
    groups = np.repeat(np.arange(sizes.size), sizes)
    scheme = Scheme(groups=tuple(f"customer {group}" for group in groups))
    sample = Sample(COUNT, scheme, keys(0, COUNT))
    asked = Question("score", "binary", GOAL, Sample(200), sample)
    candidates = hopeful(4)

    def by_customer(generator: np.random.Generator, count: int) -> np.ndarray:
        habits = generator.beta(GOAL * 7 / 3, (1 - GOAL) * 7 / 3, sizes.size)
        return generator.random(count) < habits[groups]

    def live(generator: np.random.Generator) -> bool:
        with Ledger(":memory:") as ledger:
            return wrong(decide(asked, candidates, Fresh(generator, COUNT, by_customer), ledger))

    assert sizes.sum() == COUNT
    assert kept("grouped", 400, live, 9, least=0.0)


class Careless(Fresh):
    """Answers far above the goal, and a guard broken by exactly the margin."""

    def examine(self, rung: str) -> LookResult:
        base = self.generator.random(self.count) < 0.7
        lost = base & (self.generator.random(self.count) < (MARGIN + 0.03) / 0.7)
        won = ~base & (self.generator.random(self.count) < 0.03 / 0.3)
        guards: Mapping[str, GuardScores] = {"general": GuardScores(score((base & ~lost) | won), score(base))}
        return LookResult(score(np.ones(self.count)), guards=guards)


@pytest.mark.parametrize("everything,lives", [(False, 900), (True, 1000)], ids=["early", "all"])
def test_six_rungs_that_break_a_guard_by_just_the_margin(everything: bool, lives: int) -> None:
    guards = {"general": Guard(MARGIN, Sample(COUNT, keys=keys(0, COUNT, "guard")))}
    asked = Question("score", "binary", GOAL, Sample(200), Sample(COUNT, keys=keys(0, COUNT)), guards)
    candidates = hopeful(6)

    def live(generator: np.random.Generator) -> bool:
        examiner = Careless(generator, COUNT, at_goal)
        with Ledger(":memory:") as ledger:
            return wrong(decide(asked, candidates, examiner, ledger, everything=everything))

    assert kept(f"guards, everything={everything}", lives, live, 5)


class Behind(Fresh):
    """The costliest rung is the best; all others lie behind it by exactly the margin."""

    def artefact(self, rung: str) -> str:
        self.best = self.generator.random(self.count) < 0.85
        return super().artefact(rung)

    def examine(self, rung: str) -> LookResult:
        if rung == "rung 5":
            return LookResult(score(self.best))
        lost = self.best & (self.generator.random(self.count) < (MARGIN + 0.04) / 0.85)
        won = ~self.best & (self.generator.random(self.count) < 0.04 / 0.15)
        return LookResult(score((self.best & ~lost) | won))


def test_no_goal_and_cheaper_rungs_behind_by_just_the_margin() -> None:
    asked, candidates = question(goal=None), hopeful(6)

    def live(generator: np.random.Generator) -> bool:
        examiner = Behind(generator, COUNT, at_goal)
        with Ledger(":memory:") as ledger:
            decisions = [decide(asked, candidates, examiner, ledger) for _ in range(3)]
        assert all(decision.reference == "rung 5" for decision in decisions)
        return any(decision.recommended != "rung 5" for decision in decisions)

    assert kept("no goal, three climbs", 700, live, 6)


def test_forgetting_the_ledger_breaks_the_promise() -> None:
    """The same twenty climbs with a new ledger each: what the ledger is for, and proof that this file can fail."""
    candidates, asked = hopeful(2), question()

    def live(generator: np.random.Generator) -> bool:
        examiner = Fresh(generator, COUNT, at_goal)
        for _ in range(20):
            with Ledger(":memory:") as ledger:
                if wrong(decide(asked, candidates, examiner, ledger)):
                    return True
        return False

    share, error = rate("forgotten ledger", 80, live, 7)
    assert share - 3 * error > 3 * PROMISE


def test_good_rungs_do_get_recommended() -> None:
    """A promise is easily kept by never recommending. Six points above the goal, 300 items suffice in most climbs."""
    candidates, asked = hopeful(1), question()

    def live(generator: np.random.Generator) -> bool:
        examiner = Fresh(generator, COUNT, lambda g, n: g.random(n) < 0.863)
        with Ledger(":memory:") as ledger:
            return wrong(decide(asked, candidates, examiner, ledger))

    assert rate("recommended, truth 0.863", 600, live, 8)[0] == pytest.approx(0.8, abs=0.05)
