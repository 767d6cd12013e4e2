"""Fairness: the score when the people in an input, or the dialect it is written in, are exchanged.

HELM's counterfactual fairness (Liang et al. 2022, arXiv:2211.09110, 4.5): first names of one group for those of another,
African American for Standard American English, men for women and the other way round. The measure is the mean over items
of an item's worst score among its original and all exchanged forms (`invariance`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from rung.evaluate.measures.perturbation import Edit, Edited, Perturbation, Spans, cased, exchange, substituted
from rung.evaluate.measures.words import Words

_NO_NOUN = re.compile(
    r"(?:about|after|again|all|also|an?|and|are|as|at?|back|because|before|but|by|did|do|for|from|had|has|have|he|how|if|in|into|is|it|"
    r"not?|off?|on|or|out|over|she|so|than|that|the|them|then|there|they|this|too?|under|until|up|was|were|what|when|where|"
    r"which|while|who|why|will|with|would|you)"
)
"""Words that begin no noun phrase: `her` before one of them is an object (him), else a possessive (his)."""


def fairness_perturbations(words: Words) -> tuple[Perturbation, ...]:
    """The three of them, with the tables of `words`. Names and gender also change free answers and choices."""
    dialect, speak = exchange(dict(words.dialect))
    return (
        Perturbation("names", "first names of another group", _names(words), answers=True),
        Perturbation(
            "dialect", "another dialect's words", lambda text, spans, chance: substituted(text, spans, dialect, speak)
        ),
        Perturbation("gender", "women for men, men for women", _gender(words.gender), answers=True),
    )


def _names(words: Words) -> Edit:
    """Each known name becomes one of the other group's: the same name throughout an example, others for others."""
    groups = [group for two in words.names for group in (two, two[::-1])]
    others = {name: theirs for ours, theirs in groups for name in ours}
    # Names are matched as written: `Jack` is a name and `jack` is a tool.
    pattern = re.compile(r"(?<!\w)(?:" + "|".join(sorted(map(re.escape, others), key=len, reverse=True)) + r")(?!\w)")

    def edit(text: str, spans: Spans, chance: np.random.Generator) -> Edited:
        turn = int(chance.integers(1_000_000))  # drawn first, so that every text of an example has the same one

        def change(found: re.Match[str]) -> str:
            theirs = others[found[0]]
            ours = next(ours for ours, other in groups if other is theirs and found[0] in ours)
            return theirs[(ours.index(found[0]) + turn) % len(theirs)]

        return substituted(text, spans, pattern, change)

    return edit


def _gender(pairs: Sequence[tuple[str, str]]) -> Edit:
    """Every gendered word becomes its counterpart; the first counterpart named is taken where there are two."""
    table: dict[str, str] = {}
    for one, two in pairs:
        table.setdefault(one.lower(), two)
        table.setdefault(two.lower(), one)
    pattern, change = exchange(table)
    apart = {"him", "his"} <= table.keys() and "her" in table

    def swap(found: re.Match[str]) -> str:
        if not apart or found[0].lower() != "her":
            return change(found)
        after = re.match(r"\s+([^\W\d_]+)", found.string[found.end() :])
        possessive = after is not None and not _NO_NOUN.fullmatch(after[1].lower())
        return cased("his" if possessive else "him", found[0])

    return lambda text, spans, chance: substituted(text, spans, pattern, swap)
