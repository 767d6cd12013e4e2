"""Guards that are benchmarks: suites, tasks of suites, task files of lm-eval, with their own prompts and scores.

Every second item is a validation row, shown for each rung; the others are the test rows that a look spends.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rung import stats
from rung.errors import RungError
from rung.evaluate.harness.rows import load_rows
from rung.evaluate.harness.run import HarnessRun
from rung.evaluate.harness.spec import HarnessTask
from rung.evaluate.harness.wanted import Ask, Rows, wanted
from rung.ladder.question import Sample
from rung.ladder.rung import Phase
from rung.system.body import Body
from rung.system.prompted import Prompted
from rung.task.spec import Guard
from rung.types import Example, Score, ScoreKind, SplitName, System, digest

SPLITS: tuple[SplitName, ...] = ("validation", "test")
BINARY = ("acc", "acc_norm", "acc_bytes", "exact_match")
BY_ITEM = (*BINARY, "mass")
"""Scores that are the mean of what single items score, from 0 to 1."""


@dataclass(frozen=True)
class Part:
    """A task of the benchmark: its items, and those that worked examples are drawn from."""

    task: HarnessTask
    rows: Rows = field(repr=False)
    pool: Rows = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 of its settings and rows, wherever they lie."""
        settings = asdict(replace(self.task, folder=Path()))
        return digest(_plain([settings, list(self.rows), list(self.pool)]))

    def of(self, split: SplitName) -> Rows:
        """Its items of a split; a benchmark trains nobody."""
        return self.rows[SPLITS.index(split) :: 2] if split in SPLITS else ()


@dataclass(frozen=True)
class BenchmarkGuard:
    """A guard that is a benchmark. Its score is the mean over all items of its tasks' first score."""

    name: str
    margin: float
    parts: tuple[Part, ...]
    kind: ScoreKind
    span: float = 1.0

    @property
    def digests(self) -> Mapping[str, str]:
        """Of its tasks with all their rows."""
        return {part.task.task: part.digest for part in self.parts}

    def sample(self, split: SplitName) -> Sample:
        """The items of a split."""
        rows = [[part.task.task, row] for part in self.parts for row in part.of(split)]
        keys = frozenset(digest([self.name, _plain(row)]) for row in rows) if split == "test" else frozenset()
        return Sample(len(rows), stats.Scheme(), keys)

    def trained_on(self, train: Sequence[Example]) -> int:
        """How many items have a text that is a whole input of `train`."""
        texts = {example.text.strip() for example in train}
        rows = (row for part in self.parts for row in part.rows)
        return sum(any(isinstance(value, str) and value.strip() in texts for value in row.values()) for row in rows)

    def score(self, body: Body, system: System | None, split: SplitName, phase: Phase) -> Score:
        """The score of the weights of `system`, or of the untouched base."""
        engine = system.engine if isinstance(system, Prompted) else body.engine
        values: list[float] = []
        for part in self.parts:
            if rows := part.of(split):
                run = HarnessRun(part.task, engine, data=(rows, part.pool))
                result = run.run(None, lambda done, of: phase(f"guard {self.name}", done, of))
                first = result.scores[0]
                values += map(float, result.values[first.metric, first.filter])
        column = np.array(values)
        return Score(self.name, self.kind, float(column.mean()), column[:, None])


def benchmark_guard(guard: Guard, body: Body) -> BenchmarkGuard:
    """The guard of an entry of a task file. Raises RungError for a benchmark that cannot guard, or is not there."""
    name = str(guard.benchmark)
    where = f"guard {name}"
    if body.model.kind == "encoder":
        raise RungError("an encoder gives no likelihoods", where=where, mend="guard with a classify task")
    ask = Ask((name,), guard.data, limit=guard.limit, shots=guard.shots, run_code=False)
    parts = []
    for job in wanted(ask)[0]:
        task = job.task if guard.shots is None else replace(job.task, num_fewshot=guard.shots)
        rows, pool = job.data() if job.data else load_rows(task)
        parts.append(Part(task, rows[: guard.limit], pool))
    metrics = [part.task.metrics[0] for part in parts]
    for metric in metrics:
        if metric.name not in BY_ITEM or metric.column or not metric.higher_is_better:
            raise RungError(
                f"its score {metric.name} is no mean of items of which more is better", where=where,
                mend=f"guard with a benchmark scored by one of {', '.join(BY_ITEM)}",
            )  # fmt: skip
    binary = all(metric.name in BINARY for metric in metrics)
    return BenchmarkGuard(Path(name).stem, guard.margin, tuple(parts), "binary" if binary else "graded")


def _plain(value: Any) -> Any:
    """Values as a digest takes them: rows of a data set may hold numbers and dates of its own types."""
    return json.loads(json.dumps(value, default=str))
