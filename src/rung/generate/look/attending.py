"""Where attention goes, head by head, of an output that brought its weights along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from rung.errors import RungError
from rung.generate.look.found import Attention, Head
from rung.generate.look.settings import Wanted

DRAWN = 32
"""Tokens whose attention is shown, the last of the text; what goes to those before is summed."""
MOST_BYTES = 2**29
"""What the weights of all heads may take; longer texts show none."""


def attention_bytes(config: Any, tokens: int) -> int:
    """What the attention weights of a text take, float32."""
    text = config.get_text_config()
    layers = int(getattr(text, "num_hidden_layers", 0) or 0)
    heads = int(getattr(text, "num_attention_heads", 0) or 0)
    return 4 * layers * heads * tokens * tokens


def attentions(output: Any, reads: Mapping[str, Sequence[str]], wanted: Wanted) -> tuple[Attention, ...]:
    """The kinds of attention in an output. `reads` holds the labels of `text` and, for encoder–decoders, `answer`.

    Raises RungError for a layer or head that is not there.
    """
    kinds = (
        ("attentions", "attention", "text", "text"),
        ("encoder_attentions", "encoder", "text", "text"),
        ("decoder_attentions", "decoder", "answer", "answer"),
        ("cross_attentions", "cross", "answer", "text"),
    )
    found = []
    for key, kind, queries, keys in kinds:
        layers = [layer for layer in output.get(key) or () if layer is not None]
        if layers:
            found.append(_kind(kind, layers, reads[queries], reads[keys], wanted))
    return tuple(found)


def _kind(kind: str, layers: Sequence[Any], queries: Sequence[str], keys: Sequence[str], wanted: Wanted) -> Attention:
    layers = [layer[0].float() for layer in layers]  # each (heads, queries, keys)
    heads, rows, size = layers[0].shape
    keys = [*(f"learnt {n}" for n in range(size - len(keys))), *keys]
    if kind != "cross":
        queries = keys[-rows:]  # learnt keys and values ask for nothing themselves
    _there("--layer", wanted.layers, len(layers))
    _there("--head", wanted.heads, heads)
    shown = [
        _head(layer, head, layers[layer][head], kind != "cross")
        for layer in wanted.layers or range(len(layers))
        for head in wanted.heads or range(heads)
    ]
    folded = len(keys) - DRAWN if len(keys) > DRAWN else 0
    labels = [f"{folded} earlier", *keys[folded:]] if folded else list(keys)
    return Attention(kind, tuple(queries[-DRAWN:]), tuple(labels), tuple(shown), folded)


def _there(option: str, asked: Sequence[int], count: int) -> None:
    for number in asked:
        if number >= count:
            name = option.removeprefix("--")
            told = f"there is no {name} {number}: the model has {count}, counted from 0"
            raise RungError(told, where=option, mend=f"give 0 to {count - 1}")


def _head(layer: int, head: int, weights: torch.Tensor, alike: bool) -> Head:
    """One head's weights (queries, keys), its end cut out for drawing, and its habits over all of the text."""
    habits: list[float | None] = [None, None, None]
    before = weights.shape[1] - len(weights)
    if alike and weights.shape[1] > 1:
        later = weights[max(0, 1 - before) :]
        places = torch.arange(max(1, before), weights.shape[1], device=weights.device)
        previous = later.gather(1, places[:, None] - 1)
        habits = [float(later[:, 0].mean()), float(previous.mean()), float(later.gather(1, places[:, None]).mean())]
    drawn = weights[-DRAWN:]
    if (folded := weights.shape[1] - DRAWN) > 0:
        drawn = torch.cat([drawn[:, :folded].sum(dim=1, keepdim=True), drawn[:, folded:]], dim=1)
    return Head(layer, head, tuple(map(tuple, drawn.tolist())), *habits)
