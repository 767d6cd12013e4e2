"""`rung size`: what a model and its training would take, before anything is spent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def size(
    model: Annotated[
        str, typer.Argument(help="A folder, a config.json, a recipe.yaml, a Hub id, `tiny` or `minilm`.")
    ] = "",
    method: Annotated[str, typer.Option(help="Which parameters move, as `rung tune --method` names it.")] = "full",
    precision: Annotated[
        str, typer.Option(help="float32, mixed (bfloat16 products), bfloat16, int8 or nf4 (a frozen base).")
    ] = "mixed",
    optimiser: Annotated[str, typer.Option(help="An optimiser by name.")] = "adamw",
    rows: Annotated[int, typer.Option(help="Rows that go through a device at once.")] = 1,
    length: Annotated[int, typer.Option(help="Tokens a row.")] = 512,
    pieces: Annotated[int, typer.Option(help="Pieces of a step, whose gradients accumulate.")] = 1,
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="Compute layers again on the way back.")
    ] = False,
    devices: Annotated[int, typer.Option(help="Devices that share the training.")] = 1,
    stage: Annotated[int, typer.Option(help="ZeRO stage: 0, 1, 2 or 3.")] = 0,
    cpu: Annotated[bool, typer.Option("--cpu", help="On a CPU, whose allocator keeps more than a GPU's.")] = False,
    card: Annotated[str, typer.Option(help="What fits on it: a name such as h100, or an amount such as 16GB.")] = "",
    tokens: Annotated[float | None, typer.Option(help="Tokens to train on, such as 1e9: how long it takes.")] = None,
    rate: Annotated[float | None, typer.Option(help="Operations a second of one device, such as 2e12.")] = None,
    utilisation: Annotated[float, typer.Option(help="Share of the rate that is reached.")] = 0.4,
    compute: Annotated[
        float | None, typer.Option(help="A budget of operations, such as 1e21: the best parameters and tokens.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A page (.html) to write.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show parameters, memory, what fits a card, time and compute-optimal sizes; no weights are loaded."""
    from rung.train.size.command import Ask, sized
    from rung.train.size.demand import Setting

    place = "cpu" if cpu else "cuda"
    setting = Setting(method, precision, optimiser, rows, length, pieces, checkpointing, devices, stage, place)
    for line in sized(Ask(model, setting, card, tokens, rate, utilisation, compute), as_json=as_json, page=out):
        print(line)
