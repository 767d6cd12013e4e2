"""Whole plots in SVG: points with intervals against cost, curves over steps, a heat map.

A plot is given values and words, and draws; what they mean is for the caller to say. Colours come from the style sheet,
so a plot follows the reader's light or dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rung.page.axes import Box, Label, Linear, Logarithmic, Placed, clipped, place_labels, text_width
from rung.page.marks import drawing, rule, shape, text
from rung.page.markup import Html, Part, tag

Write = Callable[[float], str]


@dataclass(frozen=True)
class Point:
    """One thing at (cost, value) with its interval. `state` chooses the mark, `class_` the colour; `note` is a second
    line under its name; `test` is (value, lower bound) of a second, hollow mark beside it."""

    name: str
    cost: float
    value: float
    low: float | None = None
    high: float | None = None
    state: str = ""
    class_: str = "data"
    note: str = ""
    chosen: bool = False
    test: tuple[float, float] | None = None


@dataclass(frozen=True)
class Line:
    """A horizontal line across a plot: a goal, a floor. One that is not `needed` is only pointed at where showing it
    would squeeze everything else."""

    value: float
    words: str
    class_: str
    needed: bool = True


def value_range(values: Sequence[float], ends: tuple[float, float], pad: float = 0.08) -> tuple[float, float]:
    """A range that shows all values with some room, and never leaves the scale by more than a hair."""
    low, high = min(values), max(values)
    room = pad * (high - low) or 0.05 * (ends[1] - ends[0])
    slack = 0.02 * (high - low)
    return max(low - room, ends[0] - slack), min(high + room, ends[1] + slack)


# -- points with intervals against cost --------------------------------------------------------------------------------


def against_cost(
    points: Sequence[Point],
    lines: Sequence[Line],
    *,
    title: str,
    cost_words: str,
    write_cost: Write,
    write_value: Write,
    ends: tuple[float, float] = (0.0, 1.0),
    size: tuple[float, float] = (1020.0, 420.0),
) -> Html:
    """Points over a logarithmic cost with direct labels. What costs nothing stands apart at the left."""
    width, height = size
    values = [
        number
        for point in points
        for number in (point.value, point.low, point.high, *(point.test or ()))
        if number is not None
    ]
    values += [line.value for line in lines if line.needed]
    far = 0.7 * (max(values) - min(values)) or 0.2 * (ends[1] - ends[0])
    near = [line for line in lines if min(values) - far <= line.value <= max(values) + far]
    low, high = value_range([*values, *(line.value for line in near)], ends)
    frame = Box(62 if width > 500 else 46, 14, width - 18, height - 46)
    up = Linear(low, high, frame.bottom, frame.top)
    across = _cost_scale([point.cost for point in points], frame)
    taken = _marked(points, across, up)
    sides = _sides(near, taken, up, frame)
    taken += [
        box
        for line, side in zip(near, sides)
        for box in (side.box, Box(frame.left, up(line.value) - 1, frame.right, up(line.value) + 1))
    ]
    placed = _placed(points, taken, across, up, frame, width)
    drawn: list[Part] = [
        _grid(across, up, frame, write_cost, write_value, any(point.cost <= 0 for point in points)),
        text(frame.right, height - 6, cost_words, anchor="end"),
        [_level(line, side, up, frame) for line, side in zip(near, sides)],
        [_beyond(line, frame, low) for line in lines if line not in near],
        _staircase(points, across, up, frame),
        [_point(point, across(point.cost), up) for point in points],
        [_label(point, across(point.cost), up, where, width) for point, where in zip(points, placed)],
    ]
    told = "; ".join(f"{p.name}: {write_value(p.value)} at {write_cost(p.cost)}" for p in points)
    return drawing(width, height, title, *drawn, about=told)


def _cost_scale(costs: Sequence[float], frame: Box) -> Logarithmic:
    positive = [cost for cost in costs if cost > 0] or [1.0]
    low, high = math.log10(min(positive)), math.log10(max(positive))
    pad = max(0.09 * (high - low), 0.25)
    gap = 58.0 if any(cost <= 0 for cost in costs) else 0.0
    return Logarithmic(10 ** (low - pad), 10 ** (high + pad), frame.left + gap, frame.right, frame.left + 26)


def _grid(across: Logarithmic, up: Linear, frame: Box, write_cost: Write, write_value: Write, free: bool) -> list[Part]:
    parts: list[Part] = []
    for value in up.ticks(5 if frame.bottom - frame.top > 200 else 3):
        y = up(value)
        parts += [
            rule(frame.left, y, frame.right, y, "gridline"),
            text(frame.left - 9, y + 4, write_value(value), "tiny", "end"),
        ]
    room = (frame.right - across.start) / 62
    for cost in across.ticks(max(2, int(room))):
        x = across(cost)
        parts += [
            rule(x, frame.bottom, x, frame.bottom + 5, "axis"),
            text(x, frame.bottom + 18, write_cost(cost), "tiny", "middle"),
        ]
    if free:
        parts.append(text(across.zero, frame.bottom + 18, "nothing", "tiny", "middle"))
    return [*parts, rule(frame.left, frame.bottom, frame.right, frame.bottom, "axis")]


def _level(line: Line, where: Placed, up: Linear, frame: Box) -> list[Part]:
    y, box = up(line.value), where.box
    at = box.left if where.anchor == "start" else box.right
    words = clipped(line.words, frame.right - frame.left, 12)
    return [
        rule(frame.left, y, frame.right, y, line.class_),
        text(at, box.bottom - 5, words, f"over {line.class_}", where.anchor),
    ]


def _sides(lines: Sequence[Line], taken: Sequence[Box], up: Linear, frame: Box) -> list[Placed]:
    """The words of each line stand on it or below it, at the end where they cover the least."""
    made = []
    for line in lines:
        y, wide = up(line.value), min(text_width(line.words, 12), frame.right - frame.left)
        ends = [
            Placed(Box(left, top, left + wide, top + 18), anchor, False)
            for top in (y - 19, y + 1)
            for left, anchor in ((frame.right - wide, "end"), (frame.left + 4, "start"))
        ]
        made.append(
            min(ends, key=lambda end: sum(end.box.overlap(other) for other in taken) + 9 * end.box.outside(frame))
        )
    return made


def _beyond(line: Line, frame: Box, low: float) -> Html:
    """A line that lies off the plot, told in words at the edge nearest to it."""
    below = line.value < low
    words = clipped(f"{line.words} {'↓' if below else '↑'}", frame.right - frame.left, 12)
    return text(frame.right, frame.bottom - 8 if below else frame.top + 10, words, line.class_, "end")


def _staircase(points: Sequence[Point], across: Logarithmic, up: Linear, frame: Box) -> Part:
    """The best value to be had for a cost, as a line of steps."""
    best, path = -math.inf, ""
    for point in sorted(points, key=lambda point: (point.cost, -point.value)):
        if point.value > best:
            x, y = across(point.cost), up(point.value)
            path += f"M{x:.1f} {y:.1f}" if not path else f"H{x:.1f}V{y:.1f}"
            best = point.value
    return tag("path", d=f"{path}H{frame.right:.1f}", class_="staircase") if path else None


def _point(point: Point, x: float, up: Linear) -> Html:
    parts: list[Part] = [tag("title", f"{point.name} {point.note}".strip())]
    if point.low is not None and point.high is not None:
        parts.append(rule(x, up(point.low), x, up(point.high), "interval"))
    if point.test is not None:
        value, lower = up(point.test[0]), up(point.test[1])
        beside = x + 11
        parts += [
            rule(beside, value, beside, lower, "stroke"), rule(beside - 3.5, lower, beside + 3.5, lower, "stroke"),
            tag("path", d=f"M{beside:.1f} {value - 5:.1f}l5 5l-5 5l-5 -5z", class_="hollow"),
        ]  # fmt: skip
    if point.chosen:
        parts.append(tag("circle", cx=x, cy=up(point.value), r=10, class_="halo"))
    parts.append(shape(point.state, x, up(point.value), 5.2))
    return tag("g", *parts, class_=point.class_)


def _label_of(point: Point, x: float, up: Linear, width: float) -> Label:
    name = clipped(point.name, 190 if width > 500 else 130, 12.5)
    lines = (name, point.note) if point.note and width > 500 else (name,)
    return Label(x, up(point.value), lines, reach=19.0 if point.test else 13.0)


def _marked(points: Sequence[Point], across: Logarithmic, up: Linear) -> list[Box]:
    """What the marks and intervals of the points cover."""
    taken: list[Box] = []
    for point in points:
        x, y = across(point.cost), up(point.value)
        taken.append(Box(x - 9, y - 9, x + (18 if point.test else 9), y + 9))
        if point.low is not None and point.high is not None:
            taken.append(Box(x - 5, up(point.high) - 3, x + 5, up(point.low) + 3))
        if point.test is not None:
            taken.append(Box(x + 6, up(point.test[0]) - 6, x + 16, up(point.test[1]) + 2))
    return taken


def _placed(
    points: Sequence[Point], taken: Sequence[Box], across: Logarithmic, up: Linear, frame: Box, width: float
) -> list[Placed]:
    """A place for each label; the chosen point and then the best choose first."""
    order = sorted(range(len(points)), key=lambda n: (not points[n].chosen, -points[n].value, n))
    made = place_labels([_label_of(points[n], across(points[n].cost), up, width) for n in order], taken, frame)
    found = dict(zip(order, made))
    return [found[n] for n in range(len(points))]


def _label(point: Point, x: float, up: Linear, where: Placed, width: float) -> list[Part]:
    label, box = _label_of(point, x, up, width), where.box
    at = {"start": box.left, "end": box.right, "middle": (box.left + box.right) / 2}[where.anchor]
    parts: list[Part] = []
    if where.led:
        y = up(point.value)
        parts.append(rule(x, y, *where.leader(x, y), "leader"))
    for n, line in enumerate(label.lines):
        style = "over strong meets" if n == 0 and point.chosen else "over strong" if n == 0 else "over tiny"
        parts.append(text(at, box.top + (n + 0.82) * label.size * 1.22, line, style, where.anchor))
    return parts


# -- curves ------------------------------------------------------------------------------------------------------------


def curve(
    points: Sequence[tuple[float, float]],
    *,
    title: str,
    write_value: Write,
    write_step: Write,
    marked: float | None = None,
    size: tuple[float, float] = (340.0, 170.0),
) -> Html:
    """Values over steps; `marked` is the step to point at (the one that was kept)."""
    width, height = size
    steps, values = [step for step, _ in points], [value for _, value in points]
    room = 0.1 * (max(values) - min(values)) or abs(0.1 * values[0]) or 0.1
    wide = max(text_width(write_value(value), 11) for value in (min(values) - room, max(values) + room))
    frame = Box(wide + 14, 10, width - 12, height - 26)
    up = Linear(min(values) - room, max(values) + room, frame.bottom, frame.top)
    across = Linear(min(steps), max(steps), frame.left + 6, frame.right - 6)
    parts: list[Part] = []
    for value in up.ticks(3):
        y = up(value)
        parts += [
            rule(frame.left, y, frame.right, y, "gridline"),
            text(frame.left - 7, y + 4, write_value(value), "tiny", "end"),
        ]
    for step in across.ticks(4):
        parts.append(text(across(step), height - 9, write_step(step), "tiny", "middle"))
    path = "L".join(f"{across(step):.1f} {up(value):.1f}" for step, value in points)
    parts.append(tag("path", d="M" + path, class_="series"))
    if len(points) <= 30:
        parts += [tag("circle", cx=across(step), cy=up(value), r=2.3, class_="point") for step, value in points]
    for step, value in points:
        if step == marked:
            parts.append(tag("g", tag("circle", cx=across(step), cy=up(value), r=7, class_="halo"), class_="data"))
            break
    told = "; ".join(
        f"{write_step(step)}: {write_value(value)}" for step, value in points[:: max(1, len(points) // 20)]
    )
    return drawing(width, height, title, *parts, about=told)


# -- heat map ----------------------------------------------------------------------------------------------------------


def heat_map(rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]], *, title: str) -> Html:
    """Counts as shades, by rows: the diagonal in one colour, what went wrong in another. Labels are shortened."""
    side = 36.0 if len(rows) <= 9 else 30.0 if len(rows) <= 16 else 24.0
    names = min(190.0, max(text_width(name) for name in rows) + 6)
    above = min(150.0, max(text_width(name) for name in columns) + 6)
    slant = above * 0.72
    left, top = names + 10, slant + 14
    parts: list[Part] = [text(0, 12, "asked ↓   answered →", "tiny")]
    for n, name in enumerate(columns):
        x = left + (n + 0.5) * side + 3
        words = tag(
            "text",
            clipped(name, above),
            tag("title", name),
            x=x,
            y=top - 7,
            transform=f"rotate(-46 {x:.1f} {top - 7:.1f})",
        )
        parts.append(words)
    for r, name in enumerate(rows):
        y = top + r * side
        total = sum(counts[r]) or 1
        label = tag(
            "text",
            clipped(name, names),
            tag("title", name),
            x=names + 4,
            y=y + side / 2 + 4,
            text_anchor="end",
            class_="mid",
        )
        parts.append(label)
        for c, number in enumerate(counts[r]):
            parts.append(
                _cell(left + c * side, y, side, number, number / total, r == c, f"{name} → {columns[c]}: {number}")
            )
    width = left + len(columns) * side + max(20.0, above * 0.72 - side / 2)
    return drawing(width, top + len(rows) * side + 4, title, *parts)


def _cell(x: float, y: float, side: float, number: int, share: float, right: bool, words: str) -> Html:
    opacity = round(0.1 + 0.9 * share**0.7, 3) if number else 0.0
    parts: list[Part] = [tag("title", words)]
    inset = {"x": x + 1, "y": y + 1, "width": side - 2, "height": side - 2, "rx": 4}
    if number:
        parts.append(tag("rect", **inset, class_="heat" if right else "heat wrong", fill_opacity=opacity))
        size = "on" if opacity > 0.55 else "mid"
        parts.append(text(x + side / 2, y + side / 2 + 4, str(number), size, "middle"))
    else:
        parts.append(tag("rect", **inset, class_="cell"))
    return tag("g", *parts)
