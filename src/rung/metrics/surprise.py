"""What likelihoods and repeated tries amount to: perplexities of texts, and pass@k of samples. Numbers in, numbers out."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Perplexity:
    """exp(-log-likelihood / units) of some texts, by token, by word and by byte; and bits a byte."""

    token: float
    word: float
    byte: float
    bits_per_byte: float


def perplexity(loglikelihoods: Sequence[float], tokens: Sequence[int], texts: Sequence[str]) -> Perplexity:
    """Perplexities of texts from their log-likelihoods in nats and their numbers of predicted tokens.

    The texts count as one stream: likelihoods and units are summed first. Words are what whitespace parts, bytes those
    of UTF-8, both as lm-evaluation-harness counts them, so that models with other tokenizers can be compared. Raises
    ValueError where a sum of units is zero or the lengths differ.
    """
    if not len(loglikelihoods) == len(tokens) == len(texts):
        raise ValueError(f"{len(loglikelihoods)} likelihoods, {len(tokens)} token counts and {len(texts)} texts")
    total = sum(loglikelihoods)
    words = sum(len(_SPACE.split(text)) for text in texts)
    size = sum(len(text.encode("utf-8")) for text in texts)
    if not sum(tokens) or not words or not size:
        raise ValueError("texts without tokens have no perplexity")
    return Perplexity(
        _exp(-total / sum(tokens)), _exp(-total / words), _exp(-total / size), -total / size / math.log(2)
    )


def pass_at_k(samples: int, passed: int, k: int) -> float:
    """The unbiased chance that one of `k` samples passes, from `passed` of `samples` (Chen et al. 2021).

    1 - C(n - c, k) / C(n, k). Raises ValueError where k is not from 1 to `samples`, or `passed` not from 0 to it.
    """
    if not 1 <= k <= samples or not 0 <= passed <= samples:
        raise ValueError(f"pass@{k} of {passed} passed in {samples} samples")
    return 1.0 - math.comb(samples - passed, k) / math.comb(samples, k)


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
