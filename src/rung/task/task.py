"""The Task: examples in frozen splits, and everything that a task file says about them. A value; `assemble` makes its parts."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rung.errors import RungError, nearest
from rung.task.assemble import Splits, assemble
from rung.task.cohort import units_of
from rung.task.document import Section, from_plain
from rung.task.rows import SetAside
from rung.task.spec import SPLITS, Guard, RungRequest, TaskSpec, read_file, read_spec
from rung.task.splits import fold_of, make_units
from rung.types import Budget, Example, Prompt, Sampling, TaskKind, digest


@dataclass(frozen=True, eq=False, repr=False)
class Task:
    """Examples in frozen splits, and how answers to them are asked for and scored.

    `labels` is empty but for classify and tag. `goal` is on the scale of `metric`; where it is None, `margin` says how much
    worse than the best rung counts as a tie. `instructions` are wordings, maybe none. `guards`, `budget` and `rungs`
    are what the task file asks of the climb.
    """

    name: str
    kind: TaskKind
    splits: Splits
    metric: str
    instructions: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    label_descriptions: Mapping[str, str] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    also: tuple[str, ...] = ()
    goal: float | None = None
    margin: float = 0.05
    guards: tuple[Guard, ...] = ()
    guard_digests: tuple[str, ...] = ()
    budget: Budget = field(default_factory=Budget)
    sampling: Sampling = field(default_factory=Sampling)
    rungs: tuple[RungRequest, ...] | None = None
    allow_set_aside: float = 0.01  # the share of rows that may be unusable; 0 to 1
    set_aside: tuple[SetAside, ...] = ()
    warnings: tuple[str, ...] = ()
    source: Path = Path()
    folds: int | None = None  # how many `fold` may ask for; they serve study, never the decision
    seed: int = 0  # of splits and folds
    test_digest: str = ""  # kept where the rows themselves are out of reach

    @classmethod
    def load(cls, path: str | Path) -> Task:
        """Read a task file and its data. Raises RungError for whatever is wrong with either."""
        path = Path(path)
        return cls.from_spec(read_file(path), path.parent, path)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], folder: str | Path = ".") -> Task:
        """The same from a mapping with a task file's keys; paths in it are relative to `folder`.

        `data.source` may also be a list of rows (mappings of column to value), or such a list for each split.
        """
        folder = Path(folder)
        return cls.from_spec(read_spec(Section(from_plain(mapping)), folder), folder, folder)

    @classmethod
    def from_spec(cls, spec: TaskSpec, folder: Path, source: Path | None = None) -> Task:
        """The task of a checked file whose paths are relative to `folder`."""
        made = assemble(spec, folder)
        return cls(
            name=spec.name, kind=spec.kind, splits=made.splits, metric=spec.metric,
            instructions=spec.instructions or (tag_instructions(made.labels) if spec.kind == "tag" else ()),
            labels=made.labels, label_descriptions={label: text for label, text in spec.labels.items() if text},
            schema=spec.schema, also=spec.also, goal=spec.goal, margin=spec.margin, guards=spec.guards,
            guard_digests=made.guard_digests, budget=spec.budget, sampling=made.sampling, rungs=spec.rungs,
            allow_set_aside=spec.allow_set_aside, set_aside=made.set_aside, warnings=made.warnings, source=source or folder, folds=spec.data.split.folds,
            seed=spec.data.split.seed,
        )  # fmt: skip

    @property
    def train(self) -> tuple[Example, ...]:
        """The rows that rungs adapt on; also the pool of few-shot examples."""
        return self.splits.train

    @property
    def validation(self) -> tuple[Example, ...]:
        """The rows that choose among settings and rungs."""
        return self.splits.validation

    @property
    def test(self) -> tuple[Example, ...]:
        """The rows of the last word. Raises RungError on a task `without_test`."""
        if self.splits.test is None:
            raise RungError("the test split is out of reach here", where=self.name, mend="use train or validation")
        return self.splits.test

    def split(self, name: str) -> tuple[Example, ...]:
        """The rows of train, validation or test."""
        if name not in SPLITS:
            raise RungError(f"unknown split {name}", where=self.name, mend=nearest(name, SPLITS))
        rows: tuple[Example, ...] = getattr(self, name)
        return rows

    def prompt(self, example: Example) -> Prompt:
        """What a System sees of an example: never its target. Labels are the choices of a classification."""
        choices = self.labels if self.kind == "classify" else example.choices
        return Prompt(example.prompt, choices, self.schema, self.sampling)

    def without_test(self) -> Task:
        """This task with the test rows out of reach; digests stay the same. It is what a Rung is given."""
        splits = Splits(self.train, self.validation, None)
        return replace(self, splits=splits, test_digest=self.split_digests["test"])

    def fold(self, index: int) -> Task:
        """Fold `index` of train and validation together as validation, the rest as train, and no test.

        Groups and near duplicates stay whole, labels are stratified. Raises RungError where the task has no folds.
        """
        if self.folds is None or not 0 <= index < self.folds:
            raise RungError(f"there is no fold {index}", where=self.name, mend="set data.split.folds")
        rows = [*self.train, *self.validation]
        strata = [str(row.target) if self.kind == "classify" else "" for row in rows]
        units = make_units([row.content_hash() for row in rows], units_of(rows), strata, self.seed)
        fold = fold_of(units, self.folds)
        parts = [tuple(row for n, row in enumerate(rows) if (fold[n] == index) is held) for held in (False, True)]
        splits = Splits(parts[0], parts[1], None)
        return replace(self, splits=splits, folds=None, test_digest=self.split_digests["test"])

    @cached_property
    def split_digests(self) -> Mapping[str, str]:
        """SHA-256 of what each split holds: the rows' contents and groups, whatever their ids, places and order."""
        test = self.test_digest if self.splits.test is None else _split_digest(self.splits.test)
        return {"train": _split_digest(self.train), "validation": _split_digest(self.validation), "test": test}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that the task means: its rows and everything that bears on the climb, but no name or path."""
        rungs = None if self.rungs is None else [[request.name, request.fields] for request in self.rungs]
        guards = [[guard.margin, seal] for guard, seal in zip(self.guards, self.guard_digests, strict=True)]
        return digest(
            {
                "kind": self.kind, "splits": self.split_digests, "instructions": self.instructions,
                "labels": self.labels, "descriptions": dict(self.label_descriptions), "schema": self.schema,
                "metric": self.metric, "also": self.also, "goal": self.goal, "margin": self.margin, "guards": guards,
                "budget": asdict(self.budget), "sampling": asdict(self.sampling), "rungs": rungs,
            }
        )  # fmt: skip

    @property
    def set_aside_counts(self) -> Mapping[str, int]:
        """Rows set aside, by reason, the most frequent first."""
        return dict(Counter(row.reason for row in self.set_aside).most_common())

    def _sizes(self) -> tuple[str, str, str]:
        test = "hidden" if self.splits.test is None else f"{len(self.splits.test):,}"
        return f"{len(self.train):,}", f"{len(self.validation):,}", test

    def __repr__(self) -> str:
        goal = "" if self.goal is None else f" >= {self.goal:g}"
        return f"Task({self.name!r}, {self.kind}, {' / '.join(self._sizes())} rows, {self.metric}{goal})"

    def _repr_html_(self) -> str:
        """A small table for notebooks."""
        train, validation, test = self._sizes()
        facts = {
            "kind": self.kind, "train": train, "validation": validation, "test": test,
            "score": self.metric if self.goal is None else f"{self.metric} ≥ {self.goal:g}",
        }  # fmt: skip
        if self.labels:
            facts["labels"] = f"{len(self.labels)}: {', '.join(self.labels[:6])}{'…' if len(self.labels) > 6 else ''}"
        if self.set_aside:
            facts["set aside"] = ", ".join(f"{count} ({reason})" for reason, count in self.set_aside_counts.items())
        if self.warnings:
            facts["warnings"] = " · ".join(self.warnings)
        body = "".join(f"<tr><th>{key}</th><td>{html.escape(value)}</td></tr>" for key, value in facts.items())
        return f"<table><caption>{html.escape(self.name)}</caption>{body}</table>"


def tag_instructions(labels: tuple[str, ...]) -> tuple[str, ...]:
    """What a base is told where a task of kind tag does not say it: the form of its answers cannot be guessed."""
    known = ", ".join(labels)
    return (f"Copy the text, and mark in it as [words](label) what has one of these labels: {known}.",)


def _split_digest(rows: tuple[Example, ...]) -> str:
    return digest(sorted([row.content_hash(), str(row.meta.get("group", ""))] for row in rows))
