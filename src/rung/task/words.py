"""Texts that come word by word: CoNLL's columns, files that belong together line by line, numbers for words of a list.

Reads text that `sources` has opened; which words are marked as what is read in `tags`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rung.errors import RungError

SUFFIXES = (".conll", ".iob", ".iob2", ".bio")
DOCUMENT = "-DOCSTART-"


def conll(text: str, shown: str, columns: Sequence[str] = ()) -> list[tuple[int, Mapping[str, Any]]]:
    """(line, row) of each sentence: a word a line, its columns after it, an empty line between sentences.

    A row maps each of `columns` (else `tokens`, the first, and `tags`, the last) to a list with one entry a word. Lines
    of `-DOCSTART-` and comments (# and another number of columns) are no words. Raises RungError naming the line where
    the number of columns changes.
    """
    rows: list[tuple[int, Mapping[str, Any]]] = []
    block: list[list[str]] = []
    width, first = 0, 1

    def close() -> None:
        if block:
            table = list(zip(*block))
            named = dict(zip(columns, table)) if columns else {"tokens": table[0], "tags": table[-1]}
            rows.append((first, {name: list(cells) for name, cells in named.items()}))
            block.clear()

    for number, line in enumerate(text.split("\n"), 1):
        cells = line.rstrip("\r").split("\t") if "\t" in line else line.split()
        if not line.strip() or cells[0] == DOCUMENT:
            close()
            continue
        if line.startswith("#") and len(cells) != width:
            continue
        width = width or len(cells)
        if len(cells) != width or width < 2 or (columns and width != len(columns)):
            known = f", not {len(columns) or width}" if (columns or width > 1) else ""
            mend = "a line holds a word and its tag, and every line as many columns"
            raise RungError(f"{len(cells)} columns{known}", where=f"{shown}:{number}", mend=mend)
        if not block:
            first = number
        block.append(cells)
    close()
    return rows


def beside(texts: Mapping[str, tuple[str, str]]) -> list[tuple[int, Mapping[str, str]]]:
    """(line, row) of files that belong together line by line; `texts` maps a column to (text, the file as shown).

    Raises RungError where the files have different numbers of lines.
    """
    lines = {name: text.rstrip("\n").split("\n") for name, (text, _) in texts.items()}
    counts = {name: len(own) for name, own in lines.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{texts[name][1]} {count}" for name, count in counts.items())
        raise RungError(f"files side by side have different numbers of lines: {told}", where="lines:", mend="mend them")
    rows = zip(*lines.values(), strict=True)
    return [(n, {name: cell.rstrip("\r") for name, cell in zip(lines, row)}) for n, row in enumerate(rows, 1)]


def looked_up(cell: Any, entries: Sequence[str], place: str, column: str) -> str:
    """Numbers from 0, one or several with spaces between (or a list), as the entries that they stand for.

    Raises RungError for what is no number of an entry.
    """
    numbers = cell if isinstance(cell, list | tuple) else str(cell).split()
    found = []
    for number in numbers:
        said = str(number).strip().removesuffix(".0")
        if not said.isdecimal() or int(said) >= len(entries):
            what = f"{said!r} in column {column} is no number below {len(entries)}"
            raise RungError(what, where=place, mend="lookup names a file with one entry a line, counted from 0")
        found.append(entries[int(said)])
    return " ".join(found)
