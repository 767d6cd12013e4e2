"""A trained module on disk in its small standard form, and read back to answer.

Six forms, each a folder of its own: `adapter` (peft), `soft_prompt` and `prefix` (peft, as it saves them for use),
`bottleneck`, `delta` (the weights that moved, by the base's names) and `weights` (a whole model).
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from rung.errors import RungError
from rung.model import adapters, virtual
from rung.model.load import Model
from rung.model.methods.bottleneck import save_bottleneck, with_bottleneck
from rung.model.methods.method import Kept

FRONTS: tuple[Kept, ...] = ("soft_prompt", "prefix")
MODULES: tuple[Kept, ...] = ("adapter", "bottleneck", "delta", "weights")
DELTA, DELTA_SETTINGS = "delta.safetensors", "delta.json"


def save_tuned(module: Any, kept: Kept, folder: Path, model: Model) -> Path:
    """Write what moved in `module` into `folder/KEPT`, and give that folder."""
    own = folder / kept
    if kept in ("adapter", "soft_prompt", "prefix"):
        adapters.save_adapter(module, own, model.name)
    if kept == "prefix":
        front = virtual.virtual_of(module)
        assert front is not None
        virtual.save_prefix(front, own)
        # The keys and values as peft flattens them; any other tool reads those, and we the ones by layer.
    elif kept == "bottleneck":
        save_bottleneck(module, own, model.name)
    elif kept == "delta":
        _save_delta(module, own, model)
    elif kept == "weights":
        module.to(model.module.dtype).save_pretrained(str(own))
        model.tokenizer.save_pretrained(str(own))
    return own


def _save_delta(module: Any, folder: Path, model: Model) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    dtype = model.module.dtype
    moved = {n: w.detach().to("cpu", dtype).contiguous() for n, w in module.named_parameters() if w.requires_grad}
    safetensors.torch.save_file(moved, folder / DELTA)
    told = {"base_model_name_or_path": model.name, "weights": sorted(moved)}
    (folder / DELTA_SETTINGS).write_text(json.dumps(told, indent=2) + "\n")


def tuned_module(model: Model, folder: Path) -> Any:
    """The module of a bundle's own weights, ready to answer; None where the bundle has none of its own.

    LoRA and its kin are merged into the weights. Raises RungError where the files do not fit the base.
    """
    if (folder / "adapter").is_dir():
        return adapters.merged_copy(model, folder / "adapter")
    if (folder / "weights").is_dir():
        return replace(model, folder=folder / "weights").module
    if (folder / "bottleneck").is_dir():
        module = model.fresh()
        found = with_bottleneck(module, folder / "bottleneck")
        return found.requires_grad_(False).eval()
    return _with_delta(model, folder / "delta") if (folder / "delta").is_dir() else None


def _with_delta(model: Model, folder: Path) -> Any:
    module = model.fresh()
    kept, own = safetensors.torch.load_file(folder / DELTA), dict(module.named_parameters())
    odd = [name for name in kept if name not in own or own[name].shape != kept[name].shape]
    if odd:
        raise RungError(f"{odd[0]} is no such weight of the base", where=str(folder), mend="name its own base")
    with torch.no_grad():
        for name, weight in kept.items():
            own[name].copy_(weight)
    return module.requires_grad_(False).eval()


def tuned_front(folder: Path) -> virtual.Virtual | None:
    """What a bundle puts before every prompt of a decoder; None where it puts nothing there."""
    if (folder / "soft_prompt").is_dir():
        return adapters.soft_prompt(folder / "soft_prompt")
    return virtual.load_prefix(folder / "prefix") if (folder / "prefix").is_dir() else None
