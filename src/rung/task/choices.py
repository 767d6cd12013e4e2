"""Choices of a row, and what its target means: the text of the right one, its letter, or its index from 0."""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rung.task.cells import Unusable, cell_text, look_up
from rung.task.document import Section, show
from rung.task.draft import Draft

PutAside = Callable[[Draft, Unusable], None]


def read_choices(values: Mapping[str, Any], columns: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(texts, names) of a row's choices; names are A, B, … or what the row itself calls them.

    One column holds the list (of texts, of {text, label}, or {text: […], label: […]}); several columns hold one each.
    """
    if len(columns) > 1:
        cells: Any = [look_up(values, column) for column in columns]
        while cells and not cell_text(cells[-1]).strip():  # rows with fewer choices leave the last columns empty
            cells.pop()
    else:
        cells = _parsed(look_up(values, columns[0]))
    names: list[str] = list(string.ascii_uppercase)
    if isinstance(cells, Mapping):
        names, cells = [cell_text(name) for name in cells.get("label") or names], cells.get("text")
    if not isinstance(cells, Sequence) or isinstance(cells, str):
        raise Unusable("the choices are not a list", show(cells))
    if cells and all(isinstance(cell, Mapping) for cell in cells):
        names = [cell_text(cell.get("label")) or name for cell, name in zip(cells, names, strict=False)]
        cells = [cell.get("text") for cell in cells]
    texts = tuple(cell_text(cell).strip() for cell in cells)
    if len(texts) < 2 or not all(texts):
        raise Unusable("a row needs two choices or more, none empty")
    if len(set(texts)) < len(texts):
        raise Unusable("two choices are the same")
    return texts, tuple(names[: len(texts)])


def _parsed(cell: Any) -> Any:
    """A list written as JSON text (as in a CSV) is read."""
    if isinstance(cell, str) and cell.strip()[:1] in ("[", "{"):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError) as error:
            raise Unusable("the choices are not JSON", str(error)) from None
    return cell


def _by_text(draft: Draft) -> str | None:
    return draft.answers[0] if draft.answers[0] in draft.choices else None


def _by_name(draft: Draft) -> str | None:
    said = draft.answers[0].strip("(). ")
    found = dict(zip(draft.choice_names, draft.choices, strict=False))
    return found.get(said) or found.get(said.upper())


def _by_index(draft: Draft) -> str | None:
    index = _number(draft)
    return draft.choices[index] if index is not None and index < len(draft.choices) else None


def _number(draft: Draft) -> int | None:
    said = draft.answers[0].removesuffix(".0")  # a whole number that passed through a float column
    return int(said) if said.isdecimal() and len(said) < 10 else None


_READINGS: Sequence[tuple[str, Callable[[Draft], str | None]]] = (
    ("text", _by_text), ("letter", _by_name), ("index", _by_index),
)  # fmt: skip


def resolve_targets(
    tables: Mapping[str, Sequence[Draft]], data: Section, put_aside: PutAside
) -> dict[str, list[Draft]]:
    """Replace every target by the text of the right choice.

    One reading holds for the whole task: the one that fits most rows (a choice may itself be "2"), texts before
    letters before indices where they tie. Rows that it does not fit are put aside. Indices that count from 1 are
    refused, since reading them from 0 would be wrong without a trace.
    """
    drafts = [draft for part in tables.values() for draft in part]
    fits = {name: sum(read(draft) is not None for draft in drafts) for name, read in _READINGS}
    best = max(fits, key=lambda name: fits[name])  # the first of those that tie
    if best == "index" and fits[best] < len(drafts) and _counts_from_one(drafts):
        raise data.refuse(
            "the targets count the choices from 1", "target", mend="write the index from 0, or the letter"
        )
    read = dict(_READINGS)[best]
    found: dict[str, list[Draft]] = {name: [] for name in tables}
    for name, part in tables.items():
        for draft in part:
            right = read(draft)
            if right is None:
                put_aside(draft, Unusable("the target is none of the choices", draft.answers[0]))
            else:
                found[name].append(replace(draft, answers=(right,)))
    return found


def _counts_from_one(drafts: Sequence[Draft]) -> bool:
    said = [(_number(draft), len(draft.choices)) for draft in drafts]
    return all(index is not None and 1 <= index <= count for index, count in said)
