"""Several curves on one drawing, each named at its end: losses of trainings side by side, the best score so far.

One curve alone is `plots.curve`. What the values mean is for the caller to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rung.page.axes import Box, Linear, clipped, text_width
from rung.page.marks import drawing, rule, text
from rung.page.markup import Html, Part, tag
from rung.page.plots import Write

COLOURS = ("data", "meets", "misses", "unclear", "quiet")
DASHES = (None, "6 4", "1.5 4")  # hues come again with other dashes, so no two are told apart by hue alone


@dataclass(frozen=True)
class Series:
    """One curve: its name and its (x, value) points, x rising. `note` is a second word beside the name."""

    name: str
    points: tuple[tuple[float, float], ...]
    note: str = ""


def curves(
    series: Sequence[Series],
    *,
    title: str,
    across_words: str,
    write_value: Write,
    write_step: Write,
    most: float | None = None,
    size: tuple[float, float] = (1020.0, 400.0),
) -> Html:
    """All of `series` over one scale. Values above `most` are drawn at the upper edge, so that one that broke hides none."""
    width, height = size
    drawn = [one for one in series if one.points]
    values = [min(value, most) if most is not None else value for one in drawn for _, value in one.points]
    steps = [step for one in drawn for step, _ in one.points]
    room = 0.06 * (max(values) - min(values)) or abs(0.1 * values[0]) or 0.1
    low, high = min(values) - room, max(values) + room
    words = [f"{one.name} {one.note}".strip() for one in drawn]
    names = min(230.0, max(text_width(said, 12) for said in words) + 14)
    frame = Box(max(text_width(write_value(v), 11) for v in (low, high)) + 14, 12, width - names - 8, height - 42)
    up = Linear(low, high, frame.bottom, frame.top)
    across = Linear(min(steps), max(steps), frame.left + 4, frame.right - 4)
    parts: list[Part] = [*_grid(up, across, frame, write_value, write_step)]
    parts.append(text(frame.right, height - 6, across_words, "tiny", "end"))
    ends = _apart([up(min(one.points[-1][1], high - room)) for one in drawn], frame)
    for number, (one, said, end) in enumerate(zip(drawn, words, ends, strict=True)):
        parts.append(_curve(one, number, said, end, across, up, high - room, names))
    told = "; ".join(
        f"{one.name}: {write_value(one.points[-1][1])} at {write_step(one.points[-1][0])}" for one in drawn
    )
    return drawing(width, height, title, *parts, about=told)


def _grid(up: Linear, across: Linear, frame: Box, write_value: Write, write_step: Write) -> list[Part]:
    parts: list[Part] = []
    for value in up.ticks(5):
        y = up(value)
        parts += [
            rule(frame.left, y, frame.right, y, "gridline"),
            text(frame.left - 8, y + 4, write_value(value), "tiny", "end"),
        ]
    parts += [text(across(step), frame.bottom + 17, write_step(step), "tiny", "middle") for step in across.ticks(7)]
    return [*parts, rule(frame.left, frame.bottom, frame.right, frame.bottom, "axis")]


def _curve(
    one: Series, number: int, said: str, end: float, across: Linear, up: Linear, most: float, names: float
) -> Html:
    spots = [(across(step), up(min(value, most))) for step, value in one.points]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in spots)
    x, y = spots[-1]
    right = across.end + 12
    parts: list[Part] = [
        tag("title", said),
        tag("path", d=path, class_="stroke", stroke_dasharray=DASHES[number // len(COLOURS) % len(DASHES)]),
        tag("circle", cx=x, cy=y, r=2.6, class_="dot"),
        rule(x + 4, y, right - 3, end, "leader") if abs(y - end) > 3 or right - x > 20 else None,
        tag("text", clipped(said, names - 14), x=right, y=end + 4, class_="over own"),
    ]
    return tag("g", *parts, class_=COLOURS[number % len(COLOURS)])


def _apart(heights: Sequence[float], frame: Box, step: float = 14.5) -> list[float]:
    """Heights for labels, each as near to its own as can be, and none on another."""
    order = sorted(range(len(heights)), key=lambda place: heights[place])
    placed = [0.0] * len(heights)
    last = frame.top - step + 6
    for place in order:
        last = placed[place] = max(heights[place], last + step)
    over = max(0.0, last - frame.bottom)
    for place in reversed(order):  # what ran over the lower edge is pushed up again, and pushes what is above it
        if not over:
            break
        limit = min((placed[other] - step for other in order[order.index(place) + 1 :]), default=frame.bottom)
        placed[place] = min(placed[place], limit)
    return placed
