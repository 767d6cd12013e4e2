"""`rung quantize`: a model in fewer bits, or in all of them side by side."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from rung.cli.artefact import Accept, Base, Margin, OfRun, Scored, SourceName
from rung.errors import RungError


def quantize(
    source: SourceName,
    task: Scored = None,
    compare: Annotated[bool, typer.Option("--compare", help="Measure every precision side by side.")] = False,
    to: Annotated[
        str | None, typer.Option("--to", help="Write it as float32, bfloat16, float16, int8 or nf4.", metavar="NUMBERS")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Compare this precision (repeatable).", metavar="NUMBERS")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The new folder; of a comparison, for its page.", metavar="DIR")
    ] = None,
    accept: Accept = False,
    margin: Margin = None,
    rung: OfRun = None,
    base: Base = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a comparison as JSON.")] = False,
) -> None:
    """Hold a model in fewer bits: memory, speed and score of each precision, or one of them written."""
    from rung.cli.artefact import made, source_and_task

    if compare == (to is not None):
        raise RungError("either --compare or --to", where="quantize", mend="say one of them")
    if to is not None:
        from rung.ladder.artefacts.made import Wanted
        from rung.model.export.folder import write_folder

        if out is None:
            raise RungError("no folder to write to", where="--out", mend="name a new one")
        with source_and_task(source, task, rung, base) as (found, read):
            wanted = Wanted(out, read, accept, margin)
            made(found, wanted, {"quantize": to}, lambda own, folder: write_folder(own.model, folder, to=to))
        return
    if task is None:
        raise RungError("no task to compare on", where="--task", mend="name a task file")
    from rung.ladder.quantize.command import compare_precisions
    from rung.ladder.quantize.lines import table_lines

    with source_and_task(source, task, rung, base) as (found, read):
        assert read is not None
        done = compare_precisions(
            found, read, only=tuple(only or ()), out=out, told=lambda line: print(line, file=sys.stderr)
        )
    for line in [json.dumps(done.to_json(), ensure_ascii=False)] if as_json else table_lines(done):
        print(line)
    if out is not None and not as_json:
        print(f"wrote {out}/report.html")
