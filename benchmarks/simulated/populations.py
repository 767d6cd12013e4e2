"""Populations of items whose true score is known, from which the simulations draw.

Whole-split scores come from finite populations of rows, drawn with replacement: the truth is the score of the whole
population. BLEU and ROUGE use the bundled dialogues, their summaries spoilt word by word.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from rung.metrics import METRICS
from rung.stats import CORPUS_ITEMS, RATIO_ITEMS, Scheme
from rung.types import Example, Score, ScoreKind

Items = Callable[[np.random.Generator, Any], np.ndarray]


@dataclass(frozen=True)
class Mean:
    """Items drawn one by one from a distribution with the mean `truth`; `items(generator, shape)` draws them."""

    name: str
    kind: ScoreKind
    truth: float
    items: Items


MEANS = (
    *(Mean(f"rate {p}", "binary", p, lambda g, shape, p=p: g.random(shape) < p) for p in (0.5, 0.8, 0.95, 0.99)),
    Mean("even", "graded", 0.5, lambda g, shape: g.random(shape)),
    Mean("bell-shaped", "graded", 0.8, lambda g, shape: g.beta(8, 2, shape)),
    Mean("mostly near 0", "graded", 0.1, lambda g, shape: g.beta(0.5, 4.5, shape)),
    Mean("mostly near 1", "graded", 0.9, lambda g, shape: g.beta(4.5, 0.5, shape)),
    Mean(
        "one in ten worth nothing", "graded", 0.81,
        lambda g, shape: np.where(g.random(shape) < 0.1, 0.0, 0.8 + 0.2 * g.random(shape)),
    ),
    Mean(
        "nine in ten perfect, the rest even", "graded", 0.95,
        lambda g, shape: np.where(g.random(shape) < 0.1, g.random(shape), 1.0),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """Two systems on the same items; `items(generator, shape)` draws both, `truth` is the mean of first minus second."""

    name: str
    kind: ScoreKind
    truth: float
    items: Callable[[np.random.Generator, Any], tuple[np.ndarray, np.ndarray]]


def _rates(won: float, lost: float) -> Pair:
    def draw(generator: np.random.Generator, shape: Any) -> tuple[np.ndarray, np.ndarray]:
        where = generator.random(shape)
        both = generator.random(shape) < 0.7
        first = np.where(where < won, True, np.where(where < won + lost, False, both))
        return first, np.where(where < won, False, np.where(where < won + lost, True, both))

    return Pair(f"rates, {won:.0%} won, {lost:.0%} lost", "binary", won - lost, draw)


def _graded(name: str, truth: float, moved: Items) -> Pair:
    """The second system's items, moved: where they move lies within the scale."""

    def draw(generator: np.random.Generator, shape: Any) -> tuple[np.ndarray, np.ndarray]:
        second = 0.5 + 0.2 * (generator.random(shape) - 0.5)
        return second + moved(generator, shape), second

    return Pair(name, "graded", truth, draw)


PAIRS = (
    _rates(0.02, 0.07),
    _rates(0.1, 0.1),
    _rates(0.2, 0.3),
    _graded("every item moves", 0.0, lambda g, shape: 0.3 * (g.random(shape) - 0.5)),
    _graded("one in ten loses much", -0.04, lambda g, shape: np.where(g.random(shape) < 0.1, -0.4, 0.0)),
    _graded("one in fifty loses much", -0.008, lambda g, shape: np.where(g.random(shape) < 0.02, -0.4, 0.0)),
)


@dataclass(frozen=True)
class Corpus:
    """A finite population of rows for two systems, `tables` of shape (N, k) each, of a whole-split metric.

    `rare`: an average over classes of which one is met less than three times in 100 rows. What a sample without it says
    of that class is nothing, so that upper bounds err; lower bounds, the only ones that decide, hold.
    """

    name: str
    metric: str
    tables: tuple[np.ndarray, np.ndarray]
    weights: np.ndarray | None = None
    rare: bool = False

    @property
    def ratio(self) -> bool:
        """Whether the score is one sum over another."""
        return METRICS[self.metric].ratio

    @property
    def scheme(self) -> Scheme:
        """How the score is read; bounds are computed below the fewest items too, to report what they do there."""
        if METRICS[self.metric].kind != "corpus":
            return Scheme()
        return Scheme(value=METRICS[self.metric].value, least=1)

    @property
    def fewest(self) -> int:
        """Items from which something is promised."""
        return RATIO_ITEMS if self.ratio else CORPUS_ITEMS

    @property
    def truths(self) -> tuple[float, float]:
        """Both systems' true scores."""
        share = np.full(len(self.tables[0]), 1 / len(self.tables[0])) if self.weights is None else self.weights
        metric = METRICS[self.metric]
        big = 10**9  # metrics that count items see a large split
        return tuple(float(metric.value(big * (share @ table), big)) for table in self.tables)  # type: ignore[return-value]

    def draw(self, generator: np.random.Generator, count: int) -> tuple[Score, Score]:
        """Both systems' scores on `count` rows."""
        rows = generator.choice(len(self.tables[0]), size=count, p=self.weights)
        return self._score(self.tables[0][rows]), self._score(self.tables[1][rows])

    def _score(self, table: np.ndarray) -> Score:
        metric = METRICS[self.metric]
        value = float(metric.value(table.sum(axis=0), len(table)))
        return Score(metric.name, metric.kind, value, table, metric.worst, metric.best)


def _confusions(metric: str, name: str, shares: np.ndarray, right: tuple[float, float]) -> Corpus:
    """Classes of those shares; each system is right with its own probability and else says another class at random.

    The population is the table of (target, first answer, second answer) with its probabilities, so that a draw is one
    of a few kinds of rows.
    """
    classes = len(shares)
    labels = [f"{n:02d}" for n in range(classes)]
    cells = [(t, a, b) for t in range(classes) for a in range(classes) for b in range(classes)]
    wrong = [(1 - p) / (classes - 1) for p in right]
    chance = [shares[t] * (right[0] if a == t else wrong[0]) * (right[1] if b == t else wrong[1]) for t, a, b in cells]
    examples = [Example(str(n), (), labels[t]) for n, (t, _, _) in enumerate(cells)]
    tables = [METRICS[metric].statistics([labels[cell[one]] for cell in cells], examples, labels) for one in (1, 2)]
    weights = np.array(chance) / np.sum(chance)
    return Corpus(f"{metric}, {name}", metric, (tables[0], tables[1]), weights, rare=bool(shares.min() < 0.03))


def _spoilt(text: str, share: float, generator: np.random.Generator, words: list[str]) -> str:
    """The text with that share of its words replaced, and now and then one left out."""
    said = []
    for word in text.split():
        chance = generator.random()
        if chance < 0.8 * share:
            said.append(words[generator.integers(len(words))])
        elif chance >= share:
            said.append(word)
    return " ".join(said) or words[0]


def _texts(metric: str) -> Corpus:
    """Summaries of the bundled dialogues, spoilt to a degree that differs from row to row, by two systems."""
    file = Path(__file__).parents[2] / "examples" / "summarise" / "dialogues.jsonl"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    generator = np.random.default_rng(2026)
    words = sorted({word for row in rows for word in row["summary"].split()})
    examples = [Example(str(n), (), row["summary"]) for n, row in enumerate(rows)]
    tables = []
    for low, high in ((0.1, 0.9), (0.0, 0.9)):
        said = [_spoilt(row["summary"], generator.uniform(low, high), generator, words) for row in rows]
        tables.append(METRICS[metric].statistics(said, examples))
    return Corpus(f"{metric} of spoilt summaries", metric, (tables[0], tables[1]))


@cache
def corpora() -> Mapping[str, Corpus]:
    """The whole-split scores, by name; ROUGE beside them, though it is a mean."""
    zipf, long = 1 / np.arange(1, 11), 1 / np.arange(1, 21)
    made = (
        _confusions("micro_f1", "4 classes", np.array([0.4, 0.3, 0.2, 0.1]), (0.8, 0.85)),
        _confusions("micro_f1", "4 classes, nearly perfect", np.array([0.4, 0.3, 0.2, 0.1]), (0.97, 0.97)),
        _texts("one_minus_ter"),
        _confusions("macro_f1", "2 classes, 9 to 1", np.array([0.9, 0.1]), (0.9, 0.9)),
        _confusions("macro_f1", "4 classes", np.array([0.4, 0.3, 0.2, 0.1]), (0.8, 0.85)),
        _confusions("macro_f1", "10 classes, shares falling as 1/rank", zipf / zipf.sum(), (0.8, 0.85)),
        _confusions("macro_f1", "4 classes, nearly perfect", np.array([0.4, 0.3, 0.2, 0.1]), (0.97, 0.97)),
        _confusions("macro_f1", "20 classes, even", np.full(20, 0.05), (0.8, 0.85)),
        _confusions("macro_f1", "6 classes, one of 2 %", np.array([0.3, 0.2, 0.2, 0.18, 0.1, 0.02]), (0.85, 0.9)),
        _confusions("macro_f1", "20 classes, shares falling as 1/rank", long / long.sum(), (0.8, 0.85)),
        _confusions("mcc", "2 classes, 9 to 1", np.array([0.9, 0.1]), (0.9, 0.9)),
        _texts("bleu"),
        _texts("rougeL"),
    )  # fmt: skip
    return {one.name: one for one in made}
