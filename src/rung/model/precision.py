"""Weights held in few bits: int8 for those that only read them, NF4 also for those that train small parts beside them.

Both are weight-only and leave embeddings, head and activations as they are. int8 (torchao) keeps each row of a linear
layer in whole numbers from -127 to 127 with one scale; int4 (torchao, on CUDA) groups of 128 in 16 levels. NF4 (bitsandbytes; Dettmers et al. 2023) keeps blocks of 64
weights in 16 levels with one scale each, itself in 8 bits: about 0.516 bytes a weight; gradients pass through it to
whatever trains beside it. Which precision a climb takes is `ladder.precision`'s matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rung.errors import MissingExtra, RungError

READ_BESIDE = {"mamba": ("dt_proj",), "falcon_mamba": ("dt_proj",), "jamba": ("dt_proj",)}
"""Linear layers whose weights an architecture reads itself, past the layer: they stay as they are."""
READ_ONLY = ("int8", "int4")
FEW_BITS = (*READ_ONLY, "nf4")


def fast_bfloat16(device: Any) -> bool:
    """Whether the processor multiplies bfloat16 faster than float32."""
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def stored_as(config: Mapping[str, Any]) -> str:
    """`nf4` or `int8` where a `config.json` says that the weights beside it are stored so, else nothing."""
    told = config.get("quantization_config") or {}
    if told.get("load_in_4bit") and told.get("bnb_4bit_quant_type") == "nf4":
        return "nf4"
    default = (told.get("quant_type") or {}).get("default") if isinstance(told.get("quant_type"), Mapping) else None
    return "int8" if isinstance(default, Mapping) and default.get("_type") == "Int8WeightOnlyConfig" else ""


def few_bits_options(held: str, config: Mapping[str, Any], device: str) -> dict[str, Any]:
    """What `from_pretrained` is told to hold linear layers but the head in few bits, tensor by tensor as they are read.

    What is not int8 stays in its stored numbers; what is not NF4, and the products, are in bfloat16 where the processor
    is fast with it, else in float32. Raises MissingExtra without torchao or bitsandbytes.
    """
    if held == "int4" and not device.startswith("cuda"):
        mend = "take nf4, which is packed here too"
        raise RungError("torchao packs int4 for CUDA only, not for this processor", where="--dtype", mend=mend)
    if held == "nf4":
        need_bitsandbytes("a base held as nf4")
    else:
        _need_torchao()
    if stored_as(config):  # it says the rest itself
        return {"dtype": "auto", "device_map": {"": device}}
    own = _nf4(config, device) if held == "nf4" else _int8() if held == "int8" else _int4()
    return {"device_map": {"": device}, **own}


def _int4() -> dict[str, Any]:
    import torch
    from torchao.quantization import Int4WeightOnlyConfig
    from transformers import TorchAoConfig

    config = Int4WeightOnlyConfig(group_size=128, int4_packing_format="tile_packed_to_4d")
    return {"dtype": torch.bfloat16, "quantization_config": TorchAoConfig(config)}


def _int8() -> dict[str, Any]:
    from torchao.quantization import Int8WeightOnlyConfig
    from transformers import TorchAoConfig

    return {"dtype": "auto", "quantization_config": TorchAoConfig(Int8WeightOnlyConfig())}


def _nf4(config: Mapping[str, Any], device: str) -> dict[str, Any]:
    import torch
    from transformers import BitsAndBytesConfig

    compute = torch.bfloat16 if fast_bfloat16(device) else torch.float32
    beside = READ_BESIDE.get(str(config.get("model_type")))
    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
        llm_int8_skip_modules=[*beside, "lm_head"] if beside else None,  # None: the head and what is tied to it
    )
    return {"dtype": compute, "quantization_config": settings}


def settled(module: Any, held: str) -> Any:
    """`module`, just loaded, as it can be used. Raises RungError where none of its layers could be held so.

    bitsandbytes would repack the 4-bit layers of a module that only reads, on some CPUs: for bfloat16 scales that cannot
    be put back bit by bit, for shapes in multiples of 32 and 64 only, and for a product without gradients.
    """
    few = [one for one in module.parameters() if hasattr(one, "quant_state") or hasattr(one, "qdata")]
    if not few:
        what = f"a {module.config.model_type} has no linear layers that could be held as {held}"
        raise RungError(what, where="--dtype", mend="take bfloat16")
    for layer in module.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False
    return module


def store_as(module: Any, dtype: Any) -> Any:
    """`module` with its weights as `dtype`, in place, as if it had been loaded so: what is computed of positions (the
    frequencies of rotary embeddings) is no weight, and keeps its digits."""
    for weight in module.parameters():
        weight.data = weight.data.to(dtype)
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


def _need_torchao() -> None:
    try:
        import torchao  # noqa: F401
    except ImportError as error:
        raise MissingExtra("int8", needs="the package torchao", what="a base held as int8") from error
