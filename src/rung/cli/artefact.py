"""What the verbs that make an artefact share: its source, the task that scores it, where it goes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rung.ladder.artefacts.made import Made, Wanted
    from rung.ladder.artefacts.source import Source
    from rung.task import Task

SourceName = Annotated[
    str, typer.Argument(help="A run, a folder of a saved System, or a model.", metavar="RUN-OR-MODEL")
]
Scored = Annotated[
    Path | None, typer.Option("--task", help="The task file whose validation rows score it.", metavar="TASK")
]
Out = Annotated[Path, typer.Option(help="The new folder.", metavar="DIR")]
Accept = Annotated[bool, typer.Option("--accept", help="Write it although its score falls, or unscored.")]
Margin = Annotated[
    float | None,
    typer.Option(help="How far its score may fall behind, 0 to 1 (the task's margin).", show_default=False),
]
OfRun = Annotated[str | None, typer.Option("--rung", help="Of a run, this rung instead of the recommended one.")]
Base = Annotated[str | None, typer.Option(help="Where a System's base lies, if not where it was.")]


@contextmanager
def source_and_task(
    name: str, task: Path | None, rung: str | None = None, base: str | None = None
) -> Iterator[tuple[Source, Task | None]]:
    """Both, read before anything is built; what must be written on the way is gone afterwards."""
    from rung.ladder.artefacts.source import source_named
    from rung.model.threads import set_threads
    from rung.task import Task

    read = None if task is None else Task.load(task)
    set_threads()
    with tempfile.TemporaryDirectory(prefix="rung-") as scratch:
        yield source_named(name, Path(scratch), task=read, rung=rung, base=base), read


def made(source: Source, wanted: Wanted, how: dict[str, Any], build: Any) -> Made:
    """Make it, and say what was made."""
    from rung.ladder.artefacts.made import make

    done = make(source, wanted, how, build)
    for line in done.lines():
        print(line)
    return done
