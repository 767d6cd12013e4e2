"""Horizontal bars made of parts, in shades of one colour, with a limit to hold them against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rung.page.axes import clipped, text_width
from rung.page.marks import drawing, rule, text
from rung.page.markup import Html, Part, tag

_STEP, _TOP, _LEGEND = 26.0, 6.0, 28.0


def stacked(
    rows: Sequence[tuple[str, Mapping[str, float]]],
    *,
    title: str,
    write: Callable[[float], str],
    limit: tuple[float, str] | None = None,
    width: float = 1020.0,
) -> Html:
    """A bar a row from 0; every row has the same parts, in the same order. `limit` is a value and its words."""
    names = list(rows[0][1])
    shades = {name: round(1.0 - 0.82 * n / max(1, len(names) - 1), 2) for n, name in enumerate(names)}
    wide = min(0.36 * width, max(text_width(name, 13) for name, _ in rows) + 6)
    said = max(text_width(write(sum(parts.values())), 13) for _, parts in rows) + 8
    longest = max([sum(parts.values()) for _, parts in rows] + ([limit[0]] if limit and _near(limit[0], rows) else []))
    scale = (width - wide - said - 24) / (longest or 1.0)
    drawn: list[Part] = list(_legend(shades, wide + 12))
    for n, (name, parts) in enumerate(rows):
        drawn.append(_bar(name, parts, shades, _LEGEND + _TOP + n * _STEP, wide, scale, write))
    bottom = _LEGEND + _TOP * 2 + _STEP * len(rows)
    if limit and _near(limit[0], rows):
        x = wide + 12 + limit[0] * scale
        drawn += [rule(x, _LEGEND, x, bottom, "goal"), text(x - 5, bottom + 14, limit[1], "tiny", "end")]
    told = "; ".join(f"{name}: {write(sum(parts.values()))}" for name, parts in rows)
    return drawing(width, bottom + 20, title, *drawn, about=told)


def _near(value: float, rows: Sequence[tuple[str, Mapping[str, float]]]) -> bool:
    """Whether the limit can be shown without squeezing the bars to nothing."""
    return value <= 3 * max(sum(parts.values()) for _, parts in rows)


def _legend(shades: Mapping[str, float], x: float) -> list[Html]:
    found = []
    for name, shade in shades.items():
        found.append(tag("rect", x=x, y=6, width=11, height=11, rx=2, class_="heat", fill_opacity=shade))
        found.append(text(x + 16, 16, name, "tiny"))
        x += 34 + text_width(name, 11)
    return found


def _bar(
    name: str, parts: Mapping[str, float], shades: Mapping[str, float], y: float, wide: float, scale: float,
    write: Callable[[float], str],
) -> Html:  # fmt: skip
    x = wide + 12
    drawn: list[Part] = [text(wide, y + 15, clipped(name, wide, 13), "mid", "end")]
    for part, value in parts.items():
        length = max(0.0, value) * scale
        if length > 0.2:
            tip = tag("title", f"{name}, {part}: {write(value)}")
            box = tag("rect", tip, x=x, y=y + 4, width=length, height=15, class_="heat", fill_opacity=shades[part])
            drawn.append(box)
        x += length
    drawn.append(text(x + 8, y + 15, write(sum(parts.values()))))
    return tag("g", *drawn)
