"""Which examples a prompt shows: the same for every input, or those nearest to it.

Nearness is lexical: the cosine of TF-IDF weights over character n-grams (2 to 4, within words), which needs no model,
knows typos, and gives the same shots on every machine. Shots come from the training split only; who builds a System
sees to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from rung.model.layout import Shot
from rung.types import Message

CHUNK = 256  # inputs compared with the whole pool at once: bounds the table of their cosines


class Shots(Protocol):
    """Gives the shots for each input."""

    def pick(self, inputs: Sequence[Sequence[Message]]) -> list[tuple[Shot, ...]]:
        """One tuple of shots an input, in the order in which they are shown."""
        ...


@dataclass(frozen=True)
class FixedShots:
    """The same shots for every input."""

    shots: tuple[Shot, ...] = ()

    def pick(self, inputs: Sequence[Sequence[Message]]) -> list[tuple[Shot, ...]]:
        """The fixed shots, once an input."""
        return [self.shots] * len(inputs)


@dataclass(frozen=True)
class NearestShots:
    """The `k` rows of `pool` most like the input, the most similar last (next to the question)."""

    pool: tuple[Shot, ...]
    k: int

    @cached_property
    def _index(self) -> tuple[Any, Any]:
        from sklearn.feature_extraction.text import TfidfVectorizer

        words = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, lowercase=True)
        return words, words.fit_transform([_text(inputs) for inputs, _ in self.pool])

    def pick(self, inputs: Sequence[Sequence[Message]]) -> list[tuple[Shot, ...]]:
        """The nearest shots of each input; ties go to the row that stands first in the pool."""
        words, table = self._index
        vectors = words.transform([_text(one) for one in inputs])
        found: list[tuple[Shot, ...]] = []
        for start in range(0, len(inputs), CHUNK):
            cosines = np.asarray((vectors[start : start + CHUNK] @ table.T).todense())
            found += [tuple(self.pool[index] for index in reversed(_best(row, self.k))) for row in cosines]
        return found


def _best(values: np.ndarray, count: int) -> list[int]:
    """The places of the `count` greatest values, the greatest first and the first of equals first."""
    if count < len(values):
        least = np.partition(values, len(values) - count)[len(values) - count]
        places = np.flatnonzero(values >= least)
    else:
        places = np.arange(len(values))
    order = np.argsort(-values[places], kind="stable")[:count]
    return [int(place) for place in places[order]]


def _text(messages: Sequence[Message]) -> str:
    return "\n".join(message.content for message in messages)
