"""Changing the words of an example and nothing of its meaning: what is changed, what is left, and a record of it.

The changes themselves are in `robustness` and `fairness`. An example's chance comes from the seed and its own content,
so that order and neighbours never matter. Where a right answer stands word for word in the input, that place is left, so
that the target stays right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rung.types import Example, Message, TaskKind

Spans = Sequence[tuple[int, int]]
Edit = Callable[[str, Spans, np.random.Generator], "Edited"]


@dataclass(frozen=True)
class Change:
    """Words that stood there, and what stands there now."""

    before: str
    after: str


@dataclass(frozen=True)
class Edited:
    """A text after an edit, and what changed in it."""

    text: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Perturbation:
    """One way to change an input. With `answers`, right answers and choices that are free text change alike (names,
    pronouns); else they stay, and so does every place of the input that repeats one."""

    name: str
    about: str
    edit: Edit
    answers: bool = False


@dataclass(frozen=True)
class Perturbed:
    """An example after a perturbation; no changes where it has nothing that could change."""

    example: Example
    changes: tuple[Change, ...]


def perturb(perturbation: Perturbation, example: Example, kind: TaskKind, seed: int) -> Perturbed:
    """The example with its messages changed; labels never change, free answers only with `perturbation.answers`.

    Every text of an example is changed by the same chance, so that a name becomes the same name throughout.
    """
    own = int(example.content_hash()[:12], 16)
    changed: list[Change] = []

    def edited(text: str, spans: Spans = ()) -> str:
        done = perturbation.edit(text, spans, np.random.default_rng([seed, own]))
        changed.extend(done.changes)
        return done.text

    carried = perturbation.answers and kind != "classify"
    phrases = [] if carried or kind == "classify" else _phrases(example)
    turns = tuple(Message(m.role, edited(m.content, _places(m.content, phrases))) for m in example.prompt)
    if not changed:
        return Perturbed(example, ())
    made = replace(example, prompt=turns)
    if carried:
        made = replace(
            made,
            target=None if example.target is None else edited(example.target),
            references=tuple(edited(text) for text in example.references),
            choices=tuple(edited(text) for text in example.choices),
        )
        if len(set(made.choices)) < len(set(example.choices)):
            return Perturbed(example, ())  # two choices became one: the question would no longer have an answer
    return Perturbed(made, tuple(dict.fromkeys(changed)))


def _phrases(example: Example) -> list[str]:
    """What must not change: right answers and choices, and of those that are JSON every text inside."""
    found: list[str] = []
    for answer in (*example.answers, *example.choices):
        found.append(answer)
        if answer.strip()[:1] in ("{", "["):
            try:
                found += _leaves(json.loads(answer))
            except ValueError:
                continue
    return [phrase for phrase in found if phrase.strip()]


def _leaves(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [leaf for part in value.values() for leaf in _leaves(part)]
    if isinstance(value, list):
        return [leaf for part in value for leaf in _leaves(part)]
    return [] if isinstance(value, bool) or value is None else [str(value)]


def _places(text: str, phrases: Sequence[str]) -> list[tuple[int, int]]:
    return [found.span() for phrase in phrases for found in re.finditer(re.escape(phrase), text)]


def substituted(text: str, spans: Spans, pattern: re.Pattern[str], change: Callable[[re.Match[str]], str]) -> Edited:
    """Every match of `pattern` outside `spans` replaced by `change` of it; a change to itself is none."""
    changes: list[Change] = []

    def write(found: re.Match[str]) -> str:
        if any(start < found.end() and found.start() < end for start, end in spans):
            return found[0]
        made = change(found)
        if made != found[0]:
            changes.append(Change(found[0], made))
        return made

    return Edited(pattern.sub(write, text), tuple(changes))


def exchange(table: Mapping[str, str]) -> tuple[re.Pattern[str], Callable[[re.Match[str]], str]]:
    """A pattern of the table's phrases (whole words, any case, the longest first) and what takes the place of a match,
    written in the same case."""
    known = {phrase.lower(): other for phrase, other in table.items()}
    longest = sorted(known, key=lambda phrase: (-len(phrase), phrase))
    pattern = re.compile(r"(?<![\w'])(?:" + "|".join(map(re.escape, longest)) + r")(?![\w'])", re.IGNORECASE)
    return pattern, lambda found: cased(known[found[0].lower()], found[0])


def cased(word: str, like: str) -> str:
    """`word` in the case of `like`.

    >>> cased("she", "He"), cased("she", "HE"), cased("she", "he"), cased("I'm", "i am")
    ('She', 'SHE', 'she', "I'm")
    """
    if len(like) > 1 and like.isupper():
        return word.upper()
    return word[:1].upper() + word[1:] if like[:1].isupper() else word
