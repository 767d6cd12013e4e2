"""Rows to Examples: which columns are the input and the answers, the choices and labels, and which rows are set aside.

Splits are made elsewhere. A row that cannot be used is kept as a `SetAside`; a column that is missing stops the load.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rung.errors import RungError, nearest
from rung.metrics.marked import unmark
from rung.task.cells import Template, Unusable, cell_text, look_up, read_template
from rung.task.choices import read_choices, resolve_targets
from rung.task.document import show
from rung.task.draft import Draft
from rung.task.shapes import SHAPES, Parts, Shape, detect, read_turns
from rung.task.sources import Row
from rung.task.spec import DataSpec, TaskSpec
from rung.task.tags import read_tagged
from rung.types import Example, Message, TaskKind


@dataclass(frozen=True)
class SetAside:
    """A row that no rung sees: the row as read, the reason (one a kind of fault), and one line that tells this case."""

    row: Mapping[str, Any]
    reason: str
    text: str


@dataclass(frozen=True)
class Layout:
    """The columns of one table of rows, resolved: either a `shape`, or an input template and target templates."""

    data: DataSpec
    shape: Shape | None
    input: Template | None
    target: tuple[Template, ...]
    choices: tuple[str, ...]
    stratum: str | None
    lists_are_references: bool
    tagged: bool = False

    def draft(self, row: Row) -> Draft:
        """Raises Unusable where the row has no input, no answer or no choices."""
        prompt, answers = self._parts(row)
        if not any(message.content.strip() for message in prompt if message.role != "system"):
            raise Unusable("the input is empty")
        answers = tuple(dict.fromkeys(answer.strip() for answer in answers if answer.strip()))
        if not answers:
            raise Unusable("the target is empty")
        choices, names = read_choices(row.values, self.choices) if self.choices else ((), ())
        for text in (*(message.content for message in prompt), *answers, *choices):
            _check_unicode(text)
        stratum, name, group = (
            cell_text(look_up(row.values, column)).strip() if column else ""
            for column in (self.stratum, self.data.id, self.data.group)
        )
        # a row without a name or group is named by its place, and is a group of its own
        return Draft(row, prompt, answers, choices, names, stratum, name or row.place, group or row.place)

    def _parts(self, row: Row) -> Parts:
        if self.shape:
            return self.shape(row.values)
        if not self.tagged:
            return self._prompt(row), self._answers(row)
        assert self.input is not None
        column = self.input.column
        source = self.input.render(row.values) if column is None else look_up(row.values, column)
        text, marked = read_tagged(source, look_up(row.values, self.target[0].columns[0]))
        return (Message("user", text),), (marked,)

    def _prompt(self, row: Row) -> tuple[Message, ...]:
        assert self.input is not None
        if self.input.column is not None:
            cell = look_up(row.values, self.input.column)
            if (
                isinstance(cell, list)
                and cell
                and all(isinstance(turn, Mapping) and {"role", "from"} & turn.keys() for turn in cell)
            ):
                return read_turns(cell)
        return (Message("user", self.input.render(row.values)),)

    def _answers(self, row: Row) -> tuple[str, ...]:
        found: list[str] = []
        for template in self.target:
            cell = look_up(row.values, template.column) if template.column is not None else None
            if self.lists_are_references and isinstance(cell, list) and all(isinstance(text, str) for text in cell):
                found += cell
            else:
                found.append(template.render(row.values))
        return tuple(found)


def lay_out(spec: TaskSpec, tables: Mapping[str, Sequence[Row]]) -> Mapping[str, Layout]:
    """The layout of each table. Raises RungError at the key whose column no table (or, but for lists, one table) has."""
    columns = {name: dict.fromkeys(key for row in rows for key in row.values) for name, rows in tables.items()}
    return {name: _lay_out(spec, rows[0].file, columns[name], columns) for name, rows in tables.items()}


def _lay_out(spec: TaskSpec, file: str, columns: Collection[str], everywhere: Mapping[str, Collection[str]]) -> Layout:
    data = spec.data

    def read(text: str, *key: str) -> Template:
        def refuse(what: str, mend: str) -> RungError:
            return data.section.refuse(f"{what} in {file}", *key, mend=mend)

        return read_template(text, columns, refuse)

    for key in ("id", "group"):
        if column := getattr(data, key):
            read(column, key)
    stratum = data.split.stratify if isinstance(data.split.stratify, str) else None
    if stratum:
        read(stratum, "split", "stratify")
    for column in data.choices:
        read(column, "choices")
    shape = _shape(data, file, columns)
    source = target = None
    if shape is None:
        if data.input is None or not data.target:
            key = "target" if data.input else "input"
            known = f"the columns are {show(', '.join(columns), 200)}"
            raise data.section.refuse(f"the key {key} is missing and {file} has no known shape", mend=known)
        source = read(data.input, "input")
        present = [text for text in data.target if len(data.target) == 1 or _is_here(text, columns, everywhere)]
        if not present:
            raise data.section.refuse(
                f"{file} has none of the columns {', '.join(data.target)}",
                "target",
                mend=f"the columns are {show(', '.join(columns), 200)}",
            )
        target = [read(text, "target") for text in present]
    return Layout(
        data, shape, source, tuple(target or ()), data.choices, stratum,
        lists_are_references=spec.kind == "generate" and spec.schema is None, tagged=spec.kind == "tag",
    )  # fmt: skip


def _shape(data: DataSpec, file: str, columns: Collection[str]) -> Shape | None:
    if data.format == "columns" or data.input is not None or data.target:
        return None
    name = detect(columns) if data.format == "auto" else data.format
    if name is None:
        return None
    needs, shape = SHAPES[name]
    missing = [column for column in needs if column not in columns]
    if missing:
        mend = nearest(missing[0], columns)
        raise data.section.refuse(f"format {name} needs a column {missing[0]} in {file}", "format", mend=mend)
    return shape


def _is_here(text: str, columns: Collection[str], everywhere: Mapping[str, Collection[str]]) -> bool:
    """Of a list of targets (several references) a split may lack some, as long as another split has them."""
    return text in columns or not any(text in others for others in everywhere.values())


def draft_rows(layout: Layout, rows: Sequence[Row], aside: list[SetAside]) -> list[Draft]:
    """Each row's draft; those that cannot be used go to `aside`."""
    found = []
    for row in rows:
        try:
            found.append(layout.draft(row))
        except Unusable as error:
            aside.append(_set_aside(row, error))
    return found


def _set_aside(row: Row, error: Unusable) -> SetAside:
    detail = f": {show(error.detail)}" if error.detail else ""
    return SetAside(row.values, error.reason, f"{row.place}: {error.reason}{detail}")


@dataclass(frozen=True)
class Finished:
    """The examples of one table, with the content hash and the stratum of each (label, or the column to stratify by)."""

    examples: tuple[Example, ...] = ()
    keys: tuple[str, ...] = ()
    strata: tuple[str, ...] = ()


@dataclass
class Finisher:
    """Resolves the targets of all tables together, since labels and the way choices are named belong to the task."""

    spec: TaskSpec
    aside: list[SetAside] = field(default_factory=list)

    def finish(self, drafts: Mapping[str, Sequence[Draft]]) -> dict[str, Finished]:
        """Examples of every table; rows whose target is no label, no choice or no fit for the schema are set aside."""
        if self.spec.kind == "choose":
            drafts = resolve_targets(drafts, self.spec.data.section, self._put_aside)
        return {name: self._table(part) for name, part in drafts.items()}

    def _put_aside(self, draft: Draft, error: Unusable) -> None:
        self.aside.append(_set_aside(draft.row, error))

    def _table(self, drafts: Sequence[Draft]) -> Finished:
        check = _SchemaCheck(self.spec.schema) if self.spec.schema is not None else None
        kept: list[Draft] = []
        for draft in drafts:
            try:
                for label in said_labels(self.spec.kind, draft.answers[0]) if self.spec.labels else ():
                    _check_label(label, self.spec.labels)
                for answer in draft.answers if check else ():
                    check(answer)  # type: ignore[misc]
            except Unusable as error:
                self._put_aside(draft, error)
            else:
                kept.append(draft)
        self._check_ids(kept)
        return self._finished(kept)

    def _check_ids(self, drafts: Sequence[Draft]) -> None:
        places: dict[str, str] = {}
        for draft in drafts if self.spec.data.id is not None else ():
            if draft.id in places:
                what = f"the id {show(draft.id)} is there twice, in {places[draft.id]} and {draft.row.place}"
                mend = "name a column with one value a row, or drop the key"
                raise self.spec.data.section.refuse(what, "id", mend=mend)
            places[draft.id] = draft.row.place

    def _finished(self, drafts: Sequence[Draft]) -> Finished:
        """Examples ordered by content hash, group and id: the order of rows in a file never matters.

        Without an id column ids come from the hash, and copies get -2, -3, …
        """
        has_id, has_group = self.spec.data.id is not None, self.spec.data.group is not None
        rows = []
        for draft in drafts:
            meta = {"row": draft.row.place, "group": draft.group} if has_group else {"row": draft.row.place}
            example = Example(draft.id, draft.prompt, draft.answers[0], draft.answers[1:], draft.choices, meta=meta)
            stratum = draft.stratum or (draft.answers[0] if self.spec.kind == "classify" else "")
            rows.append((example.content_hash(), draft.group if has_group else "", example, stratum))
        rows.sort(key=lambda row: (row[0], row[1], row[2].id if has_id else ""))
        copies: Counter[str] = Counter()
        examples = []
        for key, _, example, _ in rows:
            copies[key] += 1
            name = key[:12] if copies[key] == 1 else f"{key[:12]}-{copies[key]}"
            examples.append(example if has_id else replace(example, id=name))
        return Finished(tuple(examples), tuple(row[0] for row in rows), tuple(row[3] for row in rows))


def _check_unicode(text: str) -> None:
    """JSON may hold half of a surrogate pair, which no tokenizer and no file takes."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Unusable("the text holds half a character (a lone surrogate)") from None


def said_labels(kind: TaskKind, answer: str) -> tuple[str, ...]:
    """The labels in a target: itself, or those of its marks."""
    return tuple(span.label for span in unmark(answer)[1]) if kind == "tag" else (answer,)


def _check_label(label: str, labels: Mapping[str, str]) -> None:
    if label not in labels:
        close = nearest(label, labels)
        raise Unusable("the target is no label of the task", f"{label}; {close}" if len(labels) < 10 else label)


class _SchemaCheck:
    """Callable that raises Unusable where an answer is not JSON or does not fit the schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        from jsonschema.validators import validator_for
        from referencing import Registry

        # an empty registry: references within the schema are followed, none is ever fetched
        self._validator = validator_for(schema)(schema, registry=Registry())

    def __call__(self, answer: str) -> None:
        try:
            value = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise Unusable("the target is not JSON", str(error)) from None
        fault = next(iter(self._validator.iter_errors(value)), None)
        if fault is not None:
            raise Unusable("the target does not fit the schema", fault.message)
