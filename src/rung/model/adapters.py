"""Trained parts read back: PEFT adapters merged into a base, soft prompts, whole trained copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rung.errors import RungError
from rung.model.load import Model


def attach(model: Model, folder: Path) -> Any:
    """A copy of the base with the PEFT adapter of `folder` around it."""
    from peft import PeftModel

    return PeftModel.from_pretrained(model.fresh(), str(folder)).requires_grad_(False).eval()


def merge(model: Model, folder: Path) -> Any:
    """A copy of the base with the LoRA updates of `folder` added to its weights, in the base's own number format."""
    from peft import PeftModel

    dtype = model.module.dtype
    tuned = PeftModel.from_pretrained(model.fresh("float32"), str(folder))
    return tuned.merge_and_unload().to(dtype).requires_grad_(False).eval()


def soft_prompt(folder: Path) -> Any:
    """The embeddings (tokens, hidden) of a PEFT prompt-tuning adapter. Raises RungError where there is none."""
    from safetensors.torch import load_file

    tensors = load_file(folder / "adapter_model.safetensors")
    if "prompt_embeddings" not in tensors:
        raise RungError("holds no prompt embeddings", where=str(folder), mend="name a bundle with a soft prompt")
    return tensors["prompt_embeddings"]


def whole(model: Model, folder: Path) -> Any:
    """A trained copy of the base from its own folder."""
    return Model(model.name, folder, model.config, model.dtype, model.device, model.trust_remote_code).module
