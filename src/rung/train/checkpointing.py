"""Gradient checkpointing: what a layer computes is computed again on the way back instead of being kept.

A choice of the one loop and of the memory arithmetic; gradients are the same (Chen et al. 2016).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rung.errors import RungError
from rung.train.answers import base_of


def checkpointed(module: Any) -> Any:
    """`module`, its layers recomputed in the backward pass from now on, in place.

    Raises RungError where the architecture has no layers that can be, or trained keys and values stand before them,
    which recomputed layers would not see.
    """
    told = getattr(module, "active_peft_config", None)
    if told is not None and str(getattr(told, "peft_type", "")).endswith("PREFIX_TUNING"):
        raise RungError(
            "prefix tuning has no gradient checkpointing",
            where="checkpointing",
            mend="leave it off, or take prompt-tuning",
        )
    base = base_of(module)
    if not getattr(base, "supports_gradient_checkpointing", False):
        kind = getattr(getattr(base, "config", None), "model_type", type(base).__name__)
        raise RungError(f"a {kind} has no gradient checkpointing", where="checkpointing", mend="leave it off")
    base.gradient_checkpointing_enable({"use_reentrant": False})
    return module


@contextmanager
def recomputing(module: Any, on: bool) -> Iterator[None]:
    """Within, the layers of `module` are recomputed on the way back, where `on`; behind it they are as before."""
    if on:
        checkpointed(module)
    try:
        yield
    finally:
        if on:
            base_of(module).gradient_checkpointing_disable()
