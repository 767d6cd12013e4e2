"""The options that `plan` and `climb` share, and what they mean together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rung.ladder.choice import Choice
    from rung.ladder.plan import Plan

TaskFile = Annotated[Path, typer.Argument(help="The task file (YAML).", metavar="TASK")]
Base = Annotated[str, typer.Option(help="The base model: a folder, a Hub id, `tiny` or `minilm`.")]
All = Annotated[bool, typer.Option("--all", help="Build every rung and take one look at the test split.")]
Only = Annotated[list[str] | None, typer.Option(help="Climb only this rung (repeatable).", metavar="RUNG")]
Skip = Annotated[list[str] | None, typer.Option(help="Leave this rung out (repeatable).", metavar="RUNG")]
From = Annotated[str | None, typer.Option("--from", help="Begin at this rung.", metavar="RUNG")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of shots, orders and initial weights.")]
DropLeaks = Annotated[bool, typer.Option(help="Take rows that also stand in a held-out split out of train.")]
DType = Annotated[
    str,
    typer.Option(
        "--dtype",
        help="Hold the base as auto, float32, bfloat16, float16, int8, int4 or nf4 (4 bits).",
        metavar="DTYPE",
    ),
]
RemoteCode = Annotated[bool, typer.Option("--trust-remote-code", help="Let the model's own code run.")]


def choice_of(
    everything: bool, only: list[str] | None, skip: list[str] | None, start: str | None, seed: int, drop_leaks: bool
) -> Choice:
    """The options as one value."""
    from rung.ladder.choice import Choice

    return Choice(everything, tuple(only or ()), tuple(skip or ()), start, seed, drop_leaks)


def planned(task: Path, base: str, choice: Choice, trust_remote_code: bool, dtype: str) -> Plan:
    """The plan, with the threads of this machine set."""
    from rung.model.load import Model
    from rung.model.threads import set_threads
    from rung.task import Task

    # Task and base are read before the heavy libraries are imported: a slip in either is told at once.
    read, model = Task.load(task), Model.load(base, dtype=dtype, trust_remote_code=trust_remote_code)
    from rung.ladder.plan import plan_task

    set_threads()
    return plan_task(read, model, choice)
