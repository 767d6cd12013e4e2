"""What the values of a task's items make together: the score, its standard error, its 95 % interval.

Scores are lm-eval's. Standard errors are sd / √n of means, a bootstrap of F1 and MCC, linearised for perplexities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from rung import stats
from rung.evaluate.harness.scores import CLASSES, NO_CLASS
from rung.evaluate.harness.spec import Metric
from rung.metrics.confusion import macro_f1, mcc
from rung.types import Score

Value = Callable[[np.ndarray, Any], np.ndarray]
SCALES: Mapping[str, tuple[float, float]] = MappingProxyType({"brier_score": (0.0, 2.0)})
"""Ends of the scale of an item's value, where they are not 0 and 1."""


@dataclass(frozen=True, slots=True)
class Total:
    """A score of some items; what it has no number for is None (a perplexity beyond a float's range is)."""

    value: float | None
    error: float | None = None
    low: float | None = None
    high: float | None = None
    binary: bool = False  # every item right or wrong, and the score their share


def together(metric: Metric, values: Sequence[Any]) -> Total:
    """The score of a task from its items' values."""
    if not values:
        return Total(None)
    if metric.name == "perplexity":
        return _exponential([(value, 1) for value in values])
    if metric.name in ("word_perplexity", "byte_perplexity"):
        return _exponential(values)
    if metric.name == "bits_per_byte":
        rate, error = _ratio(values)
        return Total(-rate / math.log(2), error and error / math.log(2))
    if metric.name in ("bleu", "chrf", "ter"):
        return Total(_of_texts(metric.name, values))
    if metric.name in CLASSES and not metric.column:
        return _of_classes(metric.name, values)
    return _mean(metric, values)


def mean_of(totals: Sequence[Total], sizes: Sequence[int], by_size: bool) -> Total:
    """The mean of several tasks' scores, weighed by their items or each alike.

    The standard error is that of a weighted mean of independent means, √Σ(wᵢ sᵢ)². Items that are right or wrong and weigh
    alike have the interval of all items together. A task without a score leaves the mean without one.
    """
    if any(total.value is None for total in totals):
        return Total(None)
    weights = np.array(sizes if by_size else [1] * len(sizes), dtype=float)
    weights /= weights.sum()
    value = float(weights @ np.array([total.value for total in totals]))
    error = None
    if all(total.error is not None for total in totals):
        error = float(np.sqrt(np.sum((weights * np.array([total.error for total in totals])) ** 2)))
    if not (by_size and all(total.binary for total in totals)):
        return Total(value, error)
    right = sum(round((total.value or 0.0) * size) for total, size in zip(totals, sizes))
    column = np.arange(sum(sizes)) < right
    score = Score("share", "binary", value, column[:, None].astype(float))
    low, high = _shown(score, stats.Scheme())
    return Total(value, error, low, high, True)


def _mean(metric: Metric, values: Sequence[float]) -> Total:
    column = np.array(values, dtype=float)
    if len(column) < 2:
        return Total(float(column.mean()))
    error = float(column.std(ddof=1)) / math.sqrt(len(column))
    worst, best = SCALES.get(metric.name, (0.0, 1.0))
    if column.min() < worst or column.max() > best:  # grades of a benchmark's own, whose scale is not known
        return Total(float(column.mean()), error)
    kind: Any = "binary" if np.isin(column, (0.0, 1.0)).all() and (worst, best) == (0.0, 1.0) else "graded"
    score = Score(metric.name, kind, float(column.mean()), column[:, None], worst, best)
    low, high = _shown(score, stats.Scheme())
    return Total(score.value, error, low, high, kind == "binary")


def _of_classes(name: str, values: Sequence[tuple[int, int]]) -> Total:
    """F1 of class 1 (as lm-eval takes it), the mean F1 of the classes, or MCC, from (right, said)."""
    right, said = np.array(values, dtype=int).T
    classes = int(max(right.max(), said.max(), 1)) + 1
    table = np.zeros((len(values), 4 * classes))
    rows = np.arange(len(values))
    table[rows, 4 * right + np.where(right == said, 0, 2)] = 1
    wrong = (right != said) & (said != NO_CLASS)
    table[rows[wrong], 4 * said[wrong] + 1] = 1
    functions: dict[str, Value] = {"f1": _f1_of_one, "mcc": mcc, "macro_f1": macro_f1}
    value = functions[name]
    score = Score(name, "corpus", float(value(table.sum(axis=0), len(values))), table, -1.0 if name == "mcc" else 0.0)
    scheme = stats.Scheme(value=value)
    error = float(stats.standard_error(score, scheme)) if len(values) > 1 else None
    return Total(score.value, error, *_shown(score, scheme))


def _f1_of_one(totals: np.ndarray, count: Any) -> np.ndarray:
    """2 TP / (2 TP + FP + FN) of class 1; 0 where it is neither right nor said."""
    hit, wrong, missed = totals[..., 4], totals[..., 5], totals[..., 6]
    below = 2 * hit + wrong + missed
    quotient: np.ndarray = np.divide(2 * hit, below, out=np.zeros_like(below), where=below > 0)
    return quotient


def _shown(score: Score, scheme: stats.Scheme) -> tuple[float, float] | tuple[None, None]:
    """The two-sided 95 % interval, where the items can carry one."""
    if stats.refusal(score.kind, len(score)) is not None:
        return None, None
    low, high = stats.interval(score, scheme)
    return float(low), float(high)


def _exponential(pairs: Sequence[tuple[float, float]]) -> Total:
    """exp(-Σ nats / Σ units), and its standard error by the delta method."""
    rate, error = _ratio(pairs)
    try:
        value = math.exp(-rate)
        return Total(value, None if error is None or not math.isfinite(value * error) else value * error)
    except OverflowError:
        return Total(None)


def _ratio(pairs: Sequence[tuple[float, float]]) -> tuple[float, float | None]:
    """Σ nats / Σ units of items, and its linearised standard error (Cochran 1977, section 2.11)."""
    nats, units = np.array(pairs, dtype=float).T
    rate = float(nats.sum() / units.sum())
    if len(nats) < 2:
        return rate, None
    residuals = nats - rate * units
    variance = float(residuals @ residuals) * len(nats) / (len(nats) - 1)
    return rate, math.sqrt(variance) / float(units.sum())


def _of_texts(name: str, values: Sequence[tuple[Sequence[str], str]]) -> float:
    """sacrebleu's corpus score, 0 to 100. Items with fewer right answers repeat their first."""
    import sacrebleu

    golds, said = zip(*values)
    most = max(map(len, golds))
    streams = [[gold[place] if place < len(gold) else gold[0] for gold in golds] for place in range(most)]
    score = {"bleu": sacrebleu.corpus_bleu, "chrf": sacrebleu.corpus_chrf, "ter": sacrebleu.corpus_ter}[name]
    return float(score(list(said), streams).score)
