"""Benchmarks into a run directory: tasks by name or file, each one's rows and scores kept, finished ones not repeated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rung import stats
from rung.errors import RungError, nearest
from rung.evaluate.harness.run import HarnessResult, HarnessRun
from rung.evaluate.harness.spec import HarnessGroup, read_task
from rung.evaluate.harness.suites import SUITES, Prepared
from rung.generate.engine import Engine
from rung.run import Run
from rung.types import Score

Told = Callable[[str, int, int], None]  # task, items done, items


@dataclass(frozen=True)
class Ask:
    """What is asked of a benchmark: `names` are suites or task files."""

    names: tuple[str, ...]
    data: Path | None = None
    limit: int | None = None
    shots: int | None = None
    run_code: bool = False


def prepared(ask: Ask) -> Iterator[tuple[str, Prepared | None, Any]]:
    """(group, task with rows, task of a file) of everything asked for. Raises RungError for what is not there."""
    for name in ask.names:
        if name in SUITES:
            for one in SUITES[name].build(ask.data or Path()):
                if one.runs_code and not ask.run_code:
                    raise RungError("runs the code that the model writes", where=name, mend="allow it with --run-code")
                yield name, one, one.task
        elif name.endswith((".yaml", ".yml")):
            found = read_task(Path(name))
            for task in found.tasks if isinstance(found, HarnessGroup) else (found,):
                yield (found.name if isinstance(found, HarnessGroup) else task.task), None, task
        else:
            raise RungError(f"no suite {name!r}", where="benchmark", mend=nearest(name, SUITES))


def bench(
    ask: Ask, engine: Callable[[], Engine], base: Mapping[str, str], out: Path, told: Told
) -> list[dict[str, Any]]:
    """Run what is asked into `out`; give back a line a task and score."""
    tasks = list(prepared(ask))
    names = [task.task for _, _, task in tasks]
    if twice := {name for name in names if names.count(name) > 1}:
        raise RungError(f"two tasks are called {sorted(twice)[0]}", where="benchmark", mend="name one of them anew")
    identity = {
        "base": dict(base), "benchmark": [asdict(replace(task, folder=Path())) for _, _, task in tasks],
        "limit": ask.limit, "shots": ask.shots,
    }  # fmt: skip
    lines: list[dict[str, Any]] = []
    with Run.open(out, json.loads(json.dumps(identity, default=str))) as run:
        for group, rows, task in tasks:
            key = f"tasks/{task.task}"
            if not run.has(key):
                given = None if rows is None else (rows.rows, rows.pool)
                one = HarnessRun(task, engine(), shots=ask.shots, limit=ask.limit, data=given)
                with run.artefact(f"rows/{task.task}") as folder:
                    result = _kept(one, folder / "rows.jsonl", told)
                run.write(key, _lines(result))
            lines += [{"group": group, **line} for line in run.read(key)]
        lines += averages(lines)
        run.write("results", lines)
    return lines


def _kept(one: HarnessRun, file: Path, told: Told) -> HarnessResult:
    """Run a task, each row written as it is made."""
    with file.open("w", encoding="utf-8") as rows:

        def keep(row: dict[str, Any]) -> None:
            rows.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")

        return one.run(keep, lambda done, of: told(one.task.task, done, of))


def _lines(result: HarnessResult) -> list[dict[str, Any]]:
    """A line a score, with a 95 % interval where each item is right or wrong."""
    lines = []
    for score in result.scores:
        line: dict[str, Any] = {
            "task": result.task, "metric": score.metric, "filter": score.filter, "value": score.value,
            "standard_error": score.error, "items": result.items, "errors": result.errors, "cut": result.cut,
            "shots": result.shots, "low": None, "high": None,
        }  # fmt: skip
        found = result.values[score.metric, score.filter]
        if score.error is not None and len(found) > 1 and set(found) <= {0.0, 1.0}:
            column = np.array(found)[:, None]
            line["low"], line["high"] = stats.interval(
                Score(score.metric, "binary", score.value, column), stats.Scheme()
            )
        lines.append(line)
    return lines


def averages(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The mean over the tasks of each group that has several, items weighing alike."""
    found: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for line in lines:
        found.setdefault((line["group"], line["metric"], line["filter"]), []).append(line)
    made = []
    for (group, metric, filter_name), own in found.items():
        if len(own) < 2:
            continue
        items = sum(line["items"] for line in own)
        error = None
        if all(line["standard_error"] is not None for line in own):
            error = float(np.sqrt(sum((line["items"] * line["standard_error"]) ** 2 for line in own))) / items
        value = sum(line["items"] * line["value"] for line in own) / items
        made.append(
            {
                "group": group, "task": f"{group} ({len(own)} tasks)", "metric": metric, "filter": filter_name,
                "value": value, "standard_error": error, "items": items,
                "errors": sum(line["errors"] for line in own), "cut": sum(line["cut"] for line in own),
                "shots": own[0]["shots"], "low": None, "high": None,
            }
        )  # fmt: skip
    return made
