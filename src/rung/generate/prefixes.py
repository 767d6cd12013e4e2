"""What prompts begin with in common: which prompts to compute behind which prefix, and the tree that keeps them.

`groups` finds shared beginnings among token ids; `Prefixes` keeps their keys and values within a bound of memory, the
least recently used leaf dropped first. How keys and values are computed is `forest`'s matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise

import torch

from rung.model.virtual import Layer

WORTH_SHARING = 8  # tokens: a shorter common prefix costs more in bookkeeping than it saves
WORTH_A_PASS = 96  # tokens saved: below it a group's own passes cost more than computing its prefix with every row
DEEPEST = 48  # levels of prefixes within prefixes
KEPT_BYTES = 512 * 2**20  # keys and values that stay for later calls, unless told otherwise


@dataclass(frozen=True)
class Prefix:
    """Keys and values of tokens that rows begin with: a pair (1, heads, length, width) a layer.

    `length` counts the virtual tokens of a soft prompt too; `skip` counts the tokens of the contexts only.
    """

    layers: tuple[Layer, ...] = ()
    length: int = 0
    skip: int = 0
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of a call whose first `length` tokens are the same."""

    length: int
    rows: tuple[int, ...]


def groups(contexts: Sequence[Sequence[int]], peers: Sequence[Sequence[int]] = ()) -> list[Group]:
    """The rows of `contexts` by the prefix that is worth computing once for them, neighbours in the tree side by side.

    Each row stands in one group; its last token is never part of a prefix. `peers` are contexts of calls before, which
    make a shared beginning worth its pass too.
    """
    every = [tuple(context[:-1]) for context in contexts] + [tuple(peer) for peer in peers]
    order = sorted(range(len(every)), key=lambda row: every[row])
    shared = [shared_length(every[a], every[b]) for a, b in pairwise(order)]
    found: list[Group] = []

    def split(start: int, end: int, above: int, depth: int) -> list[int]:
        """Make groups of order[start:end]; give back the rows that are left to the prefix of length `above`."""
        if end - start == 1 or depth == DEEPEST:
            return order[start:end]
        low = min(shared[start : end - 1])
        worth = low - above >= WORTH_SHARING and (low - above) * (end - start - 1) >= WORTH_A_PASS
        stay: list[int] = []
        for first, last in _runs(shared, start, end, low):
            stay += split(first, last, low if worth else above, depth + 1)
        if not worth:
            return stay
        if rows := tuple(row for row in stay if row < len(contexts)):
            found.append(Group(low, rows))
        return []

    rest = tuple(row for row in (split(0, len(order), 0, 0) if order else []) if row < len(contexts))
    return ([Group(0, rest)] if rest else []) + sorted(found, key=lambda group: every[group.rows[0]][: group.length])


def _runs(shared: Sequence[int], start: int, end: int, low: int) -> Iterator[tuple[int, int]]:
    """The stretches of [start, end) within which neighbours share more than `low`."""
    first = start
    for at in range(start, end - 1):
        if shared[at] <= low:
            yield first, at + 1
            first = at + 1
    yield first, end


def shared_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many first tokens two sequences share."""
    for position, (a, b) in enumerate(zip(first, second)):
        if a != b:
            return position
    return min(len(first), len(second))


def common_prefix(sequences: Sequence[Sequence[int]]) -> int:
    """How many first tokens all sequences share."""
    if not sequences:
        return 0
    # The first and the last in order differ as early as any two do.
    return shared_length(min(map(tuple, sequences)), max(map(tuple, sequences)))


@dataclass(eq=False)
class Node:
    """A stretch of tokens behind its parent's, with its own keys and values only."""

    ids: tuple[int, ...]
    layers: tuple[Layer, ...]
    parent: Node | None = None
    children: dict[int, Node] = field(default_factory=dict)
    used: int = 0

    @property
    def bytes(self) -> int:
        """Memory of the keys and values."""
        return sum(part.numel() * part.element_size() for layer in self.layers for part in layer)


class Prefixes:
    """A tree of key–value caches, one root a variant of the base.

    `start(variant)` computes what stands before every context (a soft prompt's virtual tokens); `extend(prefix, ids)`
    the keys and values of further tokens. `limit` bounds the bytes kept.
    """

    def __init__(
        self,
        start: Callable[[str], Prefix],
        extend: Callable[[Prefix, Sequence[int]], Prefix],
        limit: int = KEPT_BYTES,
    ) -> None:
        self._start, self._extend = start, extend
        self.limit = limit
        self.bytes = 0
        self._roots: dict[str, tuple[Prefix, Node]] = {}
        self._clock = count(1)

    def get(self, ids: Sequence[int], variant: str = "") -> Prefix:
        """The prefix of `ids`: what the tree holds of it is taken, the rest computed and kept."""
        if variant not in self._roots:
            self._roots[variant] = (self._start(variant), Node((), ()))
        first, root = self._roots[variant]
        if not len(ids):
            return first
        path, known = self._walk(root, tuple(ids))
        prefix = _joined([first.layers, *(node.layers for node in path)], first, known)
        if known == len(ids):
            return prefix
        whole = self._extend(prefix, ids[known:])
        own = tuple(
            (keys[:, :, prefix.length :].clone(), values[:, :, prefix.length :].clone())
            for keys, values in whole.layers
        )
        above = path[-1] if path else root
        node = Node(tuple(ids[known:]), own, above, used=next(self._clock))
        above.children[node.ids[0]] = node
        self.bytes += node.bytes
        self._evict()
        return whole

    def forget(self, variant: str) -> None:
        """Drop what is kept for a variant."""
        if variant in self._roots:
            _, root = self._roots.pop(variant)
            self.bytes -= sum(node.bytes for node in _below(root))

    def _walk(self, root: Node, ids: tuple[int, ...]) -> tuple[list[Node], int]:
        """The nodes that spell the beginning of `ids`, and how many tokens they are; a node met half way is split."""
        path: list[Node] = []
        at, node = 0, root
        while at < len(ids) and ids[at] in node.children:
            child = node.children[ids[at]]
            length = shared_length(child.ids, ids[at:])
            if length < len(child.ids):
                child = self._split(child, length)
            child.used = next(self._clock)
            path.append(child)
            at, node = at + length, child
        return path, at

    def _split(self, node: Node, length: int) -> Node:
        """Put the first `length` tokens of a node above it, as a node of their own."""

        def part(where: slice) -> tuple[Layer, ...]:
            # Copies: a view would keep the whole in memory after the other half has been dropped.
            return tuple((keys[:, :, where].clone(), values[:, :, where].clone()) for keys, values in node.layers)

        assert node.parent is not None
        upper = Node(node.ids[:length], part(slice(0, length)), node.parent)
        upper.children[node.ids[length]] = node
        node.parent.children[node.ids[0]] = upper
        node.layers, node.ids, node.parent = part(slice(length, None)), node.ids[length:], upper
        return upper

    def _evict(self) -> None:
        while self.bytes > self.limit:
            leaves = [node for _, root in self._roots.values() for node in _below(root) if not node.children]
            oldest = min(leaves, key=lambda node: node.used)
            assert oldest.parent is not None
            del oldest.parent.children[oldest.ids[0]]
            self.bytes -= oldest.bytes


def _joined(parts: Sequence[tuple[Layer, ...]], first: Prefix, known: int) -> Prefix:
    """The stretches of a path as one prefix."""
    full = [layers for layers in parts if layers]
    if not full:
        return Prefix(variant=first.variant)
    layers = full[0]
    if len(full) > 1:
        layers = tuple(
            (torch.cat([keys for keys, _ in stack], 2), torch.cat([values for _, values in stack], 2))
            for stack in zip(*full)
        )
    return Prefix(layers, first.length + known, known, first.variant)


def _below(node: Node) -> Iterator[Node]:
    for child in node.children.values():
        yield child
        yield from _below(child)
