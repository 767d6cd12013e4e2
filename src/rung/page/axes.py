"""Scales, ticks and the placing of labels: where things go on a plot, in pixels. Drawing is in `plots` and `marks`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_NARROW, _WIDE = frozenset("iljtfr.,:;|!'()[]{} -/"), frozenset("mwMWABCDGHKNOQRUVXYZ@%&→")


def text_width(text: str, size: float = 12) -> float:
    """About how wide a text is in a system font, in pixels; a little more rather than less."""
    widths = (0.33 if c in _NARROW else 0.74 if c in _WIDE else 0.58 if ord(c) < 0x2E80 else 1.02 for c in text)
    return size * sum(widths)


def clipped(text: str, width: float, size: float = 12) -> str:
    """The text on one line, shortened with … where it is wider than `width` pixels."""
    text = " ".join(text.split())
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


@dataclass(frozen=True)
class Linear:
    """From `low`..`high` to pixels `start`..`end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Round numbers inside the scale, some `about` of them."""
        span = self.high - self.low
        if span <= 0:
            return [self.low]
        rough = span / max(1, about)
        power = 10.0 ** math.floor(math.log10(rough))
        step = min((power * nice for nice in (1, 2, 2.5, 5, 10)), key=lambda size: abs(math.log(size / rough)))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(n * step, 12) for n in range(first, last + 1)]


@dataclass(frozen=True)
class Logarithmic:
    """From positive `low`..`high` to pixels, by powers of ten. What costs nothing stands at `zero`, left of them."""

    low: float
    high: float
    start: float
    end: float
    zero: float = 0.0

    def __call__(self, value: float) -> float:
        if value <= 0:
            return self.zero
        span = math.log10(self.high) - math.log10(self.low)
        share = (math.log10(value) - math.log10(self.low)) / span if span else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self, about: int = 7) -> list[float]:
        """Powers of ten inside the scale; with 2 and 5 times them where there are few."""
        low, high = math.log10(self.low), math.log10(self.high)
        powers = range(math.floor(low), math.ceil(high) + 1)
        inside = [10.0**n for n in powers if low - 1e-9 <= n <= high + 1e-9]
        if len(inside) < 3:
            finer = [nice * 10.0**n for n in powers for nice in (1, 2, 5)]
            return [value for value in finer if self.low * 0.999 <= value <= self.high * 1.001]
        every = math.ceil(len(inside) / about)
        return inside[::every]


@dataclass(frozen=True)
class Box:
    """A rectangle on the plot."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """The area both cover."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, across) * max(0.0, down)

    def outside(self, frame: Box) -> float:
        """By how many pixels it leaves a frame."""
        sides = (frame.left - self.left, self.right - frame.right, frame.top - self.top, self.bottom - frame.bottom)
        return sum(max(0.0, side) for side in sides)


@dataclass(frozen=True)
class Label:
    """A text to be placed near (x, y); `size` in pixels, `lines` of it."""

    x: float
    y: float
    lines: tuple[str, ...]
    size: float = 12.5
    reach: float = 9.0

    @property
    def width(self) -> float:
        """Of its widest line."""
        return max(text_width(line, self.size) for line in self.lines)

    @property
    def height(self) -> float:
        """Of all its lines."""
        return len(self.lines) * self.size * 1.22


@dataclass(frozen=True)
class Placed:
    """Where a label went: its box, how its text is anchored, and whether a line must lead to its point."""

    box: Box
    anchor: str
    led: bool

    def leader(self, x: float, y: float) -> tuple[float, float]:
        """Where a line from the point (x, y) meets the box."""
        box = self.box
        side = box.bottom if box.bottom < y else box.top if box.top > y else (box.top + box.bottom) / 2
        return max(box.left, min(x, box.right)), side


def place_labels(labels: Sequence[Label], obstacles: Sequence[Box], frame: Box) -> list[Placed]:
    """A place for each label, in order: beside its point if free, else further away, never onto another if avoidable.

    Greedy over a fixed list of candidates; the one that covers least of what is drawn already wins, the first of
    equals. The same input gives the same places.
    """
    taken = list(obstacles)
    placed: list[Placed] = []
    for label in labels:
        best = min(_candidates(label), key=lambda candidate: _price(candidate, label, taken, frame))
        taken.append(best.box)
        placed.append(best)
    return placed


def _price(candidate: Placed, label: Label, taken: Sequence[Box], frame: Box) -> float:
    """What a place costs: covering something, leaving the frame, standing far off, a leader that crosses something."""
    box = candidate.box
    middle = ((box.left + box.right) / 2, (box.top + box.bottom) / 2)
    distance = math.hypot(middle[0] - label.x, middle[1] - label.y)
    covered = sum(30 + 10 * area for area in (box.overlap(other) for other in taken) if area > 0)
    price = covered + 200 * box.outside(frame) + distance
    if candidate.led:
        end = candidate.leader(label.x, label.y)
        near = (label.x, label.y)
        price += 60 + 40 * sum(_crosses(near, end, other) for other in taken if not _inside(near, other))
    return price


def _inside(spot: tuple[float, float], box: Box) -> bool:
    return box.left <= spot[0] <= box.right and box.top <= spot[1] <= box.bottom


def _crosses(start: tuple[float, float], end: tuple[float, float], box: Box) -> bool:
    """Whether a line crosses a box: looked at every few pixels, which is enough for boxes of text and marks."""
    steps = max(2, int(math.dist(start, end) / 4))
    spots = (
        (start[0] + (end[0] - start[0]) * n / steps, start[1] + (end[1] - start[1]) * n / steps)
        for n in range(1, steps)
    )
    return any(_inside(spot, box) for spot in spots)


def _candidates(label: Label) -> list[Placed]:
    width, height, reach = label.width, label.height, label.reach
    made = []
    for shift in (0.0, -0.7, 0.7, -1.4, 1.4, -2.1, 2.1, -3.0, 3.0, -4.0, 4.0):
        top = label.y - height / 2 + shift * height
        led = abs(shift) > 1.0
        right, left = label.x + reach, label.x - reach - width
        made.append(Placed(Box(right, top, right + width, top + height), "start", led))
        made.append(Placed(Box(left, top, left + width, top + height), "end", led))
    for shift in (1.3, 2.1, 3.0, 4.2):
        for down in (-1, 1):
            for right in (True, False):
                left = label.x + 2.2 * reach if right else label.x - 2.2 * reach - width
                top = label.y + down * (reach + shift * height / 2) - height / 2
                made.append(Placed(Box(left, top, left + width, top + height), "start" if right else "end", True))
    for shift in (0.9, 1.6, 2.4, 3.4):
        for side in (-1, 1):
            middle = label.y + side * (reach + shift * height)
            box = Box(label.x - width / 2, middle - height / 2, label.x + width / 2, middle + height / 2)
            made.append(Placed(box, "middle", shift > 1.0))
    return made
