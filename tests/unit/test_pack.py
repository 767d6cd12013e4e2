"""Packed rows compute what separate rows compute: logits and gradients, on every attention that takes a mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from rung.model.shapes import LENGTH_STEP
from rung.train import pack
from rung.train.answers import AnswerLoss, RowLayout, answer_logits, choose_layout, packing_refused
from rung.train.settings import TrainExample, TrainSettings

WORDS = 97


def build(name: str, attention: str | None = None) -> torch.nn.Module:
    """A random two-layer model whose attention matters: wide initial weights, no dropout."""
    torch.manual_seed(3)
    small = {"vocab_size": WORDS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    configs = {
        "llama": lambda: transformers.LlamaConfig(**small, intermediate_size=48, num_key_value_heads=2),
        "mistral": lambda: transformers.MistralConfig(
            **small, intermediate_size=48, num_key_value_heads=2, sliding_window=8
        ),
        "gpt2": lambda: transformers.GPT2Config(
            vocab_size=WORDS, n_embd=32, n_layer=2, n_head=4, n_positions=128, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0
        ),
        "bloom": lambda: transformers.BloomConfig(
            vocab_size=WORDS, hidden_size=32, n_layer=2, n_head=4, hidden_dropout=0, attention_dropout=0
        ),
        "mamba": lambda: transformers.MambaConfig(
            vocab_size=WORDS, hidden_size=32, num_hidden_layers=2, state_size=4, expand=2
        ),
    }
    config = configs[name]()
    config.initializer_range = 0.2
    module = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    return module.eval()


def examples(count: int = 7, shared: int = 5, seed: int = 0) -> list[TrainExample]:
    """Ragged examples behind the same first tokens."""
    draw = np.random.default_rng(seed)
    prefix = draw.integers(3, WORDS, shared).tolist()
    rows = []
    for _ in range(count):
        context = prefix + draw.integers(3, WORDS, draw.integers(1, 12)).tolist()
        rows.append(TrainExample.of(context, draw.integers(3, WORDS, draw.integers(1, 6))))
    return rows


def gradients(module: torch.nn.Module, layout: RowLayout, rows: list[TrainExample]) -> tuple[float, dict]:
    module.zero_grad()
    total = 0.0
    for batch in layout.batches(rows):
        loss = AnswerLoss(layout)(module, batch)
        loss.backward()
        total += loss.item()
    return total, {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def close(one: dict, other: dict, tolerance: float = 2e-5) -> None:
    assert one.keys() == other.keys()
    for name, gradient in one.items():
        scale = max(1e-3, float(gradient.abs().max()))
        assert float((gradient - other[name]).abs().max()) <= tolerance * scale, name


def alone(rows: list[TrainExample], module: torch.nn.Module) -> tuple[float, dict]:
    """The plainest loss there is: one example at a time, labels by the model's own shift."""
    module.zero_grad()
    total = 0.0
    for example in rows:
        ids = torch.tensor([[*example.context_ids, *example.answer_ids]])
        logits = module(input_ids=ids).logits[0, len(example.context_ids) - 1 : -1]
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(example.answer_ids), reduction="sum")
        loss.backward()
        total += loss.item()
    return total, {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def shared_layout(rows: list[TrainExample], row_tokens: int = 48) -> RowLayout:
    shared = pack.common_prefix([example.context_ids for example in rows])
    return RowLayout("packed", 0, 4096, row_tokens, rows[0].context_ids[:shared])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_packed_rows_give_the_loss_and_gradients_of_separate_rows(name: str, attention: str) -> None:
    module, rows = build(name, attention), examples()
    loss, expected = alone(rows, module)
    layouts = [
        shared_layout(rows),
        shared_layout(rows, row_tokens=1000),
        RowLayout("packed", 0, 4096, 48),  # packed without a shared prefix
        RowLayout("padded", 0, 40),
    ]
    assert len(layouts[0].prefix) >= 5
    for layout in layouts:
        value, found = gradients(module, layout, rows)
        assert value == pytest.approx(loss, rel=1e-6)
        close(found, expected)


def test_no_token_sees_another_examples_tokens() -> None:
    module, rows = build("llama"), examples(4)
    layout = shared_layout(rows, 1000)
    other = [*rows[:3], TrainExample((*rows[3].context_ids[:-1], 1), rows[3].answer_ids)]
    with torch.no_grad():
        batch = layout.batches(rows)[0]
        answers = batch["labels"][0] != pack.IGNORED
        before = answer_logits(module, batch, layout)[0][answers]
        after = answer_logits(module, layout.batches(other)[0], layout)[0][answers]
    first = sum(len(example.answer_ids) for example in rows[:3])
    assert torch.equal(before[:first], after[:first])
    assert not torch.allclose(before[first:], after[first:], atol=1e-3)


def test_the_prefix_is_computed_once_a_row() -> None:
    rows = examples(6, shared=20)
    layout = shared_layout(rows, 1000)
    (batch,) = layout.batches(rows)
    own = sum(len(example) - 1 - len(layout.prefix) for example in rows)
    assert int((batch["segments"] != pack.PADDING_SEGMENT).sum()) == len(layout.prefix) + own
    assert batch["input_ids"].shape[1] % LENGTH_STEP == 0
    assert (batch["segments"] == pack.PREFIX_SEGMENT).sum() == len(layout.prefix) >= 20


def test_common_prefix_leaves_each_example_a_token_of_its_own() -> None:
    assert pack.common_prefix([(1, 2, 3), (1, 2, 3)]) == 2
    assert pack.common_prefix([(1, 2, 3, 4), (1, 2), (1, 2, 5)]) == 1
    assert pack.common_prefix([(1, 2, 3), (9, 2, 3)]) == 0
    assert pack.common_prefix([]) == 0


def test_rows_are_filled_evenly_and_never_beyond_their_room() -> None:
    lengths = np.random.default_rng(1).integers(1, 60, 200).tolist()
    rows = pack.plan_rows(lengths, 100)
    assert sorted(i for row in rows for i in row) == list(range(200))
    assert max(sum(lengths[i] for i in row) for row in rows) <= 100
    assert len(rows) <= 1.1 * sum(lengths) / 100 + 1
    assert pack.plan_rows([150, 10, 10], 100) == [[0], [1, 2]]


def test_row_length_grows_with_the_prefix() -> None:
    short = pack.best_row_length(3000, 10, 6_000_000, 7, 256)
    long = pack.best_row_length(3000, 200, 6_000_000, 7, 256)
    assert short < long
    assert pack.best_row_length(100, 5000, 6_000_000, 7, 256) > 5000


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_probe_lets_models_through_that_honour_masks(name: str, attention: str) -> None:
    rows = examples()
    layout = choose_layout(build(name, attention), rows, TrainSettings())
    assert layout.name == "packed"
    assert layout.prefix == rows[0].context_ids[: len(layout.prefix)]


@pytest.mark.parametrize("name", ["mamba", "bloom", "mistral"])
def test_the_probe_refuses_the_others_and_says_why(name: str) -> None:
    module, rows = build(name), examples()
    reason = packing_refused(module, rows, rows[0].context_ids[:5], 0)
    assert reason
    layout = choose_layout(module, rows, TrainSettings())
    assert layout.name == "padded"
    assert reason in layout.describe()
    loss, expected = alone(rows, module)
    value, found = gradients(module, layout, rows)
    assert value == pytest.approx(loss, rel=1e-5)
    close(found, expected, 2e-4)


def test_a_low_precision_module_is_probed_too() -> None:
    rows = examples()
    assert packing_refused(build("llama").to(torch.bfloat16), rows, rows[0].context_ids[:5], 0) == ""
    assert packing_refused(build("mamba").to(torch.bfloat16), rows, rows[0].context_ids[:5], 0) != ""


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_long_sliding_window_is_no_obstacle(attention: str) -> None:
    module, rows = build("mistral", attention), examples()
    module.config.sliding_window = 64
    assert packing_refused(module, rows, rows[0].context_ids[:5], 0) == ""
