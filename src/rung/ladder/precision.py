"""In which numbers a climb holds its base, stored ones or coarser where the memory budget asks for it, and what can be
trained on them."""

from __future__ import annotations

from dataclasses import replace

from rung.model.load import Model

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "nf4": 0.516}
THROUGH_THE_BASE = ("virtual", "adapter", "part", "weights")
"""What rungs train that needs gradients through the base."""
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


def not_trained(precision: str, trains: str) -> str:
    """Why a rung that trains `trains` cannot be built on weights of this precision; empty where it can."""
    if precision in ("int8", "int4") and trains in THROUGH_THE_BASE:
        return f"weights held as {precision} are not trained; take --dtype bfloat16, or give more memory"
    if precision == "nf4" and trains in ("part", "weights"):
        return "weights held as nf4 do not move, adapters beside them do; take --dtype bfloat16"
    return ""


def slow_here(model: Model) -> str:
    """A note where the processor has no fast products in these numbers; empty where it has."""
    if model.precision == "float16" and not model.device.startswith("cuda"):
        return "the base is held as float16, in which this processor is slow: bfloat16 takes the same memory"
    return ""
