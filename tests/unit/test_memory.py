"""The memory arithmetic: shapes read from configurations, parts that add up, and a prediction beside a measurement."""

from __future__ import annotations

import pytest
import torch
import transformers

from rung.errors import RungError
from rung.model.memory import ModelShape, serve_memory, train_memory

CONFIGS = {
    "llama": transformers.LlamaConfig(
        vocab_size=100,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
    ),
    "gpt2": transformers.GPT2Config(vocab_size=100, n_embd=64, n_layer=3, n_head=4, attn_pdrop=0.0),
    "bert": transformers.BertConfig(
        vocab_size=100, hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=4
    ),
    "t5": transformers.T5Config(vocab_size=100, d_model=64, d_kv=16, d_ff=128, num_layers=3, num_heads=4),
}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("llama", (3, 64, 128, 4, 32, "gated", False, 0)),
        ("gpt2", (3, 64, 256, 4, 64, "composed", False, 0)),
        ("bert", (3, 64, 128, 4, 64, "fused", True, 0)),
        ("t5", (3, 64, 128, 4, 64, "fused", True, 3)),
    ],
)
def test_shapes_are_read_from_every_kind_of_configuration(kind: str, expected: tuple[object, ...]) -> None:
    shape = ModelShape.of(CONFIGS[kind].to_dict())
    found = (shape.layers, shape.hidden, shape.feed_forward, shape.heads, shape.kv_width)
    assert (*found, shape.feed_forward_kind, shape.keeps_probabilities, shape.decoder_layers) == expected
    with pytest.raises(RungError, match="hidden_size"):
        ModelShape.of({"model_type": "odd"})


@pytest.mark.parametrize("low", [False, True])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
def test_predicted_activations_are_what_torch_keeps(kind: str, low: bool) -> None:
    """Counted by torch itself: every storage that the backward pass holds on to, but weights."""
    config, rows, length = CONFIGS[kind], 8, 256
    build = transformers.AutoModel if kind == "bert" else transformers.AutoModelForCausalLM
    module = build.from_config(config).train()
    own = {weight.untyped_storage().data_ptr() for weight in module.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    mask = torch.tril(torch.ones(length, length, dtype=torch.bool)).expand(rows, 1, length, length).contiguous()
    ids = torch.randint(0, 100, (rows, length))
    inputs = {"input_ids": ids} if kind == "bert" else {"input_ids": ids, "attention_mask": mask, "use_cache": False}
    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda t: t),
        torch.autocast("cpu", torch.bfloat16, enabled=low),
    ):
        output = module(**inputs)
    measured = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    tokens = rows * length
    use = train_memory(ModelShape.of(config.to_dict()), 0, 0, tokens, length=length, targets=0, low_precision=low)
    assert output is not None
    assert use.activations == pytest.approx(measured, rel=0.3)


def test_parts_follow_from_what_trains() -> None:
    shape = ModelShape.of(CONFIGS["llama"].to_dict())
    full = train_memory(shape, 1000, 1000, 64, low_precision=False)
    assert (full.weights, full.gradients, full.optimizer, full.best_weights) == (4000, 4000, 8000, 4000)
    adapter = train_memory(shape, 1100, 100, 64, weight_bytes=2, keep_best=False)
    assert (adapter.weights, adapter.gradients, adapter.optimizer) == (2000 + 400 + 200, 400, 800)
    assert full.logits == 12 * 64 * 100
    assert full.total == full.to_json()["total"] > 16000
    assert train_memory(shape, 0, 0, 64, targets=4).logits < adapter.logits


def test_the_cache_holds_a_key_and_a_value_a_token_and_layer() -> None:
    shape = ModelShape.of(CONFIGS["llama"].to_dict())
    assert serve_memory(shape, 1000, rows=2, length=10, weight_bytes=2).cache == 2 * 3 * 32 * 2 * 10 * 2
