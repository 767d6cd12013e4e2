"""A model as a folder of Hugging Face form, its weights in the numbers asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rung.errors import RungError, nearest
from rung.model.load import Model
from rung.model.precision import FEW_BITS
from rung.model.whole import save_whole

STORED = ("float32", "bfloat16", "float16", "int8", "nf4")
"""The numbers that a folder can hold weights in."""


def write_folder(
    model: Model, folder: Path, *, to: str | None = None, change: Callable[[Any], Any] | None = None
) -> Model:
    """Write `model` into the existing `folder`, and read it back.

    `to` names other numbers than its own; `change` gives the module that is written instead. Raises RungError for
    numbers that no folder holds.
    """
    if to is not None and to not in STORED:
        raise RungError(f"unknown numbers {to!r}", where="--to", mend=nearest(to, STORED))
    if to in FEW_BITS and change is not None:
        raise RungError(f"weights held as {to} cannot be changed", where="--to", mend="change them first")
    held = replace(model, dtype=to or model.dtype)
    module = held.module if (to or held.precision) in FEW_BITS else held.fresh()
    save_whole(module if change is None else change(module), model, folder)
    return Model.load(str(folder), device=model.device, trust_remote_code=model.trust_remote_code)
