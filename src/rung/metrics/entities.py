"""Scores of tagged texts: entities found with their exact words and type, and the share of right words.

An answer is the text with marks (`marked`); one that is not the text of its row, white space aside, is wrong in all it
marks and finds nothing. On spans, seqeval's default and strict mode agree, so there is one definition here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rung.metrics.bio import OUTSIDE
from rung.metrics.confusion import Confusion
from rung.metrics.marked import Span, placed, squeezed, unmark
from rung.metrics.metric import Answer
from rung.types import Example

NOTHING = "(no entity)"
"""The row of a confusion matrix for words that were marked and are no entity."""


def entities(answer: str, text: str) -> tuple[frozenset[Span], int]:
    """Spans of an answer to `text` (in characters without white space), and how many marks have no place in the text."""
    plain, spans = unmark(answer)
    if squeezed(plain) != squeezed(text):
        return frozenset(), len(spans)
    found = frozenset(span for span in placed(plain, spans) if span.end > span.start)
    return found, len(spans) - len(found)


def types_of(examples: Sequence[Example], labels: Sequence[str]) -> list[str]:
    """Every type that is known or in a target; it never depends on the answers, so Systems can be paired."""
    seen = {span.label for example in examples for span in unmark(example.answers[0])[1]}
    return sorted(seen | set(labels))


def entity_statistics(
    answers: Sequence[Answer], examples: Sequence[Example], labels: Sequence[str], scores: Any
) -> np.ndarray:
    """Shape (n, 4 (C + 1)), laid out as `confusion.class_statistics`: entities right, wrong and missed of each type.

    The last type takes what is wrong and of no known type: marks with unknown labels, marks of an answer that is not the
    row's text, and, of a call that returned nothing, as many as the row has entities, but one at least.
    """
    types = types_of(examples, labels)
    place = {label: n for n, label in enumerate(types)}
    table = np.zeros((len(examples), 4 * (len(types) + 1)))
    for row, (answer, example) in enumerate(zip(answers, examples)):
        right, _ = entities(example.answers[0], example.text)
        found, lost = (frozenset[Span](), max(1, len(right))) if answer is None else entities(answer, example.text)
        table[row, 4 * len(types) + 1] = lost
        for span in found & right:
            table[row, 4 * place[span.label]] += 1
        for span in found - right:
            table[row, 4 * place.get(span.label, len(types)) + 1] += 1
        for span in right - found:
            table[row, 4 * place[span.label] + 2] += 1
    return table


def word_statistics(
    answers: Sequence[Answer], examples: Sequence[Example], labels: Sequence[str], scores: Any
) -> np.ndarray:
    """Shape (n, 2): words whose tag (B or I with the type, or O) is right, and words."""
    table = np.zeros((len(examples), 2))
    for row, (answer, example) in enumerate(zip(answers, examples)):
        words = example.text.split()
        right = _tags(words, entities(example.answers[0], example.text)[0])
        table[row, 1] = len(words)
        if answer is not None and squeezed(unmark(answer)[0]) == squeezed(example.text):
            said = _tags(words, entities(answer, example.text)[0])
            table[row, 0] = sum(a == b for a, b in zip(said, right))
    return table


def word_accuracy(totals: np.ndarray, count: Any) -> np.ndarray:
    """Right words over words."""
    share: np.ndarray = totals[..., 0] / np.maximum(totals[..., 1], 1)
    return share


def _tags(words: Sequence[str], spans: frozenset[Span]) -> list[str]:
    ordered, tags, place = sorted(spans), [], 0
    for word in words:
        end = place + len(word)
        own = next((span for span in ordered if span.start < end and span.end > place), None)
        tags.append(OUTSIDE if own is None else ("B-" if own.start >= place else "I-") + own.label)
        place = end
    return tags


def entity_confusion(answers: Sequence[Answer], examples: Sequence[Example], labels: Sequence[str] = ()) -> Confusion:
    """Types of entities whose words were marked exactly, right type by said type; shape (C + 1, C + 2).

    The last row is `NOTHING`: marks where no entity has these words. An entity whose words were not marked stands in the
    last column. Precision, recall and F1 of its classes are those of the entities.
    """
    names = [*types_of(examples, labels), NOTHING]
    place = {label: n for n, label in enumerate(names)}
    counts = np.zeros((len(names), len(names) + 1), dtype=int)
    for answer, example in zip(answers, examples, strict=True):
        right = {(span.start, span.end): span.label for span in entities(example.answers[0], example.text)[0]}
        found = {} if answer is None else {(s.start, s.end): s.label for s in entities(answer, example.text)[0]}
        for words in right.keys() | found.keys():
            said = place.get(found[words], len(names)) if words in found else len(names)
            counts[place[right.get(words, NOTHING)], said] += 1
    return Confusion(tuple(names), counts)
