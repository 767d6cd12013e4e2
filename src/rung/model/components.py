"""Which part of an architecture a weight belongs to, read from its name: layer number, component, weight or bias.

Goes by the names that the modules of transformers give their parts, all families alike. What is done with a part
(trained, counted, shown) is decided elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

COMPONENTS = ("embeddings", "attention", "feed-forward", "norms", "head")
"""What every weight is one of. The mixers of state-space models and recurrent nets stand under `attention`: they are what
lets tokens see each other."""

NORMS = re.compile(r"(^|[._])(\w*layer_?norm\w*|\w*norm\w*|ln_?\w*|g_?ln)([._]|$)", re.IGNORECASE)
EMBEDDINGS = re.compile(r"(^|\.)(\w*embed\w*|wte|wpe|shared|word_embeddings|position_embeddings)(\.|$)")
MIXERS = re.compile(r"(attn|attention|mixer|rnn|lstm|conv)", re.IGNORECASE)
HEADS = re.compile(r"^(\w+\.)*?(lm_head|embed_out|score|classifier|qa_outputs|cls|pooler|head)(\.|$)")
LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h|block|blocks)\.(\d+)\.")


def component(name: str) -> str:
    """The component of the weight called `name`, one of `COMPONENTS`.

    >>> [component(f"model.layers.0.{part}.weight") for part in ("self_attn.q_proj", "mlp.up_proj", "input_layernorm")]
    ['attention', 'feed-forward', 'norms']
    >>> component("transformer.wte.weight"), component("lm_head.weight")
    ('embeddings', 'head')
    """
    inside = layer_number(name) is not None
    if not inside and HEADS.search(name):
        return "head"
    if NORMS.search(name.rpartition(".")[0]):
        return "norms"
    if not inside and EMBEDDINGS.search(name):
        return "embeddings"
    return "attention" if MIXERS.search(name) else "feed-forward" if inside else "head"


def layer_number(name: str) -> int | None:
    """The layer that the weight is in, counted from 0; None outside the layers.

    >>> layer_number("model.layers.3.mlp.up_proj.weight"), layer_number("lm_head.weight")
    (3, None)
    """
    found = LAYER.search(name)
    return int(found[1]) if found else None


def stack(name: str) -> str:
    """Which stack of layers a weight of a layer is in: `decoder` and `encoder` are told apart where both are there.

    >>> stack("encoder.block.0.layer.0.SelfAttention.q.weight"), stack("model.layers.3.mlp.up_proj.weight")
    ('encoder', '')
    """
    found = LAYER.search(name)
    front = name[: found.start()] if found else ""
    return next((one for one in ("encoder", "decoder") if one in front.split(".")), "")


def is_bias(name: str) -> bool:
    """Whether the weight is a bias: one number an output, added."""
    return name.rpartition(".")[2] == "bias" or name.endswith("_bias")


def layers_of(module: Any) -> int:
    """How many layers the deepest stack of `module` has."""
    return count_layers(name for name, _ in module.named_parameters())


def count_layers(names: Iterable[str]) -> int:
    """How many layers the deepest stack among the weights of these names has."""
    return max((number + 1 for number in map(layer_number, names) if number is not None), default=0)
