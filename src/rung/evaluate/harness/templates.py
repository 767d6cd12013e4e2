"""The fields of a task file filled from a row: templates compiled once, in a sandbox; or a column's name; or a value.

The rules are lm-eval's: a name of a column is that column, digits become an index where there are choices, a list written
as text becomes a list.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rung.errors import RungError, nearest
from rung.evaluate.harness.spec import HarnessTask

Row = Mapping[str, Any]

MOST_TURNS = 1_000_000
"""Turns that the loops over `range` of one field may take together."""


class _Turns:
    """Hands out ranges until the turns of a filling are used up: loops in loops would else go on for days."""

    def __init__(self) -> None:
        self.left = MOST_TURNS

    def range(self, *ends: int) -> range:
        given = range(*ends)
        self.left -= len(given)
        if self.left < 0:
            raise OverflowError(f"its loops take more than {MOST_TURNS:,} turns")
        return given


_turns = _Turns()

# Immutable: a template that changed a row's list would change it for every field that is filled after.
_environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
_environment.globals["range"] = _turns.range
_environment.filters["regex_replace"] = lambda text, pattern, by, count=0: re.sub(pattern, by, text, count=count)

# What a template can raise: jinja's own, and what Python says of values that do not fit an operation.
_FAULTS = (
    TemplateError, TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError,
    MemoryError, re.error,
)  # fmt: skip


@lru_cache(maxsize=512)
def _compiled(text: str) -> Template:
    return _environment.from_string(text)


class Fields:
    """Fills a task's fields from rows with the given columns."""

    def __init__(self, task: HarnessTask, columns: Collection[str]) -> None:
        self.task, self.columns = task, frozenset(columns)

    def text(self, row: Row, field: Any = None) -> str | int:
        """The input, or the index of a choice where the choices are the inputs."""
        field = self.task.doc_to_text if field is None else field
        filled = self._filled(field if field is not None else "", row, "doc_to_text")
        if isinstance(filled, str) and field not in self.columns and filled.isdigit() and self.task.doc_to_choice:
            return int(filled)
        if filled is None:
            raise self._refusal("doc_to_text", "is empty in this row", "fill the column, or write a template")
        return filled if isinstance(filled, int) else str(filled)

    def target(self, row: Row, field: Any = None) -> str | int | list[Any]:
        """What is right: a text, the index of a choice, or a list of either."""
        field = self.task.doc_to_target if field is None else field
        filled = self._filled(field if field is not None else "", row, "doc_to_target")
        if filled is None or (isinstance(filled, list) and not filled):
            raise self._refusal("doc_to_target", "names no right answer in this row", "fill the column")
        if not isinstance(filled, str) or field in self.columns:
            return filled
        if filled.isdigit() and self.task.doc_to_choice is not None:
            return int(filled)
        if len(filled) >= 2 and filled[0] == "[" and filled[-1] == "]":
            try:
                return ast.literal_eval(filled)
            except (SyntaxError, ValueError):
                return filled
        return filled

    def choices(self, row: Row, field: Any = None) -> list[str]:
        """The options. Raises RungError where they are no list."""
        field = self.task.doc_to_choice if field is None else field
        if isinstance(field, Mapping):
            return [str(value) for value in field.values()]
        found = self._filled(field, row, "doc_to_choice")
        if isinstance(found, str):
            try:
                found = ast.literal_eval(found)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                raise self._refusal("doc_to_choice", f"makes no list: {found[:60]!r}", "write a list") from None
        if not isinstance(found, list | tuple):
            raise self._refusal("doc_to_choice", f"makes no list: {found!r:.60}", "write a list")
        return [str(choice) for choice in found]

    def plain(self, row: Row, field: str | None, name: str) -> str:
        """A field that is a column or a template, and may be missing."""
        return str(self._filled(field, row, name)) if field else ""

    def _filled(self, field: Any, row: Row, name: str) -> Any:
        if not isinstance(field, str):
            return field
        _turns.left = MOST_TURNS
        try:
            return row[field] if field in self.columns else _compiled(field).render(**row)
        except UndefinedError as error:
            missing = (re.findall(r"'(\w+)' is undefined", str(error)) or [""])[0]
            mend = nearest(missing, self.columns) if missing else f"the columns are {', '.join(sorted(self.columns))}"
            raise self._refusal(name, f"names what the row lacks: {error}", mend) from None
        except _FAULTS as error:
            told = " ".join(str(error).split())[:160]
            raise self._refusal(name, f"cannot be filled: {told}", "correct the template") from None

    def _refusal(self, name: str, what: str, mend: str) -> RungError:
        return RungError(f"{name} {what}", where=self.task.task, mend=mend)
