"""`rung eval`: score a saved System on a task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    system: Annotated[Path, typer.Argument(help="A folder with system.json, or a run directory.", metavar="SYSTEM")],
    task: Annotated[Path, typer.Argument(help="The task file.", metavar="TASK")],
    test: Annotated[bool, typer.Option("--test", help="Score on test; this spends a look.")] = False,
    rung: Annotated[str | None, typer.Option(help="Of a run: this rung instead of the recommended one.")] = None,
    base: Annotated[str | None, typer.Option(help="Where the base model lies, if not where it was.")] = None,
    rows: Annotated[Path | None, typer.Option(help="Write every row as JSONL to this file.")] = None,
    ledger: Annotated[Path | None, typer.Option(help="The ledger of looks (default: the user's own).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Score any saved System on any task: on validation, or on test at the price of a look."""
    from rung.ladder.examine import examine
    from rung.model.threads import set_threads

    set_threads()
    result = examine(system, task, test=test, rung=rung, base=base, rows=rows, ledger=ledger)
    if as_json:
        print(json.dumps(result.to_json(), ensure_ascii=False))
    else:
        for line in result.lines():
            print(line)
