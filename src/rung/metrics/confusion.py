"""Scores of a classification as a whole: averages over classes, MCC, the confusion matrix and what each class got.

All of them are functions of one table: for each class whether a row is a true positive, a false positive, a false
negative. Which answers are right row by row is in `agreement`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rung.metrics.metric import Answer
from rung.types import Example

OTHER = "(no known label)"
"""The column of a confusion matrix for answers that are no label, and for calls that returned nothing."""


def classes_of(examples: Sequence[Example], labels: Sequence[str]) -> list[str]:
    """Every label that is a target, a choice or known; it never depends on the answers, so Systems can be paired."""
    seen = {label for example in examples for label in (*example.answers[:1], *example.choices)}
    return sorted(seen | set(labels))


def class_statistics(
    answers: Sequence[Answer], examples: Sequence[Example], labels: Sequence[str], scores: Any
) -> np.ndarray:
    """Shape (n, 4 C): for each class whether the row is a true positive, a false positive, a false negative, or lost.

    An answer that is no label is a false negative of the target's class and a false positive of none. A call that
    returned nothing is lost besides: precision counts it as a wrong answer, or errors would flatter it.
    """
    place = {label: n for n, label in enumerate(classes_of(examples, labels))}
    table = np.zeros((len(examples), 4 * len(place)))
    for row, (answer, example) in enumerate(zip(answers, examples)):
        target = 4 * place[example.answers[0]]
        if answer == example.answers[0]:
            table[row, target] = 1
            continue
        table[row, target + 2] = 1
        if answer is None:
            table[row, target + 3] = 1
        elif answer in place:
            table[row, 4 * place[answer] + 1] = 1
    return table


def macro_f1(totals: np.ndarray, count: Any) -> np.ndarray:
    """The mean of F1 = 2 TP / (2 TP + FP + FN) over the classes seen as target or answer, as scikit-learn has it.

    A class neither seen nor answered has no F1 and is left out of the mean; no class at all gives 0.
    """
    right, wrong, missed = _parts(totals)
    return _class_mean(2 * right, 2 * right + wrong + missed, right + wrong + missed > 0)


def macro_precision(totals: np.ndarray, count: Any) -> np.ndarray:
    """The mean of TP / (TP + FP) over the classes seen as target or answer; 0 for a class never answered."""
    right, wrong, missed = _parts(totals)
    return _class_mean(right, right + wrong + totals[..., 3::4], right + wrong + missed > 0)


def macro_recall(totals: np.ndarray, count: Any) -> np.ndarray:
    """The mean of TP / (TP + FN) over the classes seen as target or answer; 0 for a class that is no target."""
    right, wrong, missed = _parts(totals)
    return _class_mean(right, right + missed, right + wrong + missed > 0)


def balanced_accuracy(totals: np.ndarray, count: Any) -> np.ndarray:
    """The mean of TP / (TP + FN) over the classes seen as target (Brodersen et al. 2010, not adjusted for chance)."""
    right, _, missed = _parts(totals)
    return _class_mean(right, right + missed, right + missed > 0)


def micro_precision(totals: np.ndarray, count: Any) -> np.ndarray:
    """Σ TP / Σ (TP + FP): of the answers that are a label, the share that is right."""
    right, wrong, _ = (part.sum(axis=-1) for part in _parts(totals))
    return _ratio(right, right + wrong + totals[..., 3::4].sum(axis=-1))


def micro_recall(totals: np.ndarray, count: Any) -> np.ndarray:
    """Σ TP / Σ (TP + FN): of all rows, the share that was answered right."""
    right, _, missed = (part.sum(axis=-1) for part in _parts(totals))
    return _ratio(right, right + missed)


def micro_f1(totals: np.ndarray, count: Any) -> np.ndarray:
    """2 Σ TP / Σ (2 TP + FP + FN): accuracy where every answer is a label."""
    right, wrong, missed = (part.sum(axis=-1) for part in _parts(totals))
    return _ratio(2 * right, 2 * right + wrong + missed)


def mcc(totals: np.ndarray, count: Any) -> np.ndarray:
    """Matthews correlation of target and answer, -1 to 1, for any number of classes (Gorodkin 2004); 0 where undefined.

    Answers that are no label count as one class of their own.
    """
    right, wrong, missed = _parts(totals)
    targets, said, rows = right + missed, right + wrong, (right + missed).sum(axis=-1)
    other = rows - said.sum(axis=-1)
    along = right.sum(axis=-1) * rows - (targets * said).sum(axis=-1)
    said_spread = rows**2 - (said**2).sum(axis=-1) - other**2
    target_spread = rows**2 - (targets**2).sum(axis=-1)
    return _ratio(along, np.sqrt(np.maximum(said_spread * target_spread, 0.0)))


def _parts(totals: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True positives, false positives and false negatives, each of shape (..., C)."""
    return totals[..., 0::4], totals[..., 1::4], totals[..., 2::4]


def _class_mean(above: np.ndarray, below: np.ndarray, counted: np.ndarray) -> np.ndarray:
    average: np.ndarray = (_ratio(above, below) * counted).sum(axis=-1) / np.maximum(counted.sum(axis=-1), 1)
    return average


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below; 0 where there is nothing below."""
    quotient: np.ndarray = np.divide(above, below, out=np.zeros_like(below), where=below > 0)
    return quotient


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
    names = [*known, *(label for label in classes_of(examples, ()) if label not in set(known))]
    place = {label: n for n, label in enumerate(names)}
    counts = np.zeros((len(names), len(names) + 1), dtype=int)
    for answer, example in zip(answers, examples, strict=True):
        column = len(names) if answer is None else place.get(answer, len(names))
        counts[place[example.answers[0]], column] += 1
    return Confusion(tuple(names), counts)
