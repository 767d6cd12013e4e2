"""What a training finds and leaves: the device and format of its weights, and the state of the process around it.

Nothing here trains; the loop in `trainer` asks these before it starts and runs inside `untouched_surroundings`.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator
from typing import Any

import torch
import transformers

from rung.errors import RungError
from rung.model.precision import fast_bfloat16
from rung.model.randomness import kept_randomness
from rung.train.settings import TrainSettings

LARGE = 50_000_000  # weights from which a second of care for memory is worth it


def device_of(module: Any) -> torch.device:
    """Where the weights of `module` are."""
    device: torch.device = next(module.parameters()).device
    return device


def low_precision(settings: TrainSettings, device: torch.device) -> bool:
    """Whether products run in bfloat16. `auto`: where the processor multiplies it faster than float32."""
    if settings.precision != "auto":
        return settings.precision == "bfloat16"
    return fast_bfloat16(device)


def check_trainable(module: Any, *, narrow: bool = False) -> int:
    """How many weights train. Raises RungError for none, or, unless `narrow`, for a format that loses small steps."""
    weights = [(name, weight) for name, weight in module.named_parameters() if weight.requires_grad]
    if not weights:
        raise RungError("no weight of the module is trainable", where="training", mend="set requires_grad")
    short = [name for name, weight in weights if weight.dtype != torch.float32]
    if short and not narrow:
        raise RungError(
            f"{short[0]} would be trained in fewer bits than float32 has, which loses small steps",
            where="training",
            mend="load the weights in float32; products still run in bfloat16",
        )
    return sum(weight.numel() for _, weight in weights)


@contextlib.contextmanager
def untouched_surroundings(module: Any) -> Iterator[None]:
    """Undo what the Trainer does to the process: random states, the log level, and determinism on a GPU."""
    verbosity = transformers.logging.get_verbosity()
    deterministic = torch.are_deterministic_algorithms_enabled()
    with kept_randomness(), _quick_collection(module):
        if device_of(module).type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True, warn_only=True)
        transformers.logging.set_verbosity_error()
        try:
            yield
        finally:
            transformers.logging.set_verbosity(verbosity)
            torch.use_deterministic_algorithms(deterministic)


@contextlib.contextmanager
def _quick_collection(module: Any) -> Iterator[None]:
    """Let garbage collections in here pass over what was there before, and leave none of the training's behind.

    accelerate collects at every start, a quarter of a second where transformers is loaded: as long as a short training.
    """
    if gc.get_freeze_count():
        yield
        return
    if sum(weight.numel() for weight in module.parameters()) > LARGE:
        gc.collect()  # what an earlier training left may be as large
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()
