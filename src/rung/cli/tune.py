"""`rung tune`: train by one or several methods, without a decision."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from rung.cli.choice import Base, DropLeaks, DType, RemoteCode, Seed, TaskFile

INTERRUPTED = 130

Optimisers = Annotated[
    list[str] | None,
    typer.Option(help="By which optimiser (repeatable: side by side; default adamw).", metavar="NAME"),
]
AllOptimisers = Annotated[
    bool, typer.Option("--compare-optimisers", help="By every optimiser of the table, curves side by side.")
]
SearchBy = Annotated[str | None, typer.Option(help="Look for settings by random, grid, tpe or gp.", metavar="METHOD")]
Trials = Annotated[int | None, typer.Option(help="Points that the search tries.", metavar="N")]
Prune = Annotated[
    str | None, typer.Option(help="End poor trials early: none, median, halving, hyperband.", metavar="HOW")
]
SpaceParts = Annotated[
    list[str] | None,
    typer.Option(help="What is searched: rank=4,8 or learning_rate=1e-5..1e-2:log (repeatable).", metavar="NAME=…"),
]


def tune(
    task: TaskFile,
    base: Base,
    method: Annotated[
        list[str] | None, typer.Option(help="How to train (repeatable; `all`; default lora).", metavar="METHOD")
    ] = None,
    fields: Annotated[
        list[str] | None, typer.Option("--set", help="A field of the methods, as in a task file.", metavar="KEY=VALUE")
    ] = None,
    optimiser: Optimisers = None,
    compare_optimisers: AllOptimisers = False,
    search: SearchBy = None,
    trials: Trials = None,
    prune: Prune = None,
    space: SpaceParts = None,
    seed: Seed = 0,
    drop_leaks: DropLeaks = False,
    out: Annotated[Path | None, typer.Option(help="The run directory (default: runs/tune-NAME).")] = None,
    dtype: DType = "auto",
    trust_remote_code: RemoteCode = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train by each method and score it on validation: a table, a page, and a System each. Run again, it goes on."""
    from rung.model.load import Model
    from rung.task import Task
    from rung.task.document import settings_of
    from rung.train.optimisers.table import OPTIMISERS

    asked_search = {"search": search, "trials": trials, "prune": prune, "space": space or None}
    given = settings_of(fields or [], "--set") | {k: v for k, v in asked_search.items() if v is not None}
    movers = OPTIMISERS if compare_optimisers else optimiser or ()
    read, model = Task.load(task), Model.load(base, dtype=dtype, trust_remote_code=trust_remote_code)
    from rung.ladder.screen import phases
    from rung.ladder.tune.tune import Asked, tune
    from rung.model.threads import set_threads

    set_threads()
    asked = Asked(tuple(method or ("lora",)), given, tuple(movers), seed, drop_leaks)
    try:
        with phases() as phase:
            found, path = tune(read, model, asked, out=out, phase=phase)
    except KeyboardInterrupt:
        command = "rung " + shlex.join(sys.argv[1:])
        print(f"\nstopped; what is finished is kept. Go on with: {command}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print(json.dumps(found.to_json(), ensure_ascii=False))
    else:
        print("\n".join(found.lines(path)))
