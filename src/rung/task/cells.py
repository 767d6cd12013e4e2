"""Cells to text: looking up a column of a row, filling a template, and the reason why a row cannot be used.

Nothing here reads files or knows a task's kind.
"""

from __future__ import annotations

import json
import math
import string
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from rung.errors import RungError, nearest

Refuse = Callable[[str, str], RungError]  # (what, mend) -> the error to raise


class Unusable(Exception):
    """A row that must be set aside. `reason` is the same for all rows of its kind; `detail` tells this one."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def look_up(values: Mapping[str, Any], column: str) -> Any:
    """The cell of a column; `question.stem` walks into mappings. None where there is none."""
    if column in values:
        return values[column]
    found: Any = values
    for step in column.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(step)
    return found


def cell_text(value: Any) -> str:
    """A cell as text: nothing is empty, a mapping or list is JSON, true and false are as JSON writes them."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool | list | dict | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, bytes):
        raise Unusable("the cell holds bytes, not text")
    return str(value)


@dataclass(frozen=True)
class Template:
    """Text with columns in it. `parts` alternates literal text and column names, as (literal, column or None)."""

    parts: tuple[tuple[str, str | None], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it reads."""
        return tuple(column for _, column in self.parts if column is not None)

    @property
    def column(self) -> str | None:
        """The column, where the template is nothing but one."""
        return self.parts[0][1] if len(self.parts) == 1 and not self.parts[0][0] else None

    def render(self, values: Mapping[str, Any]) -> str:
        """The text of a row; empty where every column it reads is empty."""
        cells = [
            (literal, "" if column is None else cell_text(look_up(values, column))) for literal, column in self.parts
        ]
        if not any(cell.strip() for _, cell in cells):
            return ""
        return "".join(literal + cell for literal, cell in cells)


def read_template(text: str, columns: Collection[str], refuse: Refuse) -> Template:
    """A column name, or a text with `{column}` in it (`{{` is a brace). Unknown columns are refused."""
    if _known(text, columns):
        return Template((("", text),))
    if "{" not in text:
        raise refuse(f"there is no column {text}", nearest(text, columns))
    parts: list[tuple[str, str | None]] = []
    try:
        pieces = list(string.Formatter().parse(text))
    except ValueError as error:
        raise refuse(f"is not a template: {error}", "write {column} for a column and {{ for a brace") from None
    for literal, column, spec, conversion in pieces:
        if column is not None and (spec or conversion or not column):
            raise refuse(f"is not a template: {text}", "write {column} for a column and {{ for a brace")
        if column is not None and not _known(column, columns):
            raise refuse(f"there is no column {column}", nearest(column, columns))
        parts.append((literal, column))
    if all(column is None for _, column in parts):
        raise refuse("the template names no column", "write {column} where a column belongs")
    return Template(tuple(parts))


def _known(column: str, columns: Collection[str]) -> bool:
    return column in columns or ("." in column and column.split(".")[0] in columns)
