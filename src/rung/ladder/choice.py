"""What a person asks of a climb besides task and base. Light to import: the command line reads it first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """Which rungs, in which manner. `start` is the rung to begin at; `everything` builds all and takes one look."""

    everything: bool = False
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    start: str | None = None
    seed: int = 0
    drop_leaks: bool = False
