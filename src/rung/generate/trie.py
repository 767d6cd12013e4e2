"""Answers as a tree of tokens, so that what several answers share is computed once.

Pure Python and NumPy-free: token ids in, indices out. Who runs the tree through a model is in `forest`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

ROOT = -1


@dataclass(frozen=True, slots=True)
class Trie:
    """The proper prefixes of a set of answers.

    Node i holds `tokens[i]`, hangs on `parents[i]` (ROOT: the context) and stands at `depths[i]` (0 for the first token
    of an answer). `paths[a]` lists, for every token of answer a, the node that predicts it (ROOT for the first) and the
    token. Leaves are only predicted, never read, so they are no nodes.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    depths: tuple[int, ...]
    paths: tuple[tuple[tuple[int, int], ...], ...]

    def ancestors(self, node: int) -> list[int]:
        """The nodes from `node` up to the first token, itself included."""
        line = []
        while node != ROOT:
            line.append(node)
            node = self.parents[node]
        return line


def build(answers: Sequence[Sequence[int]]) -> Trie:
    """The tree of `answers`, each a non-empty list of token ids."""
    return _build(tuple(tuple(answer) for answer in answers))


@lru_cache(maxsize=256)
def _build(answers: tuple[tuple[int, ...], ...]) -> Trie:
    known: dict[tuple[int, int], int] = {}
    tokens: list[int] = []
    parents: list[int] = []
    depths: list[int] = []
    paths: list[tuple[tuple[int, int], ...]] = []
    for answer in answers:
        node, path = ROOT, []
        for position, token in enumerate(answer):
            path.append((node, token))
            if position == len(answer) - 1:
                break
            if (node, token) not in known:
                known[node, token] = len(tokens)
                tokens.append(token)
                parents.append(node)
                depths.append(position)
            node = known[node, token]
        paths.append(tuple(path))
    return Trie(tuple(tokens), tuple(parents), tuple(depths), tuple(paths))


def common_prefix(sequences: Sequence[Sequence[int]]) -> int:
    """How many first tokens all sequences share."""
    if not sequences:
        return 0
    low, high = min(map(tuple, sequences)), max(map(tuple, sequences))
    for position, (a, b) in enumerate(zip(low, high)):
        if a != b:
            return position
    return min(len(low), len(high))
