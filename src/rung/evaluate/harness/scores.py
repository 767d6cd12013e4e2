"""What each item scores: lm-eval's metrics, one value an item. What the items make together is in `totals`."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rung.evaluate.harness.spec import Metric
from rung.generate.forest import Likelihood
from rung.metrics.surprise import pass_at_k

CLASSES = ("f1", "mcc", "macro_f1")
"""Scores of the table of right and said classes."""
NO_CLASS = -1
"""What an item without an answer is taken to have said, where classes are counted."""


def of_choices(
    metrics: Sequence[Metric],
    found: Sequence[Likelihood],
    choices: Sequence[str],
    golds: Sequence[int],
    row: Mapping[str, Any],
) -> dict[str, Any]:
    """The values of a multiple-choice item; `golds` are the indices of its right choices.

    `acc` by log-likelihood, `acc_norm` and `acc_bytes` by that divided by the choice's characters or UTF-8 bytes,
    `exact_match` whether greedy decoding gives a right one, `brier_score` the squared distance of the probabilities (all
    choices together having 1) from the truth, `mass` the probability of the right ones (TruthfulQA's MC2, Lin et al.
    2022). f1 and mcc get (right, said).
    """
    totals = np.array([one.total for one in found])
    lengths = np.ones((2, len(found)))
    if len(choices) == len(found):
        lengths = np.array([[len(choice), len(choice.encode("utf-8"))] for choice in choices], dtype=float).T
    with np.errstate(divide="ignore", invalid="ignore"):  # a choice without characters of its own, as in lm-eval
        picks = {
            "acc": int(np.argmax(totals)),
            "acc_norm": int(np.argmax(totals / lengths[0])),
            "acc_bytes": int(np.argmax(totals / lengths[1])),
        }
    chances = np.exp(totals - totals.max())
    chances /= chances.sum()
    right = np.isin(np.arange(len(found)), golds)
    known: dict[str, Any] = {name: float(right[pick]) for name, pick in picks.items()}
    known["exact_match"] = float(any(one.greedy for one, is_right in zip(found, right) if is_right))
    known["mass"] = float(chances[right].sum())
    known["brier_score"] = float(np.sum((chances - (np.arange(len(found)) == golds[0])) ** 2))
    known["f1"] = known["mcc"] = known["macro_f1"] = (golds[0], picks["acc"])
    return {one.name: float(row[one.column][picks["acc"]]) if one.column else known[one.name] for one in metrics}


def of_continuation(metrics: Sequence[Metric], found: Likelihood) -> dict[str, Any]:
    """The values of a single continuation."""
    known = {"acc": float(found.greedy), "perplexity": found.total}
    return {metric.name: known[metric.name] for metric in metrics}


def of_text(metrics: Sequence[Metric], total: float, text: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a whole text: its log-likelihood in nats, and by what it is divided.

    Words and bytes are those of the metric's column where it names one.
    """

    def size(metric: Metric) -> int:
        counted = str(row[metric.column]) if metric.column else text
        return len(re.split(r"\s+", counted)) if metric.name == "word_perplexity" else len(counted.encode("utf-8"))

    return {metric.name: (total, size(metric)) for metric in metrics}


def of_answer(metrics: Sequence[Metric], answer: str, gold: Any) -> dict[str, Any]:
    """The values of an answer of the model's own; a list of right ones is met by any."""
    golds = [str(one) for one in (gold if isinstance(gold, list) else [gold])]
    values: dict[str, Any] = {}
    for metric in metrics:
        if metric.name == "exact_match":
            values[metric.name] = float(any(_equal(answer, one, metric.settings) for one in golds))
        else:
            values[metric.name] = (golds, answer)
    return values


def of_programs(metrics: Sequence[Metric], passed: Sequence[bool]) -> dict[str, Any]:
    """pass@k (Chen et al. 2021) of the programs that were written for one item."""
    return {one.name: pass_at_k(len(passed), sum(passed), int(one.settings["k"])) for one in metrics}


def worst(metrics: Sequence[Metric], golds: Sequence[int]) -> dict[str, Any]:
    """What an item without an answer scores, so that dropping it flatters no score; texts without one have none.

    A perplexity has no worst value: such items are left out of it and told by their number.
    """
    values: dict[str, Any] = {}
    for metric in metrics:
        if metric.name in CLASSES and not metric.column:
            values |= {metric.name: (golds[0], NO_CLASS)} if golds else {}
        elif metric.name == "brier_score":
            values[metric.name] = 2.0
        elif metric.name not in ("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte"):
            values[metric.name] = ([""], "") if metric.name in ("bleu", "chrf", "ter") else 0.0
    return values


def indices(gold: Any, choices: Sequence[str]) -> list[int]:
    """The places of the right choices; a text is looked up among them, what is none of them is left out."""
    found = []
    for one in gold if isinstance(gold, list) else [gold]:
        place = list(choices).index(one) if isinstance(one, str) and one in choices else one
        if isinstance(place, int | float) and place == int(place) and 0 <= place < len(choices):
            found.append(int(place))
    return found


def _equal(answer: str, gold: str, settings: Mapping[str, Any]) -> bool:
    for pattern in settings.get("regexes_to_ignore") or ():
        answer, gold = re.sub(pattern, "", answer), re.sub(pattern, "", gold)
    if settings.get("ignore_case"):
        answer, gold = answer.lower(), gold.lower()
    for name, signs in (("ignore_punctuation", string.punctuation), ("ignore_numbers", string.digits)):
        if settings.get(name):
            drop = str.maketrans("", "", signs)
            answer, gold = answer.translate(drop), gold.translate(drop)
    return answer == gold
