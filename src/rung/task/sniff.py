"""How an unknown text file is delimited, and whether its first line is a header. For guesses only."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rung.task.delimited import Reading

Keys = list[tuple[str, Any, str]]  # key, value, why: as `guess` writes them

_KNOWN = (".jsonl", ".ndjson", ".json", ".parquet", ".gz")
_DELIMITERS = ("\t", ",", ";", "|")


def sniff(path: Path) -> tuple[Reading, Keys]:
    """How to read the file, and the keys of a task file that say so where the default would not do."""
    if path.suffix.lower() in _KNOWN:
        return Reading(), []
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        start = stream.read(65536)
    lines = [line for line in start.split("\n")[:200] if line.strip()][: 200 if len(start) < 65536 else -1]
    if not lines or lines[0].lstrip()[:1] in ("{", "["):
        return Reading(), []
    keys: Keys = []
    usual = {".csv": ",", ".tsv": "\t"}.get(path.suffix.lower())
    delimiter = _delimiter(lines, usual)
    if delimiter is None:
        return Reading(), []
    if delimiter != usual:
        keys.append(("delimiter", delimiter, "what separates the cells"))
    if delimiter == " ":
        columns = ("label", "text")
        keys.append(("columns", list(columns), "each line is a label and the text after it"))
        return Reading(delimiter, False, columns), keys
    header = _has_header(_cells(lines[0], delimiter), [_cells(line, delimiter) for line in lines[1:]])
    if not header:
        keys.append(("header", False, "the first line looks like a row: columns are 0, 1, …"))
    return Reading(delimiter if delimiter != usual else None, header), keys


def _delimiter(lines: Sequence[str], usual: str | None) -> str | None:
    """The usual one of the file's name where the first line has it, else the one that every line has equally often."""
    if usual is not None and usual in lines[0]:
        return usual
    for delimiter in _DELIMITERS:
        counts = {len(_cells(line, delimiter)) for line in lines}
        if len(counts) == 1 and counts != {1}:
            return delimiter
    first = {line.split(" ", 1)[0] for line in lines}
    return " " if len(first) * 4 <= len(lines) and all(" " in line for line in lines) else usual


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == "\t":
        return line.split(delimiter)
    return next(csv.reader(io.StringIO(line), delimiter=delimiter), [])


def _has_header(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """A header has short names, none empty, none a number, none twice, and none that is a value further down."""
    if len(set(first)) < len(first) or any(not cell.strip() or len(cell) > 40 for cell in first):
        return False
    if any(re.fullmatch(r"[-+]?[0-9.]+", cell.strip()) for cell in first):
        return False
    below = [{row[n] for row in rest if n < len(row)} for n in range(len(first))]
    return not any(cell in values for cell, values in zip(first, below, strict=True))
