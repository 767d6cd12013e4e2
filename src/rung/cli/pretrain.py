"""`rung pretrain`: a base model from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def pretrain(
    recipe: Annotated[Path, typer.Argument(help="The recipe: one YAML file with corpus, tokenizer, model and train.")],
    out: Annotated[Path, typer.Option(help="The new folder of the model; work under way lies beside it, in OUT.work.")],
) -> None:
    """Make a base model: corpus, tokenizer, weights. A run that was killed goes on where it stopped."""
    from rung.train.pretrain import pretrain as run
    from rung.train.recipe import Recipe

    run(Recipe.load(recipe), out, report=typer.echo)
