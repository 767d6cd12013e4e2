"""The whole of `rung benchmark`: the base loaded when it is needed, progress on standard error, the page written."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from rung.errors import RungError
from rung.evaluate.harness.bench import Line, bench
from rung.evaluate.harness.page import render
from rung.evaluate.harness.suites.table import SUITES
from rung.evaluate.harness.wanted import Ask
from rung.generate.engine import Engine
from rung.model.load import Model
from rung.model.threads import set_threads
from rung.run import write_atomic


def running(ask: Ask, base: str, out: Path, dtype: str = "auto") -> list[Line]:
    """Run the benchmarks and give back a line a score."""
    model = Model.load(base, dtype=dtype)
    if model.kind == "encoder":
        raise RungError("an encoder gives no likelihoods", where=base, mend="name a decoder or an encoder–decoder")
    set_threads()
    identity = {"name": model.name, "digest": model.digest, "precision": model.precision}
    lines = bench(ask, cache(lambda: Engine(model)), identity, out, _progress)
    write_atomic(out / "report.html", render(lines, out, model.name))
    return lines


def _progress(task: str, done: int, of: int) -> None:
    print(f"{task}: {done:,} of {of:,}", file=sys.stderr, flush=True)


def listing() -> str:
    """The suites and the data that each needs."""
    width = max(map(len, SUITES))
    return "\n".join(f"{one.name:{width}}  {one.title}; looks in --data for {one.needs}" for one in SUITES.values())
