"""Which layout the settings and the processes at hand come to."""

from __future__ import annotations

from rung.errors import RungError
from rung.train.parallel.layout import Layout
from rung.train.parallel.replicated import Replicated
from rung.train.parallel.settings import ParallelSettings
from rung.train.parallel.sharded import Sharded
from rung.train.parallel.team import Team


def layout_of(settings: ParallelSettings, team: Team) -> Layout:
    """The layout that `settings` ask for. Raises RungError where the processes do not divide so, or it is none of ours."""
    if settings.pipeline > 1:
        raise RungError("pipeline stages are not built yet", where="parallel", mend="say tensor: 2, or data: zero3")
    if settings.backend != "torch":
        raise RungError(f"{settings.backend} is not wired in yet", where="parallel", mend="leave backend out")
    settings.data_ranks(team.world)
    if team.world == 1:
        return Layout(team)
    if settings.data == "ddp" and settings.tensor == 1:
        return Replicated(team, settings)
    return Sharded(team, settings)
