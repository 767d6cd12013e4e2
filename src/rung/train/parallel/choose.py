"""Which layout the settings and the processes at hand come to."""

from __future__ import annotations

from rung.train.parallel.layout import Layout
from rung.train.parallel.replicated import Replicated
from rung.train.parallel.settings import ParallelSettings
from rung.train.parallel.sharded import Sharded
from rung.train.parallel.team import Team


def layout_of(settings: ParallelSettings, team: Team) -> Layout:
    """The layout that `settings` ask for. Raises RungError where the processes do not divide so."""
    settings.data_ranks(team.world)
    if team.world == 1:
        return Layout(team)
    if settings.data == "ddp" and settings.tensor == 1:
        return Replicated(team, settings)
    return Sharded(team, settings)
