"""Values with their intervals, one under another on a common scale: scores of systems, differences of pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rung.page.axes import Linear, clipped, text_width
from rung.page.marks import drawing, rule, text
from rung.page.markup import Html, Part, tag
from rung.page.plots import value_range

_STEP, _TOP, _FOOT = 34.0, 8.0, 26.0
BOLD = 1.12
"""How much wider names are for being bold."""


@dataclass(frozen=True)
class Interval:
    """One line of the plot: its name, value, interval (none where there is none), and the value in words. `class_`
    chooses the colour."""

    name: str
    value: float
    low: float | None
    high: float | None
    words: str
    class_: str = "data"


def intervals(
    rows: Sequence[Interval],
    *,
    title: str,
    write: Callable[[float], str],
    ends: tuple[float, float],
    zero: float | None = None,
    width: float = 1020.0,
) -> Html:
    """The plot; `ends` bound the scale, `zero` is a line to hold the intervals against."""
    numbers = [n for row in rows for n in (row.value, row.low, row.high, zero) if n is not None]
    low, high = value_range(numbers, ends)
    names = min(0.32 * width, BOLD * max(text_width(row.name, 13) for row in rows) + 8)
    said = max(text_width(row.words, 13) for row in rows) + 8
    bottom = _TOP + _STEP * len(rows)
    across = Linear(low, high, names + 20, width - said - 20)
    parts: list[Part] = []
    for value in across.ticks(6):
        x = across(value)
        parts += [rule(x, _TOP, x, bottom, "gridline"), text(x, bottom + 17, write(value), "tiny", "middle")]
    if zero is not None:
        parts.append(rule(across(zero), _TOP, across(zero), bottom, "goal"))
    parts += [_line(row, _TOP + _STEP * (n + 0.5), across, names, width) for n, row in enumerate(rows)]
    told = "; ".join(f"{row.name}: {row.words}" for row in rows)
    return drawing(width, bottom + _FOOT, title, *parts, about=told)


def _line(row: Interval, y: float, across: Linear, names: float, width: float) -> Html:
    parts: list[Part] = [tag("title", f"{row.name}: {row.words}")]
    parts.append(text(names, y + 4.5, clipped(row.name, names / BOLD, 13), "strong", "end"))
    if row.low is not None and row.high is not None:
        parts.append(rule(across(row.low), y, across(row.high), y, "interval"))
    parts.append(tag("circle", cx=across(row.value), cy=y, r=5, class_="dot"))
    parts.append(text(width - 4, y + 4.5, row.words, "mid", "end"))
    return tag("g", *parts, class_=row.class_)
