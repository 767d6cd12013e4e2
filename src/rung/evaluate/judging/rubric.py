"""One answer before a judge, graded on a scale that the judge's prompt explains."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from rung import stats
from rung.errors import RungError
from rung.evaluate.asking import ask
from rung.evaluate.judging.duel import shown, unreadable
from rung.evaluate.judging.labels import Agreement, agreement
from rung.evaluate.judging.template import Template
from rung.evaluate.judging.verdict import read_verdict
from rung.types import Completion, Example, Score, System

WIDEST = 100
_SCALE = re.compile(r"\{scale (\d+)-(\d+)\}")
RUBRIC = (
    "Grade an answer to a request from {scale 1-5}.\n"
    "5: right, complete and clear. 4: right, with a small gap. 3: partly right. 2: mostly wrong. 1: wrong, or no answer.\n\n"
    "Request:\n{prompt}\n\nA right answer, if one is known:\n{reference}\n\nAnswer to grade:\n{answer}\n\nGrade:"
)


@dataclass(frozen=True)
class Rubric:
    """A judge's prompt with a scale of whole grades, `low` to `high`; more is better."""

    template: Template
    low: int
    high: int

    @classmethod
    def of(cls, template: Template) -> Rubric:
        """The rubric of a template that names its scale as `{scale 1-5}`. Raises RungError where it names none."""
        found = _SCALE.findall(template.text)
        if len(set(found)) != 1:
            what = "it names no scale" if not found else "it names two scales"
            raise RungError(what, where=template.source, mend="write {scale 1-5} once")
        low, high = map(int, found[0])
        if not low < high <= low + WIDEST:
            raise RungError(f"{low}-{high} is no scale", where=template.source, mend="write {scale LOW-HIGH}")
        text = _SCALE.sub(f"{low} to {high}", template.text)
        template = Template(text, template.reasoned, template.source)
        template.check(("prompt", "reference", "answer"), ("answer",))
        return cls(template, low, high)

    @property
    def grades(self) -> tuple[str, ...]:
        """Every grade, as a judge writes it."""
        return tuple(str(grade) for grade in range(self.low, self.high + 1))


@dataclass(frozen=True)
class Grade:
    """One row: its grade, or None with what went wrong; `said` is the judge's answer."""

    id: str
    grade: int | None
    said: str = ""
    error: str = ""


@dataclass(frozen=True)
class Grading:
    """The grades of a split. Rows without one are in no number but `errors`; a call of the graded System that returned
    nothing has the lowest grade."""

    rows: tuple[Grade, ...] = field(repr=False)
    low: int
    high: int
    scheme: stats.Scheme = field(default=stats.ITEMS, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def errors(self) -> int:
        """Rows without a grade."""
        return sum(row.grade is None for row in self.rows)

    @cached_property
    def score(self) -> Score:
        """The mean grade, on the rubric's own scale."""
        items = np.array([row.grade for row in self.rows if row.grade is not None], dtype=float)
        return Score("grade", "graded", float(items.mean()), items.reshape(-1, 1), float(self.low), float(self.high))

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the mean grade; None where the rows can carry none."""
        groups = self.scheme.groups
        kept = None if groups is None else tuple(g for g, row in zip(groups, self.rows) if row.grade is not None)
        scheme = stats.Scheme(kept)
        return None if stats.refusal("graded", len(self.score), kept) else stats.interval(self.score, scheme)

    @cached_property
    def agreement(self) -> Agreement | None:
        """With the grades that people gave to these rows, if there are any."""
        if not self.labels:
            return None
        return agreement({r.id: str(r.grade) for r in self.rows if r.grade is not None}, self.labels, ordered=True)

    def to_json(self) -> dict[str, Any]:
        """The numbers and every row."""
        low, high = self.interval or (None, None)
        return {
            "grade": self.score.value, "low": low, "high": high, "scale": [self.low, self.high],
            "count": len(self.score), "errors": self.errors,
            "agreement": None if self.agreement is None else self.agreement.to_json(),
            "rows": [dict(vars(row)) for row in self.rows],
        }  # fmt: skip


def grade(
    judge: System,
    examples: Sequence[Example],
    completions: Sequence[Completion],
    *,
    rubric: Rubric | None = None,
    scheme: stats.Scheme = stats.ITEMS,
    labels: Mapping[str, str] | None = None,
) -> Grading:
    """Let `judge` grade every answer. `labels` hold a person's grade by row id.

    Raises RungError where not one of the judge's answers could be read, and for a label off the scale.
    """
    rubric = rubric or Rubric.of(Template(RUBRIC))
    for row, label in (labels or {}).items():
        if label not in rubric.grades:
            mend = f"write a whole grade from {rubric.low} to {rubric.high}"
            raise RungError(f"{label!r} is no grade", where=f"labels of people, row {row}", mend=mend)
    asked = [row for row, said in enumerate(completions) if said.error is None]
    prompts = [
        rubric.template.prompt(
            {
                "prompt": examples[row].text,
                "reference": examples[row].target or "(none is known)",
                "answer": completions[row].text,
            },
            rubric.grades,
        )
        for row in asked
    ]
    found = {row: _grade(examples[row].id, said, rubric) for row, said in zip(asked, ask(judge, prompts))}
    if asked and all(one.grade is None for one in found.values()):
        raise unreadable(len(asked), next(iter(found.values())).error, rubric.grades)
    rows = [found.get(row, Grade(example.id, rubric.low)) for row, example in enumerate(examples)]
    return Grading(tuple(rows), rubric.low, rubric.high, scheme, labels or {})


def _grade(row: str, said: Completion, rubric: Rubric) -> Grade:
    if said.error is not None:
        return Grade(row, None, said.text, said.error)
    word = read_verdict(said.text, rubric.grades)
    if word is None:
        return Grade(row, None, said.text, f"no grade in {shown(said.text)}")
    return Grade(row, int(word), said.text)
