"""Is the answer one of the right ones, and by SQuAD's rules how much of one? Other credit lives in `rouge`, `fields`
and `translation`.
"""

from __future__ import annotations

import re
import string
from collections import Counter

from rung.metrics.metric import Answer
from rung.types import Example

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


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


def squad_words(text: str) -> list[str]:
    """The words SQuAD compares: lower case, without ASCII punctuation and articles (Rajpurkar et al. 2016)."""
    return _ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split()


def squad_match(answer: Answer, example: Example) -> float:
    """1 where the words of the answer are those of a right one, by SQuAD's rules."""
    return float(answer is not None and any(squad_words(answer) == squad_words(right) for right in example.answers))


def token_f1(answer: Answer, example: Example) -> float:
    """F1 of the words that the answer shares with a right one, by SQuAD's rules; the best over the right answers.

    Where either has no words left, it is 1 if both have none and 0 otherwise (SQuAD 2.0).
    """
    if answer is None:
        return 0.0
    said = Counter(squad_words(answer))
    return max(_word_f1(said, Counter(squad_words(right))) for right in example.answers)


def _word_f1(said: Counter[str], right: Counter[str]) -> float:
    if not said or not right:
        return float(said == right)
    return 2 * (said & right).total() / (said.total() + right.total())
