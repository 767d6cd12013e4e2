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


@convert.command()
def gguf(
    file: Annotated[Path, typer.Argument(help="A GGUF file of a Llama, Mistral, Qwen2 or Qwen3.", metavar="FILE")],
    out: Annotated[Path, typer.Option(help="The new folder of the model.")],
) -> None:
    """Weights and tokenizer of a GGUF file as a folder in Hugging Face form, quantised numbers spelt out."""
    from rung.model.export.gguf.file import import_gguf

    model = import_gguf(file, out)
    print(f"wrote {out}: {model.parameters / 1e6:,.1f} M parameters, window {model.window:,}, {model.precision}")
    print(f"next: rung plan TASK --base {out}")
