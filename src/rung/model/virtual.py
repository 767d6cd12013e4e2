"""What a trained module puts before every prompt: embeddings, or keys and values, taken out of it so that others serve it.

How they are trained is the matter of `methods`; how they stand before a batch, of `generate`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import torch

from rung.errors import RungError

Layer: TypeAlias = "tuple[torch.Tensor, torch.Tensor]"
Virtual: TypeAlias = "torch.Tensor | tuple[Layer, ...]"
"""Embeddings (tokens, hidden), or a pair of keys and values (1, heads, tokens, width) a layer."""

PREFIX = "prefix.safetensors"


def places(virtual: Virtual | None) -> int:
    """How many places it takes in front of a prompt."""
    if virtual is None:
        return 0
    return int(virtual[0][0].shape[2] if isinstance(virtual, tuple) else virtual.shape[0])


def virtual_of(module: Any) -> Virtual | None:
    """What a module of peft puts before every prompt, without history; None where it puts nothing there."""
    config = getattr(module, "active_peft_config", None)
    if config is None or not config.is_prompt_learning:
        return None
    with torch.no_grad():
        front = module.get_prompt(batch_size=1)
    if isinstance(front, torch.Tensor):
        return front[0].detach()
    return tuple((layer.keys.detach(), layer.values.detach()) for layer in front.layers)


def save_prefix(virtual: Virtual, folder: Path) -> None:
    """Write the keys and values of every layer beside an adapter, as tensors `keys.N` and `values.N`."""
    from safetensors.torch import save_file

    assert isinstance(virtual, tuple)
    tensors = {f"keys.{n}": keys.cpu().contiguous() for n, (keys, _) in enumerate(virtual)}
    tensors |= {f"values.{n}": values.cpu().contiguous() for n, (_, values) in enumerate(virtual)}
    save_file(tensors, folder / PREFIX)


def load_prefix(folder: Path) -> tuple[Layer, ...]:
    """The keys and values saved in `folder`. Raises RungError where there are none."""
    from safetensors.torch import load_file

    file = folder / PREFIX
    if not file.is_file():
        raise RungError(f"no {PREFIX}", where=str(folder), mend="name a bundle with a trained prefix")
    tensors = load_file(file)
    return tuple((tensors[f"keys.{n}"], tensors[f"values.{n}"]) for n in range(len(tensors) // 2))
