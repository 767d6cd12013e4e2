"""`rung prune`: fewer weights."""

from __future__ import annotations

from typing import Annotated

import typer

from rung.cli.artefact import Accept, Base, Margin, OfRun, Out, Scored, SourceName


def prune(
    source: SourceName,
    out: Out,
    method: Annotated[str, typer.Option(help="magnitude, 2:4, layers, neurons or heads.")] = "magnitude",
    share: Annotated[float, typer.Option(help="Of weights, layers, neurons or heads, how many go (0 to 1).")] = 0.5,
    task: Scored = None,
    accept: Accept = False,
    margin: Margin = None,
    rung: OfRun = None,
    base: Base = None,
) -> None:
    """Make small weights zero, or take out layers, neurons or heads; nothing is trained again."""
    from rung.cli.artefact import made, source_and_task
    from rung.ladder.artefacts.made import Wanted
    from rung.ladder.artefacts.pruned import build_pruned
    from rung.model.prune import Pruning

    pruning = Pruning(method, share)
    with source_and_task(source, task, rung, base) as (found, read):
        wanted = Wanted(out, read, accept, margin)
        made(found, wanted, {"prune": method, "share": share}, build_pruned(pruning, read, print))
