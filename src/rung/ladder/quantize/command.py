"""Comparing precisions from the command line: one after another, each kept, so that a stopped comparison goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rung.ladder.artefacts.source import Source
from rung.ladder.quantize.comparison import Held, Precisions, chosen, compared, measure
from rung.ladder.quantize.page import render
from rung.run import Run, write_atomic
from rung.task import Task

Told = Callable[[str], None]


def compare_precisions(
    source: Source, task: Task, *, only: tuple[str, ...] = (), out: Path | None = None, told: Told = lambda _: None
) -> Precisions:
    """Measure the precisions named (none: all), and with `out` write `comparison.json` and `report.html` there.

    Raises RungError for an unknown precision, and where `out` holds something else.
    """
    names = chosen(only)
    if out is None:
        return compared(source, task, [_told(source, task, name, told) for name in names])
    identity = {
        "precisions": list(names), "source": source.identity, "task": task.digest, "splits": dict(task.split_digests),
        "device": source.model.device,
    }  # fmt: skip
    found = []
    with Run.open(out, identity) as run:
        for name in names:
            key = f"measured/{name}"
            if not run.has(key):
                run.write(key, _told(source, task, name, told).to_json())
            found.append(Held.from_json(run.read(key)))
        done = compared(source, task, found)
        run.write("comparison", done.to_json())
        write_atomic(out / "report.html", render(done))
    return done


def _told(source: Source, task: Task, name: str, told: Told) -> Held:
    told(f"{name}: started")
    held = measure(source, task, name)
    told(f"{name}: {held.reason or 'done'}")
    return held
