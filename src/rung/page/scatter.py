"""Points over a setting, and settings side by side: how the scores of many trials hang together with what was tried.

A setting is a number (evenly or by its logarithm) or one of some words. What the values mean is for the caller to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rung.page.axes import Box, Linear, Logarithmic, clipped, text_width
from rung.page.marks import drawing, rule, text
from rung.page.markup import Html, Part, tag
from rung.page.plots import Write


@dataclass(frozen=True)
class Axis:
    """A setting: `names` where it is one of these, else the numbers from `low` to `high`."""

    name: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    names: tuple[str, ...] = ()

    def place(self, start: float, end: float) -> Linear | Logarithmic:
        """From values (numbers of names, from 0) to pixels."""
        if self.names:
            edge = (end - start) / (2 * len(self.names))
            return Linear(0, len(self.names) - 1, start + edge, end - edge)
        return Logarithmic(self.low, self.high, start, end) if self.log else Linear(self.low, self.high, start, end)

    def ticks(self, about: int = 4) -> list[tuple[float, str]]:
        """Values with what stands beside them."""
        if self.names:
            return [(float(number), name) for number, name in enumerate(self.names)]
        return [(value, f"{value:g}") for value in self.place(0, 1).ticks(about)]


@dataclass(frozen=True)
class Spot:
    """One trial: its values on the axes, its score, what is said when it is pointed at; `best` stands out."""

    values: tuple[float, ...]
    score: float
    said: str
    best: bool = False


def scatter(
    axis: Axis, number: int, spots: Sequence[Spot], *, write_value: Write, size: tuple[float, float] = (340.0, 190.0)
) -> Html:
    """The scores of `spots` over their value `number`, which is that of `axis`."""
    width, height = size
    scores = [spot.score for spot in spots]
    room = 0.1 * (max(scores) - min(scores)) or 0.05
    wide = max(text_width(write_value(value), 11) for value in (min(scores), max(scores)))
    frame = Box(wide + 16, 10, width - 12, height - 28)
    up, across = (
        Linear(min(scores) - room, max(scores) + room, frame.bottom, frame.top),
        axis.place(frame.left + 6, frame.right - 6),
    )
    parts: list[Part] = []
    for value in up.ticks(3):
        parts += [
            rule(frame.left, up(value), frame.right, up(value), "gridline"),
            text(frame.left - 7, up(value) + 4, write_value(value), "tiny", "end"),
        ]
    for value, words in axis.ticks():
        parts.append(text(across(value), height - 10, clipped(words, 80, 11), "tiny", "middle"))
    parts += [_dot(across(spot.values[number]), up(spot.score), spot) for spot in sorted(spots, key=lambda s: s.best)]
    return drawing(width, height, f"Score over {axis.name}", *parts)


def _dot(x: float, y: float, spot: Spot) -> Html:
    ring = tag("circle", cx=x, cy=y, r=7, class_="halo") if spot.best else None
    return tag(
        "g", tag("title", spot.said), tag("circle", cx=x, cy=y, r=3.4, class_="dot", fill_opacity=1 if spot.best else 0.6),
        ring, class_="meets" if spot.best else "data",
    )  # fmt: skip


def parallel(
    axes: Sequence[Axis], spots: Sequence[Spot], *, score: Axis, size: tuple[float, float] = (1020.0, 300.0)
) -> Html:
    """Every trial as a line across all its settings to its score: the better it scored, the darker."""
    width, height = size
    whole = [*axes, score]
    gap = (width - 160) / max(1, len(whole) - 1)
    top, bottom = 34.0, height - 14
    places = [axis.place(bottom, top) for axis in whole]
    scores = [spot.score for spot in spots]
    spread = max(scores) - min(scores) or 1.0
    parts: list[Part] = []
    for spot in sorted(spots, key=lambda one: (one.best, one.score)):
        line = "L".join(
            f"{80 + n * gap:.1f} {place(value):.1f}" for n, (place, value) in enumerate(zip(places, (*spot.values, spot.score), strict=True))
        )  # fmt: skip
        strength = 1.0 if spot.best else 0.15 + 0.6 * (spot.score - min(scores)) / spread
        path = tag("path", d="M" + line, class_="stroke", stroke_opacity=round(strength, 2))
        parts.append(tag("g", tag("title", spot.said), path, class_="meets" if spot.best else "data"))
    for n, axis in enumerate(whole):
        x = 80 + n * gap
        parts += [rule(x, top, x, bottom, "axis"), text(x, 16, clipped(axis.name, gap - 8), "strong", "middle")]
        parts += [
            text(x - 7, places[n](value) + 4, clipped(words, 70, 11), "tiny over", "end")
            for value, words in axis.ticks(4)
        ]
    return drawing(width, height, "Trials across all settings", *parts)
