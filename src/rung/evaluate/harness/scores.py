"""What each item scores, and what the items make together: lm-eval's metrics, one value an item first."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rung.evaluate.harness.sandbox import passes
from rung.evaluate.harness.spec import Metric
from rung.generate.forest import Likelihood

SEVERAL = ("f1", "mcc", "bleu", "chrf", "ter", "brier_score")  # of all items together


def of_choices(
    metrics: Sequence[Metric], found: Sequence[Likelihood], choices: Sequence[str], gold: int | str | list[Any]
) -> dict[str, Any]:
    """The values of a multiple-choice item. `gold` outside the choices is wrong whatever is said."""
    totals = np.array([one.total for one in found])
    letters = (
        np.array([float(len(choice)) for choice in choices]) if len(choices) == len(found) else np.ones(len(found))
    )
    octets = np.array([float(len(choice.encode("utf-8"))) for choice in choices])
    right = [_index(one, choices) for one in (gold if isinstance(gold, list) else [gold])]
    picks = {"acc": int(np.argmax(totals)), "acc_norm": int(np.argmax(totals / letters))}
    picks["acc_bytes"] = int(np.argmax(totals / octets)) if len(octets) == len(found) else picks["acc"]
    weights = np.exp(totals - totals.max())
    known: dict[str, Any] = {name: float(pick in right) for name, pick in picks.items()}
    known["exact_match"] = float(any(0 <= one < len(found) and found[one].greedy for one in right))
    # TruthfulQA's MC2: the probability of the right choices, all choices together having 1.
    known["mass"] = float(weights[[one for one in right if 0 <= one < len(found)]].sum() / weights.sum())
    known["f1"] = known["mcc"] = (right[0], picks["acc"])
    known["brier_score"] = (right[0], (weights / weights.sum()).tolist())
    return {metric.name: known[metric.name] for metric in metrics}


def of_continuation(metrics: Sequence[Metric], found: Likelihood) -> dict[str, Any]:
    """The values of a single continuation."""
    known = {"acc": float(found.greedy), "perplexity": found.total}
    return {metric.name: known[metric.name] for metric in metrics}


def of_text(metrics: Sequence[Metric], total: float, text: str) -> dict[str, Any]:
    """The values of a whole text: its log-likelihood in nats, and by what it is divided."""
    words, octets = len(re.split(r"\s+", text)), len(text.encode("utf-8"))
    return {metric.name: (total, words if metric.name == "word_perplexity" else octets) for metric in metrics}


def of_answer(metrics: Sequence[Metric], answer: Any, gold: Any, prompt: str = "") -> dict[str, Any]:
    """The values of an answer of the model's own; a list of right ones is met by any.

    `passes` runs prompt + answer + gold as a program: 1.0 where it ends without an error.
    """
    golds = gold if isinstance(gold, list) else [gold]
    values: dict[str, Any] = {}
    for metric in metrics:
        if metric.name == "exact_match":
            values[metric.name] = float(any(_equal(str(answer), str(one), metric.settings) for one in golds))
        elif metric.name == "passes":
            values[metric.name] = float(passes(f"{prompt}{answer}\n{gold}"))
        else:
            values[metric.name] = ([str(one) for one in golds], str(answer))
    return values


def together(metric: Metric, values: Sequence[Any]) -> tuple[float, float | None]:
    """The score of a task from its items' values, and its standard error where it is a mean (sd / √n)."""
    if not values:
        return math.nan, None
    if metric.name == "perplexity":
        return math.exp(-float(np.mean(values))), None
    if metric.name in ("word_perplexity", "byte_perplexity", "bits_per_byte"):
        totals, weights = (float(np.sum(column)) for column in zip(*values))
        nats = -totals / weights
        return (nats / math.log(2) if metric.name == "bits_per_byte" else math.exp(nats)), None
    if metric.name in SEVERAL:
        return _of_all(metric.name, values), None
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None
    return float(np.mean(values)), error


def _of_all(name: str, values: Sequence[Any]) -> float:
    first, second = zip(*values)
    if name == "brier_score":
        chances = np.array(second)
        return float(np.mean(np.sum((chances - np.eye(chances.shape[1])[list(first)]) ** 2, axis=1)))
    if name in ("f1", "mcc"):
        from sklearn.metrics import f1_score, matthews_corrcoef

        return float(f1_score(first, second) if name == "f1" else matthews_corrcoef(first, second))
    import sacrebleu

    score = {"bleu": sacrebleu.corpus_bleu, "chrf": sacrebleu.corpus_chrf, "ter": sacrebleu.corpus_ter}[name]
    return float(score(list(second), [list(column) for column in zip(*first)]).score)


def _index(gold: Any, choices: Sequence[str]) -> int:
    if isinstance(gold, str):
        return list(choices).index(gold) if gold in choices else -1
    return int(gold)


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
