"""Metrics: answers in, `Score` out.

`METRICS` is the one table of them; `score` applies one. What may be concluded from a score lives in `rung.stats`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rung.errors import RungError, nearest
from rung.metrics import agreement, confusion, entities, fields, ranking, rouge, translation
from rung.metrics.confusion import ClassScore, Confusion
from rung.metrics.fields import FieldScore, field_scores
from rung.metrics.metric import Answer, Evaluate, Metric, Scores, mean, per_row
from rung.metrics.rouge import rouge_f1, rouge_scores
from rung.types import Example, Score

__all__ = [
    "METRICS",
    "ClassScore",
    "Confusion",
    "FieldScore",
    "Metric",
    "field_scores",
    "rouge_f1",
    "rouge_scores",
    "score",
]


def _by_class(name: str, about: str, value: Evaluate, worst: float = 0.0, ratio: bool = False) -> Metric:
    """A metric of the table of classes."""
    return Metric(name, "corpus", about, confusion.class_statistics, value, worst, ratio=ratio)


def _by_entity(name: str, about: str, value: Evaluate, ratio: bool = False) -> Metric:
    """A metric of the table of entities."""
    return Metric(name, "corpus", about, entities.entity_statistics, value, ratio=ratio)


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "exact_match": Metric(
            "exact_match", "binary", "answers equal to a right one, whitespace aside", per_row(agreement.exact_match), mean
        ),
        "accuracy": Metric("accuracy", "binary", "answers that are the label", per_row(agreement.accuracy), mean),
        "macro_f1": _by_class("macro_f1", "F1 of each class, averaged", confusion.macro_f1),
        "macro_precision": _by_class(
            "macro_precision", "of each class, how much of what was said is right", confusion.macro_precision
        ),
        "macro_recall": _by_class("macro_recall", "of each class, how much was found", confusion.macro_recall),
        "micro_f1": _by_class("micro_f1", "F1 of all classes together", confusion.micro_f1, ratio=True),
        "micro_precision": _by_class(
            "micro_precision", "of the answers that are a label, how many are right", confusion.micro_precision, ratio=True
        ),
        "micro_recall": _by_class("micro_recall", "of all rows, how many are right", confusion.micro_recall, ratio=True),
        "balanced_accuracy": _by_class(
            "balanced_accuracy", "of each class that is a target, how much was found", confusion.balanced_accuracy
        ),
        "mcc": _by_class("mcc", "Matthews correlation of target and answer", confusion.mcc, worst=-1.0),
        "auroc": Metric(
            "auroc", "corpus", "area under the ROC curve, each label against the rest", ranking.ranked(ranking.auroc), mean
        ),
        "average_precision": Metric(
            "average_precision", "corpus", "average precision, each label against the rest",
            ranking.ranked(ranking.average_precision), mean,
        ),
        "entity_f1": _by_entity("entity_f1", "F1 of entities with exactly the right words and type", confusion.micro_f1, True),
        "entity_precision": _by_entity(
            "entity_precision", "of the entities marked, how many are right", confusion.micro_precision, True
        ),
        "entity_recall": _by_entity("entity_recall", "of the entities, how many were found", confusion.micro_recall, True),
        "entity_macro_f1": _by_entity("entity_macro_f1", "F1 of entities of each type, averaged", confusion.macro_f1),
        "word_accuracy": Metric(
            "word_accuracy", "corpus", "words with the right tag", entities.word_statistics, entities.word_accuracy,
            ratio=True,
        ),
        "squad_match": Metric(
            "squad_match", "binary", "answers equal to a right one by SQuAD's rules", per_row(agreement.squad_match), mean
        ),
        "token_f1": Metric(
            "token_f1", "graded", "F1 of shared words by SQuAD's rules", per_row(agreement.token_f1), mean
        ),
        "field_f1": Metric("field_f1", "graded", "F1 over the fields of a JSON object", per_row(fields.field_f1), mean),
        "rouge1": Metric("rouge1", "graded", "F1 of shared words", rouge.rouge("1"), mean),
        "rouge2": Metric("rouge2", "graded", "F1 of shared word pairs", rouge.rouge("2"), mean),
        "rougeL": Metric("rougeL", "graded", "F1 of the longest common subsequence", rouge.rouge("L"), mean),
        "rougeLsum": Metric(
            "rougeLsum", "graded", "F1 of common subsequences, line by line", rouge.rouge("Lsum"), mean
        ),
        **{
            f"rouge{variant}_stemmed": Metric(
                f"rouge{variant}_stemmed", "graded", f"ROUGE-{variant} F1 of word stems",
                rouge.rouge(variant, stemmed=True), mean,
            )
            for variant in rouge.VARIANTS
        },
        "bleu": Metric(
            "bleu", "corpus", "corpus BLEU, 0 to 1 (sacrebleu's / 100)", translation.bleu_statistics, translation.bleu
        ),
        "chrf": Metric(
            "chrf", "corpus", "corpus chrF2, 0 to 1 (sacrebleu's / 100)", translation.chrf_statistics, translation.chrf
        ),
        "one_minus_ter": Metric(
            "one_minus_ter", "corpus", "1 - TER (sacrebleu's / 100), at least 0", translation.ter_statistics,
            translation.kept_of_ter, ratio=True,
        ),
    }
)  # fmt: skip


def score(
    metric: str | Metric,
    answers: Sequence[Answer],
    examples: Sequence[Example],
    errors: Sequence[bool] = (),
    labels: Sequence[str] = (),
    scores: Scores | None = None,
) -> Score:
    """How well `answers` answer `examples`, row by row in the same order.

    `errors` marks the rows whose call returned nothing: they get the worst there is, whatever stands in `answers`.
    `labels` are the known labels of a classification, `scores` their log-likelihoods, row by row. Raises RungError for an unknown metric, for no rows at all, and
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
    table = metric.statistics(said, examples, labels, scores)
    value = float(metric.value(table.sum(axis=0), len(examples)))
    return Score(metric.name, metric.kind, value, table, metric.worst, metric.best)
