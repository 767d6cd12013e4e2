"""The prompt of each item: description, worked examples drawn as lm-eval draws them, the item itself.

Worked examples are written once each, however many items show them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rung.errors import RungError
from rung.evaluate.harness.spec import HarnessTask
from rung.evaluate.harness.templates import Fields, Row

SEED = 1234  # of the draws of worked examples


@dataclass(frozen=True, slots=True)
class Parts:
    """A context in two parts: what stands before the item (often shared), and the item's own text."""

    before: str
    own: str

    @property
    def text(self) -> str:
        """The whole context."""
        return self.before + self.own


class Contexts:
    """Writes the contexts of a task's items, in their order."""

    def __init__(self, task: HarnessTask, fields: Fields, pool: Sequence[Row], several_inputs: bool) -> None:
        self._task, self._fields, self._pool = task, fields, pool
        self._several = several_inputs
        self._written: dict[int, str] = {}
        self._chance = random.Random(SEED)
        # lm-eval leaves the item itself out where the examples come from the split that is scored.
        self._leave_out = task.shots.split == task.test_split
        if task.num_fewshot and len(pool) < task.num_fewshot + self._leave_out:
            raise RungError(
                f"{task.num_fewshot} worked examples of {len(pool)} rows", where=task.task, mend="ask for fewer"
            )

    def of(self, row: Row) -> list[Parts]:
        """The context of an item; one a choice where the choices are inputs."""
        description = self._fields.plain(row, self._task.description, "description")
        before = description + "".join(self._example(place) for place in self._drawn(row))
        prefix = self._fields.plain(row, self._task.gen_prefix, "gen_prefix")
        if self._several:
            return [Parts(before, question + prefix) for question in self._fields.choices(row)]
        return [Parts(before, _asked(str(self._fields.text(row)), prefix, self._task.target_delimiter))]

    def _drawn(self, row: Row) -> list[int]:
        count, places = self._task.num_fewshot, range(len(self._pool))
        if not count:
            return []
        if self._task.shots.sampler == "first_n":
            free: Iterator[int] = (p for p in places if not self._leave_out or self._pool[p] != row)
            return [place for place, _ in zip(free, range(count))]
        if not self._leave_out:
            return self._chance.sample(places, count)
        drawn = [p for p in self._chance.sample(places, count + 1) if self._pool[p] != row][:count]
        if len(drawn) < count:  # the pool holds the item more than once
            drawn = self._chance.sample([p for p in places if self._pool[p] != row], count)
        return drawn

    def _example(self, place: int) -> str:
        if place not in self._written:
            self._written[place] = self._write(self._pool[place])
        return self._written[place]

    def _write(self, row: Row) -> str:
        task, shots, fields = self._task, self._task.shots, self._fields
        between = task.target_delimiter if shots.target_delimiter is None else shots.target_delimiter
        behind = task.fewshot_delimiter if shots.fewshot_delimiter is None else shots.fewshot_delimiter
        has_choices = shots.doc_to_choice is not None or task.doc_to_choice is not None
        choices = fields.choices(row, shots.doc_to_choice) if has_choices else None
        question, answer = fields.text(row, shots.doc_to_text), fields.target(row, shots.doc_to_target)
        if self._several and choices is not None:
            question, choices = self._chosen(int(question), choices), None
        said = self._said(answer, choices)
        prefix = fields.plain(row, shots.gen_prefix or task.gen_prefix, "gen_prefix")
        if not said:
            return _asked(str(question), prefix, between)
        if not prefix:
            return f"{question}{between}{said}{behind}"
        return f"{_asked(str(question), prefix, between)}{'' if _touch(prefix, said) else ' '}{said}{behind}"

    def _said(self, answer: Any, choices: list[str] | None) -> str:
        if choices and isinstance(answer, int):
            return self._chosen(answer, choices)
        return str(answer[0] if isinstance(answer, list) else answer)

    def _chosen(self, number: int, choices: list[str]) -> str:
        if not -len(choices) <= number < len(choices):
            what = f"a worked example's answer {number} is none of its {len(choices)} choices"
            raise RungError(what, where=self._task.task, mend="correct the row")
        return choices[number]


def _asked(question: str, prefix: str, between: str) -> str:
    """A question, and the beginning of its answer where one is given."""
    return question + (between if prefix and question and not _touch(question, prefix) else "") + prefix


def _touch(first: str, second: str) -> bool:
    """Whether a space stands where two texts meet."""
    return first[-1].isspace() or second[0].isspace()
