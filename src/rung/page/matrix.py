"""A matrix of shares as shades: small, for many side by side, and large, with labels and what each row says when pointed at.

Cells of one shade are one path, so that hundreds of matrices stay a small page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rung.page.axes import clipped, text_width
from rung.page.marks import drawing, text
from rung.page.markup import Html, Part, tag

SHADES = 9
Shares = Sequence[Sequence[float]]


def shade(share: float) -> int:
    """0 (nothing to see) to `SHADES`, finer for small shares, as the eye needs.

    >>> [shade(share) for share in (0.0, 0.004, 0.02, 0.1, 0.5, 1.0)]
    [0, 0, 1, 2, 6, 9]
    """
    return round(SHADES * min(max(share, 0.0), 1.0) ** 0.6)


def thumbnail(shares: Shares, title: str, about: str = "") -> Html:
    """The matrix alone; it is as wide as its place."""
    columns, rows = len(shares[0]), len(shares)
    frame = tag("rect", x=0, y=0, width=columns, height=rows, class_="plate weak")
    return drawing(columns, rows, title, frame, *_shaded(shares), about=about, class_="thumb")


def matrix(
    shares: Shares, rows: Sequence[str], columns: Sequence[str], *, title: str, row_told: Callable[[int], str]
) -> Html:
    """With its labels, shortened where they are long; `row_told` is what a row says when it is pointed at."""
    side = 24.0 if max(len(rows), len(columns)) <= 16 else 18.0
    names = min(130.0, max(text_width(name) for name in rows) + 6)
    above = min(130.0, max(text_width(name) for name in columns) + 6)
    left, top = names + 8, above * 0.74 + 12
    width = left + len(columns) * side + max(14.0, above * 0.74 - side / 2)
    parts: list[Part] = [
        tag("rect", x=left, y=top, width=len(columns) * side, height=len(rows) * side, class_="plate weak"),
        tag("g", *_shaded(shares), transform=f"translate({left:.1f} {top:.1f}) scale({side:g})"),
    ]
    for n, name in enumerate(columns):
        x = left + (n + 0.5) * side + 3
        turned = f"rotate(-46 {x:.1f} {top - 6:.1f})"
        parts.append(tag("text", clipped(name, above), tag("title", name), x=x, y=top - 6, transform=turned))
    for n, name in enumerate(rows):
        y = top + n * side
        hit = tag("rect", x=0, y=y, width=left + len(columns) * side, height=side, class_="hit")
        label = text(names + 2, y + side / 2 + 4, clipped(name, names), "mid", "end")
        parts.append(tag("g", tag("title", row_told(n)), hit, label, class_="query"))
    return drawing(width, top + len(rows) * side + 4, title, *parts)


def _shaded(shares: Shares) -> list[Html]:
    """One path a shade, over cells of size 1; neighbours of one shade in a row are one stretch."""
    paths: dict[int, list[str]] = {}
    for y, row in enumerate(shares):
        levels = [shade(share) for share in row]
        start = 0
        for x in range(1, len(levels) + 1):
            if x == len(levels) or levels[x] != levels[start]:
                if levels[start]:
                    paths.setdefault(levels[start], []).append(f"M{start} {y}h{x - start}v1h-{x - start}z")
                start = x
    return [
        tag("path", d="".join(cells), class_="heat", fill_opacity=round(level / SHADES, 2))
        for level, cells in sorted(paths.items())
    ]
