"""A benchmark's run from the command line: the base loaded when it is needed, progress on standard error, the table."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from rung.errors import RungError
from rung.evaluate.harness.bench import Ask, bench
from rung.evaluate.harness.suites import SUITES
from rung.generate.engine import Engine
from rung.model.load import Model
from rung.model.threads import set_threads


def running(
    names: tuple[str, ...],
    base: str,
    data: Path | None,
    limit: int | None,
    shots: int | None,
    out: Path,
    run_code: bool,
) -> list[dict[str, Any]]:
    """Run the benchmarks and give back a line a score."""
    model = Model.load(base)
    if model.kind == "encoder":
        raise RungError("an encoder gives no likelihoods", where=base, mend="name a decoder or an encoder–decoder")
    set_threads()
    ask = Ask(names, data, limit, shots, run_code)
    identity = {"name": model.name, "digest": model.digest}
    return bench(ask, cache(lambda: Engine(model)), identity, out, _progress)


def _progress(task: str, done: int, of: int) -> None:
    print(f"{task}: {done:,} of {of:,}", file=sys.stderr, flush=True)


def listing() -> str:
    """The suites and the data that each needs."""
    width = max(map(len, SUITES))
    return "\n".join(f"{one.name:{width}}  {one.title}; looks in --data for {one.needs}" for one in SUITES.values())


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """The scores in columns."""
    head = ("task", "score", "value", "± s.e.", "95 % interval", "items", "shots")
    rows = [head]
    for line in lines:
        name = line["metric"] if line["filter"] == "none" else f"{line['metric']}, {line['filter']}"
        error = "" if line["standard_error"] is None else f"{line['standard_error']:.4f}"
        interval = "" if line["low"] is None else f"{line['low']:.3f} to {line['high']:.3f}"
        rows.append(
            (line["task"], name, f"{line['value']:.4f}", error, interval, f"{line['items']:,}", str(line["shots"]))
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    said = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    of_groups = [line for line in lines if "(" not in line["task"]]
    if errors := sum(line["errors"] for line in of_groups):
        said.append(f"{errors} items could not be asked and count as wrong; their rows say why")
    if cut := sum({line["task"]: line["cut"] for line in of_groups}.values()):
        said.append(f"{cut} contexts were longer than the window and lost their beginning")
    return "\n".join(said)
