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
        cosines = np.asarray((words.transform([_text(one) for one in inputs]) @ table.T).todense())
        order = np.argsort(-cosines, axis=1, kind="stable")[:, : self.k]
        return [tuple(self.pool[index] for index in reversed(row)) for row in order.tolist()]


def _text(messages: Sequence[Message]) -> str:
    return "\n".join(message.content for message in messages)
