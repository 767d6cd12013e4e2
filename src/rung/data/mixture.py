"""Mixtures of text for pretraining: named files and generators, drawn by share in a seeded order.

A document is a sequence of `(text, weight)`: the weight is how much the loss counts its tokens. Nothing here knows of
tokens or models.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from rung.errors import RungError, nearest

Document = Sequence[tuple[str, float]]
KEYS = ("texts", "separator", "generator", "settings", "later", "files", "held_out", "tokenizer_documents")


@dataclass(frozen=True)
class MixtureSettings:
    """Where training text comes from: either plain `texts` or a `generator`.

    `texts` are files cut into documents at `separator`. `generator` is a Python package beside the recipe with a
    function `documents(seed, settings, files, held_out)` that yields documents without end: it is code of the
    recipe's author and runs as such. `held_out` holds words, one a line, that a generator leaves for evaluation.
    `later` changes settings to those of the mixture that the run ends in, for a generator that begins with another;
    validation rows come from there, and so do the `tokenizer_documents` documents that the tokenizer is trained on.
    """

    texts: tuple[Path, ...] = ()
    separator: str = "\n\n"
    generator: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    later: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    held_out: Path | None = None
    tokenizer_documents: int = 10_000

    def __post_init__(self) -> None:
        if bool(self.texts) == (self.generator is not None):
            raise RungError("needs texts or a generator, one of them", where="corpus", mend="name one")
        wanted = [*self.texts, *self.files.values(), *(p for p in (self.generator, self.held_out) if p is not None)]
        for path in wanted:
            if not path.exists():
                raise RungError(f"no such file {path}", where="corpus", mend="check the path and RUNG_DATA")

    @property
    def mature(self) -> MixtureSettings:
        """The mixture that the run ends in."""
        return replace(self, settings={**self.settings, **self.later})

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], folder: Path) -> MixtureSettings:
        """Read the `corpus` part of a recipe; paths are relative to `folder`, `${NAME}` comes from the environment."""
        if not isinstance(mapping, Mapping):
            raise RungError("is not a mapping", where="corpus", mend="write texts: or generator:")
        for key in mapping:
            if key not in KEYS:
                raise RungError(f"unknown key {key!r}", where="corpus", mend=nearest(str(key), KEYS))
        given = dict(mapping)
        given["texts"] = tuple(resolve(text, folder) for text in mapping.get("texts", ()))
        given["files"] = {name: resolve(text, folder) for name, text in mapping.get("files", {}).items()}
        for key in ("generator", "held_out"):
            given[key] = resolve(mapping[key], folder) if mapping.get(key) else None
        return cls(**given)


def resolve(text: str, folder: Path) -> Path:
    """A path of a recipe, with `${NAME}` replaced from the environment."""

    def value(match: re.Match[str]) -> str:
        if match.group(1) not in os.environ:
            raise RungError(f"{match.group(1)} is not set", where=text, mend=f"set the variable {match.group(1)}")
        return os.environ[match.group(1)]

    return folder / re.sub(r"\$\{(\w+)\}", value, str(text))


def documents(settings: MixtureSettings, seed: int) -> Iterator[Document]:
    """Documents without end; the same settings and seed give the same ones."""
    if settings.generator is None:
        return _cut(settings, seed)
    held_out = settings.held_out.read_text(encoding="utf-8").split() if settings.held_out else []
    made: Iterator[Document] = package(settings.generator).documents(
        seed, settings.settings, settings.files, frozenset(held_out)
    )
    return made


def _cut(settings: MixtureSettings, seed: int) -> Iterator[Document]:
    """The documents of the text files, in a new random order each round."""
    pieces = [
        piece.strip()
        for path in settings.texts
        for piece in path.read_text(encoding="utf-8").split(settings.separator)
        if piece.strip()
    ]
    if not pieces:
        raise RungError("the texts are empty", where="corpus", mend="name files with text")
    turn = 0
    while True:
        for i in np.random.default_rng([seed, turn]).permutation(len(pieces)):
            yield (("<|begin|>", 0.0), (pieces[int(i)] + "<|end|>", 1.0))
        turn += 1


def package(folder: Path) -> ModuleType:
    """The generator package in `folder`, imported under a name of its own."""
    name = f"rung_recipe_{folder.parent.name}_{folder.name}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None or not (folder / "__init__.py").is_file():
        raise RungError("is no Python package", where=str(folder), mend="put an __init__.py with documents() there")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    if not hasattr(module, "documents"):
        raise RungError("has no function documents", where=str(folder), mend="define documents(seed, …)")
    return module
