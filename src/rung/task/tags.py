"""A row of kind tag to its text and its marked target: from tags word by word, spans by characters, or marked text.

Rows that cannot be read raise `Unusable`. What marks look like and mean is `rung.metrics.marked`'s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rung.metrics.bio import decode
from rung.metrics.marked import LABEL, Span, mark, squeezed, unmark
from rung.task.cells import Unusable, cell_text

_LABEL_KEYS = ("label", "type", "entity", "tag")


def read_tagged(source: Any, target: Any) -> tuple[str, str]:
    """(text, marked text) of the cells of input and target.

    The input is a text or a list of words, which are joined by spaces. The target is a tag for each word (a list, or one
    text with spaces between), a list of spans ({start, end, label} or [start, end, label], in characters), or the text
    with marks. Tags are read as `bio.decode` does by default.
    """
    source, target = _parsed(source), _parsed(target)
    words = [cell_text(word).strip() for word in source] if isinstance(source, list) else cell_text(source).split()
    if isinstance(source, list) and any(not word or word.split() != [word] for word in words):
        raise Unusable("a word is empty or holds a space")
    text = " ".join(words) if isinstance(source, list) else cell_text(source)
    if isinstance(target, Mapping):
        target = [target]
    if isinstance(target, list) and not all(isinstance(tag, str) for tag in target):
        if isinstance(source, list):
            raise Unusable("spans count characters of a text, and the input is a list of words")
        return text, _marked(text, [_span(part, text) for part in target])
    if isinstance(target, str):
        plain, spans = unmark(target)
        if spans or squeezed(plain) == squeezed(text):
            if squeezed(plain) != squeezed(text):
                raise Unusable("the target without its marks is not the input", plain)
            return text, _marked(text, _moved(text, plain, spans))
        target = target.split()
    if not isinstance(target, list):
        raise Unusable("the target is no tags and no spans", cell_text(target))
    return text, _by_words(text, words, target)


def _by_words(text: str, words: Sequence[str], tags: Sequence[str]) -> str:
    if len(words) != len(tags):
        raise Unusable("the numbers of words and tags differ", f"{len(words)} words, {len(tags)} tags")
    for tag in tags:
        prefix, _, label = tag.partition("-")
        if prefix not in "BIOESLU" or (prefix != "O" and not label):
            raise Unusable("a tag is not B-, I- and a label, or O", tag)
    starts, place = [], 0
    for word in words:
        starts.append(text.index(word, place))
        place = starts[-1] + len(word)
    spans = [Span(starts[s.start], starts[s.end - 1] + len(words[s.end - 1]), s.label) for s in decode(list(tags))]
    return _marked(text, spans)


def _span(part: Any, text: str) -> Span:
    if isinstance(part, Mapping):
        label = next((part[key] for key in _LABEL_KEYS if key in part), None)
        part = [part.get("start"), part.get("end"), label]
    if not isinstance(part, list | tuple) or len(part) != 3:
        raise Unusable("a span is not start, end and label", cell_text(part))
    start, end, label = part
    if isinstance(start, bool) or not isinstance(start, int) or not isinstance(end, int) or not isinstance(label, str):
        raise Unusable("a span is not two whole numbers and a label", cell_text(part))
    if not 0 <= start < end <= len(text):
        raise Unusable("a span lies outside of its text", f"{start} to {end} of {len(text)} characters")
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    if start == end:
        raise Unusable("a span holds nothing but white space")
    return Span(start, end, label.strip())


def _moved(text: str, plain: str, spans: Sequence[Span]) -> list[Span]:
    """The spans of `plain` in `text`, which differs from it in white space alone."""
    places = [n for n, character in enumerate(text) if not character.isspace()]
    count = [0]
    for character in plain:
        count.append(count[-1] + (not character.isspace()))
    return [
        Span(places[count[s.start]], places[count[s.end] - 1] + 1, s.label)
        for s in spans
        if count[s.end] > count[s.start]
    ]


def _marked(text: str, spans: Sequence[Span]) -> str:
    for span in spans:
        if not LABEL.match(span.label):
            raise Unusable("a label is empty or holds brackets", span.label)
    try:
        return mark(text, spans)
    except ValueError:
        raise Unusable("two spans overlap") from None


def _parsed(cell: Any) -> Any:
    """A list written as JSON text (as in a CSV) is read; other text stays as it is, for it may begin with a mark."""
    if isinstance(cell, tuple):
        return list(cell)
    if isinstance(cell, str) and cell.strip()[:1] in ("[", "{"):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell
    return cell
