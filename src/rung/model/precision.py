"""Weights held as int8, for those that only read them. Which precision a climb takes is `ladder.precision`'s matter.

It is weight-only: each row of a linear layer in whole numbers from -127 to 127 with one scale, through torchao; the
activations stay as they are, and so do the embeddings and the head. What is trained is never int8.
"""

from __future__ import annotations

from typing import Any

from rung.errors import MissingExtra, RungError


def to_int8(module: Any) -> Any:
    """`module` with its linear layers but the head held as int8, in place.

    Raises MissingExtra without torchao, RungError for a module that has no linear layers (GPT-2 has other ones).
    """
    import torch

    quantize, config = _torchao()
    head = module.get_output_embeddings() if hasattr(module, "get_output_embeddings") else None
    inside = [layer for layer in module.modules() if isinstance(layer, torch.nn.Linear) and layer is not head]
    if not inside:
        what = f"a {module.config.model_type} has no linear layers that could be held as int8"
        raise RungError(what, where="--dtype", mend="take bfloat16")
    quantize(module, config, filter_fn=lambda layer, _: isinstance(layer, torch.nn.Linear) and layer is not head)
    return module


def _torchao() -> tuple[Any, Any]:
    try:
        from torchao.quantization import Int8WeightOnlyConfig, quantize_
    except ImportError as error:
        raise MissingExtra("int8", needs="the package torchao", what="a base held as int8") from error
    return quantize_, Int8WeightOnlyConfig()
