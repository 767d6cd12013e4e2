"""Answers as a tree of tokens, so that what several answers share is computed once.

Token ids in, indices out. Who runs the tree through a model is in `forest`; what prompts share is in `prefixes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

ROOT = -1


@dataclass(frozen=True)
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

    @cached_property
    def forks(self) -> bool:
        """Whether the nodes are more than one line, so that a causal mask would show too much."""
        return self.parents != tuple(range(-1, len(self.parents) - 1))

    @cached_property
    def lineage(self) -> np.ndarray:
        """(nodes, nodes), True where the column's node is the row's node or one of its ancestors."""
        table = np.eye(len(self.tokens), dtype=bool)
        for node, parent in enumerate(self.parents):
            if parent != ROOT:
                table[node] |= table[parent]
        return table


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
