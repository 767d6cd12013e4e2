"""Tagged text as text: `fly from [new york](city) to [boston](city)`, and the spans in it.

One form for targets, answers and what a reader sees. A literal bracket or backslash is written behind a backslash where
it could be misread. What spans are worth is in `entities`; tags word by word are in `bio`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_MARK = re.compile(r"\[((?:\\.|[^\[\]\\])+)\]\(([^()\[\]\n]+)\)")
_ESCAPED = re.compile(r"\\([\[\]\\])")
LABEL = re.compile(r"[^()\[\]\n]+\Z")
"""What a label may be: anything without brackets and line breaks."""


@dataclass(frozen=True, order=True, slots=True)
class Span:
    """The characters `start` to `end` (not included) of a text, and what they are."""

    start: int
    end: int
    label: str


def mark(text: str, spans: Iterable[Span]) -> str:
    """The text with its spans marked. Raises ValueError for spans that overlap, are empty, or lie outside."""
    out, place = [], 0
    for span in sorted(spans):
        if not place <= span.start < span.end <= len(text):
            raise ValueError(f"{span} overlaps another, is empty or lies outside of {len(text)} characters")
        out += [_escape(text[place : span.start]), f"[{_escape(text[span.start : span.end])}]({span.label})"]
        place = span.end
    return "".join(out) + _escape(text[place:])


def unmark(marked: str) -> tuple[str, tuple[Span, ...]]:
    """The text without marks, and its spans. Brackets that form no whole mark are text."""
    out: list[str] = []
    spans, place, length = [], 0, 0
    while found := _next(marked, place):
        before, inside = _plain(marked[place : found.start()]), _plain(found.group(1))
        out += [before, inside]
        spans.append(Span(length + len(before), length + len(before) + len(inside), found.group(2).strip()))
        length, place = length + len(before) + len(inside), found.end()
    return "".join(out) + _plain(marked[place:]), tuple(spans)


def _next(marked: str, place: int) -> re.Match[str] | None:
    """The next mark whose first bracket is not behind a backslash of its own."""
    while found := _MARK.search(marked, place):
        before = marked[: found.start()]
        if (len(before) - len(before.rstrip("\\"))) % 2 == 0:
            return found
        place = found.start() + 1
    return None


def _escape(text: str) -> str:
    return re.sub(r"([\[\]\\])", r"\\\1", text)


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def placed(text: str, spans: Iterable[Span]) -> frozenset[Span]:
    """The spans counted in characters that are no white space, so that how words are spaced makes no difference."""
    counts = [0]
    for character in text:
        counts.append(counts[-1] + (not character.isspace()))
    return frozenset(Span(counts[span.start], counts[span.end], span.label) for span in spans)


def squeezed(text: str) -> str:
    """The text without white space."""
    return "".join(text.split())
