"""The frozen weights that several systems of one base share: one engine, one embedder, whatever they computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rung.generate.engine import Engine
from rung.model.embed import embed
from rung.model.layout import Layout
from rung.model.load import Model
from rung.model.words import WordIds, word_ids, word_vectors

WORD_BYTES = 1 << 29
"""Vectors of words kept for texts that are asked for again."""


@dataclass(frozen=True)
class Body:
    """A base and what its untouched weights computed; hand the same one to all systems of a climb."""

    model: Model

    @cached_property
    def engine(self) -> Engine:
        """The engine of the base's own weights."""
        # Nothing is kept between calls: a climb that goes on must give the digits of one that never stopped.
        return Engine(self.model, kept_bytes=0)

    @cached_property
    def layout(self) -> Layout:
        """How prompts are rendered for this base."""
        return Layout.of(self.model)

    @cached_property
    def embedder(self) -> Embedder:
        """Sentence embeddings of the base's own weights, each text computed once."""
        return Embedder(self.model)


class Embedder:
    """Sentence embeddings that are kept: a text asked for twice is computed once."""

    def __init__(self, model: Model, module: Any = None) -> None:
        self.model = model
        self._module = module
        self._known: dict[str, np.ndarray] = {}
        self._words: dict[str, tuple[WordIds, np.ndarray]] = {}
        self._word_bytes = 0

    @property
    def trained(self) -> bool:
        """Whether the weights are others than the base's."""
        return self._module is not None

    @property
    def module(self) -> Any:
        """The weights that embed."""
        return self.model.module if self._module is None else self._module

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Unit-length embeddings, shape (texts, hidden), float32. Raises RungError for a text beyond the window."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, embed(self.model, new, module=self._module)))
        return np.stack([self._known[text] for text in texts])

    def words(
        self, texts: Sequence[str], progress: Callable[[int, int], None] | None = None
    ) -> list[tuple[WordIds, np.ndarray]]:
        """Each text's words and their vectors, float32 (words, hidden); up to `WORD_BYTES` are kept.

        Raises RungError for a text beyond the window. `progress` gets (texts computed, texts to compute).
        """
        new = [text for text in dict.fromkeys(texts) if text not in self._words]
        split = word_ids(self.model, new)
        fresh = dict(zip(new, zip(split, word_vectors(self.model, split, module=self._module, progress=progress))))
        found = [fresh.get(text) or self._words[text] for text in texts]
        for text, own in fresh.items():
            if self._word_bytes + own[1].nbytes <= WORD_BYTES:
                self._words[text] = own
                self._word_bytes += own[1].nbytes
        return found
