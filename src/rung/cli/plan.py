"""`rung plan`: the dry run."""

from __future__ import annotations

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


def plan(
    task: TaskFile,
    base: Base,
    everything: All = False,
    only: Only = None,
    skip: Skip = None,
    start: From = None,
    seed: Seed = 0,
    drop_leaks: DropLeaks = False,
    leaks: Annotated[bool, typer.Option("--leaks", help="List the rows that stand in two splits, and stop.")] = False,
    dtype: DType = "auto",
    trust_remote_code: RemoteCode = False,
) -> None:
    """Show the rungs, their predicted memory and time, what the test split can show, rows dropped, a prompt."""
    from rung.ladder.plan_lines import leak_lines, plan_lines

    if leaks:
        lines = leak_lines(task)
    else:
        choice = choice_of(everything, only, skip, start, seed, drop_leaks)
        lines = plan_lines(planned(task, base, choice, trust_remote_code, dtype))
    for line in lines:
        print(line)
