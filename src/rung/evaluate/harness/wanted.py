"""What the names on a command line stand for: tasks to run, and groups whose scores are averaged over them.

A name is a suite, a task of one, or a file of lm-eval's form. Nothing runs here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rung.errors import RungError
from rung.evaluate.harness.reading import Average, HarnessGroup, read_task
from rung.evaluate.harness.spec import HarnessTask
from rung.evaluate.harness.suites import table
from rung.evaluate.harness.suites.questions import drawn
from rung.evaluate.harness.suites.suite import Prepared
from rung.evaluate.harness.templates import Row

Rows = Sequence[Row]


@dataclass(frozen=True)
class Ask:
    """What is asked of a benchmark.

    `names` are suites, tasks of suites or task files; `limit` and `shots` count items and worked examples; `samples` are
    the programs drawn for an item where answers are programs, which run only with `run_code`.
    """

    names: tuple[str, ...]
    data: Path | None = None
    limit: int | None = None
    shots: int | None = None
    samples: int = 1
    run_code: bool = False


@dataclass(frozen=True)
class Job:
    """A task to run. `data()` gives its items and its pool of worked examples; None where the task names files itself."""

    task: HarnessTask
    data: Callable[[], tuple[Rows, Rows]] | None = field(default=None, repr=False)
    runs_code: bool = False


@dataclass(frozen=True)
class Group:
    """Tasks with scores of their own: the averages of which of theirs."""

    name: str
    tasks: tuple[str, ...]
    averages: tuple[Average, ...] = (Average(),)


def wanted(ask: Ask) -> tuple[list[Job], list[Group]]:
    """Everything asked for. Raises RungError for what is unknown, not there, not allowed, or named twice."""
    jobs: list[Job] = []
    groups: list[Group] = []
    for name in ask.names:
        if name.endswith((".yaml", ".yml")):
            found = read_task(Path(name))
            jobs += [Job(task) for task in (found.tasks if isinstance(found, HarnessGroup) else (found,))]
            groups += _groups_of(found) if isinstance(found, HarnessGroup) else ()
        else:
            suite, tasks = table.build(name, ask.data or Path())
            prepared = list(tasks)
            jobs += [_job(one, ask) for one in prepared]
            groups += _averaged(suite.name, prepared, suite.by_size)
    names = [job.task.task for job in jobs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise RungError(f"two tasks are called {twice[0]}", where="benchmark", mend="name one of them anew")
    return jobs, groups


def _job(one: Prepared, ask: Ask) -> Job:
    if one.runs_code:
        if not ask.run_code:
            where = one.task.task
            raise RungError("runs the code that the model writes", where=where, mend="allow it with --run-code")
        one = drawn(one, ask.samples) if ask.samples > 1 else one
    examples = one.task.num_fewshot if ask.shots is None else ask.shots
    return Job(one.task, lambda: (one.rows, one.pool() if examples else ()), one.runs_code)


def _averaged(suite: str, tasks: Sequence[Prepared], by_size: bool) -> Iterator[Group]:
    """The groups inside a suite, then the suite; a single task needs no mean."""
    members: dict[str, list[str]] = {}
    for name in (*dict.fromkeys(inner for one in tasks for inner in one.groups), suite):
        members[name] = [one.task.task for one in tasks if name == suite or name in one.groups]
    rule = (Average(by_size=by_size),)
    return (Group(name, tuple(own), rule) for name, own in members.items() if len(own) > 1)


def _groups_of(group: HarnessGroup) -> Iterator[Group]:
    for one in group.groups:
        if one.averages:
            yield Group(one.name, tuple(task.task for task in one.tasks), one.averages)
