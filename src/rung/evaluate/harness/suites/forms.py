"""The plain file forms in which benchmarks are given away: CSV, TSV, JSON lines, JSON. Each fault is one line."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rung.errors import RungError

Row = dict[str, Any]


def found(folder: Path, names: Sequence[str], what: str) -> Path:
    """The first of the files that is there. Raises RungError naming all of them."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    looked = " or ".join(str(folder / name) for name in names)
    raise RungError("the data is not there", where=what, mend=f"put {looked} in place, or name its folder with --data")


def cells(file: Path) -> list[list[str]]:
    """The records of a CSV as they stand, a header too. Raises RungError where there is none."""
    with _told(file), file.open(encoding="utf-8-sig", newline="") as lines:
        records = [record for record in csv.reader(lines) if record]
    if not records:
        raise RungError("holds no rows", where=str(file), mend="fetch it again")
    return records


def table(file: Path, columns: Sequence[str] | None = None) -> list[Row]:
    """A CSV, or TSV by its ending, with a header, or with `columns` where it has none.

    Raises RungError for a file without rows, or a row of another number of cells.
    """
    tabs = file.suffix == ".tsv"
    with _told(file), file.open(encoding="utf-8-sig", newline="") as lines:
        quoting: Any = csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL
        records = [one for one in csv.reader(lines, delimiter="\t" if tabs else ",", quoting=quoting) if one]
    names = list(columns) if columns else records.pop(0) if records else []
    for number, record in enumerate(records, 1):
        if len(record) != len(names):
            what = f"has {len(record)} cells for {len(names)} columns"
            raise RungError(what, where=f"{file}, row {number}", mend="fetch it again")
    if not records:
        raise RungError("holds no rows", where=str(file), mend="fetch it again")
    return [dict(zip(names, record)) for record in records]


def json_lines(file: Path, needed: Sequence[str] = ()) -> list[Row]:
    """One object a line, perhaps packed by gzip. Raises RungError for a line that is none, or lacks a `needed` key."""
    rows: list[Row] = []
    with (
        _told(file),
        gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines,
    ):
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{file}, line {number}"
            try:
                row = json.loads(line)
            except ValueError as error:
                raise RungError(f"is no JSON: {error}", where=where, mend="mend it") from None
            if not isinstance(row, dict) or (lacking := [key for key in needed if key not in row]):
                told = f"lacks {', '.join(lacking)}" if isinstance(row, dict) else "is no object"
                raise RungError(told, where=where, mend="fetch the file again")
            rows.append(row)
    if not rows:
        raise RungError("holds no rows", where=str(file), mend="fetch it again")
    return rows


def json_object(file: Path) -> Row:
    """A JSON file that is one object. Raises RungError where it is none."""
    with _told(file):
        given = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(given, dict):
        raise RungError("is no object", where=str(file), mend="fetch it again")
    return given


def text(file: Path) -> str:
    """A text file. Raises RungError where it is none."""
    with _told(file):
        return file.read_text(encoding="utf-8")


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """What Python says of a file that it cannot read, as one line."""
    try:
        yield
    except (OSError, EOFError, ValueError, RecursionError, csv.Error) as error:
        raise RungError(f"cannot be read ({error})", where=str(file), mend="fetch it again") from None
