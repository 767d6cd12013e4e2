"""Whole climbs, simulated in the cases in which the promise of the decision is hardest to keep.

Every rung's truth lies exactly where passing would be wrong (at the goal, at -margin), every rung looks like a finalist
on validation, and answers of different rungs are drawn independently, so that each look is a fresh chance to err. The
real decision code and the real ledger are driven.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rung.ladder.decision import decide
from rung.ladder.ledger import Ledger
from rung.ladder.question import Candidate, Guard, GuardScores, LookResult, Question, Sample
from rung.stats import Scheme
from rung.types import ScoreKind
from simulated.rate import Live, mean_score

Draw = Callable[[np.random.Generator, int], np.ndarray]
COUNT, GOAL, MARGIN = 300, 0.8, 0.05
SIZES = np.array([40, 30, 20, 15, 15, *[5] * 24, *[1] * 60])
"""Items of each customer, 300 in all: what `grouped` means here."""
CUSTOMERS = np.repeat(np.arange(SIZES.size), SIZES)


def keys(start: int, stop: int, what: str = "test") -> frozenset[str]:
    """Ledger keys of items `start` to `stop`."""
    return frozenset(f"{what} {i}" for i in range(start, stop))


def hopeful(rungs: int, kind: ScoreKind = "binary") -> list[Candidate]:
    """Rungs that all look like finalists on validation, the costliest a little better than the rest."""
    items = [np.r_[np.ones(190 + min(i, 9)), np.zeros(10 - min(i, 9))] for i in range(rungs)]
    return [Candidate(f"rung {i}", i, mean_score(column, kind)) for i, column in enumerate(items)]


class Fresh:
    """An examiner for which every artefact is new (another training seed) and every answer newly drawn."""

    def __init__(self, generator: np.random.Generator, draw: Draw, count: int = COUNT, kind: ScoreKind = "binary"):
        self.generator, self.draw, self.count, self.kind = generator, draw, count, kind

    def artefact(self, rung: str) -> str:
        """A digest that no other artefact has."""
        return f"{rung} {self.generator.integers(2**62)}"

    def examine(self, rung: str) -> LookResult:
        """New answers."""
        return LookResult(mean_score(self.draw(self.generator, self.count), self.kind))


def at_goal(generator: np.random.Generator, count: int) -> np.ndarray:
    """Right with probability 0.8."""
    return generator.random(count) < GOAL


def beta(generator: np.random.Generator, count: int) -> np.ndarray:
    """Graded, mean 0.8."""
    return generator.beta(8, 2, count)


def some_fail_wholly(generator: np.random.Generator, count: int) -> np.ndarray:
    """Mean 0.8: one answer in ten is worth nothing, the others about 0.89. Skewed to the side that deceives t."""
    return np.where(generator.random(count) < 0.1, 0.0, (0.8 / 0.9) + (generator.random(count) - 0.5) * 0.2)


def by_customer(generator: np.random.Generator, count: int) -> np.ndarray:
    """Right with probability 0.8, customers differing: 0.3 within-group correlation."""
    habits = generator.beta(GOAL * 7 / 3, (1 - GOAL) * 7 / 3, SIZES.size)
    return generator.random(count) < habits[CUSTOMERS]


class Careless(Fresh):
    """Answers far above the goal, and a guard broken by exactly the margin."""

    def examine(self, rung: str) -> LookResult:
        """All right on test, five points lost on the guard."""
        base = self.generator.random(self.count) < 0.7
        lost = base & (self.generator.random(self.count) < (MARGIN + 0.03) / 0.7)
        won = ~base & (self.generator.random(self.count) < 0.03 / 0.3)
        guards = {"general": GuardScores(mean_score((base & ~lost) | won), mean_score(base))}
        return LookResult(mean_score(np.ones(self.count)), guards=guards)


class CarelessByDegrees(Fresh):
    """The same with a graded guard: one answer in ten loses half of the scale, the rest stay as they are."""

    def examine(self, rung: str) -> LookResult:
        """All right on test, five points lost on the guard."""
        base = self.generator.beta(8, 2, self.count) * 0.5 + 0.5
        tuned = base - np.where(self.generator.random(self.count) < 0.1, 0.5, 0.0)
        guards = {"general": GuardScores(mean_score(tuned, "graded"), mean_score(base, "graded"))}
        return LookResult(mean_score(np.ones(self.count)), guards=guards)


class Behind(Fresh):
    """The costliest rung is the best; all others lie behind it by exactly the margin."""

    def artefact(self, rung: str) -> str:
        """New, and so is the best rung's score."""
        self.best = self.generator.random(self.count) < 0.85
        return super().artefact(rung)

    def examine(self, rung: str) -> LookResult:
        """The best, or five points less."""
        if rung == "rung 5":
            return LookResult(mean_score(self.best))
        lost = self.best & (self.generator.random(self.count) < (MARGIN + 0.04) / 0.85)
        won = ~self.best & (self.generator.random(self.count) < 0.04 / 0.15)
        return LookResult(mean_score((self.best & ~lost) | won))


def question(start: int = 0, stop: int = COUNT, kind: ScoreKind = "binary", goal: float | None = GOAL) -> Question:
    """Is a rung above 0.8 on items `start` to `stop`?"""
    return Question("score", kind, goal, Sample(200), Sample(stop - start, keys=keys(start, stop)))


def guarded(kind: ScoreKind = "binary", goal: float | None = GOAL) -> Question:
    """The same with a guard."""
    guards = {"general": Guard(MARGIN, Sample(COUNT, keys=keys(0, COUNT, "guard")), kind)}
    return Question("score", "binary", goal, Sample(200), Sample(COUNT, keys=keys(0, COUNT)), guards)


def by_customers() -> Question:
    """The same with grouped items."""
    scheme = Scheme(groups=tuple(f"customer {group}" for group in CUSTOMERS))
    return Question("score", "binary", GOAL, Sample(200), Sample(COUNT, scheme, keys(0, COUNT)))


@dataclass(frozen=True)
class Climbing:
    """A life of climbs of `questions` in turn, all with one ledger; it goes wrong if any climb recommends wrongly.

    `everything` says of each climb in turn whether it is `--all`. `least` is the share below which the simulation would
    have put nothing to the test.
    """

    name: str
    questions: tuple[Question, ...]
    rungs: int
    examiner: Callable[[np.random.Generator, int], Any]
    everything: tuple[bool, ...] = (False,)
    kind: ScoreKind = "binary"
    best: str = ""
    least: float = 0.005
    weight: float = 1.0

    def live(self) -> Live:
        """One life."""
        candidates = hopeful(self.rungs, self.kind)

        def live(generator: np.random.Generator) -> bool:
            with Ledger(":memory:") as ledger:
                for turn, asked in enumerate(self.questions):
                    examiner = self.examiner(generator, asked.test.count)
                    everything = self.everything[turn % len(self.everything)]
                    found = decide(asked, candidates, examiner, ledger, everything=everything)
                    if found.recommended is not None and found.recommended != self.best:
                        return True
            return False

        return live


def fresh(draw: Draw, kind: ScoreKind = "binary") -> Callable[[np.random.Generator, int], Fresh]:
    """Makes examiners whose answers `draw` draws."""
    return lambda generator, count: Fresh(generator, draw, count, kind)


def of(examiner: type[Fresh]) -> Callable[[np.random.Generator, int], Fresh]:
    """Makes examiners of that class."""
    return lambda generator, count: examiner(generator, at_goal, count)


GROWING = tuple(question(0, 150 + 50 * climb) for climb in range(8))
SLIDING = tuple(question(75 * climb, 150 + 75 * climb) for climb in range(8))
CLIMBS: Mapping[str, Climbing] = {
    one.name: one
    for one in (
        Climbing("six rungs at the goal, early stopping", (question(),), 6, fresh(at_goal)),
        Climbing("six rungs at the goal, --all", (question(),), 6, fresh(at_goal), (True,)),
        Climbing("twenty climbs with new seeds, early stopping", (question(),) * 20, 1, fresh(at_goal), weight=0.4),
        Climbing("twenty climbs with new seeds, --all", (question(),) * 20, 2, fresh(at_goal), (True,), weight=0.4),
        Climbing("ten climbs, early and --all in turn", (question(),) * 10, 2, fresh(at_goal), (False, True), weight=0.5),
        Climbing("eight climbs, fifty test items added each time", GROWING, 1, fresh(at_goal), weight=0.5),
        Climbing("eight climbs, half of the test items replaced each time", SLIDING, 1, fresh(at_goal), weight=0.5),
        Climbing("the same with --all", SLIDING, 3, fresh(at_goal), (True,), weight=0.5),
        Climbing("graded, bell-shaped", (question(kind="graded"),), 6, fresh(beta, "graded"), kind="graded", least=0.0),
        Climbing(
            "graded, one answer in ten worth nothing", (question(kind="graded"),), 6, fresh(some_fail_wholly, "graded"),
            kind="graded", least=0.0,
        ),
        Climbing("grouped items, early stopping", (by_customers(),), 4, fresh(by_customer), least=0.0, weight=0.5),
        Climbing("grouped items, --all", (by_customers(),), 4, fresh(by_customer), (True,), least=0.0, weight=0.5),
        Climbing("a guard broken by the margin, early stopping", (guarded(),), 6, of(Careless)),
        Climbing("a guard broken by the margin, --all", (guarded(),), 6, of(Careless), (True,)),
        Climbing("a guard broken by the margin, no goal", (guarded(goal=None),), 4, of(Careless)),
        Climbing("a graded guard broken by the margin", (guarded("graded"),), 6, of(CarelessByDegrees), least=0.0),
        Climbing(
            "no goal, cheaper rungs behind by the margin, three climbs", (question(goal=None),) * 3, 6, of(Behind),
            best="rung 5", weight=0.5,
        ),
    )
}  # fmt: skip


def forgetful(generator: np.random.Generator) -> bool:
    """Twenty climbs with a new ledger each: what the ledger is for."""
    candidates, asked = hopeful(2), question()
    for _ in range(20):
        with Ledger(":memory:") as ledger:
            if decide(asked, candidates, Fresh(generator, at_goal), ledger).recommended is not None:
                return True
    return False


def good(generator: np.random.Generator) -> bool:
    """Whether a rung six points above the goal is recommended."""
    with Ledger(":memory:") as ledger:
        examiner = Fresh(generator, lambda g, n: g.random(n) < 0.863)
        return decide(question(), hopeful(1), examiner, ledger).recommended is not None
