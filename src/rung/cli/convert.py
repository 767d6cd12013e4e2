"""`rung import`: a base from another program's checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

convert = typer.Typer(help="Make a base model of another program's checkpoint.", no_args_is_help=True)


@convert.callback()
def _formats() -> None:
    """Make a base model of another program's checkpoint."""


@convert.command()
def llama2c(
    checkpoint: Annotated[
        Path, typer.Argument(help="A checkpoint of llama2.c, version 0 (.bin).", metavar="CHECKPOINT")
    ],
    tokenizer: Annotated[Path, typer.Option(help="Its tokenizer (.bin).")],
    out: Annotated[Path, typer.Option(help="The new folder of the model.")],
) -> None:
    """Weights and tokenizer of llama2.c as a folder in Hugging Face form."""
    from rung.model.importer import import_llama2c

    shape = import_llama2c(checkpoint, tokenizer, out)
    print(f"wrote {out}: {shape.layers} layers, window {shape.window}, {shape.vocabulary} tokens")
    print(f"next: rung plan TASK --base {out}")
