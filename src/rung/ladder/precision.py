"""In which numbers a climb holds its base: as stored, or coarser where the memory budget asks for it."""

from __future__ import annotations

from dataclasses import replace

from rung.model.load import Model

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
SHARE = 2
"""The weights may take one part in so many of a memory budget; the rest is for what is computed with them."""


def fitted(model: Model, memory: int | None) -> tuple[Model, str]:
    """The base in the finest numbers whose weights take at most half of `memory` bytes, and why, where they are others.

    Arithmetic alone, so it comes out the same everywhere. A precision that was asked for stays; so does the stored one
    where none would do.
    """
    if model.dtype != "auto" or memory is None:
        return model, ""
    stored = model.precision
    coarser = [name for name in ("bfloat16", "int8") if BYTES[name] < BYTES[stored]]
    for name in (stored, *coarser):
        if model.parameters * BYTES[name] * SHARE <= memory:
            if name == stored:
                return model, ""
            size = f"{model.parameters * BYTES[stored] / 1e6:,.0f} MB"
            why = f"the base is held as {name}: as {stored} its weights take {size}, over half of the memory budget"
            return replace(model, dtype=name), why
    return model, ""
