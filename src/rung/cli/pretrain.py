"""`rung pretrain`: a base model from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rung.cli.processes import Nproc, over_processes

if TYPE_CHECKING:
    from rung.train.parallel.team import Team


def pretrain(
    recipe: Annotated[Path, typer.Argument(help="The recipe: one YAML file with corpus, tokenizer, model and train.")],
    out: Annotated[Path, typer.Option(help="The new folder of the model; work under way lies beside it, in OUT.work.")],
    nproc: Nproc = None,
) -> None:
    """Make a base model: corpus, tokenizer, weights. A run that was killed goes on where it stopped."""

    def run(team: Team) -> None:
        from rung.train.pretrain import pretrain
        from rung.train.recipe import Recipe

        pretrain(Recipe.load(recipe), out, report=typer.echo, team=team)

    over_processes(nproc, run)
