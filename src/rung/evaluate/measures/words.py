"""The word lists that measures use: Rung's own small tables, or those of a user's file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rung.errors import RungError
from rung.evaluate.measures import tables
from rung.evaluate.measures.tables import Pairs
from rung.task.document import Section, read_yaml

KEYS = ("misspellings", "contractions", "dialect", "gender", "names", "groups", "targets")
Groups = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Words:
    """`misspellings` (right spelling to wrong ones; empty: typos are made by rule), pairs of phrases that are exchanged,
    `names` (pairs of groups of names), `groups` of words by category for counting who is mentioned, and `targets`,
    words by category that groups may be associated with."""

    misspellings: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    contractions: Pairs = field(default=tables.CONTRACTIONS, repr=False)
    dialect: Pairs = field(default=tables.DIALECT, repr=False)
    gender: Pairs = field(default=tables.GENDER, repr=False)
    names: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = field(default=tables.NAMES, repr=False)
    groups: Mapping[str, Groups] = field(
        default_factory=lambda: {"gender": _genders(), "origin": tables.SURNAMES}, repr=False
    )
    targets: Groups = field(
        default_factory=lambda: {"occupation": tables.OCCUPATIONS, "adjective": tables.ADJECTIVES}, repr=False
    )

    @classmethod
    def read(cls, file: Path) -> Words:
        """From a YAML file with some of the keys `misspellings, contractions, dialect, gender, names, groups, targets`.

        A list may also be a path, relative to the file: one word a line, for pairs with a tab between; misspellings are
        a JSON mapping of the right spelling to wrong ones. Raises RungError for whatever is wrong, with its key.
        """
        section = Section(read_yaml(file))
        section.only(KEYS)
        found: dict[str, Any] = {}
        for key in ("contractions", "dialect", "gender"):
            if section.has(key):
                found[key] = _pairs(section, key, file.parent)
        if section.has("names"):
            lists = section.get("names")
            shaped = isinstance(lists, list) and all(isinstance(two, list) and len(two) == 2 for two in lists)
            if not shaped:
                raise section.refuse("must be pairs of lists of names", "names", mend="write [[[Ann], [Bea]], …]")
            found["names"] = tuple(tuple(_strings(section, "names", group) for group in two) for two in lists)
        if section.has("groups"):
            found["groups"] = {
                name: {group: _list(section, "groups", words, file.parent) for group, words in _mapping(section, "groups", value)}
                for name, value in _mapping(section, "groups", section.get("groups"))
            }  # fmt: skip
            if lone := next((name for name, value in found["groups"].items() if len(value) < 2), None):
                raise section.refuse(f"{lone} is one group", "groups", mend="name two groups or more")
        if section.has("targets"):
            named = _mapping(section, "targets", section.get("targets"))
            found["targets"] = {name: _list(section, "targets", words, file.parent) for name, words in named}
        if section.has("misspellings"):
            found["misspellings"] = read_misspellings(file.parent / section.word("misspellings"))
        return cls(**found)

    def misspelt(self, file: Path) -> Words:
        """The same with the misspellings of a file."""
        return replace(self, misspellings=read_misspellings(file))


def read_misspellings(place: Path) -> dict[str, tuple[str, ...]]:
    """A JSON mapping of right spellings to lists of wrong ones; of a folder its one JSON file.

    Single words are kept: the words of a text are looked up one by one.
    """
    files = sorted(place.glob("*.json")) if place.is_dir() else [place]
    if len(files) != 1:
        raise RungError(f"holds {len(files)} JSON files", where=str(place), mend="name the file of misspellings")
    try:
        known = json.loads(_read(files[0]))
    except (ValueError, RecursionError) as error:
        raise RungError(f"is not JSON: {error}", where=str(files[0]), mend="write {right: [wrong, …]}") from error
    if not isinstance(known, dict) or not all(isinstance(value, list) and value for value in known.values()):
        raise RungError("is no table of misspellings", where=str(files[0]), mend="write {right: [wrong, …]}")
    return {str(word): tuple(map(str, wrong)) for word, wrong in known.items() if " " not in str(word)}


def _genders() -> Groups:
    """The words of each side of the gender pairs, each once."""
    female, male = ({pair[side] for pair in tables.GENDER} for side in (1, 0))
    return {"female": tuple(sorted(female)), "male": tuple(sorted(male))}


def _mapping(section: Section, key: str, value: Any) -> Any:
    if not isinstance(value, dict) or not value:
        raise section.refuse("must map names to lists", key, mend="write name: [word, word]")
    return value.items()


def _strings(section: Section, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(word, str) and word.strip() for word in value):
        raise section.refuse("must be a list of words", key, mend="write [word, word]")
    return tuple(word.strip() for word in value)


def _list(section: Section, key: str, value: Any, folder: Path) -> tuple[str, ...]:
    """A list of words, in lower case, or the lines of a file."""
    words = _lines(folder / value) if isinstance(value, str) else list(_strings(section, key, value))
    return tuple(dict.fromkeys(word.lower() for word in words))


def _pairs(section: Section, key: str, folder: Path) -> Pairs:
    value = section.get(key)
    if isinstance(value, str):
        made = [tuple(part.strip() for part in line.split("\t")) for line in _lines(folder / value)]
    else:
        made = [tuple(pair) for pair in value] if isinstance(value, list) else []
    if not made or not all(len(pair) == 2 and all(isinstance(part, str) and part for part in pair) for pair in made):
        raise section.refuse("must be pairs of words", key, mend="write [[he, she], …], or a file with a tab between")
    return tuple((str(one), str(two)) for one, two in made)


def _lines(file: Path) -> list[str]:
    return [line.strip() for line in _read(file).splitlines() if line.strip()]


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise RungError(f"cannot be read ({reason})", where=str(file), mend="check the path") from error
