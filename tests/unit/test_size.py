"""`rung size`: counts without weights are those of real modules; cards, ZeRO stages, compute and days; one line for a slip."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import transformers

from rung.errors import RungError
from rung.model.load import Model
from rung.model.outline import Outline, outline
from rung.train.size.cards import card
from rung.train.size.command import Ask, sized
from rung.train.size.compute import BESIROGLU, HOFFMANN, PETAFLOP_DAY, Duration, optima, training_operations
from rung.train.size.demand import Setting, demand
from rung.train.size.fits import largest
from rung.train.size.parts import parts_of

KINDS = ("llama", "mistral", "qwen3", "gemma", "gemma3", "gpt2", "gpt-neox", "mamba", "t5", "bart", "bert")


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_those_of_the_real_module(kind: str, base: Callable[[str], Path]) -> None:
    made = outline(str(base(kind)))
    real = Model.load(str(base(kind))).fresh("float32")
    parts = parts_of(made)
    assert made.parameters == parts.total == real.num_parameters()
    assert parts.layers == 2
    inside = {"embeddings", "attention", "norms"} | ({"feed-forward"} if kind != "mamba" else set())
    assert all(parts.components[name] > 0 for name in inside)


def test_components_add_up_to_known_sizes() -> None:
    gpt2 = parts_of(Outline.of(transformers.GPT2Config().to_dict()))
    assert gpt2.total == 124_439_808 and gpt2.tied and gpt2.layers == 12
    assert gpt2.components["embeddings"] == 50257 * 768 + 1024 * 768
    assert gpt2.components["norms"] == 12 * 4 * 768 + 2 * 768
    llama = parts_of(
        Outline.of(
            {
                "model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008,
                "num_hidden_layers": 32, "num_attention_heads": 32,
            }
        )
    )  # fmt: skip
    assert llama.total == 6_738_415_616  # Llama 2 7B
    assert llama.components["head"] == llama.components["embeddings"] == 32000 * 4096
    assert llama.components["attention"] == 32 * 4 * 4096**2 and llama.components["norms"] == 65 * 4096


def test_a_mixture_of_experts_tells_what_is_active() -> None:
    config = transformers.MixtralConfig(
        vocab_size=100, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, num_local_experts=8, num_experts_per_tok=2,
    )  # fmt: skip
    parts = parts_of(Outline.of(config.to_dict()))
    experts = 2 * 8 * 3 * 32 * 64
    assert parts.total - parts.active == experts * 6 // 8


@pytest.mark.parametrize("kind", ["llama", "gemma3", "t5", "bart"])
def test_a_shallow_outline_has_the_same_layers_but_fewer(kind: str, base: Callable[[str], Path]) -> None:
    whole = outline(str(base(kind)))
    few = whole.shallow(1)
    assert parts_of(few).layers == 1
    assert parts_of(whole).components["feed-forward"] == 2 * parts_of(few).components["feed-forward"]


def test_deep_models_are_extended_from_shallow_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    config = transformers.LlamaConfig(
        vocab_size=500, hidden_size=64, intermediate_size=128, num_hidden_layers=8, num_attention_heads=4
    )
    setting = Setting("full", "mixed", rows=2, length=64)
    whole = demand(Outline.of(config.to_dict()), setting)
    monkeypatch.setattr("rung.train.size.demand.DEEP", 6)
    extended = demand(Outline.of(config.to_dict()), setting)
    for name in ("weights", "optimizer", "gradients"):
        assert getattr(extended, name) == getattr(whole, name)
    assert extended.total == pytest.approx(whole.total, rel=0.02)


def test_zero_shares_states_then_gradients_then_weights() -> None:
    made = Outline.of(transformers.GPT2Config(n_embd=64, n_layer=6, n_head=4, vocab_size=1000).to_dict())
    stages = [demand(made, Setting(rows=1, length=16, devices=4, stage=stage)) for stage in range(4)]
    whole = demand(made, Setting(rows=1, length=16))
    assert stages[0] == whole
    assert stages[1].optimizer == stages[2].optimizer == whole.optimizer / 4 and stages[1].weights == whole.weights
    assert stages[2].gradients == whole.gradients / 4
    assert stages[3].weights < whole.weights
    assert stages[0].total > stages[1].total > stages[2].total > stages[3].total


def test_the_largest_batch_fits_and_one_more_does_not() -> None:
    made = Outline.of(transformers.GPT2Config(n_embd=64, n_layer=2, n_head=4, vocab_size=1000).to_dict())
    setting, room = Setting(length=64), 60 * 10**6
    found = largest(made, setting, room)
    assert found.rows > 2 and found.peak <= room * 0.94
    exact = demand(made, Setting(length=64, rows=found.rows)).total
    assert exact == pytest.approx(found.peak, rel=0.02)
    assert found.peak + (found.peak - found.one_row) / (found.rows - 1) > room * 0.94


def test_cards_by_name_and_by_amount() -> None:
    assert card("h100").memory == 80 * 10**9 == card("H100").memory
    assert card("16GB").memory == 16 * 10**9 and card("24GiB").memory == 24 * 2**30
    with pytest.raises(RungError, match="did you mean h100"):
        card("h1000")


def test_operations_days_and_petaflop_days() -> None:
    assert training_operations(1e9, 2e10) == 1.2e20
    assert training_operations(1e9, 1e6, layers=2, width=10, length=100) == 1e6 * (6e9 + 12000)
    gpt3 = training_operations(174.6e9, 300e9)  # Brown et al. 2020, table D.1: 3.64e3 petaFLOP/s-days
    assert gpt3 / PETAFLOP_DAY == pytest.approx(3640, rel=0.01)
    took = Duration(8.64e19, 1e9, 1e14, 0.5, 4)
    assert took.seconds == pytest.approx(432000) and took.petaflop_days == pytest.approx(1.0)
    with pytest.raises(RungError, match="utilisation"):
        Duration(1e18, 1e9, 1e14, 1.5)


def test_compute_optimal_sizes_are_optimal_and_known() -> None:
    rule, refit, printed = optima(5.76e23)  # Chinchilla's budget: 70 B parameters, 1.4 T tokens
    assert rule.parameters == pytest.approx(70e9, rel=0.02) and rule.tokens == pytest.approx(1.4e12, rel=0.02)
    assert refit.parameters == pytest.approx(70e9, rel=0.25)
    assert printed.parameters == pytest.approx(40e9, rel=0.2)  # Hoffmann et al. 2022, table 3: 40 B for this budget
    for law, best in ((BESIROGLU, refit), (HOFFMANN, printed)):
        assert 6 * best.parameters * best.tokens == pytest.approx(5.76e23)
        for factor in (0.9, 1.1):
            assert law.loss(best.parameters * factor, best.tokens / factor) > best.loss
    with pytest.raises(RungError, match="--compute"):
        optima(10)


def test_models_are_found_in_every_form(base: Callable[[str], Path], tmp_path: Path) -> None:
    folder = base("llama")
    assert outline(str(folder / "config.json")).parameters == outline(str(folder)).parameters
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: x\ncorpus: {}\ntokenizer: {vocabulary: 600}\n"
        "model: {model_type: gpt2, n_embd: 32, n_layer: 2, n_head: 4, n_positions: 64}\n"
    )
    assert outline(str(recipe)).parameters == 600 * 32 + 64 * 32 + 2 * (12 * 32 * 32 + 13 * 32) + 64
    for name, word in ((str(tmp_path / "no"), "no configuration"), (str(tmp_path), "no configuration")):
        with pytest.raises(RungError, match=word):
            outline(name)
    (tmp_path / "config.json").write_text('{"model_type": "lama"}')
    with pytest.raises(RungError, match="did you mean llama"):
        outline(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RungError, match="not valid JSON"):
        outline(str(tmp_path))


def test_settings_that_cannot_be_are_told() -> None:
    for given, word in (
        ({"method": "lorra"}, "did you mean lora"),
        ({"precision": "nf4"}, "do not move"),
        ({"stage": 4}, "ZeRO"),
        ({"rows": 0}, "rows is 0"),
        ({"optimiser": "adamm"}, "did you mean adam"),
    ):
        with pytest.raises(RungError, match=word):
            Setting(**given)  # type: ignore[arg-type]
    with pytest.raises(RungError, match="window is 256"):
        demand(Outline.of(transformers.GPT2Config(n_positions=256).to_dict()), Setting(length=512))
    with pytest.raises(RungError, match="nothing to size"):
        sized(Ask())


def test_the_answer_as_lines_json_and_page(base: Callable[[str], Path], tmp_path: Path) -> None:
    ask = Ask(str(base("llama")), Setting(length=64, devices=2), "1GB", tokens=1e6, rate=1e12, compute=1e18)
    text = "\n".join(sized(ask, page=tmp_path / "page.html"))
    assert (
        "34,528 parameters" in text and "ZeRO 3" in text and "least work a token" in text and "24 GB a billion" in text
    )
    page = (tmp_path / "page.html").read_text()
    assert "<svg" in page and "ZeRO 3" in page and "<script" not in page
    told = json.loads(sized(ask, as_json=True)[0])
    assert told["parts"]["total"] == 34528 and told["use"]["total"] > 0 and len(told["compute_optimal"]) == 3
    assert told["fits"][0]["rows"] > 1 and told["duration"]["seconds"] > 0
