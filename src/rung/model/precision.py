"""Weights held in few bits: int8 for those that only read them, NF4 also for those that train small parts beside them.

Both are weight-only and leave embeddings, head and activations as they are. int8 (torchao) keeps each row of a linear
layer in whole numbers from -127 to 127 with one scale. NF4 (bitsandbytes; Dettmers et al. 2023) keeps blocks of 64
weights in 16 levels with one scale each, itself in 8 bits: about 0.516 bytes a weight; gradients pass through it to
whatever trains beside it. Which precision a climb takes is `ladder.precision`'s matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rung.errors import MissingExtra, RungError

READ_BESIDE = {"mamba": ("dt_proj",), "falcon_mamba": ("dt_proj",), "jamba": ("dt_proj",)}
"""Linear layers whose weights an architecture reads itself, past the layer: they stay as they are."""


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


def fast_bfloat16(device: Any) -> bool:
    """Whether the processor multiplies bfloat16 faster than float32."""
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def nf4_options(config: Mapping[str, Any], device: str) -> dict[str, Any]:
    """What `from_pretrained` is told to hold linear layers but the head as NF4, tensor by tensor as they are read.

    What stays, and the products, are in bfloat16 where the processor is fast with it, else in float32. Raises
    MissingExtra without bitsandbytes.
    """
    import torch

    need_bitsandbytes("a base held as nf4")
    from transformers import BitsAndBytesConfig

    if stored_nf4(config):  # it says the rest itself
        return {"dtype": "auto", "device_map": {"": device}}
    compute = torch.bfloat16 if fast_bfloat16(device) else torch.float32
    beside = READ_BESIDE.get(str(config.get("model_type")))
    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
        llm_int8_skip_modules=[*beside, "lm_head"] if beside else None,  # None: the head and what is tied to it
    )
    return {"quantization_config": settings, "dtype": compute, "device_map": {"": device}}


def stored_nf4(config: Mapping[str, Any]) -> bool:
    """Whether a `config.json` says that the weights beside it are stored as NF4."""
    told = config.get("quantization_config") or {}
    return bool(told.get("load_in_4bit")) and told.get("bnb_4bit_quant_type") == "nf4"


def settle_nf4(module: Any) -> Any:
    """`module` with its 4-bit layers kept as they are stored, in place.

    Where it only reads, bitsandbytes repacks them on some CPUs: for bfloat16 scales that cannot be put back bit by bit,
    for shapes in multiples of 32 and 64 only, and for a product without gradients.
    """
    for layer in module.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False
    return module


def held_bytes(module: Any) -> int:
    """Bytes that the weights of `module` take as they are held, shared ones once, scales included."""
    total = 0
    for weight in {id(one): one for one in [*module.parameters(), *module.buffers()]}.values():
        total += _bytes(weight)
    return total


def _bytes(weight: Any) -> int:
    state = getattr(weight, "quant_state", None)  # bitsandbytes
    parts = [weight.data]
    if state is not None:
        parts += [state.absmax, state.code]
        parts += [state.state2.absmax, state.state2.code] if state.nested else []
    elif hasattr(weight, "qdata"):  # torchao
        parts = [weight.qdata, weight.scale]
    return sum(int(part.numel() * part.element_size()) for part in parts)


def need_bitsandbytes(what: str) -> None:
    """Raises MissingExtra where bitsandbytes cannot be imported."""
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise MissingExtra("nf4", needs="the package bitsandbytes", what=what) from error


def _torchao() -> tuple[Any, Any]:
    try:
        from torchao.quantization import Int8WeightOnlyConfig, quantize_
    except ImportError as error:
        raise MissingExtra("int8", needs="the package torchao", what="a base held as int8") from error
    return quantize_, Int8WeightOnlyConfig()
