"""What a column of unknown data looks like: how full, how varied, how long. For guesses only."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rung.task.cells import Unusable, cell_text
from rung.task.sources import Row


@dataclass(frozen=True)
class Column:
    """The filled cells of one column. `filled` is their share of all rows, `words` the mean length of a cell."""

    name: str
    cells: tuple[Any, ...]
    texts: tuple[str, ...]
    filled: float

    @property
    def counts(self) -> Counter[str]:
        """How often each text is there."""
        return Counter(self.texts)

    @property
    def words(self) -> float:
        """Words in a cell, on average."""
        return sum(text.count(" ") + 1 for text in self.texts) / max(len(self.texts), 1)

    @property
    def is_unique(self) -> bool:
        """No text is there twice and no cell is empty."""
        return self.filled == 1 and len(set(self.texts)) == len(self.texts)

    @property
    def holds_lists(self) -> bool:
        """Every cell is a list of two or more (or a mapping of lists, or JSON text of either)."""
        return bool(self.cells) and all(_is_list(cell) for cell in self.cells)

    @property
    def objects(self) -> list[Mapping[str, Any]] | None:
        """The cells as JSON objects, or None where one is not."""
        found = []
        for cell in self.cells:
            value = _parsed(cell)
            if not isinstance(value, Mapping):
                return None
            found.append(value)
        return found or None

    @property
    def are_classes(self) -> bool:
        """Few and short enough values, each seen often enough, to be labels."""
        distinct = len(self.counts)
        return 2 <= distinct <= 500 and distinct * 4 <= len(self.texts) and self.words <= 4 and not self.holds_lists


def look_at(rows: Sequence[Row]) -> dict[str, Column]:
    """The columns of some rows, in the order of their first appearance."""
    names = dict.fromkeys(key for row in rows for key in row.values)
    found = {}
    for name in names:
        cells = [row.values.get(name) for row in rows]
        texts = [_text(cell) for cell in cells]
        full = [(cell, text) for cell, text in zip(cells, texts, strict=True) if text]
        found[name] = Column(name, tuple(c for c, _ in full), tuple(t for _, t in full), len(full) / max(len(rows), 1))
    return found


def by_name(columns: Mapping[str, Column], names: Sequence[str], among: Sequence[str] | None = None) -> str | None:
    """The column whose name (lower case, without signs) comes first in `names`, and has something in it."""
    plain = {
        re.sub(r"[^a-z0-9]", "", name.lower()): name for name in reversed(list(columns) if among is None else among)
    }
    return next((plain[name] for name in names if name in plain and columns[plain[name]].texts), None)


def _text(cell: Any) -> str:
    try:
        return cell_text(cell).strip()
    except Unusable:
        return ""


def _parsed(cell: Any) -> Any:
    if isinstance(cell, str) and cell.strip()[:1] in ("{", "["):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return None
    return cell


def _is_list(cell: Any) -> bool:
    value = _parsed(cell)
    if isinstance(value, Mapping):
        value = value.get("text")
    return isinstance(value, list) and len(value) >= 2
