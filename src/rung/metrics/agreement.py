"""Right or wrong: is the answer one of the right ones? Partial credit lives in `rouge`, `fields` and `translation`."""

from __future__ import annotations

from rung.metrics.metric import Answer
from rung.types import Example


def exact_match(answer: Answer, example: Example) -> float:
    """1 where the answer equals a right one after both are stripped and runs of whitespace are made one space.

    Case and punctuation count: what else may differ is for the task to say, in its targets and references.
    """
    if answer is None:
        return 0.0
    said = " ".join(answer.split())
    return float(any(said == " ".join(right.split()) for right in example.answers))


def accuracy(answer: Answer, example: Example) -> float:
    """1 where the answer is the label (or a right choice), character by character."""
    return float(answer is not None and answer in example.answers)
