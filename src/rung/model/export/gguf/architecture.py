"""What a decoder of the Llama family is called in GGUF: its settings, its tensors, and how rows of q and k are ordered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rung.errors import MissingExtra, RungError, nearest


@dataclass(frozen=True)
class Architecture:
    """`name` in GGUF; `turned` says whether q and k are stored with the rotary pairs side by side (llama.cpp's Llama),
    not as two halves (transformers); `class_name` and `model_type` are transformers' on the way back."""

    name: str
    turned: bool
    class_name: str
    model_type: str


ARCHITECTURES: Mapping[str, Architecture] = {
    "llama": Architecture("llama", True, "LlamaForCausalLM", "llama"),
    "mistral": Architecture("llama", True, "LlamaForCausalLM", "llama"),
    "qwen2": Architecture("qwen2", False, "Qwen2ForCausalLM", "qwen2"),
    "qwen3": Architecture("qwen3", False, "Qwen3ForCausalLM", "qwen3"),
}
"""By transformers' `model_type`. A Mistral is a Llama to llama.cpp; within its sliding window it is one indeed."""

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""Of layers without their number, and of what stands outside the layers."""
BACK = {value: key for key, value in NAMES.items()}


def need_gguf() -> Any:
    """The `gguf` package. Raises MissingExtra where it is not installed."""
    try:
        import gguf
    except ImportError as error:
        raise MissingExtra("gguf", needs="the package gguf", what="GGUF files") from error
    return gguf


def architecture_of(config: Mapping[str, Any]) -> Architecture:
    """The architecture of a `config.json`. Raises RungError for one that GGUF has no name for here, or settings that it
    cannot tell."""
    kind = str(config.get("model_type"))
    found = ARCHITECTURES.get(kind)
    if found is None:
        what = f"GGUF has no name here for a {kind} ({nearest(kind, ARCHITECTURES)})"
        raise RungError(what, where="--to gguf", mend=f"export one of {', '.join(ARCHITECTURES)}, or --to hf")
    if config.get("hidden_act", "silu") != "silu":
        act = config["hidden_act"]
        raise RungError(f"llama.cpp computes silu and not {act}", where="config.json", mend="export it --to hf")
    rope_of(config)
    return found


def rope_of(config: Mapping[str, Any]) -> tuple[float, float]:
    """The base of the rotary frequencies, and the factor by which positions are divided (1: none).

    Raises RungError for ways to stretch a window that need tables of their own.
    """
    told = {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    kind = str(told.get("rope_type") or told.get("type") or "default")
    base = float(told.get("rope_theta") or config.get("rope_theta") or 10000.0)
    if kind == "default":
        return base, 1.0
    if kind == "linear":
        return base, float(told["factor"])
    raise RungError(f"rotary positions of kind {kind} are not written", where="config.json", mend="export it --to hf")


def gguf_name(name: str) -> str:
    """A tensor's name in GGUF.

    >>> gguf_name("model.layers.3.self_attn.q_proj.weight"), gguf_name("lm_head.weight")
    ('blk.3.attn_q.weight', 'output.weight')
    """
    stem, _, part = name.rpartition(".")
    layer = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", stem)
    known = NAMES.get(layer[2] if layer else stem)
    if known is None:
        raise RungError(f"GGUF has no name here for the weight {name}", where="--to gguf", mend="export it --to hf")
    return f"blk.{layer[1]}.{known}.{part}" if layer else f"{known}.{part}"


def hf_name(name: str) -> str:
    """The inverse of `gguf_name`. Raises RungError for a tensor of another architecture.

    >>> hf_name("blk.3.attn_q.weight"), hf_name("token_embd.weight")
    ('model.layers.3.self_attn.q_proj.weight', 'model.embed_tokens.weight')
    """
    stem, _, part = name.rpartition(".")
    layer = re.fullmatch(r"blk\.(\d+)\.(.+)", stem)
    known = BACK.get(layer[2] if layer else stem)
    if known is None:
        raise RungError(f"holds a tensor {name} that none of these has", where="GGUF", mend="read it with llama.cpp")
    return f"model.layers.{layer[1]}.{known}.{part}" if layer else f"{known}.{part}"


def heads_turned(name: str) -> str:
    """`q` or `k` for tensors whose rows are in another order in a turned architecture, else nothing."""
    found = re.search(r"\.attn_([qk])\.(?:weight|bias)$", name)
    return found[1] if found else ""


def turned(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of q or k (heads × width, …) from two halves a head to pairs side by side."""
    width = rows.shape[0] // heads
    return rows.reshape(heads, 2, width // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def turned_back(rows: np.ndarray, heads: int) -> np.ndarray:
    """The inverse of `turned`."""
    width = rows.shape[0] // heads
    return rows.reshape(heads, width // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)
