"""New models: the dial of size for every architecture it knows, the LSTM in its three forms, models to go on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_objectives import draw, rows
from transformers import PreTrainedTokenizerFast

from bases import make
from pretraining import MODEL, mapping, story
from rung.errors import RungError
from rung.model.build import build, continued
from rung.model.dial import FAMILIES, read_size
from rung.model.load import Model, ModelKind
from rung.model.tokenizer import TokenizerSettings, train_tokenizer
from rung.train.objectives import OBJECTIVES
from rung.train.objectives.probe import check_module
from rung.train.objectives.rows import NoiseSettings, Tokens
from rung.train.pretrain import pretrain
from rung.train.recipe import Recipe

KINDS: dict[str, ModelKind] = {
    "bert": "encoder",
    "roberta": "encoder",
    "t5": "encoder-decoder",
    "bart": "encoder-decoder",
}
LSTM = {"model_type": "lstm", "hidden_size": 32, "num_hidden_layers": 2}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    settings = TokenizerSettings(vocabulary=330, window=64, sentinels=12)
    return train_tokenizer((story(i) for i in range(60)), settings, mask=True)


@pytest.mark.parametrize("size", ["300k", 2_000_000])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_dial_is_kept(tokenizer: PreTrainedTokenizerFast, name: str, size: Any) -> None:
    kind = KINDS.get(name, "decoder")
    with torch.device("meta"):
        module = build({"model_type": name, "size": size}, tokenizer, kind=kind, window=64)
    assert module.num_parameters() == pytest.approx(read_size(size), rel=0.08)
    depth = module.config.num_hidden_layers + getattr(module.config, "decoder_layers", 0)
    if name == "lstm":
        assert depth == 2
    else:
        assert 8 < module.config.hidden_size / depth < 90
        assert module.config.hidden_size % module.config.num_attention_heads == 0


def test_the_dial_leaves_other_fields_to_the_recipe(tokenizer: PreTrainedTokenizerFast) -> None:
    given = {"model_type": "llama", "size": {"parameters": "400k"}, "tie_word_embeddings": False}
    module = build(given, tokenizer, window=64)
    assert not module.config.tie_word_embeddings and module.config.max_position_embeddings == 64
    assert module.num_parameters() == pytest.approx(400_000, rel=0.08)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "llama", "size": "10Q"}, "unknown size '10Q'"),
        ({"model_type": "llama", "size": {"params": "10M"}}, "did you mean parameters"),
        ({"model_type": "llama", "size": True}, "unknown size True"),
        ({"model_type": "llama", "size": "1M", "hidden_size": 64}, "has both size and hidden_size"),
        ({"model_type": "mamba", "size": "1M"}, "has no dial for its size"),
        ({"model_type": "llama", "size": "5k"}, "has room for 330 tokens"),
        ({"model_type": "llama", "sise": "1M"}, "did you mean size"),
    ],
)
def test_sizes_that_cannot_be_had(tokenizer: PreTrainedTokenizerFast, config: dict[str, Any], message: str) -> None:
    with pytest.raises(RungError, match=message):
        build(config, tokenizer)


@pytest.mark.parametrize(
    ("config", "kind", "message"),
    [
        (MODEL, "encoder-decoder", "llama makes no encoder-decoder.*such as t5"),
        (MODEL, "encoder", "llama makes no encoder.*such as bert"),
        ({"model_type": "t5", "size": "1M"}, "decoder", "t5 makes no decoder.*such as llama"),
    ],
)
def test_objectives_that_do_not_fit(
    tokenizer: PreTrainedTokenizerFast, config: dict[str, Any], kind: ModelKind, message: str
) -> None:
    with pytest.raises(RungError, match=message):
        build(config, tokenizer, kind=kind)


# The LSTM


@pytest.mark.parametrize("name", ["causal", "masked", "span-corruption"])
def test_lstm_is_saved_and_loaded(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, name: str) -> None:
    objective, tokens = OBJECTIVES[name], Tokens.of(tokenizer)
    module = build(LSTM, tokenizer, kind=objective.architecture).eval()
    check_module(module, objective, tokens, apart=False)
    module.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = continued(Model.load(str(tmp_path)), objective.architecture).eval()
    batch = objective.prepare(rows(tokens, apart=False), tokens, NoiseSettings(), draw(3)).batch
    with torch.no_grad():
        assert torch.equal(objective.loss(module, batch), objective.loss(again, batch))
    with pytest.raises(RungError, match="takes no mask of who sees whom"):
        check_module(module, objective, tokens, apart=True)


def test_lstm_is_the_library_s_lstm(tokenizer: PreTrainedTokenizerFast) -> None:
    module = build(LSTM, tokenizer).eval()
    ids = torch.randint(10, 300, (2, 9), generator=torch.Generator().manual_seed(1))
    states, _ = module.body.layers(module.body.embed_tokens(ids))
    expected = states @ module.body.embed_tokens.weight.T
    assert torch.allclose(module(input_ids=ids).logits, expected, atol=1e-6)
    width = module.config.hidden_size
    for name, bias in module.body.layers.named_parameters():
        if name.startswith("bias_ih"):
            assert (bias[width : 2 * width] == 1).all()


@pytest.mark.parametrize(("name", "kind"), [("masked", "encoder"), ("span-corruption", "encoder-decoder")])
def test_lstm_passes_over_padding(tokenizer: PreTrainedTokenizerFast, name: str, kind: ModelKind) -> None:
    """More padding behind a text changes no loss of it."""
    objective, tokens = OBJECTIVES[name], Tokens.of(tokenizer, tokenizer.pad_token_id)
    module = build(LSTM, tokenizer, kind=kind).eval()
    given = rows(tokens, (2, 40), apart=False)
    cut = type(given)(given.ids[:1, :36], given.weights[:1, :36], given.documents[:1, :36])
    padded = type(given)(given.ids[:1], given.weights[:1], given.documents[:1])
    found = []
    for one in (cut, padded):
        batch = objective.prepare(one, tokens, NoiseSettings(), draw(1)).batch
        with torch.no_grad():
            found.append(objective.losses(module, batch)[0].numpy())
    assert found[0] == pytest.approx(found[1], abs=1e-5)


@pytest.mark.parametrize("name", ["causal", "masked", "span-corruption"])
def test_lstm_resumes_to_the_bit_and_learns(tmp_path: Path, name: str) -> None:
    given = mapping(tmp_path) | {"model": LSTM}
    given["train"] = given["train"] | {"objective": name, "dtype": "float32"}
    recipe = Recipe.from_mapping(given, tmp_path)
    pretrain(recipe, tmp_path / "whole", report=lambda line: None)
    for steps in (4, None):
        pretrain(recipe, tmp_path / "parts", report=lambda line: None, stop_after=steps)
    whole, parts = ((tmp_path / place / "model.safetensors").read_bytes() for place in ("whole", "parts"))
    assert whole == parts
    curve = json.loads((tmp_path / "whole" / "pretraining.json").read_text())["curve"]
    assert np.mean([loss for _, loss in curve[-3:]]) < np.mean([loss for _, loss in curve[:3]])


# Models to go on with


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    folder = make("llama", tmp_path / "llama")
    with pytest.raises(RungError, match="is a decoder, and the objective trains a encoder"):
        continued(Model.load(str(folder)), "encoder")
    with pytest.raises(RungError, match="has no head for masked tokens"):
        continued(Model.load(str(make("bert", tmp_path / "bert"))), "encoder")


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = make("llama", tmp_path / "llama")
    Model.load("tiny").tokenizer.save_pretrained(folder)
    with pytest.raises(RungError, match=r"the tokenizer has 4096 tokens and the model .* embeddings"):
        continued(Model.load(str(folder)), "decoder")
