"""What a metric is: a table of what each answer adds, and a function from its column sums to the score.

Only the shape and its checks live here. The metrics themselves are in `agreement`, `confusion`, `fields`, `ranking`, `rouge`
and `translation`; what is no score of answers is in `calibration` and `surprise`; intervals and tests are in `rung.stats`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rung.errors import RungError
from rung.types import Example, ScoreKind

Answer = str | None
"""What a System said; None where the call returned nothing, which every metric gives its worst."""

Scores = Sequence[Mapping[str, float] | None]
"""Log-likelihoods of the labels, row by row; None where a System gave none."""

Tabulate = Callable[[Sequence[Answer], Sequence[Example], Sequence[str], Scores], np.ndarray]
Evaluate = Callable[[np.ndarray, Any], np.ndarray]


@dataclass(frozen=True)
class Metric:
    """One way to score answers; more is always better, and every scale runs from `worst` to `best`.

    `kind` is `binary` or `graded` (the value is the mean over rows) or `corpus` (the value is a function of the column
    sums). `about` tells a reader in one line what is counted. `tabulate` and `evaluate` do the work of `statistics`
    and `value`. `ratio` marks corpus scores that are one sum over another (edits by words): fewer rows bound them.
    """

    name: str
    kind: ScoreKind
    about: str
    tabulate: Tabulate
    evaluate: Evaluate
    worst: float = 0.0
    best: float = 1.0
    ratio: bool = False

    @property
    def higher_is_better(self) -> bool:
        """True of every metric in this room."""
        return True

    @property
    def span(self) -> float:
        """The length of its scale."""
        return self.best - self.worst

    def statistics(
        self,
        answers: Sequence[Answer],
        examples: Sequence[Example],
        labels: Sequence[str] = (),
        scores: Scores | None = None,
    ) -> np.ndarray:
        """Shape (n, k), float64: what each row adds. k = 1 but for corpus scores.

        `labels` are the known labels of a classification, beyond those seen as targets. `scores` are read by the
        metrics of `ranking` alone. Two Systems scored on the same examples have the same columns. Raises RungError for
        an example without a right answer.
        """
        if len(answers) != len(examples) or (scores is not None and len(scores) != len(examples)):
            raise ValueError(f"{len(answers)} answers to {len(examples)} examples")
        for example in examples:
            if not example.answers:
                raise RungError(f"there is no right answer to score {self.name} by", where=f"row {example.id}")
        return self.tabulate(answers, examples, labels, [None] * len(examples) if scores is None else scores)

    def value(self, totals: np.ndarray, count: Any) -> np.ndarray:
        """Scores of shape (...) from column sums of shape (..., k) over `count` rows (a number, or shape (...))."""
        return self.evaluate(np.asarray(totals, dtype=float), count)


def per_row(grade: Callable[[Answer, Example], float]) -> Tabulate:
    """The table of a metric that grades each row by itself."""

    def tabulate(
        answers: Sequence[Answer], examples: Sequence[Example], labels: Sequence[str], scores: Scores
    ) -> np.ndarray:
        grades = [grade(answer, example) for answer, example in zip(answers, examples)]
        return np.array(grades, dtype=float).reshape(-1, 1)

    return tabulate


def mean(totals: np.ndarray, count: Any) -> np.ndarray:
    """The mean over rows, shape (...), from sums of shape (..., 1)."""
    average: np.ndarray = totals[..., 0] / count
    return average
