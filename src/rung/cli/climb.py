"""`rung climb`: up the ladder, to a decision."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from rung.cli.choice import (
    All,
    Base,
    DropLeaks,
    DType,
    From,
    Only,
    RemoteCode,
    Seed,
    Skip,
    TaskFile,
    choice_of,
    planned,
)

UNDECIDED, INTERRUPTED = 1, 130


def climb(
    task: TaskFile,
    base: Base,
    everything: All = False,
    only: Only = None,
    skip: Skip = None,
    start: From = None,
    seed: Seed = 0,
    drop_leaks: DropLeaks = False,
    out: Annotated[Path | None, typer.Option(help="The run directory (default: runs/NAME).")] = None,
    ledger: Annotated[Path | None, typer.Option(help="The ledger of looks (default: the user's own).")] = None,
    dtype: DType = "auto",
    trust_remote_code: RemoteCode = False,
) -> None:
    """Climb the ladder and stop at the first rung that meets the goal. Run again, it goes on where it stopped."""
    command = "rung " + shlex.join(sys.argv[1:])
    choice = choice_of(everything, only, skip, start, seed, drop_leaks)
    try:
        plan = planned(task, base, choice, trust_remote_code, dtype)
        from rung.ladder.climb import climb_plan
        from rung.ladder.closing import closing_lines
        from rung.ladder.screen import screen

        with screen() as progress:
            done = climb_plan(plan, out=out, ledger=ledger, progress=progress, command=command)
    except KeyboardInterrupt:
        print(f"\nstopped; what is finished is kept. Go on with: {command}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    for line in closing_lines(done.report, done.path):
        print(line)
    raise typer.Exit(0 if done.recommended else UNDECIDED)
