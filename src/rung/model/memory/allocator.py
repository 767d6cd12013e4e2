"""What the C library's allocator makes of a sequence of allocations: the bytes that a process holds, not those in use.

Tensors of a training step come and go in an order that leaves holes, which stay with the process: up to half of what is
in use. Nothing here knows what a block is for.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

Event = tuple[int, int]
"""A block (its number) and its bytes; 0 bytes give the block back."""

PAGE, PAD, HEADER, LEAST = 4096, 128 * 1024, 8, 32
LARGEST_THRESHOLD = 32 * 2**20
ALIGNMENT = 64
"""Of the blocks that torch asks for."""
SLIVER, TAKEN = 128, 3
"""Aligning leaves slivers of up to 96 bytes. Small objects of the running step take some of them, which parts the holes
to both sides: two of `TAKEN` fit best to what six trainings of Llama-like models held (91 M weights, LoRA and full)."""


class GnuHeap:
    """The main arena of glibc's malloc (2.26 to 2.37) as torch uses it: blocks by `posix_memalign`.

    A block goes into the smallest hole that has room for it and for its alignment, else to the top of the heap; where
    that has no room, blocks from a threshold on are mapped, for others the heap grows. Given back, a block merges with
    holes beside it; a mapped one is gone, and the threshold rises to its size (at most 32 MiB). The free top of the heap
    is returned where it exceeds twice the threshold. `peak` is the most bytes held.
    """

    def __init__(self) -> None:
        self.threshold, self.trim = PAD, PAD
        self.end = self.top = 2 * HEADER  # the heap ends at `end`; from `top` on it is free
        self.mapped = self.peak = 0
        self._maps: dict[int, int] = {}
        self._blocks: dict[int, tuple[int, int]] = {}  # number -> start, size
        self._holes: list[tuple[int, int]] = []  # (size, start), sorted
        self._starts: dict[int, int] = {}  # of holes: start -> size
        self._ends: dict[int, int] = {}  # of holes: end -> start
        self._slivers: list[tuple[int, int]] = []  # taken by small objects: start, size
        self._left = 0

    @property
    def held(self) -> int:
        """Bytes that the process holds now."""
        return self.end + self.mapped

    def run(self, events: Iterable[Event]) -> int:
        """Go through `events` and return the peak so far."""
        for block, size in events:
            if size:
                self.take(block, size)
            else:
                self.give(block)
        return self.peak

    def take(self, block: int, size: int) -> None:
        """Allocate `size` bytes as `block`."""
        size = max(LEAST, -(-(size + HEADER) // 16) * 16)
        need = size + ALIGNMENT + LEAST
        place = bisect_left(self._holes, (need, -1))
        if place < len(self._holes):
            room, start = self._holes[place]
            self._fill(room, start)
        elif self.end - self.top < need and need >= self.threshold:
            self._maps[block] = -(-need // PAGE) * PAGE
            self.mapped += self._maps[block]
            self.peak = max(self.peak, self.held)
            return
        else:
            if self.end - self.top < need:
                self.end += -(-(need + PAD - (self.end - self.top)) // PAGE) * PAGE
            room, start = need, self.top
            self.top += need
        self._place(block, start, room, size)
        self.peak = max(self.peak, self.held)

    def give(self, block: int) -> None:
        """Free `block`, if it is there."""
        if block in self._maps:
            size = self._maps.pop(block)
            self.mapped -= size
            if self.threshold < size <= LARGEST_THRESHOLD:
                self.threshold, self.trim = size, 2 * size
        elif block in self._blocks:
            self._free(*self._blocks.pop(block))

    def settle(self) -> None:
        """The small objects of a step are gone."""
        for start, size in self._slivers:
            self._free(start, size)
        self._slivers.clear()

    def _place(self, block: int, start: int, room: int, size: int) -> None:
        aligned = start + (-(start + 2 * HEADER)) % ALIGNMENT
        if 0 < aligned - start < LEAST:
            aligned += ALIGNMENT
        rest = room - (aligned - start) - size
        size += rest if rest < LEAST else 0
        self._blocks[block] = (aligned, size)
        if aligned > start:
            self._sliver(start, aligned - start)
        if rest >= LEAST:
            self._sliver(aligned + size, rest)

    def _sliver(self, start: int, size: int) -> None:
        if size <= SLIVER:
            self._left += 1
            if self._left % TAKEN:
                self._slivers.append((start, size))
                return
        self._free(start, size)

    def _free(self, start: int, size: int) -> None:
        before, after = self._ends.get(start), self._starts.get(start + size)
        if before is not None:
            self._fill(start - before, before)
            start, size = before, size + start - before
        if after is not None:
            self._fill(after, start + size)
            size += after
        if start + size == self.top:
            self.top = start
            if self.end - self.top >= self.trim:
                self.end = -(-(self.top + PAD) // PAGE) * PAGE
        else:
            insort(self._holes, (size, start))
            self._starts[start], self._ends[start + size] = size, start

    def _fill(self, size: int, start: int) -> None:
        del self._holes[bisect_left(self._holes, (size, start))]
        del self._starts[start], self._ends[start + size]
