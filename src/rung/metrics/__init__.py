"""Metrics: answers in, `Score` out.

`METRICS` is the one table of them; `score` applies one. What may be concluded from a score lives in `rung.stats`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rung.errors import RungError, nearest
from rung.metrics import agreement, confusion, fields, rouge, translation
from rung.metrics.confusion import ClassScore, Confusion
from rung.metrics.fields import FieldScore, field_scores
from rung.metrics.metric import Answer, Metric, mean, per_row
from rung.metrics.rouge import rouge_f1
from rung.types import Example, Score

__all__ = [
    "METRICS",
    "ClassScore",
    "Confusion",
    "FieldScore",
    "Metric",
    "field_scores",
    "rouge_f1",
    "score",
]

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "exact_match": Metric(
            "exact_match", "binary", "answers equal to a right one, whitespace aside", per_row(agreement.exact_match), mean
        ),
        "accuracy": Metric("accuracy", "binary", "answers that are the label", per_row(agreement.accuracy), mean),
        "macro_f1": Metric(
            "macro_f1", "corpus", "F1 of each class, averaged", confusion.macro_f1_statistics, confusion.macro_f1
        ),
        "field_f1": Metric("field_f1", "graded", "F1 over the fields of a JSON object", per_row(fields.field_f1), mean),
        "rouge1": Metric("rouge1", "graded", "F1 of shared words", per_row(rouge.rouge("1")), mean),
        "rouge2": Metric("rouge2", "graded", "F1 of shared word pairs", per_row(rouge.rouge("2")), mean),
        "rougeL": Metric("rougeL", "graded", "F1 of the longest common subsequence", per_row(rouge.rouge("L")), mean),
        "bleu": Metric(
            "bleu", "corpus", "corpus BLEU, 0 to 1 (sacrebleu's / 100)", translation.bleu_statistics, translation.bleu
        ),
        "chrf": Metric(
            "chrf", "corpus", "corpus chrF2, 0 to 1 (sacrebleu's / 100)", translation.chrf_statistics, translation.chrf
        ),
    }
)  # fmt: skip


def score(
    metric: str | Metric,
    answers: Sequence[Answer],
    examples: Sequence[Example],
    errors: Sequence[bool] = (),
    labels: Sequence[str] = (),
) -> Score:
    """How well `answers` answer `examples`, row by row in the same order.

    `errors` marks the rows whose call returned nothing: they get the worst there is, whatever stands in `answers`.
    `labels` are the known labels of a classification. Raises RungError for an unknown metric, for no rows at all, and
    for a row without a right answer.
    """
    if isinstance(metric, str):
        if metric not in METRICS:
            raise RungError(f"unknown metric {metric}", mend=nearest(metric, METRICS))
        metric = METRICS[metric]
    if errors and len(errors) != len(answers):
        raise ValueError(f"{len(errors)} errors for {len(answers)} answers")
    if not examples:
        raise RungError("there are no rows to score", where=metric.name, mend="give the split at least one example")
    said = [None if failed else answer for answer, failed in zip(answers, errors)] if errors else answers
    table = metric.statistics(said, examples, labels)
    value = float(metric.value(table.sum(axis=0), len(examples)))
    return Score(metric.name, metric.kind, value, table, metric.worst, metric.best)
