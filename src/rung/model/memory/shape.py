"""The widths of a model that serving memory depends on, read from a configuration; torch is not needed for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rung.errors import RungError


@dataclass(frozen=True)
class ModelShape:
    """`kv_width` is what keys (or values) of one layer have for a token. `decoder_layers` counts those with
    cross-attention (0 but for encoder–decoders)."""

    layers: int
    hidden: int
    feed_forward: int
    kv_width: int
    vocabulary: int
    decoder_layers: int = 0

    @property
    def cache_width(self) -> int:
        """Numbers in the keys and values of one token, all layers together."""
        return 2 * (self.decoder_layers or self.layers) * self.kv_width

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> ModelShape:
        """The shape a `config.json` describes. Raises RungError where a width is missing."""
        text = config.get("text_config") or config
        hidden = _first(text, "hidden_size", "d_model", "n_embd")
        layers = _first(text, "num_hidden_layers", "num_layers", "n_layer", "encoder_layers")
        decoder = int(text.get("num_decoder_layers") or text.get("decoder_layers") or layers)
        inner = next(
            (int(text[k]) for k in ("intermediate_size", "d_ff", "n_inner", "encoder_ffn_dim") if text.get(k)), 0
        )
        return cls(
            layers=layers,
            hidden=hidden,
            feed_forward=inner or 4 * hidden,
            kv_width=_kv_width(text, hidden),
            vocabulary=_first(text, "vocab_size"),
            decoder_layers=decoder if config.get("is_encoder_decoder") else 0,
        )


def _kv_width(text: Mapping[str, Any], hidden: int) -> int:
    """0 where no layer attends, as in state-space models."""
    names = ("num_attention_heads", "num_heads", "n_head", "encoder_attention_heads")
    heads = next((int(text[name]) for name in names if isinstance(text.get(name), int)), 0)
    if not heads:
        if "state_size" in text:
            return 0
        raise RungError(
            "tells no num_attention_heads", where="config.json", mend="name a text model in Hugging Face form"
        )
    width = int(text.get("head_dim") or text.get("d_kv") or hidden // heads)
    return int(text.get("num_key_value_heads") or heads) * width


def _first(config: Mapping[str, Any], *names: str) -> int:
    for name in names:
        if isinstance(config.get(name), int):
            return int(config[name])
    raise RungError(f"tells no {names[0]}", where="config.json", mend="name a text model in Hugging Face form")
