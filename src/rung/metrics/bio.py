"""Tags word by word (`B-city I-city O`) and the spans of words that they mean. Texts and characters are in `marked`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from rung.metrics.marked import Span

OUTSIDE = "O"
_BEGINS, _ENDS = "BSU", "SUEL"  # of BIOES and BILOU too


def decode(tags: Sequence[str], mode: Literal["default", "strict"] = "default") -> tuple[Span, ...]:
    """Spans of words that the tags mean, as seqeval has it in its two modes.

    `default` (the rule of conlleval): a tag that goes on with nothing begins a span; so does a change of label. `strict`
    (IOB2): only B begins a span, and an I that goes on with nothing means nothing. Where every span begins with B the two
    agree. The last tag of BIOES and BILOU (E, S, L, U) ends its span.
    """
    spans: list[Span] = []
    start, label, going = 0, "", False
    for place, tag in enumerate(tags):
        prefix, _, own = tag.partition("-")
        inside = bool(own) and prefix != OUTSIDE
        goes_on = going and inside and own == label and prefix not in _BEGINS
        if going and not goes_on:
            spans.append(Span(start, place, label))
        if not goes_on:
            going = inside and (mode == "default" or prefix in _BEGINS)
            start, label = place, own
        if going and prefix in _ENDS:
            spans.append(Span(start, place + 1, label))
            going = False
    if going:
        spans.append(Span(start, len(tags), label))
    return tuple(spans)


def encode(spans: Iterable[Span], count: int) -> list[str]:
    """The tags of `count` words under spans of words that do not overlap."""
    tags = [OUTSIDE] * count
    for span in spans:
        tags[span.start] = f"B-{span.label}"
        for place in range(span.start + 1, span.end):
            tags[place] = f"I-{span.label}"
    return tags
