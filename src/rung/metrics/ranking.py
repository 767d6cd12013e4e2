"""Scores of how well probabilities rank: the area under the ROC curve, and average precision.

Neither is a sum over rows, so each row's table entry is the score plus the row's influence on it (the derivative with
respect to the row's weight). The entries average to the score exactly, and their scatter is its standard error to first
order: for the area it is the error of DeLong, DeLong & Clarke-Pearson (1988). Whether probabilities may be believed is
the matter of `calibration`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rung.errors import RungError
from rung.metrics.confusion import classes_of
from rung.metrics.metric import Answer, Scores
from rung.types import Example

Influence = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]


def probabilities(
    answers: Sequence[Answer], examples: Sequence[Example], labels: Sequence[str], scores: Scores
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Probability of each label in each row, shape (n, C); the index of each row's target; the labels, sorted.

    `scores` are log-likelihoods by label, made probabilities by a softmax. A row without them says its answer with
    probability 1. A call that returned nothing (an answer of None) gives its target 0 and every other label 1: the worst.
    """
    names = classes_of(examples, labels)
    place = {name: n for n, name in enumerate(names)}
    table = np.zeros((len(examples), len(names)))
    targets = np.array([place[example.answers[0]] for example in examples], dtype=int)
    for row, (answer, known) in enumerate(zip(answers, scores, strict=True)):
        if answer is None:
            table[row] = 1.0
            table[row, targets[row]] = 0.0
        elif known:
            columns = [place[name] for name in known if name in place]
            logs = np.array([value for name, value in known.items() if name in place])
            if logs.size:
                weights = np.exp(logs - logs.max())
                table[row, columns] = weights / weights.sum()
        elif answer in place:
            table[row, place[answer]] = 1.0
    return table, targets, names


def ranked(influence: Influence) -> Callable[..., np.ndarray]:
    """The table (n, 1) of a ranking score: one label against the rest, averaged over the labels that some row has.

    With two labels the one that sorts last counts as positive, as scikit-learn has it. Raises RungError where the
    targets are all equal: then nothing can be ranked.
    """

    def tabulate(
        answers: Sequence[Answer], examples: Sequence[Example], labels: Sequence[str], scores: Scores
    ) -> np.ndarray:
        table, targets, names = probabilities(answers, examples, labels, scores)
        seen = np.unique(targets)
        if seen.size < 2:
            raise RungError("all targets are equal, so there is nothing to rank", mend="add rows of other labels")
        chosen = seen[-1:] if len(names) == 2 else seen
        made = [influence(table[:, one], targets == one) for one in chosen]
        entries: np.ndarray = np.mean([value + moved for value, moved in made], axis=0)
        return entries.reshape(-1, 1)

    return tabulate


def auroc(scores: np.ndarray, positive: np.ndarray) -> tuple[float, np.ndarray]:
    """Area under the ROC curve, ties counted half (Mann & Whitney), and each row's influence on it, shape (n,)."""
    ordered = np.sort(scores[~positive]), np.sort(scores[positive])
    negatives, positives = (part.size for part in ordered)
    placed = np.empty(scores.size)
    for mine, others in ((positive, ordered[0]), (~positive, ordered[1])):
        below = np.searchsorted(others, scores[mine], "left")
        upto = np.searchsorted(others, scores[mine], "right")
        placed[mine] = (below + upto) / 2 / others.size
    placed[~positive] = 1.0 - placed[~positive]
    value = float(placed[positive].mean())
    moved = np.where(positive, scores.size / positives, scores.size / negatives) * (placed - value)
    return value, moved


def average_precision(scores: np.ndarray, positive: np.ndarray) -> tuple[float, np.ndarray]:
    """Σ (R_k - R_k-1) P_k over the thresholds k (equal scores are one), and each row's influence on it, shape (n,)."""
    levels, group = np.unique(-scores, return_inverse=True)
    hits = np.bincount(group, weights=positive, minlength=levels.size)
    right, said = hits.cumsum(), np.bincount(group, minlength=levels.size).cumsum()
    precision, total = right / said, float(positive.sum())
    value = float((hits * precision).sum() / total)
    # A row adds one to what was said from its threshold on, and one to what was right there if it is positive.
    said_after = (hits * right / said**2)[::-1].cumsum()[::-1]
    right_after = (hits / said)[::-1].cumsum()[::-1]
    moved = positive * (precision[group] - value + right_after[group]) - said_after[group]
    return value, scores.size * moved / total
