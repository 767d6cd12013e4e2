"""Near duplicates among texts: exact all-pairs search by Jaccard similarity of word 3-shingles, and their clusters.

The search is exact, not approximate: a prefix filter (Chaudhuri, Ganti and Kaushik 2006; Bayardo, Ma and Srikant 2007)
proves that most pairs cannot reach the threshold, and the rest are compared in full. MinHash with LSH, the usual
choice, misses pairs near the threshold; at the size of task files it is not faster. Examples are unknown here.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

Ints = np.ndarray  # int64 throughout

FEW_WORDS = 8  # texts under this many words are compared word by word
_SHINGLE = 3
# A word is a run of letters and digits; in scripts without spaces (kana, Han), each character is one.
_ALONE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_ALONE}]|[^\W{_ALONE}]+")
_CHUNK = 2_000_000  # pairs (or tokens of pairs) held at once: about 100 MB
_SIGNATURE_WORDS = 4  # 256 bits a text


def words(text: str) -> list[str]:
    """The words of a text, case folded; its characters where it has no words (only signs or emoji)."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _WORD.findall(text.casefold()) or list(text.strip())


def near_duplicates(
    texts: Sequence[str], threshold: float = 0.8, boilerplate: float = 1.0
) -> list[tuple[int, int, float]]:
    """All pairs (i, j, similarity), i < j, whose Jaccard similarity is at least `threshold` (above 0, up to 1).

    The sets compared hold word 3-shingles, or single words where either text has fewer than 8. Shingles that more
    than the share `boilerplate` of the distinct texts have in common say nothing about a text and are left out.
    """
    first, second, similarity = _Search(texts, threshold, boilerplate).pairs()
    order = np.lexsort((second, first))
    return list(zip(first[order].tolist(), second[order].tolist(), similarity[order].tolist(), strict=True))


def nearest_later(
    texts: Sequence[str], places: Sequence[int], threshold: float = 0.8, boilerplate: float = 1.0
) -> list[tuple[int, int, float]]:
    """For each text i and each place after its own: the near duplicate j there that is most like it, the first if tied.

    The same as going through `near_duplicates`, without writing out every pair of copies.
    """
    search = _Search(texts, threshold, boilerplate)
    first_at: list[dict[int, int]] = []
    for members in search.members:
        first_at.append({})
        for index in members:
            first_at[-1].setdefault(places[index], index)
    best: list[dict[int, tuple[float, int]]] = [
        {place: (-1.0, index) for place, index in found.items()} for found in first_at
    ]  # fmt: skip
    for p, q, similarity in zip(*(column.tolist() for column in search.distinct()), strict=True):
        for one, other in ((p, q), (q, p)):
            for place, index in first_at[other].items():
                best[one][place] = min(best[one].get(place, (0.0, 0)), (-similarity, index))
    return [
        (index, j, -negative)
        for members, found in zip(search.members, best, strict=True)
        for index in members
        for place, (negative, j) in found.items()
        if place > places[index]
    ]


def clusters(texts: Sequence[str], threshold: float = 0.8, boilerplate: float = 1.0) -> list[int]:
    """The cluster of each text, as the index of its first member: near duplicates, and theirs in turn, share one."""
    search = _Search(texts, threshold, boilerplate)
    parent = search.representative.tolist()

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return int(node)

    for p, q, _ in zip(*(column.tolist() for column in search.distinct()), strict=True):
        a, b = root(search.members[p][0]), root(search.members[q][0])
        parent[max(a, b)] = min(a, b)
    return [root(node) for node in range(len(texts))]


@dataclass(frozen=True)
class _Sets:
    """Token sets of some texts: text k has tokens[starts[k]:starts[k + 1]], ascending; `owner` maps k to the text."""

    tokens: Ints
    starts: Ints
    owner: Ints

    @property
    def sizes(self) -> Ints:
        return np.diff(self.starts)


class _Search:
    """Texts whose words are the same in the same order are searched once.

    `members` holds the indices of each such set of copies, `representative` the first copy of each text.
    """

    def __init__(self, texts: Sequence[str], threshold: float, boilerplate: float) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold must be above 0 and up to 1, not {threshold}")
        self._threshold = threshold
        self._boilerplate = boilerplate
        vocabulary: dict[str, int] = {}
        first_of: dict[bytes, int] = {}
        self._ids: list[Ints] = []
        self.members: list[list[int]] = []
        representative = []
        for index, text in enumerate(texts):
            ids = np.array([vocabulary.setdefault(word, len(vocabulary)) for word in words(text)], dtype=np.int64)
            place = first_of.setdefault(ids.tobytes(), len(self._ids))
            if place == len(self._ids):
                self._ids.append(ids)
                self.members.append([])
            self.members[place].append(index)
            representative.append(self.members[place][0])
        self._vocabulary = max(len(vocabulary), 1)
        self.representative = np.array(representative, dtype=np.int64)

    def pairs(self) -> tuple[Ints, Ints, np.ndarray]:
        """Pairs of texts, copies written out."""
        first: list[int] = []
        second: list[int] = []
        similarity: list[float] = []
        for members in self.members:
            for n, a in enumerate(members):
                first += [a] * (len(members) - n - 1)
                second += members[n + 1 :]
        similarity += [1.0] * len(first)
        for p, q, value in zip(*(column.tolist() for column in self.distinct()), strict=True):
            for a in self.members[p]:
                for b in self.members[q]:
                    first.append(min(a, b))
                    second.append(max(a, b))
                    similarity.append(value)
        return np.array(first, dtype=np.int64), np.array(second, dtype=np.int64), np.array(similarity)

    def distinct(self) -> tuple[Ints, Ints, np.ndarray]:
        """Pairs of places in `members`, and their similarity."""
        lengths = np.array([len(ids) for ids in self._ids], dtype=np.int64)
        short = lengths < FEW_WORDS
        # A longer text can only reach the threshold against a short one if it has few distinct words.
        most = math.floor((FEW_WORDS - 1) / self._threshold + 1e-9)
        by_word = np.flatnonzero(short | np.array([len(set(ids.tolist())) <= most for ids in self._ids], dtype=bool))
        first, second, similarity = _join(self._words(by_word), self._threshold)
        either = short[first] | short[second] if len(first) else np.zeros(0, dtype=bool)
        longer = _join(self._shingles(np.flatnonzero(~short)), self._threshold)
        return (
            np.concatenate([first[either], longer[0]]),
            np.concatenate([second[either], longer[1]]),
            np.concatenate([similarity[either], longer[2]]),
        )

    def _words(self, chosen: Ints) -> _Sets:
        return _as_sets([self._ids[k] for k in chosen.tolist()], chosen)

    def _shingles(self, chosen: Ints) -> _Sets:
        """Shingle ids by pairing twice: (first word, second word) gets a number, (number, third word) another."""
        if not len(chosen):
            return _as_sets([], chosen)
        ids = [self._ids[k] for k in chosen.tolist()]
        flat = np.concatenate(ids)
        _, pair = np.unique(flat[:-1] * self._vocabulary + flat[1:], return_inverse=True)
        token = pair[:-1] * self._vocabulary + flat[2:]
        ends = np.cumsum([len(row) for row in ids])
        rows = [token[end - len(row) : end - _SHINGLE + 1] for row, end in zip(ids, ends.tolist(), strict=True)]
        return _without_boilerplate(_as_sets(rows, chosen), self._boilerplate)


def _as_sets(rows: Sequence[Ints], owner: Ints) -> _Sets:
    """Sorted sets, with tokens renumbered so that rarer ones are smaller (ties by value)."""
    flat = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
    if not len(flat):
        return _Sets(flat, np.zeros(len(rows) + 1, dtype=np.int64), owner)
    which = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    _, token = np.unique(flat, return_inverse=True)
    width = int(token.max()) + 1
    once = _unique(which * width + token)
    which, token = once // width, once % width
    rank = np.empty(width, dtype=np.int64)
    rank[np.argsort(np.bincount(token, minlength=width), kind="stable")] = np.arange(width)
    keys = np.sort(which * width + rank[token])
    starts = np.searchsorted(keys // width, np.arange(len(rows) + 1))
    return _Sets(keys % width, starts.astype(np.int64), owner)


def _unique(values: Ints) -> Ints:
    """`np.unique`, but always by sorting: the hash table of NumPy 2.4 takes seconds on millions of distinct keys."""
    values = np.sort(values)
    first = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=first[1:])
    return values[first]


def _without_boilerplate(sets: _Sets, share: float) -> _Sets:
    """Drop tokens in more than `share` of the sets, but from no set all of its tokens."""
    count = len(sets.owner)
    if share >= 1 or count < 20:  # of a few texts, half is no sign of a template
        return sets
    frequent = np.bincount(sets.tokens) > share * count
    which = np.repeat(np.arange(count), sets.sizes)
    rare = ~frequent[sets.tokens]
    own = np.bincount(which[rare], minlength=count)
    keep = rare | (own[which] == 0)
    sizes = np.bincount(which[keep], minlength=count)
    return _Sets(sets.tokens[keep], np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), sets.owner)


def _join(sets: _Sets, threshold: float) -> tuple[Ints, Ints, np.ndarray]:
    """All pairs of sets at or above the threshold, as (owner, owner, similarity), the smaller owner first."""
    found: list[tuple[Ints, Ints, np.ndarray]] = []
    seen = np.zeros(0, dtype=np.int64)
    signatures = _signatures(sets)
    count = max(len(sets.owner), 1)
    for first, second in _candidates(sets, threshold):
        first, second = _by_signature(sets, signatures, first, second, threshold)
        keys = np.setdiff1d(_unique(first * count + second), seen, assume_unique=True)
        for start in range(0, len(keys), _CHUNK // 10):
            part = keys[start : start + _CHUNK // 10]
            first, second = part // count, part % count
            similarity = _jaccard(sets, first, second)
            near = similarity >= threshold - 1e-12
            seen = np.union1d(seen, part[near])  # only found pairs can come again from another token and be doubled
            a, b = sets.owner[first[near]], sets.owner[second[near]]
            found.append((np.minimum(a, b), np.maximum(a, b), similarity[near]))
    if not found:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)
    return (
        np.concatenate([f[0] for f in found]),
        np.concatenate([f[1] for f in found]),
        np.concatenate([f[2] for f in found]),
    )


def _candidates(sets: _Sets, threshold: float) -> Iterator[tuple[Ints, Ints]]:
    """Pairs that share a token among their rarest ones and whose sizes allow the threshold.

    Sets of n tokens that reach the threshold t against another share at least ⌈t·n⌉ tokens with it, hence at least one of
    the n − ⌈t·n⌉ + 1 rarest: only those are looked up.
    """
    sizes = sets.sizes
    if not len(sets.tokens):
        return
    prefix = sizes - np.ceil(threshold * sizes - 1e-9).astype(np.int64) + 1
    which = np.repeat(np.arange(len(sizes)), sizes)
    position = np.arange(len(sets.tokens)) - np.repeat(sets.starts[:-1], sizes)
    chosen = position < prefix[which]
    token, which = sets.tokens[chosen], which[chosen]
    order = np.lexsort((which, sizes[which], token))
    token, which = token[order], which[order]
    # Within a token, postings ascend by size: the partners of one end where the size grows past size / threshold.
    width = int(sizes.max()) + 2
    largest = np.minimum(np.floor(sizes[which] / threshold + 1e-9).astype(np.int64), width - 1)
    end = np.searchsorted(token * width + sizes[which], token * width + largest, side="right")
    partners = end - np.arange(len(which)) - 1
    total = np.cumsum(partners)
    start = 0
    while start < len(which):
        before = total[start - 1] if start else 0
        stop = max(int(np.searchsorted(total, before + _CHUNK, side="right")), start + 1)
        count = partners[start:stop]
        left = np.repeat(np.arange(start, stop), count)
        right = left + 1 + np.arange(len(left)) - np.repeat(np.cumsum(count) - count, count)
        a, b = which[left], which[right]
        yield np.minimum(a, b), np.maximum(a, b)
        start = stop


def _signatures(sets: _Sets) -> np.ndarray:
    """Shape (n, 4), uint64: a bit for each token, several tokens on one bit."""
    bit = (sets.tokens.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(56)
    found = np.zeros((len(sets.owner), _SIGNATURE_WORDS), dtype=np.uint64)
    which = np.repeat(np.arange(len(sets.owner)), sets.sizes)
    np.bitwise_or.at(found, (which, (bit >> np.uint64(6)).astype(np.int64)), np.uint64(1) << (bit & np.uint64(63)))
    return found


def _by_signature(
    sets: _Sets, signatures: np.ndarray, first: Ints, second: Ints, threshold: float
) -> tuple[Ints, Ints]:
    """Drop pairs whose signatures differ in more bits than their sets may differ in tokens.

    J ≥ t means that the symmetric difference has at most (1 − t) / (1 + t) · (|A| + |B|) tokens, and each token flips one
    bit at most.
    """
    differ = np.zeros(len(first), dtype=np.int64)
    for word in range(_SIGNATURE_WORDS):
        differ += np.bitwise_count(signatures[first, word] ^ signatures[second, word])
    sizes = sets.sizes
    most = (1 - threshold) / (1 + threshold) * (sizes[first] + sizes[second])
    keep = differ <= most + 1e-9
    return first[keep], second[keep]


def _jaccard(sets: _Sets, first: Ints, second: Ints) -> np.ndarray:
    """The true similarity of each pair: the tokens of the first are looked up among those of the second."""
    sizes = sets.sizes
    width = int(sets.tokens.max()) + 1
    keys = np.repeat(np.arange(len(sizes)), sizes) * width + sets.tokens  # ascending
    similarity = np.empty(len(first))
    lengths = np.cumsum(sizes[first])
    start = 0
    while start < len(first):
        before = lengths[start - 1] if start else 0
        stop = max(int(np.searchsorted(lengths, before + _CHUNK, side="right")), start + 1)
        a, b = first[start:stop], second[start:stop]
        pair = np.repeat(np.arange(len(a)), sizes[a])
        within = np.arange(len(pair)) - np.repeat(np.cumsum(sizes[a]) - sizes[a], sizes[a])
        wanted = b[pair] * width + sets.tokens[sets.starts[a][pair] + within]
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        shared = np.bincount(pair[keys[place] == wanted], minlength=len(a))
        similarity[start:stop] = shared / (sizes[a] + sizes[b] - shared)
        start = stop
    return similarity
