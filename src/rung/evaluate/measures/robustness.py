"""Robustness: the score when inputs are written less carefully, as HELM has it (Liang et al. 2022, arXiv:2211.09110, 4.4).

Typos, lower case, uneven spaces, contractions: each alone. The measure is the mean over items of an item's worst score
among its original and all changed forms (`invariance`).
"""

from __future__ import annotations

import re

import numpy as np

from rung.evaluate.measures.perturbation import Change, Edit, Edited, Perturbation, Spans, exchange, substituted
from rung.evaluate.measures.words import Words

TYPO_RATE = 0.15
"""The share of words that get a typo; at least one does, where any can."""
SHORTEST = 4
"""Letters from which a word gets a typo by rule."""
WIDEST = 3
_WORD, _GAP = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*"), re.compile(r"(?<=\S) (?=\S)")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEAR = {
    letter: row[max(0, n - 1) : n] + row[n + 1 : n + 2] for row in _ROWS for n, letter in enumerate(row)
}  # keys beside it on an English keyboard


def robustness_perturbations(words: Words) -> tuple[Perturbation, ...]:
    """The four of them, with the misspellings and contractions of `words`."""
    both = {**dict(words.contractions), **{short: full for full, short in words.contractions}}
    pattern, change = exchange(both)
    return (
        Perturbation("typos", "some words misspelt", _typos(words)),
        Perturbation("case", "all in lower case", _lower),
        Perturbation("spacing", "one to three spaces between words", _spaces),
        Perturbation(
            "contractions", "do not ↔ don't", lambda text, spans, chance: substituted(text, spans, pattern, change)
        ),
    )


def _typos(words: Words) -> Edit:
    """An edit that misspells a share of the words: by the table where there is one, else by rule."""

    def can(word: str) -> bool:
        return word in words.misspellings if words.misspellings else len(word) >= SHORTEST and word.isascii()

    def edit(text: str, spans: Spans, chance: np.random.Generator) -> Edited:
        places = [found.start() for found in _WORD.finditer(text) if can(found[0]) and not _inside(found, spans)]
        if not places:
            return Edited(text)
        hit = chance.random(len(places)) < TYPO_RATE
        if not hit.any():
            hit[chance.integers(len(places))] = True
        chosen = {place for place, drawn in zip(places, hit) if drawn}

        def change(found: re.Match[str]) -> str:
            if found.start() not in chosen:
                return found[0]
            if words.misspellings:
                wrong = words.misspellings[found[0]]
                return wrong[int(chance.integers(len(wrong)))]
            return slip(found[0], chance)

        return substituted(text, spans, _WORD, change)

    return edit


def _inside(found: re.Match[str], spans: Spans) -> bool:
    return any(start < found.end() and found.start() < end for start, end in spans)


def slip(word: str, chance: np.random.Generator) -> str:
    """A word with one slip of the fingers behind its first letter: two letters swapped, one left out, one doubled, or
    the key beside it."""
    way, at = int(chance.integers(4)), int(chance.integers(1, len(word) - 1))
    if way == 0 and word[at] != word[at + 1]:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if way == 1:
        return word[:at] + word[at + 1 :]
    near = _NEAR.get(word[at].lower(), "")
    if way == 2 and near:
        return word[:at] + near[int(chance.integers(len(near)))] + word[at + 1 :]
    return word[: at + 1] + word[at] + word[at + 1 :]


def _lower(text: str, spans: Spans, chance: np.random.Generator) -> Edited:
    return substituted(text, spans, _WORD, lambda found: found[0].lower())


def _spaces(text: str, spans: Spans, chance: np.random.Generator) -> Edited:
    done = substituted(text, spans, _GAP, lambda _: " " * int(chance.integers(1, WIDEST + 1)))
    # One word for all of them: the gaps say nothing one by one.
    return Edited(done.text, (Change("single spaces", f"{len(done.changes)} wider ones"),) if done.changes else ())
