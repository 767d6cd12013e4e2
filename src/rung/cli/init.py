"""`rung init`: look at data, write a task file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def init(
    data: Annotated[list[str], typer.Argument(help="A data file, or one for each split.", metavar="DATA")],
    out: Annotated[Path, typer.Option(help="Where to write the task file.")] = Path("task.yaml"),
    name: Annotated[str | None, typer.Option(help="The task's name (default: the file's).")] = None,
) -> None:
    """Look at the data and write a task file with every guess explained."""
    from rung.errors import RungError
    from rung.run import write_atomic
    from rung.task.guess import guess_task

    if out.exists():
        raise RungError("is there already", where=str(out), mend="name another with --out")
    guess = guess_task(data, out.parent, name)
    write_atomic(out, guess.text)
    print(f"wrote {out}")
    for doubt in guess.unsure:
        print(f"  unsure: {doubt}")
    print(f"next: rung plan {out} --base tiny")
