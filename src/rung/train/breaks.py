"""What stops a training: a loss that is no number, whose batch is kept in a file, and memory that runs out.

Each becomes one line with the mend. Whether a training goes on after one is decided in `trainer`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from rung.errors import RungError

LESS_MEMORY = (
    "lower micro_tokens or the batch size, turn checkpointing on, train in bfloat16, or move fewer weights "
    "(lora, qlora)"
)
ALLOCATORS = ("out of memory", "can't allocate memory", "DefaultCPUAllocator", "Cannot allocate memory")


class OutOfMemory(RungError):
    """A training needed more memory than there is."""


@contextlib.contextmanager
def memory_told(where: Callable[[], str]) -> Iterator[None]:
    """Turn an allocation that failed in the block into OutOfMemory; `where` is asked how far the training was."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
        told = str(error).strip().splitlines()
        said = told[0].rstrip(". ") if told else type(error).__name__
        raise OutOfMemory(f"out of memory ({said[:120]})", where=where(), mend=LESS_MEMORY) from error


def ran_out(error: BaseException) -> bool:
    """Whether `error` is an allocation that failed, on whatever device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in ALLOCATORS)


def keep_batch(batch: Any, file: Path, about: Mapping[str, Any]) -> Path:
    """Write the tensors of `batch` (nested as it may be) to `file`, a safetensors file, and return it.

    A tensor is named by its way from the top (`micros.0.input_ids`). Plain values beside the tensors and `about` are
    JSON in the file's metadata, under `values` and `about`.
    """
    tensors: dict[str, torch.Tensor] = {}
    values: dict[str, Any] = {}
    for name, part in _parts(batch, ""):
        if isinstance(part, torch.Tensor):
            tensors[name] = part.detach().cpu().contiguous().clone()  # two names of one storage are not storable
        else:
            values[name] = part if isinstance(part, str | int | float | bool | None) else repr(part)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(file.name + ".part")
    said = {"about": json.dumps(dict(about)), "values": json.dumps(values)}
    safetensors.torch.save_file(tensors, unfinished, metadata=said)
    unfinished.replace(file)
    return file


def _parts(value: Any, way: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _parts(part, f"{way}.{name}" if way else str(name))
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for number, part in enumerate(value):
            yield from _parts(part, f"{way}.{number}" if way else str(number))
    else:
        yield way or "batch", value
