"""A task file as values that remember their lines, and the checked reading of its keys.

Here are the YAML reader (duplicate keys refused, `yes` and `no` kept as words, `1e-4` a number) and `Section`, through
which every key is read with its type and range. What the keys mean is not known here: `spec` knows.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rung.errors import RungError, nearest

Keys = tuple[str | int, ...]

# The resolution of plain scalars in the core schema of YAML 1.2 (section 10.3.2), without octal and hexadecimal.
_WHOLE = re.compile(r"[-+]?[0-9]+\Z")
_REAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_WORDS: Mapping[str, bool | None] = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    "null": None, "Null": None, "NULL": None, "~": None, "": None,
}  # fmt: skip
_MOST_NODES = 200_000  # a file of aliases to aliases may otherwise unfold without end
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class Document:
    """A parsed file: its value, and for each place in it (a path of keys) the line and the text as written."""

    value: Any
    source: str
    lines: Mapping[Keys, int]
    written: Mapping[Keys, str]


def read_yaml(path: Path) -> Document:
    """Parse a YAML (or JSON) file.

    Raises RungError where the file is missing, not UTF-8, not YAML, or says a key twice; it names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise RungError("there is no such task file", where=str(path), mend="`rung init DATA` writes one") from None
    except IsADirectoryError:
        raise RungError("is a folder", where=str(path), mend="name the task file in it") from None
    except UnicodeDecodeError as error:
        raise RungError(f"is not UTF-8 (byte {error.start})", where=str(path), mend="save it as UTF-8") from None
    except OSError as error:
        raise RungError(f"cannot be read ({error.strerror})", where=str(path), mend="check the path") from None
    return parse_yaml(text, path.name)


def settings_of(pairs: Iterable[str], where: str) -> dict[str, Any]:
    """`key=value` words of a command line as a mapping; values are read as in a task file (`4`, `1e-3`, `[4, 8]`).

    Raises RungError for a word without `=`, or a key given twice.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise RungError(f"{pair!r} is no key=value", where=where, mend="write it like rank=8")
        if key.strip() in found:
            raise RungError(f"{key.strip()} is given twice", where=where, mend="give it once")
        found[key.strip()] = parse_yaml(value, where).value
    return found


def parse_yaml(text: str, source: str) -> Document:
    """Parse YAML text; `source` is the name that errors print."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}:{mark.line + 1}" if mark else source
        mend = "mend the line, or quote a text that holds : { [ # or &"
        raise RungError(f"is not YAML: {error.problem or error.context}", where=where, mend=mend) from None
    except RecursionError:
        raise RungError("is nested too deeply", where=source, mend="write plain keys and values") from None
    except yaml.YAMLError as error:
        raise RungError(f"is not YAML: {error}", where=source, mend="write plain keys and values") from None
    if node is None:
        raise RungError("the file is empty", where=source, mend="it needs at least name, kind and data")
    reader = _Reader(source)
    value = reader.value(node, (), ())
    return Document(value, source, reader.lines, reader.written)


def from_plain(value: Mapping[Any, Any], source: str = "") -> Document:
    """A mapping made in Python, as a document without lines."""
    written: dict[Keys, str] = {}

    def walk(part: Any, at: Keys) -> Any:
        if isinstance(part, Mapping):
            return {str(key): walk(inner, (*at, str(key))) for key, inner in part.items()}
        if isinstance(part, Sequence) and not isinstance(part, str | bytes):
            return [walk(inner, (*at, index)) for index, inner in enumerate(part)]
        if isinstance(part, os.PathLike):
            part = os.fspath(part)
        written[at] = str(part).lower() if isinstance(part, bool) else str(part)
        return part

    return Document(walk(value, ()), source, {}, written)


class _Reader:
    """Turns YAML nodes into plain values and keeps the marks."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines: dict[Keys, int] = {}
        self.written: dict[Keys, str] = {}

    def value(self, node: yaml.Node, at: Keys, above: tuple[int, ...]) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(at, line)
        where = f"{self.source}:{line}"
        if id(node) in above:
            raise RungError("an alias holds itself", where=where, mend="write the values out")
        if len(self.lines) > _MOST_NODES:
            raise RungError(f"holds more than {_MOST_NODES:,} values", where=where, mend="keep the rows in a data file")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at, (*above, id(node)))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(inner, (*at, i), (*above, id(node))) for i, inner in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        if not node.tag.startswith("tag:yaml.org,2002:") or "python" in node.tag:
            raise RungError(f"the tag {node.tag} is not read", where=where, mend="write plain values")
        self.written[at] = node.value
        return node.value if node.style else _plain(node.value)

    def _mapping(self, node: yaml.MappingNode, at: Keys, above: tuple[int, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, inner in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise RungError("a key must be one word", where=f"{self.source}:{line}", mend="write key: value")
            if key.value in found:
                first = self.lines[(*at, key.value)]
                where = f"{self.source}:{line}"
                raise RungError(f"{key.value} is said twice (first on line {first})", where=where, mend="keep one")
            self.lines[(*at, key.value)] = line
            found[key.value] = self.value(inner, (*at, key.value), above)
        return found


def _plain(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.match(text):
        return int(text)
    if _REAL.match(text):
        return float(text)
    return text


class Section:
    """One mapping of a document. Every read checks the type; every refusal names file, line and key."""

    def __init__(self, document: Document, at: Keys = ()) -> None:
        value = document.value
        for step in at:
            value = value[step]
        self._document = document
        self._at = at
        if not isinstance(value, Mapping):
            raise self.refuse(f"must be a mapping of keys, not {show(value)}", mend="write key: value lines below it")
        self._value: Mapping[str, Any] = value

    def __iter__(self) -> Iterator[str]:
        return iter(self._value)

    def where(self, *below: str | int) -> str:
        """`task.yaml:12 data.split.seed`; without the line where there is none."""
        at = (*self._at, *below)
        line = next((self._document.lines[at[:n]] for n in range(len(at), -1, -1) if at[:n] in self._document.lines), 0)
        place = f"{self._document.source}:{line}" if line else self._document.source
        return f"{place} {'.'.join(str(step) for step in at)}".strip()

    def refuse(self, what: str, *below: str | int, mend: str = "") -> RungError:
        """The error to raise for the key (or path of keys) `below`."""
        return RungError(what, where=self.where(*below), mend=mend)

    def only(self, known: Iterable[str], mends: Mapping[str, str] | None = None) -> None:
        """Refuse unknown keys; `mends` holds what to say for some of them."""
        names = list(known)
        for key in self:
            if key not in names:
                mend = (mends or {}).get(key) or nearest(key, names)
                raise self.refuse(f"unknown key {key}", key, mend=mend)

    def has(self, key: str) -> bool:
        """Whether the key is there with a value; `key:` alone counts as absent."""
        return self._value.get(key) is not None

    def get(self, key: str) -> Any:
        """The value as parsed, or None."""
        return self._value.get(key)

    def word(self, *below: str | int) -> str:
        """The scalar at `below` as it was written: `yes`, `007` and `1.0` stay what they are."""
        at = (*self._at, *below)
        if at not in self._document.written:
            raise self.refuse("must be one word or line of text", *below, mend="quote it, or write one value")
        return self._document.written[at]

    def text(self, key: str) -> str | None:
        """A line of text that says something, or None where the key is absent."""
        if not self.has(key):
            return None
        found = self.word(key)
        if not found.strip():
            raise self.refuse("is empty", key, mend="fill it, or drop the key")
        return found

    def texts(self, key: str, blank: bool = False) -> tuple[str, ...]:
        """One text or a list of texts; empty where the key is absent. With `blank`, spaces and breaks are texts too."""
        if not self.has(key):
            return ()
        value = self.get(key)
        if isinstance(value, list) and not value:
            raise self.refuse("is an empty list", key, mend="fill it, or drop the key")
        found = tuple(self.word(key, i) for i in range(len(value))) if isinstance(value, list) else (self.word(key),)
        if not all(text if blank else text.strip() for text in found):
            raise self.refuse("holds an empty text", key, mend="fill it, or drop it")
        return found

    def one_of(self, key: str, known: Sequence[str]) -> str | None:
        """One of the `known` words, or None where the key is absent."""
        found = self.text(key)
        if found is not None and found not in known:
            raise self.refuse(f"unknown {key} {found}", key, mend=nearest(found, known))
        return found

    def number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        """A finite number from `low` to `high`, or None where the key is absent."""
        return None if not self.has(key) else self.number_at(key, low=low, high=high)

    def number_at(self, *below: str | int, low: float = -math.inf, high: float = math.inf) -> float:
        """The number at a path of keys."""
        value = self._value
        for step in below:
            value = value[step]  # type: ignore[index]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.refuse(f"must be a number, not {show(value)}", *below, mend=f"give {_span(low, high)}")
        if not low <= value <= high:
            raise self.refuse(f"{value:g} is outside {_span(low, high)}", *below, mend="choose one within")
        return float(value)

    def whole(self, key: str, low: int = 0, high: float = math.inf) -> int | None:
        """A whole number from `low` to `high`, or None where the key is absent."""
        found = self.number(key, low, high)
        if found is not None and found != int(found):
            raise self.refuse(
                f"must be a whole number, not {show(self.get(key))}", key, mend=f"give {_span(low, high)}"
            )
        return None if found is None else int(self.get(key))

    def flag(self, key: str) -> bool | None:
        """true or false, or None where the key is absent."""
        value = self.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.refuse(f"must be true or false, not {show(value)}", key, mend="write true or false")
        return value

    def section(self, *below: str | int) -> Section:
        """The mapping at `below`."""
        return Section(self._document, (*self._at, *below))

    def items(self, key: str) -> list[Any]:
        """The list under a key; empty where the key is absent."""
        value = self.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.refuse(f"must be a list, not {show(value)}", key, mend="write [a, b], or a line with - for each")
        return value

    def path(self, folder: Path, *below: str | int) -> Path:
        """The path at `below`: `${NAME}` filled from the environment, relative to the task file's folder."""
        return folder / Path(self.expand(self.word(*below), *below)).expanduser()

    def expand(self, text: str, *below: str | int) -> str:
        """`${NAME}` replaced by the environment's value; an unset one is refused."""

        def fill(match: re.Match[str]) -> str:
            name = match.group(1)
            if not os.environ.get(name):
                raise self.refuse(f"${{{name}}} is not set", *below, mend=f"set it: export {name}=FOLDER")
            return os.environ[name]

        filled = _VARIABLE.sub(fill, text)
        try:
            os.fsencode(filled)
        except UnicodeEncodeError:
            filled = "\0"
        if "\0" in filled:
            raise self.refuse("holds a character that no path has", *below, mend="write the path anew")
        return filled


def show(value: Any, most: int = 60) -> str:
    """A value as an error message names it."""
    if value is None:
        return "nothing"
    kind = "a list" if isinstance(value, list) else "a mapping" if isinstance(value, Mapping) else None
    text = kind or (value if isinstance(value, str) else repr(value))
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _span(low: float, high: float) -> str:
    if high == math.inf:
        return f"{low:g} and up" if low != -math.inf else "a number, such as 0.8"
    return f"{low:g} to {high:g}" if low != -math.inf else f"up to {high:g}"
