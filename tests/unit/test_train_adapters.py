"""Adapters: what trains, soft prompts in packed rows, files in peft's form, exact merging, training end to end."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from test_pack import build, close, examples, gradients
from test_train import SETTINGS, same, t5, weights

from rung.errors import RungError
from rung.model.adapters import load_adapter, lora, merge, prompt_tuning, save_adapter
from rung.train.answers import AnswerLoss, RowLayout, choose_layout
from rung.train.loop import fit
from rung.train.settings import TrainExample, TrainSettings


def stir(module: torch.nn.Module) -> None:
    """Give an untrained adapter an effect."""
    torch.manual_seed(9)
    with torch.no_grad():
        for weight in module.parameters():
            if weight.requires_grad:
                weight.add_(0.1 * torch.randn_like(weight))


def trainable(module: torch.nn.Module) -> list[str]:
    return [name for name, p in module.named_parameters() if p.requires_grad]


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_lora_begins_as_the_base_and_trains_only_its_own_weights_in_float32(name: str) -> None:
    base = build(name).to(torch.bfloat16)
    ids = torch.arange(3, 12)[None]
    with torch.no_grad():
        before = base(input_ids=ids).logits
        adapted = lora(base, rank=3, seed=1)
        assert torch.equal(adapted(input_ids=ids).logits, before)
    assert trainable(adapted) and all("lora_" in name for name in trainable(adapted))
    assert {p.dtype for p in adapted.parameters() if p.requires_grad} == {torch.float32}
    again, other = (lora(build(name).to(torch.bfloat16), rank=3, seed=seed) for seed in (1, 2))
    pick = {n: p for n, p in again.named_parameters() if "lora_A" in n}
    assert all(torch.equal(p, dict(adapted.named_parameters())[n]) for n, p in pick.items())
    assert not all(torch.equal(p, dict(other.named_parameters())[n]) for n, p in pick.items())
    with pytest.raises(RungError, match="no layer is called"):
        lora(build(name), target="nothing")


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_packed_soft_prompts_equal_pefts_own(name: str, attention: str) -> None:
    adapted = prompt_tuning(build(name, attention), virtual_tokens=4, init_ids=[5, 6])
    rows = examples()
    layout = choose_layout(adapted, rows, TrainSettings())
    assert layout.name == "packed" and layout.virtual == 4
    expected: dict[str, torch.Tensor] = {}
    total = 0.0
    for example in rows:  # peft's forward and the model's own loss, one example at a time
        ids = torch.tensor([[*example.context_ids, *example.answer_ids]])
        labels = ids.clone()
        labels[:, : len(example.context_ids)] = -100
        adapted.zero_grad()
        loss = adapted(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).loss * len(example.answer_ids)
        loss.backward()
        total += loss.item()
        for key, p in adapted.named_parameters():
            if p.requires_grad:
                expected[key] = expected.get(key, 0) + p.grad
    for chosen in (layout, RowLayout("padded", 0, 64, virtual=4)):
        value, found = gradients(adapted, chosen, rows)
        assert value == pytest.approx(total, rel=1e-5)
        close(found, expected, 5e-5)


def test_soft_prompts_begin_as_the_words_they_are_given() -> None:
    base = build("llama")
    words = base.get_input_embeddings().weight.detach().clone()
    adapted = prompt_tuning(base, virtual_tokens=5, init_ids=[7, 8])
    assert torch.equal(adapted.get_prompt(1)[0], words[[7, 8, 7, 8, 7]])
    drawn = prompt_tuning(build("llama"), virtual_tokens=3, seed=4).get_prompt(1)[0]
    assert torch.equal(drawn, prompt_tuning(build("llama"), virtual_tokens=3, seed=4).get_prompt(1)[0])
    assert all(any(torch.equal(row, word) for word in words) for row in drawn)
    with pytest.raises(RungError):
        prompt_tuning(build("llama"), virtual_tokens=0)


@pytest.mark.parametrize("method", [lora, prompt_tuning])
@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_adapters_survive_saving_in_pefts_form(method, kind: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    base = build("llama") if kind == "llama" else t5().eval()
    fresh = copy.deepcopy(base)
    adapted = method(base)
    stir(adapted)
    save_adapter(adapted, tmp_path, "tiny")
    assert {file.name for file in tmp_path.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    assert json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"] == "tiny"
    loaded = load_adapter(fresh, tmp_path).eval()
    ids = torch.arange(3, 12)[None]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    inputs |= {"decoder_input_ids": ids} if kind == "t5" else {}
    with torch.no_grad():
        assert torch.equal(loaded(**inputs).logits, adapted.eval()(**inputs).logits)
    with pytest.raises(RungError, match="no adapter_config"):
        load_adapter(fresh, tmp_path / "elsewhere")


@pytest.mark.parametrize("build_base", [lambda: build("llama"), lambda: build("gpt2"), lambda: t5().eval()])
def test_merged_weights_answer_as_the_adapter_did(build_base, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    adapted = lora(build_base(), rank=3)
    stir(adapted)
    merged = merge(copy.deepcopy(adapted), range(3, 20))
    assert merged.difference <= 1e-5 * merged.scale
    assert not any("lora" in name for name, _ in merged.module.named_parameters())
    plain = weights(build_base())
    assert not same(weights(merged.module), plain)
    narrow = merge(adapted, range(3, 20), dtype=torch.bfloat16)
    assert 0 < narrow.difference < 0.1 * narrow.scale
    assert next(narrow.module.parameters()).dtype == torch.bfloat16


@pytest.mark.parametrize("method", [lora, prompt_tuning])
@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_adapters_train_pause_and_go_on(method, kind: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    settings = TrainSettings(learning_rate=3e-2, max_steps=8, batch_size=4, eval_every=4, precision="float32")

    def run(folder: Path, *stops: int | None):  # type: ignore[no-untyped-def]
        for stop in stops:
            base = build("llama") if kind == "llama" else t5()
            frozen = {n: p.detach().clone() for n, p in base.named_parameters()}
            adapted = method(base)
            result = fit(adapted, examples(), settings, folder=folder, validation=examples(3, seed=1), until=stop)
        kept = {n.replace("base_layer.", ""): p for n, p in adapted.get_base_model().named_parameters()}
        assert all(torch.equal(p, kept[n]) for n, p in frozen.items())
        return adapted, result

    straight, expected = run(tmp_path / "a", None)
    halted, result = run(tmp_path / "b", 4, None)
    assert same(weights(straight), weights(halted))
    assert result.curve == expected.curve
    assert expected.curve[1].train_loss < expected.curve[0].train_loss
    assert expected.trainable == sum(p.numel() for p in straight.parameters() if p.requires_grad)


def test_a_bfloat16_base_trains_under_lora(tmp_path: Path) -> None:
    adapted = lora(build("llama").to(torch.bfloat16))
    before = weights(adapted)
    result = fit(adapted, examples(), SETTINGS, folder=tmp_path)
    assert result.batching.startswith("packed")
    after = weights(adapted)
    assert {n for n in before if not torch.equal(before[n], after[n])} == set(trainable(adapted))


def test_soft_prompts_train_under_autocast(tmp_path: Path) -> None:
    adapted = prompt_tuning(build("gpt2"), 3)
    layout = choose_layout(adapted, examples(), SETTINGS)
    batch = layout.batches(examples())[0]
    with torch.autocast("cpu", torch.bfloat16):
        low = AnswerLoss(layout)(adapted, batch)
    assert low.item() == pytest.approx(AnswerLoss(layout)(adapted, batch).item(), rel=0.05)
    with pytest.raises(RungError, match="window"):
        fit(adapted, [TrainExample((1,) * 124, (2, 3))], SETTINGS, folder=tmp_path)
