"""Small signs: the mark of a state, a score with its interval as a strip, bars in a cell. Whole plots are in `plots`."""

from __future__ import annotations

from collections.abc import Sequence

from rung.page.axes import Linear
from rung.page.markup import Html, Part, join, tag


def drawing(width: float, height: float, title: str, *parts: Part, about: str = "", class_: str | None = None) -> Html:
    """An SVG of `width` x `height` pixels with a title (and a longer description) for those who cannot see it."""
    described = join(tag("title", title), tag("desc", about) if about else None)
    return tag(
        "svg", described, *parts, viewBox=f"0 0 {width:g} {height:g}", width=width, height=height, role="img",
        aria_label=title, class_=class_,
    )  # fmt: skip


def text(x: float, y: float, words: str, class_: str | None = None, anchor: str | None = None) -> Html:
    """Words on a drawing; `anchor` is start, middle or end."""
    return tag("text", words, x=x, y=y, class_=class_, text_anchor=anchor)


def rule(x1: float, y1: float, x2: float, y2: float, class_: str) -> Html:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def shape(state: str, x: float, y: float, size: float = 5.0) -> Html:
    """The mark of a state, told apart by form: full, crossed, half, hollow, dashed."""
    if state == "meets":
        return tag("circle", cx=x, cy=y, r=size, class_="dot")
    if state == "misses":
        arm = size * 0.78
        path = f"M{x - arm:.2f} {y - arm:.2f}L{x + arm:.2f} {y + arm:.2f}M{x - arm:.2f} {y + arm:.2f}L{x + arm:.2f} {y - arm:.2f}"
        return tag("path", d=path, class_="stroke")
    if state == "cannot tell":
        half = f"M{x:.2f} {y - size:.2f}A{size} {size} 0 0 1 {x:.2f} {y + size:.2f}Z"
        return join(tag("circle", cx=x, cy=y, r=size, class_="hollow"), tag("path", d=half, class_="dot"))
    if state == "skipped":
        return rule(x - size, y, x + size, y, "stroke")
    return tag("circle", cx=x, cy=y, r=size, class_="hollow")


def tick(right: bool | None, whose: str = "") -> Html:
    """Right, wrong, or nothing came back (None); `whose` answer it was."""
    word = "error" if right is None else "right" if right else "wrong"
    title = f"{whose}: {word}" if whose else word
    if right is None:
        return drawing(14, 14, title, rule(3, 7, 11, 7, "stroke"), class_="quiet")
    if right:
        return drawing(14, 14, title, tag("path", d="M3 7.6L6 10.4L11.2 4", class_="stroke"), class_="meets")
    return drawing(14, 14, title, tag("path", d="M4 4L10 10M4 10L10 4", class_="stroke"), class_="misses")


def strip(
    value: float,
    low: float | None,
    high: float | None,
    scale: tuple[float, float],
    title: str,
    goal: float | None = None,
) -> Html:
    """A score with its interval on a common scale, as wide as a cell of a table; the goal is a fine line."""
    width, height = 120.0, 16.0
    place = Linear(scale[0], scale[1], 5, width - 5)
    parts: list[Part] = [rule(5, height / 2, width - 5, height / 2, "axis")]
    if goal is not None and scale[0] <= goal <= scale[1]:
        parts.append(rule(place(goal), 1, place(goal), height - 1, "goal"))
    if low is not None and high is not None:
        ends = [min(max(place(end), 5), width - 5) for end in (low, high)]
        parts.append(rule(ends[0], height / 2, ends[1], height / 2, "interval"))
    parts.append(tag("circle", cx=min(max(place(value), 5), width - 5), cy=height / 2, r=3.6, class_="dot"))
    return drawing(width, height, title, *parts)


def bar(share: float, title: str, width: float = 90.0) -> Html:
    """A bar in a cell: `share` of its full length."""
    full = max(0.0, min(1.0, share)) * width
    track = tag("rect", x=0, y=3, width=width, height=8, rx=4, class_="bar weak")
    return drawing(
        width, 14, title, track, tag("rect", x=0, y=3, width=full, height=8, rx=min(4, full / 2), class_="bar")
    )


def bars(rows: Sequence[tuple[str, float, str]], title: str, *, width: float = 640.0, label: float = 280.0) -> Html:
    """Horizontal bars from 0: (name, value, value in words) a row, longest names shortened to `label` pixels."""
    from rung.page.axes import clipped, text_width

    step, top = 26.0, 4.0
    names = min(label, max((text_width(name, 13) for name, _, _ in rows), default=0.0) + 4)
    words = max((text_width(said, 13) for _, _, said in rows), default=0.0)
    longest = max((value for _, value, _ in rows), default=0.0) or 1.0
    room = width - names - words - 26
    parts: list[Part] = []
    for n, (name, value, said) in enumerate(rows):
        y = top + n * step
        length = max(2.0, room * value / longest) if value > 0 else 0.0
        parts += [
            tag("g", tag("title", f"{name}: {said}"), text(names, y + 15, clipped(name, names, 13), "mid", "end")),
            tag("rect", x=names + 12, y=y + 4, width=length, height=14, rx=3, class_="bar") if length else None,
            text(names + 20 + length, y + 15, said),
        ]
    return drawing(width, top * 2 + step * len(rows), title, *parts)
