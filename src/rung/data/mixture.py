"""The corpus of a recipe: sources of text by weight, or a generator of the recipe's author.

A document is a sequence of `(text, weight)`: the weight is how much the loss counts its tokens. Nothing here knows of
tokens or models.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from rung.data.blend import Blend
from rung.data.source import Source
from rung.errors import RungError, nearest

Document = Sequence[tuple[str, float]]
SOURCE_KEYS = ("source", "column", "separator", "weight")


@dataclass(frozen=True)
class MixtureSettings:
    """Where training text comes from: either `sources` or a `generator`.

    Each source is a file, a folder, a glob, `hub:NAME` or a named corpus, with a weight. `validation` is the share of
    their documents that is held out. `deduplicate` leaves out copies (`exact`), near ones too (`near`, from `similarity`
    on), or none. `begin` and `end` are the marks around a document; None takes those of the tokenizer, "" puts none.

    `generator` is a Python package beside the recipe with a function `documents(seed, settings, files, held_out)` that
    yields documents without end: it is code of the recipe's author and runs as such. `held_out` holds words, one a line,
    that a generator leaves for evaluation. `later` changes settings to those of the mixture that the run ends in, for a
    generator that begins with another; validation rows come from there, and so do the `tokenizer_documents` documents
    that the tokenizer is trained on.
    """

    sources: tuple[Source, ...] = ()
    validation: float = 0.02
    deduplicate: str = "exact"
    similarity: float = 0.8
    begin: str | None = None
    end: str | None = None
    generator: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    later: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    held_out: Path | None = None
    tokenizer_documents: int = 10_000

    def __post_init__(self) -> None:
        if bool(self.sources) == (self.generator is not None):
            raise RungError("needs texts, sources or a generator, one of them", where="corpus", mend="name one")
        wanted = [*self.files.values(), *(p for p in (self.generator, self.held_out) if p is not None)]
        for path in wanted:
            if not path.exists():
                raise RungError(f"no such file {path}", where="corpus", mend="check the path and RUNG_DATA")
        if self.sources:
            self.blend(0)

    def blend(self, seed: int) -> Blend:
        """The stream of the sources."""
        return Blend(self.sources, seed, self.validation, self.deduplicate, self.similarity)

    @property
    def mature(self) -> MixtureSettings:
        """The mixture that the run ends in."""
        return replace(self, settings={**self.settings, **self.later})

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], folder: Path) -> MixtureSettings:
        """Read the `corpus` part of a recipe; paths are relative to `folder`, `${NAME}` comes from the environment.

        `texts` is short for sources of equal weight; `separator` and `column` hold for every source without its own.
        """
        if not isinstance(mapping, Mapping):
            raise RungError("is not a mapping", where="corpus", mend="write texts:, sources: or generator:")
        known = [*(spec.name for spec in fields(cls)), "texts", "separator", "column"]
        for key in mapping:
            if key not in known:
                raise RungError(f"unknown key {key!r}", where="corpus", mend=nearest(str(key), known))
        given = {key: value for key, value in mapping.items() if key not in ("texts", "separator", "column")}
        defaults = {key: mapping[key] for key in ("separator", "column") if key in mapping}
        rows = [*mapping.get("texts", ()), *mapping.get("sources", ())]
        given["sources"] = tuple(_source(row, defaults, folder) for row in rows)
        given["files"] = {name: resolve(text, folder) for name, text in mapping.get("files", {}).items()}
        for key in ("generator", "held_out"):
            given[key] = resolve(mapping[key], folder) if mapping.get(key) else None
        for key in ("validation", "similarity"):
            if key in given:
                given[key] = _number(given[key], key)
        return cls(**given)


def _source(row: Any, defaults: Mapping[str, Any], folder: Path) -> Source:
    row = {"source": row} if isinstance(row, str) else row
    if not isinstance(row, Mapping) or not isinstance(row.get("source"), str):
        raise RungError(f"{row!r} names no source", where="corpus", mend="write {source: FILE, weight: 1}")
    for key in row:
        if key not in SOURCE_KEYS:
            raise RungError(f"unknown key {key!r}", where="corpus.sources", mend=nearest(str(key), SOURCE_KEYS))
    given = {**defaults, **{key: value for key, value in row.items() if key != "source"}}
    if "weight" in given:
        given["weight"] = _number(given["weight"], "weight")
    return Source(from_environment(row["source"]), folder, **given)


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RungError(f"{key} is {value!r}", where="corpus", mend="give a number")
    return float(value)


def resolve(text: str, folder: Path) -> Path:
    """A path of a recipe, with `${NAME}` replaced from the environment."""
    return folder / from_environment(str(text))


def from_environment(text: str) -> str:
    """`text` with `${NAME}` replaced. Raises RungError where the variable is not set."""

    def value(match: re.Match[str]) -> str:
        if match.group(1) not in os.environ:
            raise RungError(f"{match.group(1)} is not set", where=text, mend=f"set the variable {match.group(1)}")
        return os.environ[match.group(1)]

    return re.sub(r"\$\{(\w+)\}", value, text)


def documents(settings: MixtureSettings, seed: int) -> Iterator[Document]:
    """Documents of a generator without end; the same settings and seed give the same ones."""
    assert settings.generator is not None
    held_out = settings.held_out.read_text(encoding="utf-8").split() if settings.held_out else []
    made: Iterator[Document] = package(settings.generator).documents(
        seed, settings.settings, settings.files, frozenset(held_out)
    )
    return made


def marked(texts: Iterator[str], begin: str, end: str) -> Iterator[Document]:
    """Plain texts as documents between marks; the first mark is not predicted."""
    for text in texts:
        pieces = ((begin, 0.0), (text, 1.0), (end, 1.0))
        yield tuple(piece for piece in pieces if piece[0])


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
