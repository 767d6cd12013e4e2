"""ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum: F1 of shared words, word pairs and longest common subsequences (Lin 2004).

The numbers are those of ROUGE-1.5.5 and of the `rouge_score` package: lower-cased runs of a-z and 0-9, Porter stems of
words longer than three letters where asked, and with several references the best F1. ROUGE-Lsum takes each line for a
sentence. Written anew for speed: the longest common subsequence is found with big integers instead of a table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Literal, get_args

from rung.metrics.metric import Answer
from rung.metrics.porter import stem
from rung.types import Example

Variant = Literal["1", "2", "L", "Lsum"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)

_WORD = re.compile(r"[a-z0-9]+")


def rouge_words(text: str, *, stemmed: bool = False) -> list[str]:
    """The words ROUGE compares. Letters beyond a-z separate words: for other scripts, chrF is the score to take."""
    words = _WORD.findall(text.lower())
    return [stem(word) if len(word) > 3 else word for word in words] if stemmed else words


def rouge_f1(answer: str, references: Sequence[str], variant: Variant, *, stemmed: bool = False) -> float:
    """ROUGE-N, ROUGE-L or ROUGE-Lsum F1 of an answer, the best over the references, 0 to 1."""
    if variant == "Lsum":
        lines = _lines(answer, stemmed)
        return max((_summary_f1(lines, _lines(right, stemmed)) for right in references), default=0.0)
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
    return len(second) - _rows(first, second)[-1].bit_count()


def _rows(first: Sequence[str], second: Sequence[str]) -> list[int]:
    """The bits before the first word of `first` and after each of them."""
    places: dict[str, int] = {}
    for position, word in enumerate(second):
        places[word] = places.get(word, 0) | 1 << position
    full = (1 << len(second)) - 1
    rows = [full]
    for word in first:
        row = rows[-1]
        hits = row & places.get(word, 0)
        rows.append((row + hits | row - hits) & full)
    return rows


# -- ROUGE-Lsum --------------------------------------------------------------------------------------------------------


def _lines(text: str, stemmed: bool) -> list[tuple[str, ...]]:
    return [_prepared(line, stemmed) for line in text.split("\n") if line]


def _summary_f1(said: Sequence[Sequence[str]], right: Sequence[Sequence[str]]) -> float:
    """F1 of the union of the common subsequences of each line of `right` with every line of `said` (Lin 2004, 3.2).

    No word counts more often than both texts have it.
    """
    there, wanted = Counter(chain(*said)), Counter(chain(*right))
    total, shared = there.total() + wanted.total(), 0
    for line in right:
        union = {place for other in said for place in common_places(line, other)}
        for place in union:
            word = line[place]
            if there[word] and wanted[word]:
                there[word] -= 1
                wanted[word] -= 1
                shared += 1
    return 2 * shared / total if shared else 0.0


def common_places(line: Sequence[str], other: Sequence[str]) -> list[int]:
    """Places in `line` of one longest common subsequence with `other`: of several, the one that `rouge_score` takes.

    Walks back from the ends of both; where their last words differ, `line` gives way unless that costs length.
    """
    rows = _rows(other, line)  # the words of `line` are the bits: length(i, j) counts zeros below i after j words
    places = []
    i, j = len(line), len(other)
    while i and j:
        if line[i - 1] == other[j - 1]:
            i, j = i - 1, j - 1
            places.append(i)
        elif _zeros(rows[j - 1], i) > _zeros(rows[j], i - 1):
            j -= 1
        else:
            i -= 1
    return places


def _zeros(bits: int, below: int) -> int:
    return below - (bits & ((1 << below) - 1)).bit_count()
