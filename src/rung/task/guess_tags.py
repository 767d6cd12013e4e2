"""Whether unknown data is tagged words, and in which columns: for `guess`, by looks alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from rung.task.cells import Unusable
from rung.task.columns import Column
from rung.task.tags import read_tagged

_TAG = re.compile(r"O|[BIESLU]-\S+")
_SEEN = 50


def guess_tags(columns: Mapping[str, Column]) -> tuple[str, str, str] | None:
    """(input, target, why) where a column holds a tag for each word of another, or spans of its characters; else None."""
    for target, column in columns.items():
        cells = [_parsed(cell) for cell in column.cells[:_SEEN]]
        tags, spans = _are_tags(cells), _are_spans(cells)
        if not (tags or spans):
            continue
        for source, other in columns.items():
            if source != target and len(other.cells) == len(column.cells) and _go_together(other, column):
                why = "a tag for each word" if tags else "spans of characters"
                return source, target, f"{target} holds {why} of {source}"
    return None


def _are_tags(cells: list[Any]) -> bool:
    """Words that all look like tags, some of which begin a span."""
    rows = [cell.split() if isinstance(cell, str) else cell for cell in cells]
    if not rows or not all(isinstance(row, list) and row and all(isinstance(tag, str) for tag in row) for row in rows):
        return False
    seen = {tag for row in rows for tag in row}
    return all(_TAG.fullmatch(tag) for tag in seen) and any(tag != "O" for tag in seen)


def _are_spans(cells: list[Any]) -> bool:
    """Lists of [start, end, label] or of mappings with these keys, not all empty."""
    parts = [part for cell in cells if isinstance(cell, list) for part in cell]
    return bool(parts) and all(isinstance(cell, list) for cell in cells) and all(_is_span(part) for part in parts)


def _is_span(part: Any) -> bool:
    if isinstance(part, Mapping):
        return {"start", "end"} <= part.keys()
    return isinstance(part, list) and len(part) == 3 and isinstance(part[0], int) and isinstance(part[2], str)


def _go_together(source: Column, target: Column) -> bool:
    """The first rows read without a fault."""
    try:
        for words, tags in zip(source.cells[:_SEEN], target.cells[:_SEEN]):
            read_tagged(words, tags)
    except Unusable:
        return False
    return True


def _parsed(cell: Any) -> Any:
    if isinstance(cell, str) and cell.strip()[:1] in ("[", "{"):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell
    return list(cell) if isinstance(cell, tuple) else cell
