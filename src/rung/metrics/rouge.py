"""ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum: F1 of shared words, word pairs and longest common subsequences (Lin 2004).

The numbers are those of ROUGE-1.5.5 and of the `rouge_score` package: lower-cased runs of a-z and 0-9, Porter stems of
words longer than three letters where asked, and with several references the best F1. ROUGE-Lsum takes each line for a
sentence. Written anew for speed: a split is scored as one, its words as numbers; how sequences are aligned is in
`subsequence`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import chain, pairwise
from typing import Any, Literal, get_args

import numpy as np

from rung.metrics.metric import Answer, Tabulate
from rung.metrics.porter import stem
from rung.metrics.subsequence import common_lengths, common_places
from rung.types import Example

Variant = Literal["1", "2", "L", "Lsum"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)

_END, _LINE = "\0", "\n"
_WORD_OR_MARK = re.compile(rf"[a-z0-9]+|{_END}|{_LINE}")


def rouge_f1(answer: str, references: Sequence[str], variant: Variant, *, stemmed: bool = False) -> float:
    """ROUGE F1 of one answer, the best over the references, 0 to 1. Many at once are far cheaper by `rouge_scores`."""
    return float(rouge_scores([answer], [references], variant, stemmed=stemmed)[0])


def rouge_scores(
    answers: Sequence[str], references: Sequence[Sequence[str]], variant: Variant, *, stemmed: bool = False
) -> np.ndarray:
    """ROUGE F1 of each answer, shape (n,): the best over the references in its row, 0 where it has none.

    Letters beyond a-z separate words: for other scripts, chrF is the score to take.
    """
    if len(answers) != len(references):
        raise ValueError(f"{len(answers)} answers and references for {len(references)}")
    counts = [len(right) for right in references]
    texts = _read((*answers, *chain(*references)), stemmed)
    rows = np.repeat(np.arange(len(answers)), counts)
    first, second = rows, len(answers) + np.arange(rows.size)
    shared, sizes = texts.shared(first, second, variant)
    total = sizes[first] + sizes[second]
    f1 = np.where(shared > 0, 2 * shared / np.maximum(total, 1), 0.0)  # 2PR/(P+R) with P = shared/a and R = shared/b
    best = np.zeros(len(answers))
    np.maximum.at(best, rows, f1)
    return best


def rouge(variant: Variant, *, stemmed: bool = False) -> Tabulate:
    """The table of a variant of ROUGE: each row's F1, 0 where there is no answer."""

    def tabulate(answers: Sequence[Answer], examples: Sequence[Example], *_: Any) -> np.ndarray:
        said = ["" if answer is None else answer for answer in answers]
        right = [() if answer is None else example.answers for answer, example in zip(answers, examples)]
        return rouge_scores(said, right, variant, stemmed=stemmed).reshape(-1, 1)

    return tabulate


@lru_cache(maxsize=4)
def _read(texts: tuple[str, ...], stemmed: bool) -> _Texts:
    """Kept for a while: several variants are asked of the same texts, one after another."""
    return _Texts(texts, stemmed)


class _Texts:
    """Many texts as arrays of word numbers. `ids` holds the words of all of them, text t at `starts[t] : starts[t + 1]`."""

    def __init__(self, texts: Sequence[str], stemmed: bool) -> None:
        self.texts, self.stemmed = texts, stemmed
        # All texts are cut into words at once; marks that no word holds keep them, and their lines, apart.
        joined = _END.join(text.replace(_END, " ") for text in texts).lower()
        words = _WORD_OR_MARK.findall(joined)
        known = dict.fromkeys(words)
        known.pop(_END, None)
        known.pop(_LINE, None)
        number: dict[str, int] = {_END: -1, _LINE: -2}
        if stemmed:
            stems: dict[str, int] = {}
            for word in known:
                root = stem(word) if len(word) > 3 else word
                number[word] = stems.setdefault(root, len(stems))
        else:
            number.update(zip(known, range(len(known))))
        marked = np.fromiter(map(number.__getitem__, words), dtype=np.int64, count=len(words))
        counted = np.cumsum(marked >= 0)  # words up to each place
        self.ids = marked[marked >= 0]
        self.starts = np.concatenate([[0], counted[marked == -1], [self.ids.size]])[: len(texts) + 1]
        self.breaks = counted[marked == -2]  # words before each end of a line
        self.sizes = np.diff(self.starts)

    def shared(self, first: np.ndarray, second: np.ndarray, variant: Variant) -> tuple[np.ndarray, np.ndarray]:
        """How much texts `first[p]` and `second[p]` have in common, shape (p,), and the size of every text."""
        if variant == "1":
            return _in_common(self._bags, first, second), self.sizes
        if variant == "2":
            return _in_common(self._pair_bags, first, second), np.maximum(self.sizes - 1, 0)
        if variant == "L":
            return common_lengths(self.ids, self.starts, first, second), self.sizes
        return self._summaries(first, second), self.sizes

    @cached_property
    def _bags(self) -> tuple[np.ndarray, np.ndarray]:
        return _numbered(self.ids, self.starts)

    @cached_property
    def _pair_bags(self) -> tuple[np.ndarray, np.ndarray]:
        """The word pairs of each text, as words are in `_bags`."""
        sizes = np.maximum(self.sizes - 1, 0)
        starts = np.concatenate([[0], sizes.cumsum()])
        inside = np.arange(starts[-1]) + np.repeat(self.starts[:-1] - starts[:-1], sizes)
        pairs = self.ids[inside] * (self.ids.max(initial=0) + 1) + self.ids[inside + 1]
        return _numbered(np.unique(pairs, return_inverse=True)[1].astype(np.int64), starts)

    def _summaries(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Union of common subsequences, line by line; where either side is a single line on both, that is ROUGE-L."""
        inside = np.searchsorted(self.breaks, self.starts[1:], "left") - np.searchsorted(
            self.breaks, self.starts[:-1], "right"
        )
        single = inside <= 0
        shared = np.zeros(first.size, dtype=np.int64)
        plain = single[first] & single[second]
        shared[plain] = common_lengths(self.ids, self.starts, first[plain], second[plain])
        for pair in np.flatnonzero(~plain):
            shared[pair] = self._union(int(first[pair]), int(second[pair]))
        return shared

    @cached_property
    def _cut(self) -> dict[int, list[list[int]]]:
        return {}

    @cached_property
    def _edges(self) -> list[int]:
        """The first of `breaks` in each text, and behind the last."""
        found: list[int] = np.searchsorted(self.breaks, self.starts).tolist()
        return found

    @cached_property
    def _words(self) -> list[int]:
        found: list[int] = self.ids.tolist()
        return found

    def _lines(self, text: int) -> list[list[int]]:
        """The words of each line that has any."""
        if text not in self._cut:
            begin, end = int(self.starts[text]), int(self.starts[text + 1])
            first, last = self._edges[text : text + 2]
            edges = [begin, *self.breaks[first:last].tolist(), end]
            self._cut[text] = [self._words[one:two] for one, two in pairwise(edges) if one < two]
        return self._cut[text]

    @cached_property
    def _counted(self) -> dict[int, Counter[int]]:
        return {}

    def _counts(self, text: int) -> Counter[int]:
        """How often each word stands in a text."""
        if text not in self._counted:
            self._counted[text] = Counter(self._words[self.starts[text] : self.starts[text + 1]])
        return self._counted[text]

    def _union(self, said: int, right: int) -> int:
        """The union of the common subsequences of each line of `right` with every line of `said` (Lin 2004, 3.2).

        No word counts more often than `said` has it.
        """
        shared: Counter[int] = Counter()
        for line in self._lines(right):
            if taken := common_places(line, self._lines(said)):
                shared.update(word for word, bit in zip(line, reversed(f"{taken:b}")) if bit == "1")
        there = self._counts(said)
        return sum(min(count, there[word]) for word, count in shared.items())


def _numbered(ids: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bags as sets: each item with the number of times it came before in its text. Codes in the order of `ids`; starts."""
    owner = np.repeat(np.arange(starts.size - 1), np.diff(starts))
    keys = owner * (ids.max(initial=0) + 1) + ids
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    new = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: ordered.size]
    begin = np.flatnonzero(new)
    again = np.arange(ordered.size) - np.repeat(begin, np.diff(np.concatenate([begin, [ordered.size]])))
    codes = np.empty_like(ids)
    codes[order] = ids[order] * (again.max(initial=0) + 1) + again
    return codes, starts


def _in_common(bags: tuple[np.ndarray, np.ndarray], first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How many codes texts `first[p]` and `second[p]` share, shape (p,)."""
    codes, starts = bags
    width = int(codes.max(initial=0)) + 1
    keys = np.concatenate([_spread(codes, starts, side, width) for side in (first, second)])
    keys.sort()
    twice = keys[1:][keys[1:] == keys[:-1]]
    return np.bincount(twice // width, minlength=first.size)


def _spread(codes: np.ndarray, starts: np.ndarray, texts: np.ndarray, width: int) -> np.ndarray:
    """The codes of the text of each pair, made distinct by the pair's own number."""
    sizes = np.diff(starts)[texts]
    ends = sizes.cumsum()
    inside = np.arange(sizes.sum()) + np.repeat(starts[:-1][texts] - (ends - sizes), sizes)
    keys: np.ndarray = np.repeat(np.arange(texts.size), sizes) * width + codes[inside]
    return keys
