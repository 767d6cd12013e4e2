"""BLEU, chrF and TER, scored over a whole split through sacrebleu's sufficient statistics.

sacrebleu tokenises and counts; the counts of a row are kept, so that a bootstrap is sums of rows. **Rung shows them on
0 to 1, like every score of its own: one hundredth of what sacrebleu prints; and of TER, where less is better, what is
left of 1.** Settings are sacrebleu's defaults (BLEU: 4-grams, tokeniser 13a, exponential smoothing; chrF2: characters
up to 6, no words; TER: lower case, not normalised), so its signatures hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from rung.metrics.metric import Answer
from rung.types import Example

_BLEU_ORDER = 4
_CHRF_ORDER = 6
_CHRF_BETA = 2
_LOG_OF_ZERO = -9999999999.0  # sacrebleu's stand-in: the score of an order without any n-gram is then exactly 0


def bleu_statistics(answers: Sequence[Answer], examples: Sequence[Example], *_: Any) -> np.ndarray:
    """Shape (n, 10): length of the answer, of the closest reference, matches of order 1 to 4, n-grams of order 1 to 4."""
    return _statistics(_bleu(), answers, examples, 2 + 2 * _BLEU_ORDER)


def chrf_statistics(answers: Sequence[Answer], examples: Sequence[Example], *_: Any) -> np.ndarray:
    """Shape (n, 18): for order 1 to 6 the n-grams of the answer, of the best reference, and the matches."""
    return _statistics(_chrf(), answers, examples, 3 * _CHRF_ORDER)


def ter_statistics(answers: Sequence[Answer], examples: Sequence[Example], *_: Any) -> np.ndarray:
    """Shape (n, 2): edits to the closest reference, and the mean length of the references in words."""
    return _statistics(_ter(), answers, examples, 2)


def bleu(totals: np.ndarray, count: Any) -> np.ndarray:
    """Corpus BLEU (Papineni et al. 2002) on 0 to 1, smoothed as NIST's mteval-v13a does; shape (...) of (..., 10)."""
    length, reference = totals[..., 0], totals[..., 1]
    matches, ngrams = totals[..., 2:6], totals[..., 6:10]
    logs = np.zeros(totals.shape[:-1])
    halvings = np.ones(totals.shape[:-1])
    for order in range(_BLEU_ORDER):
        none = (matches[..., order] == 0) & (ngrams[..., order] > 0)
        halvings = np.where(none, 2 * halvings, halvings)
        hits = np.where(none, 1 / halvings, matches[..., order])
        there = ngrams[..., order] > 0
        share = np.divide(hits, ngrams[..., order], out=np.ones_like(hits), where=there)
        logs += np.where(there, np.log(share), _LOG_OF_ZERO)
    short = length < reference
    ratio = np.divide(reference, length, out=np.full_like(length, np.inf), where=length > 0)
    brevity = np.where(short, np.exp(1 - np.where(short, ratio, 1.0)), 1.0)
    score: np.ndarray = np.where(matches.any(axis=-1), brevity * np.exp(logs / _BLEU_ORDER), 0.0)
    return score


def chrf(totals: np.ndarray, count: Any) -> np.ndarray:
    """Corpus chrF2 (Popović 2015) on 0 to 1: F with beta 2 of precision and recall averaged over the orders present."""
    said, right, matches = (totals[..., part::3] for part in range(3))
    present = (said > 0) & (right > 0)
    orders = np.maximum(present.sum(axis=-1), 1)
    zeros = np.zeros_like(matches)
    precision = np.divide(matches, said, out=zeros.copy(), where=present).sum(axis=-1) / orders
    recall = np.divide(matches, right, out=zeros, where=present).sum(axis=-1) / orders
    factor = _CHRF_BETA**2
    below = factor * precision + recall
    score: np.ndarray = np.divide((1 + factor) * precision * recall, below, out=np.zeros_like(below), where=below > 0)
    return score


def kept_of_ter(totals: np.ndarray, count: Any) -> np.ndarray:
    """1 - TER, at least 0; TER (Snover et al. 2006) is edits over words of the reference, 1 where only these are none."""
    edits, words = totals[..., 0], totals[..., 1]
    rate = np.divide(edits, words, out=np.where(edits > 0, 1.0, 0.0), where=words > 0)
    kept: np.ndarray = np.maximum(0.0, 1.0 - rate)
    return kept


@cache
def _bleu() -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(force=True)  # no warnings about text that looks tokenised: a model's answers may well


@cache
def _chrf() -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()


@cache
def _ter() -> Any:
    from sacrebleu.metrics.ter import TER

    return TER()


def _statistics(metric: Any, answers: Sequence[Answer], examples: Sequence[Example], columns_kept: int) -> np.ndarray:
    """sacrebleu's counts for each row. It takes references column by column, None where a row has fewer."""
    width = max((len(example.answers) for example in examples), default=0)
    columns = [[example.answers[n] if n < len(example.answers) else None for example in examples] for n in range(width)]
    if not width:
        return np.zeros((0, columns_kept))
    said = ["" if answer is None else answer for answer in answers]
    return np.array(metric._extract_corpus_statistics(said, columns), dtype=float)
