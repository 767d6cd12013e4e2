"""Scores of a classification as a whole: macro-F1, the confusion matrix and what each class got."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rung.metrics.metric import Answer
from rung.types import Example

OTHER = "(no known label)"
"""The column of a confusion matrix for answers that are no label, and for calls that returned nothing."""


def _classes(examples: Sequence[Example], labels: Sequence[str]) -> list[str]:
    """Every label that is a target, a choice or known; it never depends on the answers, so Systems can be paired."""
    seen = {label for example in examples for label in (*example.answers[:1], *example.choices)}
    return sorted(seen | set(labels))


def macro_f1_statistics(answers: Sequence[Answer], examples: Sequence[Example], labels: Sequence[str]) -> np.ndarray:
    """Shape (n, 3 C): for each class whether the row is a true positive, a false positive, a false negative.

    An answer that is no label is a false negative of the target's class and a false positive of none.
    """
    place = {label: n for n, label in enumerate(_classes(examples, labels))}
    table = np.zeros((len(examples), 3 * len(place)))
    for row, (answer, example) in enumerate(zip(answers, examples)):
        target = example.answers[0]
        if answer == target:
            table[row, 3 * place[target]] = 1
            continue
        table[row, 3 * place[target] + 2] = 1
        if answer is not None and answer in place:
            table[row, 3 * place[answer] + 1] = 1
    return table


def macro_f1(totals: np.ndarray, count: Any) -> np.ndarray:
    """The mean of F1 = 2 TP / (2 TP + FP + FN) over the classes seen as target or answer, as scikit-learn has it.

    A class neither seen nor answered has no F1 and is left out of the mean; no class at all gives 0.
    """
    right, wrong, missed = (totals[..., part::3] for part in range(3))
    weight = 2 * right + wrong + missed
    seen = weight > 0
    f1 = np.divide(2 * right, weight, out=np.zeros_like(weight), where=seen)
    average: np.ndarray = f1.sum(axis=-1) / np.maximum(seen.sum(axis=-1), 1)
    return average


@dataclass(frozen=True)
class ClassScore:
    """What one class got: `support` rows have it as target, `answered` rows got it as answer, `right` both."""

    label: str
    support: int
    answered: int
    right: int

    @property
    def precision(self) -> float:
        """Share of the answers that were right; 0 where it was never answered."""
        return self.right / self.answered if self.answered else 0.0

    @property
    def recall(self) -> float:
        """Share of the rows found; 0 where there are none."""
        return self.right / self.support if self.support else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        total = self.support + self.answered
        return 2 * self.right / total if total else 0.0


@dataclass(frozen=True)
class Confusion:
    """Counts by target (rows) and answer (columns), shape (C, C + 1); the last column is `OTHER`."""

    labels: tuple[str, ...]
    counts: np.ndarray

    @property
    def classes(self) -> tuple[ClassScore, ...]:
        """One entry a label, in the order of `labels`."""
        support, answered = self.counts.sum(axis=1), self.counts.sum(axis=0)
        return tuple(
            ClassScore(label, int(support[n]), int(answered[n]), int(self.counts[n, n]))
            for n, label in enumerate(self.labels)
        )

    def most_confused(self, limit: int = 20) -> tuple[tuple[str, str, int], ...]:
        """The pairs (target, answer, rows) that went wrong most often; ties in the order of the labels."""
        names = (*self.labels, OTHER)
        pairs = [
            (self.labels[target], names[answer], int(self.counts[target, answer]))
            for target, answer in zip(*np.nonzero(self.counts))
            if target != answer
        ]
        return tuple(sorted(pairs, key=lambda pair: -pair[2])[:limit])


def confusion(answers: Sequence[Answer], examples: Sequence[Example], labels: Sequence[str] = ()) -> Confusion:
    """How targets and answers went together. Labels come in the order given, then others sorted."""
    known = list(dict.fromkeys(labels))
    names = [*known, *(label for label in _classes(examples, ()) if label not in set(known))]
    place = {label: n for n, label in enumerate(names)}
    counts = np.zeros((len(names), len(names) + 1), dtype=int)
    for answer, example in zip(answers, examples, strict=True):
        column = len(names) if answer is None else place.get(answer, len(names))
        counts[place[example.answers[0]], column] += 1
    return Confusion(tuple(names), counts)
