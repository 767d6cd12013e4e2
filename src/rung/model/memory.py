"""How many bytes training or serving a model will take at its peak, computed from its configuration alone.

Weights, gradients and optimizer states are counted exactly; activations by coefficients measured on transformers'
modules (below). The libraries themselves and a GPU's own context come on top. What is measured in a run is put beside
these numbers by others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rung.errors import RungError

# Bytes that one layer keeps for the backward pass, a token: so many times the hidden width plus so many times the width
# of the feed-forward part, by the kind of the latter: gated (Llama), composed (an activation of several operations, as
# gelu_new in GPT-2) or fused (BERT, T5). Counted with saved-tensor hooks on modules of transformers 5.23, without the
# copies of weights; in the spirit of Korthikanti et al. 2022, whose 34 times the width is for 16-bit GPT-2.
KEPT_HIDDEN = {
    "float32": {"gated": 40.0, "composed": 40.0, "fused": 40.0},
    "bfloat16": {"gated": 34.5, "composed": 26.5, "fused": 30.5},
}
KEPT_FEED_FORWARD = {
    "float32": {"gated": 16.0, "composed": 20.0, "fused": 8.0},
    "bfloat16": {"gated": 8.1, "composed": 10.1, "fused": 4.1},
}
# The mask of packed rows, which every layer keeps: a number a pair of tokens.
KEPT_MASK = {"float32": 4.0, "bfloat16": 2.0}
# What the C library's allocator holds on to between allocations of changing size, as a share of what comes and goes:
# measured on Linux by running the same training with and without it. A GPU's allocator wastes less.
SLACK = {"cpu": 0.5, "cuda": 0.1}
# Attention that keeps its probabilities (dropout in attention, `eager`, or T5's bias), a head and pair of tokens.
KEPT_PROBABILITY = 12.0
# Logits, their log-softmax and the gradients of both, a target and word.
KEPT_LOGIT = {"float32": 12.0, "bfloat16": 16.0}

GATED = (
    "llama",
    "mistral",
    "mixtral",
    "qwen",
    "gemma",
    "phi3",
    "olmo",
    "granite",
    "cohere",
    "smollm",
    "stablelm",
    "glm",
)
COMPOSED = ("gelu_new", "gelu_fast", "gelu_pytorch_tanh", "quick_gelu")


@dataclass(frozen=True)
class ModelShape:
    """The widths that memory depends on. `decoder_layers` counts those with cross-attention (0 but for encoder–decoders)."""

    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_width: int
    vocabulary: int
    feed_forward_kind: str = "gated"
    keeps_probabilities: bool = False
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
        heads = _first(text, "num_attention_heads", "num_heads", "n_head", "encoder_attention_heads")
        layers = _first(text, "num_hidden_layers", "num_layers", "n_layer", "encoder_layers")
        family, dropout = str(text.get("model_type", "")), 0.0
        for key in ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop"):
            # What a configuration leaves out takes transformers' default, which is 0.1 for these two families' names.
            dropout = max(dropout, float(text.get(key, 0.1 if _defaults_to_dropout(family, key) else 0.0) or 0.0))
        decoder = int(text.get("num_decoder_layers") or text.get("decoder_layers") or layers)
        head_width = int(text.get("head_dim") or text.get("d_kv") or hidden // heads)
        inner = next(
            (int(text[k]) for k in ("intermediate_size", "d_ff", "n_inner", "encoder_ffn_dim") if text.get(k)), 0
        )
        gated = family.startswith(GATED) or bool(text.get("is_gated_act"))
        activation = str(
            text.get("hidden_act") or text.get("activation_function") or ("gelu_new" if family == "gpt2" else "")
        )
        return cls(
            layers=layers,
            hidden=hidden,
            feed_forward=inner or 4 * hidden,
            heads=heads,
            kv_width=int(text.get("num_key_value_heads") or heads) * head_width,
            vocabulary=_first(text, "vocab_size"),
            feed_forward_kind="gated" if gated else "composed" if activation in COMPOSED else "fused",
            keeps_probabilities=dropout > 0 or family in ("t5", "mt5"),
            decoder_layers=decoder if config.get("is_encoder_decoder") else 0,
        )


@dataclass(frozen=True)
class MemoryUse:
    """Predicted bytes by purpose. Gradients grow while activations are given back, so only the larger counts."""

    weights: float
    gradients: float = 0.0
    optimizer: float = 0.0
    best_weights: float = 0.0
    activations: float = 0.0
    logits: float = 0.0
    cache: float = 0.0
    slack: float = 0.0

    @property
    def total(self) -> int:
        """The peak."""
        moving = max(self.gradients, self.activations + self.logits)
        return round(self.weights + self.optimizer + self.best_weights + self.cache + moving + self.slack)

    def to_json(self) -> dict[str, int]:
        """As plain values, whole bytes."""
        return {key: round(value) for key, value in asdict(self).items()} | {"total": self.total}


def train_memory(
    shape: ModelShape,
    parameters: int,
    trainable: int,
    tokens: int,
    *,
    length: int | None = None,
    targets: int | None = None,
    weight_bytes: float = 4,
    low_precision: bool = True,
    keep_best: bool = True,
    device: str = "cpu",
) -> MemoryUse:
    """Peak bytes of one process that trains `trainable` of `parameters` weights with AdamW.

    `tokens` are computed at once (one piece of a step) in rows of `length` (None: one row), of which `targets` carry
    loss (None: all). For an encoder–decoder `tokens` are the encoder's and `targets` the decoder's. Frozen weights take
    `weight_bytes` each, trained ones 4, their gradients 4, AdamW 8. `low_precision` products keep a bfloat16 copy of the
    weights they use. `keep_best` holds the best trained weights so far, in the same memory on a CPU.
    """
    mode, kind = "bfloat16" if low_precision else "float32", shape.feed_forward_kind
    copies = 2.0 * (parameters if weight_bytes == 4 else trainable) if low_precision else 0.0
    predicted, row = tokens if targets is None else targets, min(length or tokens, tokens)
    width = shape.hidden * KEPT_HIDDEN[mode][kind]
    pair = KEPT_PROBABILITY * shape.heads if shape.keeps_probabilities else KEPT_MASK[mode]
    layer = width + shape.feed_forward * KEPT_FEED_FORWARD[mode][kind] + pair * row
    # A layer with cross-attention keeps a second set of attention's tensors.
    crossed = layer + width + pair * row
    activations = tokens * shape.layers * layer + predicted * shape.decoder_layers * crossed
    logits = predicted * shape.vocabulary * KEPT_LOGIT[mode]
    return MemoryUse(
        weights=(parameters - trainable) * weight_bytes + trainable * 4.0 + copies,
        gradients=trainable * 4.0,
        optimizer=trainable * 8.0,
        best_weights=trainable * 4.0 if keep_best and device == "cpu" else 0.0,
        activations=activations,
        logits=logits,
        slack=SLACK.get(device, SLACK["cpu"]) * (activations + logits),
    )


def serve_memory(
    shape: ModelShape,
    parameters: int,
    *,
    rows: int = 1,
    length: int = 512,
    prompt_tokens: int | None = None,
    weight_bytes: int = 4,
    device: str = "cpu",
) -> MemoryUse:
    """Peak bytes of answering `rows` prompts at once, each up to `length` tokens with its answer.

    The cache holds a key and a value a token and layer in the format of the weights. `prompt_tokens` (None: all of
    them) are computed at once, with one layer's activations alive at a time and logits for one token a row.
    """
    computed = rows * length if prompt_tokens is None else prompt_tokens
    alive = computed * (6 * shape.hidden + 3 * shape.feed_forward) * weight_bytes
    cache = float(shape.cache_width) * rows * length * weight_bytes
    return MemoryUse(
        weights=parameters * float(weight_bytes),
        activations=alive,
        logits=rows * shape.vocabulary * 8.0,
        cache=cache,
        slack=SLACK.get(device, SLACK["cpu"]) * (alive + cache),
    )


def _first(config: Mapping[str, Any], *names: str) -> int:
    for name in names:
        if isinstance(config.get(name), int):
            return int(config[name])
    raise RungError(f"tells no {names[0]}", where="config.json", mend="name a text model in Hugging Face form")


def _defaults_to_dropout(family: str, key: str) -> bool:
    return (family == "gpt2" and key == "attn_pdrop") or (
        family in ("bert", "roberta", "xlm-roberta", "electra", "mpnet") and key == "attention_probs_dropout_prob"
    )
