"""Seeded choices, and the small noises of typed text. Nothing here knows of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
ONSETS = (
    "b",
    "br",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gl",
    "h",
    "j",
    "k",
    "kr",
    "l",
    "m",
    "n",
    "p",
    "pl",
    "r",
    "s",
    "st",
    "t",
    "tr",
    "v",
    "w",
    "z",
    "sh",
    "ch",
)
VOWELS = ("a", "e", "i", "o", "u", "ai", "oo", "ea")
CODAS = ("", "", "n", "r", "l", "m", "s", "t", "k", "x", "p", "nd", "rt")


class Draw:
    """A seeded source of choices over one NumPy generator."""

    def __init__(self, *seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def number(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        return float(self.rng.random()) < probability

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.rng.integers(len(options)))]

    def some(self, options: Sequence[T], count: int) -> list[T]:
        """`count` different options, in random order (all of them where there are fewer)."""
        return [options[int(i)] for i in self.rng.permutation(len(options))[:count]]

    def weighted(self, options: Sequence[T], weights: Sequence[float]) -> T:
        shares = np.cumsum(weights)
        return options[min(int(np.searchsorted(shares, self.rng.random() * shares[-1], "right")), len(options) - 1)]

    def pseudoword(self, syllables: int = 2) -> str:
        return "".join(self.pick(ONSETS) + self.pick(VOWELS) + self.pick(CODAS) for _ in range(syllables))

    def typo(self, text: str) -> str:
        """One slip of the finger: two letters swapped, one lost, or one doubled."""
        spots = [i for i in range(1, len(text) - 1) if text[i].isalpha() and text[i + 1].isalpha()]
        if not spots:
            return text
        i = self.pick(spots)
        kind = self.number(0, 2)
        if kind == 0:
            return text[:i] + text[i + 1] + text[i] + text[i + 2 :]
        return text[:i] + text[i + 1 :] if kind == 1 else text[: i + 1] + text[i:]

    def typed(self, text: str, casing: int) -> str:
        """Text as people type it. `casing`: 0 as it stands, 1 lower case, 2 a capital first and a full stop."""
        if casing == 1:
            text = text.lower()
        elif casing == 2 and text:
            text = text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")
        return self.typo(text) if self.chance(0.06) else text
