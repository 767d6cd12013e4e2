"""Longest common subsequences of word numbers: their lengths for many pairs at once, and the places of one.

Bit-parallel (Hyyrö 2004): bit i of a row is 0 where the length grows at word i of one text; each word of the other costs
a few operations on the whole row. Rows of up to 64 words run side by side in NumPy, longer ones are Python integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

_BITS = 64


def common_lengths(ids: np.ndarray, starts: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Lengths of the longest common subsequences of texts `first[p]` and `second[p]`, shape (p,).

    Text t is `ids[starts[t] : starts[t + 1]]`, numbers from 0.
    """
    sizes = np.diff(starts)
    swap = sizes[first] < sizes[second]
    long, short = np.where(swap, second, first), np.where(swap, first, second)  # the shorter one makes the row
    lengths = np.zeros(first.size, dtype=np.int64)
    small = np.flatnonzero((sizes[short] <= _BITS) & (sizes[short] > 0))
    if small.size:
        lengths[small] = _side_by_side(ids, starts, long[small], short[small])
    for pair in np.flatnonzero(sizes[short] > _BITS):
        one, other = (ids[starts[t] : starts[t + 1]].tolist() for t in (long[pair], short[pair]))
        lengths[pair] = common_subsequence(one, other)
    return lengths


def _side_by_side(ids: np.ndarray, starts: np.ndarray, long: np.ndarray, short: np.ndarray) -> np.ndarray:
    """`common_lengths` where the shorter texts fit a machine word."""
    sizes, width = np.diff(starts), int(ids.max(initial=0)) + 1
    keys, masks = _places_of(ids, starts, np.unique(short), width)
    order = np.argsort(-sizes[long], kind="stable")  # pairs that are done lie at the end
    long, short = long[order], short[order]
    steps = sizes[long]
    full = (~np.uint64(0)) >> (_BITS - sizes[short]).astype(np.uint64)
    row = full.copy()
    base, offset = short * width, starts[long]
    alive = long.size
    for step in range(int(steps[0])):
        while steps[alive - 1] <= step:
            alive -= 1
        wanted = base[:alive] + ids[offset[:alive] + step]
        at = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
        found = np.where(keys[at] == wanted, masks[at], np.uint64(0))
        here = row[:alive]
        hits = here & found
        row[:alive] = (here + hits) | (here - hits)
    lengths = np.empty(long.size, dtype=np.int64)
    lengths[order] = sizes[short] - np.bitwise_count(row & full)
    return lengths


def _places_of(ids: np.ndarray, starts: np.ndarray, texts: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """For each word of each of `texts`, by the key text * width + word, sorted: the places where it stands, as bits."""
    sizes = np.diff(starts)[texts]
    place = np.arange(sizes.sum()) - np.repeat(sizes.cumsum() - sizes, sizes)
    keys = np.repeat(texts, sizes) * width + ids[np.repeat(starts[texts], sizes) + place]
    order = np.argsort(keys, kind="stable")
    keys, bits = keys[order], np.uint64(1) << place[order].astype(np.uint64)
    begin = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[begin], np.bitwise_or.reduceat(bits, begin)


def common_subsequence(first: Sequence[int], second: Sequence[int]) -> int:
    """Length of the longest common subsequence of two texts of any length."""
    return len(second) - _row(first, _places(second), len(second)).bit_count()


def common_places(line: Sequence[int], others: Sequence[Sequence[int]]) -> int:
    """Places in `line`, as bits, of a longest common subsequence with each of `others`: of several, that of `rouge_score`.

    That one walks back from the ends of both; where their last words differ, `line` gives way unless that costs length: a
    zero at bit i - 1 after j words says that word i of `line` adds to it. Words of the other that `line` has not change no
    row, so whole stretches of them are one step.
    """
    places, full, taken = _places(line), (1 << len(line)) - 1, 0
    for other in others:
        hits, row = [], full
        for j, bits in enumerate(map(places.get, other)):
            if bits:
                both = row & bits
                row = (row + both | row - both) & full
                hits.append((j, bits, row))
        below, behind = full, len(other)  # words of `line` that are left, as bits; the word that was looked at before
        for j, bits, row in reversed(hits):
            if behind > j + 1:
                below = (1 << (~row & below).bit_length()) - 1
            top = 1 << ((bits | ~row) & below).bit_length()  # the bit above the highest that is a match, or needed
            if found := bits & top >> 1:
                taken |= found
                top >>= 1
            below, behind = top - 1, j
            if not below:
                break
    return taken


def _places(words: Sequence[int]) -> dict[int, int]:
    places: dict[int, int] = {}
    for position, word in enumerate(words):
        places[word] = places.get(word, 0) | 1 << position
    return places


def _row(words: Sequence[int], places: Mapping[int, int], size: int) -> int:
    """The row behind the last word."""
    full = row = (1 << size) - 1
    for bits in filter(None, map(places.get, words)):
        both = row & bits
        row = (row + both | row - both) & full
    return row
