"""One dial for the size of a new model: a number of parameters in, width, depth and heads of its architecture out.

Which fields an architecture is shaped by is a literal table; how many parameters a shape has is asked of the library's own
class, without memory for its weights. What a shape costs to train is the matter of `memory`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rung.errors import RungError, nearest

UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMBT]?)\s*\Z", re.IGNORECASE)
CLOSE = 0.02  # shapes this near to the size are chosen among by their proportions alone
FARTHEST = 0.15
Fields = dict[str, Any]


def read_size(value: Any) -> int:
    """Parameters of `10M`, `1.5B`, 300000 or `{parameters: 10M}`. Raises RungError.

    >>> read_size("1.5B"), read_size({"parameters": "300k"})
    (1500000000, 300000)
    """
    if isinstance(value, Mapping):
        for key in value:
            if key != "parameters":
                raise RungError(f"unknown key {key!r}", where="model.size", mend=nearest(str(key), ["parameters"]))
        value = value.get("parameters")
    match = _SIZE.match(str(value)) if not isinstance(value, bool) and value is not None else None
    size = int(float(match.group(1)) * UNITS[match.group(2).upper()]) if match else 0
    if size < 1:
        raise RungError(
            f"unknown size {value!r}", where="model", mend="write a number of parameters, such as 10M or 1.5B"
        )
    return size


def _llama(width: int, depth: int, heads: int) -> Fields:
    return {
        "hidden_size": width, "intermediate_size": 8 * round(width / 3), "num_hidden_layers": depth,
        "num_attention_heads": heads, "num_key_value_heads": heads, "tie_word_embeddings": True,
    }  # fmt: skip


def _qwen3(width: int, depth: int, heads: int) -> Fields:
    return _llama(width, depth, heads) | {"head_dim": width // heads}


def _neox(width: int, depth: int, heads: int) -> Fields:
    return {
        "hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": depth, "num_attention_heads": heads,
    }  # fmt: skip


def _gpt2(width: int, depth: int, heads: int) -> Fields:
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return {"n_embd": width, "n_layer": depth, "n_head": heads, **still}


def _bert(width: int, depth: int, heads: int) -> Fields:
    return _neox(width, depth, heads) | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def _t5(width: int, depth: int, heads: int) -> Fields:
    half = max(1, depth // 2)
    return {
        "d_model": width, "d_ff": 4 * width, "d_kv": width // heads, "num_heads": heads, "num_layers": half,
        "num_decoder_layers": max(1, depth - half), "dropout_rate": 0.0,
    }  # fmt: skip


def _bart(width: int, depth: int, heads: int) -> Fields:
    half = max(1, depth // 2)
    return {
        "d_model": width, "encoder_ffn_dim": 4 * width, "decoder_ffn_dim": 4 * width, "encoder_layers": half,
        "decoder_layers": max(1, depth - half), "encoder_attention_heads": heads, "decoder_attention_heads": heads,
        "dropout": 0.0,
    }  # fmt: skip


def _lstm(width: int, depth: int, heads: int) -> Fields:
    return {"hidden_size": width, "num_hidden_layers": depth}


Shape = Callable[[int, int, int], Fields]

FAMILIES: dict[str, Shape] = {
    "llama": _llama, "mistral": _llama, "qwen2": _llama, "qwen3": _qwen3, "gpt_neox": _neox, "gpt2": _gpt2,
    "bert": _bert, "roberta": _bert, "t5": _t5, "bart": _bart, "lstm": _lstm,
}  # fmt: skip
SHALLOW = {"lstm": 2}
"""Layers of an architecture that grows in width alone: recurrent layers without bypasses learn worse when many."""


def shaped(model_type: str, size: int, vocabulary: int, count: Callable[[Fields], int]) -> Fields:
    """The fields of a `model_type` of some `size` parameters, embeddings included.

    `count` gives the parameters of a model with such fields. Width over depth grows with the size as in published models
    (32 at 1 M, 64 at 100 M, 128 at 10 B), which loss hardly depends on (Kaplan et al. 2020), so a shape nearer to the size
    is worth other proportions. A T5 or BART has half of its layers on each side. Raises RungError where the type has no
    dial or no shape comes within 15 % of the size.
    """
    if model_type not in FAMILIES:
        mend = f"name its fields yourself, or one of {', '.join(sorted(FAMILIES))}"
        raise RungError(f"{model_type!r} has no dial for its size", where="model", mend=mend)
    dial = _Dial(FAMILIES[model_type], size, count, SHALLOW.get(model_type))
    widths = [width for width in dial.widths() if width * vocabulary < 0.9 * size]
    best = min(dial.near(widths), key=lambda one: one.score(size), default=None)
    if best is None or best.off(size) > FARTHEST:
        raise RungError(
            f"no {model_type} of {size:,} parameters has room for {vocabulary:,} tokens",
            where="model",
            mend="choose a larger size or a smaller vocabulary",
        )
    return best.fields


@dataclass(frozen=True)
class _Made:
    fields: Fields
    parameters: int
    stretch: float  # of its width over depth from the wanted one, as a logarithm

    def off(self, size: int) -> float:
        return abs(math.log(self.parameters / size))

    def score(self, size: int) -> float:
        """Less is better: beyond 2 %, each per cent off weighs as much as 10 % of other proportions."""
        return 10 * max(0.0, self.off(size) - CLOSE) + abs(self.stretch)


@dataclass(frozen=True)
class _Dial:
    shape: Shape
    size: int
    count: Callable[[Fields], int]
    depth: int | None

    def widths(self) -> Iterator[int]:
        width = 16
        while 4 * width * width < self.size:
            yield width
            width += 8 if self.depth or width < 128 else 32 if width < 512 else 64 if width < 2048 else 256

    def near(self, widths: Sequence[int]) -> list[_Made]:
        """The shapes around the width at which proportions (or, of a fixed depth, sizes) are the wanted ones.

        Wider means shallower at the same size, so that width is found by halving.
        """
        low, high = 0, len(widths)
        while low < high:
            middle = (low + high) // 2
            enough = self.at(widths[middle])[0]
            if (enough.parameters < self.size) if self.depth else (enough.stretch < 0):
                low = middle + 1
            else:
                high = middle
        return [made for width in widths[max(0, low - 4) : low + 4] for made in self.at(width)]

    def at(self, width: int) -> list[_Made]:
        """The one or two depths of a width that come nearest to the size: each two layers weigh the same."""
        heads = max(1, width // (64 if width >= 512 else 32 if width >= 128 else 16))
        while width % (2 * heads):  # positions that rotate want an even width of a head
            heads -= 1
        if self.depth:
            return [self._made(width, self.depth, heads)]
        two, four = (self.count(self.shape(width, depth, heads)) for depth in (2, 4))
        near = min(2 + 2 * (self.size - two) / (four - two), 400)
        depths = {max(1, math.floor(near)), max(1, math.ceil(near))}
        return [self._made(width, depth, heads) for depth in sorted(depths)]

    def _made(self, width: int, depth: int, heads: int) -> _Made:
        fields = self.shape(width, depth, heads)
        wanted = 32 * (self.size / 1e6) ** 0.15
        stretch = 0.0 if self.depth else math.log(width / depth / wanted)
        return _Made(fields, self.count(fields), stretch)
