"""The frozen weights that several systems of one base share: one engine, one embedder, whatever they computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rung.generate.engine import Engine
from rung.model.embed import embed
from rung.model.layout import Layout
from rung.model.load import Model


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
