"""Benchmarks into a run directory: each task's rows and scores kept, finished ones not repeated, groups averaged."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rung.evaluate.harness.reading import Average
from rung.evaluate.harness.run import HarnessResult, HarnessRun
from rung.evaluate.harness.totals import Total, mean_of
from rung.evaluate.harness.wanted import Ask, Group, Job, wanted
from rung.generate.engine import Engine
from rung.run import Run

Told = Callable[[str, int, int], None]  # task, items done, items


@dataclass(frozen=True)
class Line:
    """One score of a task, or of a group of `tasks`.

    `errors` counts items that could not be asked, `cut` contexts that lost their beginning; both of the whole task; `precision` is
    what the weights were held in.
    """

    task: str
    metric: str
    filter: str
    higher_is_better: bool
    total: Total
    items: int
    errors: int
    cut: int
    shots: int | None
    precision: str
    notes: tuple[str, ...] = ()
    tasks: int | None = None

    @staticmethod
    def of(given: Mapping[str, Any]) -> Line:
        """The inverse of `to_json`."""
        return Line(**{**given, "total": Total(**given["total"]), "notes": tuple(given["notes"])})

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def bench(ask: Ask, engine: Callable[[], Engine], base: Mapping[str, str], out: Path, told: Told) -> list[Line]:
    """Run what is asked into `out`; give back a line a score, groups last.

    Raises RungError for what is not there, or where `out` holds another benchmark.
    """
    jobs, groups = wanted(ask)
    identity = {
        "base": dict(base), "benchmark": [asdict(replace(job.task, folder=Path())) for job in jobs],
        "limit": ask.limit, "shots": ask.shots,
    }  # fmt: skip
    lines: list[Line] = []
    with Run.open(out, json.loads(json.dumps(identity, default=str))) as run:
        for job in jobs:
            key = f"tasks/{job.task.task}"
            if not run.has(key):
                with run.artefact(f"rows/{job.task.task}") as folder:
                    result = _kept(job, ask, engine(), folder / "rows.jsonl", told)
                run.write(key, [line.to_json() for line in _lines(result, engine().model.precision)])
            lines += [Line.of(one) for one in run.read(key)]
        lines += [line for group in groups for line in averaged(group, lines)]
        run.write("results", [line.to_json() for line in lines])
    return lines


def _kept(job: Job, ask: Ask, engine: Engine, file: Path, told: Told) -> HarnessResult:
    """Run a task, each row written as it is made."""
    data = job.data() if job.data else None
    one = HarnessRun(job.task, engine, shots=ask.shots, limit=ask.limit, data=data, runs_code=job.runs_code)
    with file.open("w", encoding="utf-8") as rows:

        def keep(row: dict[str, Any]) -> None:
            rows.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")

        return one.run(keep, lambda done, of: told(job.task.task, done, of))


def _lines(result: HarnessResult, precision: str) -> Iterator[Line]:
    for score in result.scores:
        yield Line(
            result.task, score.metric, score.filter, score.higher_is_better, score.total, result.items, result.errors,
            result.cut, result.shots, precision, result.notes,
        )  # fmt: skip


def averaged(group: Group, lines: Sequence[Line]) -> Iterator[Line]:
    """The scores of a group: of each metric and filter that its rules name, the mean over the tasks that have it."""
    own = [line for line in lines if line.task in group.tasks and line.tasks is None]
    for metric, filter_name in dict.fromkeys((line.metric, line.filter) for line in own):
        rule = _rule(group, metric, filter_name)
        found = [line for line in own if (line.metric, line.filter) == (metric, filter_name)]
        if rule is None or len(found) < 2:
            continue
        shots = {line.shots for line in found}
        yield Line(
            group.name, metric, filter_name, found[0].higher_is_better,
            mean_of([line.total for line in found], [line.items for line in found], rule.by_size),
            sum(line.items for line in found), sum(line.errors for line in found), sum(line.cut for line in found),
            shots.pop() if len(shots) == 1 else None, found[0].precision, tasks=len(found),
        )  # fmt: skip


def _rule(group: Group, metric: str, filter_name: str) -> Average | None:
    """The first rule of the group that speaks of this score."""
    for rule in group.averages:
        if rule.metric in (None, metric) and (rule.filters is None or filter_name in rule.filters):
            return rule
    return None
