"""ROUGE-1, ROUGE-2 and ROUGE-L: F1 of shared words, word pairs and the longest common subsequence (Lin 2004).

The numbers are those of ROUGE-1.5.5 and of the `rouge_score` package: lower-cased runs of a-z and 0-9, Porter stems of
words longer than three letters where asked, and with several references the best F1. Written anew for speed: the
longest common subsequence is found with one big integer instead of a table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

from rung.metrics.metric import Answer
from rung.metrics.porter import stem
from rung.types import Example

Variant = Literal["1", "2", "L"]

_WORD = re.compile(r"[a-z0-9]+")


def rouge_words(text: str, *, stemmed: bool = False) -> list[str]:
    """The words ROUGE compares. Letters beyond a-z separate words: for other scripts, chrF is the score to take."""
    words = _WORD.findall(text.lower())
    return [stem(word) if len(word) > 3 else word for word in words] if stemmed else words


def rouge_f1(answer: str, references: Sequence[str], variant: Variant, *, stemmed: bool = False) -> float:
    """ROUGE-N or ROUGE-L F1 of an answer, the best over the references, 0 to 1."""
    said = _prepared(answer, stemmed)
    return max((_f1(said, _prepared(right, stemmed), variant) for right in references), default=0.0)


def rouge(variant: Variant, *, stemmed: bool = False) -> Callable[[Answer, Example], float]:
    """The grade of one row for a variant of ROUGE."""

    def grade(answer: Answer, example: Example) -> float:
        return 0.0 if answer is None else rouge_f1(answer, example.answers, variant, stemmed=stemmed)

    return grade


@lru_cache(maxsize=4096)
def _prepared(text: str, stemmed: bool) -> tuple[str, ...]:
    """Words of a text. Kept for a while: several variants and several Systems read the same references."""
    return tuple(rouge_words(text, stemmed=stemmed))


def _f1(said: tuple[str, ...], right: tuple[str, ...], variant: Variant) -> float:
    if variant == "L":
        shared, total = common_subsequence(said, right), len(said) + len(right)
    else:
        size = int(variant)
        first, second = _ngrams(said, size), _ngrams(right, size)
        shared = (first & second).total()
        total = first.total() + second.total()
    return 2 * shared / total if shared else 0.0  # 2PR/(P+R) with P = shared/a and R = shared/b


def _ngrams(words: tuple[str, ...], size: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[start:] for start in range(size))))


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence.

    Bit-parallel (Hyyrö 2004): bit j of `row` is 0 where the length grows at word j of `second`; each word of `first`
    costs a few operations on one integer of len(second) bits.
    """
    places: dict[str, int] = {}
    for position, word in enumerate(second):
        places[word] = places.get(word, 0) | 1 << position
    full = (1 << len(second)) - 1
    row = full
    for word in first:
        hits = row & places.get(word, 0)
        row = (row + hits | row - hits) & full
    return len(second) - row.bit_count()
