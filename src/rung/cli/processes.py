"""The options of a training over many processes, and how a verb runs in each of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rung.train.parallel.team import Team

Nproc = Annotated[
    int | None, typer.Option("--nproc", help="Train in so many processes on this machine.", metavar="N", min=1)
]


def over_processes(nproc: int | None, work: Callable[[Team], None]) -> None:
    """Start the same command in `nproc` processes, or, in one of several, join the others and do `work`."""
    from rung.train.parallel.launch import LOST_PEER, MARK, launch, launched

    if nproc is not None and nproc > 1 and not launched():
        raise typer.Exit(launch(sys.argv[1:], nproc))
    from rung.train.parallel.team import PeerLost, joined

    try:
        with joined() as team:
            work(team)
    except PeerLost:
        if MARK not in os.environ:
            raise
        raise typer.Exit(LOST_PEER) from None  # the process that started this one knows who is gone, and says it
