"""`rung benchmark`: known benchmarks, and task files of lm-eval, on a base model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from rung.cli.choice import DType


def benchmark(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Suites (see --list), their tasks, or task files (.yaml).", metavar="NAME…"),
    ] = None,
    base: Annotated[str, typer.Option(help="The base model: a folder, a Hub id, or `tiny`.")] = "tiny",
    data: Annotated[
        Path | None, typer.Option(help="The folder that holds the suites' data.", envvar="RUNG_DATA")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Score the first so many items of each task.")] = None,
    shots: Annotated[int | None, typer.Option(min=0, help="Worked examples, instead of the task's own number.")] = None,
    out: Annotated[Path, typer.Option(help="The folder of rows and results.")] = Path("runs/benchmark"),
    run_code: Annotated[
        bool, typer.Option("--run-code", help="Let code that the model writes run (HumanEval).")
    ] = False,
    samples: Annotated[
        int, typer.Option(min=1, max=1000, help="Programs drawn for each item, for pass@k (HumanEval).")
    ] = 1,
    dtype: DType = "auto",
    listed: Annotated[bool, typer.Option("--list", help="List the suites and the data that each needs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Score a base on known benchmarks, or on task files of lm-eval, item by item as lm-eval does."""
    from rung.errors import RungError
    from rung.evaluate.harness.command import listing, running
    from rung.evaluate.harness.report import table
    from rung.evaluate.harness.wanted import Ask

    if listed:
        print(listing())
        return
    if not names:
        raise RungError("nothing to score", where="benchmark", mend="name suites (see --list) or task files")
    lines = running(Ask(tuple(names), data, limit, shots, samples, run_code), base, out, dtype)
    if as_json:
        print(json.dumps([line.to_json() for line in lines], ensure_ascii=False))
    else:
        print(table(lines))
        print(f"wrote {out}/report.html")
