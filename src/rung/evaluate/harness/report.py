"""A benchmark's run from the command line: the base loaded when it is needed, progress on standard error, the table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from rung.errors import RungError
from rung.evaluate.harness.bench import Line, bench
from rung.evaluate.harness.suites.table import SUITES
from rung.evaluate.harness.wanted import Ask
from rung.generate.engine import Engine
from rung.model.load import Model
from rung.model.threads import set_threads

HEAD = ("task", "score", "value", "± s.e.", "95 % interval", "items", "shots")


def running(ask: Ask, base: str, out: Path, dtype: str = "auto") -> list[Line]:
    """Run the benchmarks and give back a line a score."""
    model = Model.load(base, dtype=dtype)
    if model.kind == "encoder":
        raise RungError("an encoder gives no likelihoods", where=base, mend="name a decoder or an encoder–decoder")
    set_threads()
    identity = {"name": model.name, "digest": model.digest, "precision": model.precision}
    return bench(ask, cache(lambda: Engine(model)), identity, out, _progress)


def _progress(task: str, done: int, of: int) -> None:
    print(f"{task}: {done:,} of {of:,}", file=sys.stderr, flush=True)


def listing() -> str:
    """The suites and the data that each needs."""
    width = max(map(len, SUITES))
    return "\n".join(f"{one.name:{width}}  {one.title}; looks in --data for {one.needs}" for one in SUITES.values())


def table(lines: Sequence[Line]) -> str:
    """The scores in columns, and below them what a reader should know of them."""
    rows = [HEAD, *map(_cells, lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    said = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    said.append(f"the weights were held as {lines[0].precision}")
    by_task = {line.task: line for line in lines if line.tasks is None}
    if errors := sum(line.errors for line in by_task.values()):
        said.append(f"{errors:,} items could not be asked and count as wrong; their rows say why")
    if cut := sum(line.cut for line in by_task.values()):
        said.append(f"{cut:,} contexts were longer than the window and lost their beginning")
    return "\n".join(said + _notes(list(by_task.values())))


def _cells(line: Line) -> tuple[str, ...]:
    total = line.total
    return (
        line.task if line.tasks is None else f"{line.task} ({line.tasks} tasks)",
        line.metric if line.filter == "none" else f"{line.metric}, {line.filter}",
        "none" if total.value is None else f"{total.value:.4f}",
        "" if total.error is None else f"{total.error:.4f}",
        "" if total.low is None else f"{total.low:.3f} to {total.high:.3f}",
        f"{line.items:,}",
        "" if line.shots is None else str(line.shots),
    )


def _notes(tasks: Sequence[Line]) -> list[str]:
    """Each note once, with the tasks that it is about."""
    found: dict[str, list[str]] = {}
    for line in tasks:
        for note in line.notes:
            found.setdefault(note, []).append(line.task)
    return [f"{names[0] if len(names) == 1 else f'{len(names)} tasks'}: {note}" for note, names in found.items()]
