"""`rung merge`: an adapter becomes part of the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rung.cli.artefact import Accept, Base, Margin, OfRun, Out, Scored, SourceName


def merge(
    source: SourceName,
    out: Out,
    adapter: Annotated[
        Path | None, typer.Option(help="An adapter in peft's form, where SOURCE is its base.", metavar="DIR")
    ] = None,
    task: Scored = None,
    accept: Accept = False,
    margin: Margin = None,
    rung: OfRun = None,
    base: Base = None,
) -> None:
    """Fold an adapter into the weights: a run's, a saved System's, or one of peft's beside its base."""
    import tempfile

    from rung.cli.artefact import made, source_and_task
    from rung.ladder.artefacts.adapter import with_adapter
    from rung.ladder.artefacts.made import Wanted
    from rung.model.export.folder import write_folder

    with source_and_task(source, task, rung, base) as (found, read), tempfile.TemporaryDirectory() as scratch:
        wanted = Wanted(out, read, accept, margin)
        if adapter is not None:
            found = with_adapter(found, adapter, Path(scratch), any_base=accept)
        made(found, wanted, {"merge": adapter.name if adapter else "its own"}, lambda s, to: write_folder(s.model, to))
