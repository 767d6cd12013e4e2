"""Every weight of every tiny base is told a component, and each component holds what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rung.model.components import COMPONENTS, component, count_layers, is_bias, layer_number, stack
from rung.model.load import Model


@pytest.mark.parametrize(
    "kind", ["llama", "gpt2", "bert", "t5", "bart", "gpt-neox", "gemma3", "qwen3", "mistral", "mamba"]
)
def test_components_of_each_family(base: Callable[[str], Path], kind: str) -> None:
    module = Model.load(str(base(kind))).fresh()
    sizes = dict.fromkeys(COMPONENTS, 0)
    for name, weight in module.named_parameters():
        sizes[component(name)] += weight.numel()
        if component(name) == "norms":
            assert weight.ndim == 1, name
        if component(name) == "embeddings":
            assert layer_number(name) is None, name
    assert sizes["embeddings"] >= module.get_input_embeddings().weight.numel()
    assert sizes["attention"] > 0 and sizes["norms"] > 0
    assert (sizes["feed-forward"] > 0) == (kind != "mamba")
    deep = {n for n in map(layer_number, dict(module.named_parameters())) if n is not None}
    assert deep == set(range(count_layers(dict(module.named_parameters()))))


def test_names() -> None:
    assert stack("decoder.block.1.layer.0.SelfAttention.q.weight") == "decoder"
    assert is_bias("transformer.h.0.attn.c_attn.bias") and not is_bias("lm_head.weight")
