"""Delimited text (CSV, TSV and their kin) to records with line numbers. Files are opened elsewhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rung.errors import RungError

_LONGEST_CELL = 2**31 - 1  # the module's own limit of 131,072 characters is shorter than a long document


@dataclass(frozen=True)
class Reading:
    """How delimited text is read. `quotes` None: as CSV does for commas and semicolons, not at all for tabs and spaces.

    Without quotes and with `columns` (or with spaces between), the last column takes the rest of the line.
    """

    delimiter: str | None = None
    header: bool = True
    columns: tuple[str, ...] = ()
    quotes: bool | None = None


def read_delimited(text: str, file: str, delimiter: str, reading: Reading) -> list[tuple[int, Mapping[str, str]]]:
    """(line, cells by column) of each record. Raises RungError naming the line of a malformed one.

    Without a header and names the columns are "0", "1", …
    """
    quotes = delimiter not in "\t " if reading.quotes is None else reading.quotes
    records = _quoted(text, file, delimiter) if quotes else _plain(text, delimiter, reading)
    columns: tuple[str, ...] = reading.columns
    found: list[tuple[int, Mapping[str, str]]] = []
    for line, cells in records:
        if not columns and reading.header:
            columns = _header(cells, f"{file}:{line}")
            continue
        columns = columns or tuple(str(index) for index in range(len(cells)))
        if len(cells) != len(columns):
            mend = "quote a cell that holds the delimiter or a line break" if quotes else ""
            raise RungError(f"{len(cells)} cells for {len(columns)} columns", where=f"{file}:{line}", mend=mend)
        found.append((line, dict(zip(columns, cells, strict=True))))
    return found


def _header(cells: list[str], where: str) -> tuple[str, ...]:
    columns = tuple(cell.strip() for cell in cells)
    for column in columns:
        if columns.count(column) > 1:
            raise RungError(
                f"the column {column or 'without a name'} is there twice",
                where=where,
                mend="give each column a name of its own",
            )
    return columns


def _quoted(text: str, file: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Records of RFC 4180, with the line on which each begins."""
    before = csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    start = 1
    try:
        for cells in reader:
            if cells:
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise RungError(
            f"is not CSV: {error} in the record that begins here",
            where=f"{file}:{start}",
            mend="write a quote inside quotes twice, or set data.quotes: false",
        ) from None
    finally:
        csv.field_size_limit(before)


def _plain(text: str, delimiter: str, reading: Reading) -> Iterator[tuple[int, list[str]]]:
    """Lines split at the delimiter; quotes are letters like any other."""
    most = len(reading.columns) - 1 if reading.columns else 1 if delimiter == " " else -1
    for line, record in enumerate(text.split("\n"), 1):
        record = record.removesuffix("\r")
        if record.strip():
            yield line, record.split(delimiter, most) if most else [record]
