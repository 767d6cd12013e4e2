"""The objectives: what is spoilt and how often, where loss falls, who sees whom, and resuming to the bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from pretraining import MODEL, mapping, story
from rung.errors import RungError
from rung.model.build import build
from rung.model.tokenizer import TokenizerSettings, train_tokenizer
from rung.train.objectives import OBJECTIVES
from rung.train.objectives.attend import attend_by
from rung.train.objectives.probe import check_module
from rung.train.objectives.rows import NoiseSettings, Rows, Tokens, words_of
from rung.train.objectives.spans import sentinels_needed, spoilt
from rung.train.pretrain import pretrain
from rung.train.recipe import Recipe

BERT = {"model_type": "bert", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": 64}  # fmt: skip
T5 = {"model_type": "t5", "d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2}
GPT2 = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
CASES = [("causal", MODEL), ("causal", GPT2), ("prefix-lm", MODEL), ("masked", BERT), ("span-corruption", T5)]
FORMS = {"causal": MODEL, "prefix-lm": MODEL, "masked": BERT, "span-corruption": T5}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    settings = TokenizerSettings(vocabulary=330, window=64, sentinels=12)
    return train_tokenizer((story(i) for i in range(60)), settings, mask=True)


@pytest.fixture(scope="module")
def tokens(tokenizer: PreTrainedTokenizerFast) -> Tokens:
    return Tokens.of(tokenizer)


def rows(tokens: Tokens, shape: tuple[int, ...] = (3, 40), *, apart: bool = True, seed: int = 0) -> Rows:
    """Two documents a row and some padding."""
    rng = np.random.default_rng(seed)
    plain = np.setdiff1d(np.arange(tokens.vocabulary), list(tokens.special))
    ids, numbers = rng.choice(plain, size=shape), np.zeros(shape, dtype=np.int64)
    numbers[:, shape[1] // 2 :] = 1
    numbers[:, -4:] = -1
    ids[numbers < 0] = tokens.pad
    return Rows(ids, (numbers >= 0).astype(np.float32), numbers, apart)


def draw(count: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, n]) for n in range(count)]


def made(kind: dict[str, Any], tokenizer: Any, objective: str, attention: str = "sdpa") -> Any:
    module = build(kind, tokenizer, kind=OBJECTIVES[objective].architecture, seed=1).eval()
    attend_by(module, attention)
    with torch.no_grad():  # sharper than a fresh initialisation, so that what is seen shows
        for weight in module.parameters():
            if weight.dim() > 1:
                weight.mul_(4.0)
    return module


# What is spoilt


def test_masking_keeps_its_shares(tokens: Tokens) -> None:
    given = rows(tokens, (400, 64), apart=False)
    batch = OBJECTIVES["masked"].prepare(given, tokens, NoiseSettings(), draw(400)).batch
    chosen = batch["weights"].numpy() > 0
    ids = batch["input_ids"].numpy()
    assert chosen.sum() / (given.documents >= 0).sum() == pytest.approx(0.15, abs=0.003)
    assert (ids[chosen] == tokens.mask).mean() == pytest.approx(0.8, abs=0.02)
    changed = (ids != given.ids) & (ids != tokens.mask)
    assert (changed & chosen).sum() / chosen.sum() == pytest.approx(0.1, abs=0.02)
    assert (ids == given.ids)[~chosen].all()  # nothing else is touched
    assert (batch["labels"].numpy()[chosen] == given.ids[chosen]).all()
    assert not np.isin(given.ids[chosen], list(tokens.special)).any()
    assert not np.isin(ids[changed], list(tokens.special)).any()


def test_whole_words_are_hidden_together(tokenizer: PreTrainedTokenizerFast, tokens: Tokens) -> None:
    ids = np.array([tokenizer(" ".join(story(i) for i in range(9)))["input_ids"][:120]])
    given = Rows(ids, np.ones(ids.shape, np.float32), np.zeros(ids.shape, np.int64))
    words = words_of(ids[0], tokens)
    assert len(ids[0]) > words.max() > 40
    text = [tokenizer.decode(ids[0][words == word]).strip() for word in range(1, 8)]
    assert text == story(0).split()[:7]
    shares = []
    for seed in range(60):
        noise = NoiseSettings(whole_words=True)
        weights = OBJECTIVES["masked"].prepare(given, tokens, noise, draw(1, seed)).batch["weights"][0].numpy()
        hidden = weights > 0
        assert all(hidden[words == word].all() for word in np.unique(words[hidden]))
        shares.append(hidden.mean())
    assert np.mean(shares) == pytest.approx(0.15, abs=0.02)


def test_word_marks_of_each_kind() -> None:
    texts = [story(i) for i in range(80)]
    for kind, size in (("bpe", 330), ("unigram", 45), ("wordpiece", 90)):
        tokenizer = train_tokenizer(texts, TokenizerSettings(vocabulary=size, kind=kind))
        ids = np.array(tokenizer(TEXT, add_special_tokens=False)["input_ids"])
        assert words_of(ids, Tokens.of(tokenizer)).max() + 1 == len(TEXT.split())


TEXT = "the river ran under an old stone bridge"


def test_spans_keep_t5s_shares() -> None:
    noise = NoiseSettings()
    for length in (2, 3, 7, 40, 100, 512):
        for seed in range(20):
            lost = spoilt(length, noise, np.random.default_rng(seed))
            assert lost.sum() == min(max(round(length * 0.15), 1), length - 1)
            spans = int(lost[0]) + int((lost[1:] & ~lost[:-1]).sum())
            assert not lost[0] and spans <= sentinels_needed(length, noise)
            if length == 512:
                assert spans == round(77 / 3)
    places = np.mean([spoilt(100, noise, np.random.default_rng(seed)) for seed in range(3000)], axis=0)
    assert places[5:].min() > 0.03  # every place is cut out now and then


def test_both_sides_of_a_corrupted_span_make_the_text(tokens: Tokens) -> None:
    given = rows(tokens)
    batch = OBJECTIVES["span-corruption"].prepare(given, tokens, NoiseSettings(), draw(3)).batch
    for row in range(3):
        for number, piece in enumerate(given.pieces(row)):
            read = batch["input_ids"][row][batch["source_segments"][row] == number].tolist()
            write = batch["labels"][row][batch["segments"][row] == number].tolist()
            begun = batch["decoder_input_ids"][row][batch["segments"][row] == number].tolist()
            assert begun == [tokens.start, *write[:-1]]
            assert read[-1] == write[-1] == tokens.end
            spans: dict[int, list[int]] = {}
            for token in write[:-1]:
                if token in tokens.sentinels:
                    spans[token] = []
                else:
                    spans[list(spans)[-1]].append(token)
            assert list(spans) == list(tokens.sentinels[: len(spans)])
            whole = [one for token in read[:-1] for one in (spans.get(token, [token]))]
            assert whole == given.ids[row, piece].tolist()
    weights = batch["weights"]
    assert ((weights > 0) == (batch["segments"] >= 0)).all()


def test_too_few_sentinels_are_refused(tokens: Tokens) -> None:
    with pytest.raises(RungError, match="needs more than the tokenizer's 0 sentinels"):
        few = replace(tokens, sentinels=())
        OBJECTIVES["span-corruption"].prepare(rows(tokens), few, NoiseSettings(), draw(3))


def test_loss_of_a_prefix_falls_behind_it(tokens: Tokens) -> None:
    given = rows(tokens)
    batch = OBJECTIVES["prefix-lm"].prepare(given, tokens, NoiseSettings(), draw(3)).batch
    for row in range(3):
        for piece in given.pieces(row):
            within = batch["prefix"][row, piece].numpy()
            length = int(within.sum())
            assert 1 <= length < len(within) and within[:length].all()
            weights = batch["weights"][row, piece].numpy()
            assert (weights[length - 1 : -1] > 0).all() and (weights[: length - 1] == 0).all() and weights[-1] == 0
    assert (batch["weights"][:, -5:] == 0).all()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_corruption_is_a_function_of_the_draw(tokens: Tokens, name: str) -> None:
    one, two, other = (OBJECTIVES[name].prepare(rows(tokens), tokens, NoiseSettings(), draw(3, s)) for s in (1, 1, 2))
    assert all(torch.equal(one.batch[key], two.batch[key]) for key in one.batch)
    if name != "causal":
        assert any(not torch.equal(one.batch[key], other.batch.get(key, torch.zeros(1))) for key in one.batch
                   if one.batch[key].shape == other.batch[key].shape)  # fmt: skip


# Who sees whom


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_packed_documents_do_not_see_each_other(
    tokenizer: PreTrainedTokenizerFast, tokens: Tokens, name: str, kind: dict[str, Any], attention: str
) -> None:
    """The losses of a packed row are those of its documents alone; together they are others."""
    objective, module = OBJECTIVES[name], made(kind, tokenizer, name, attention)
    tokens = replace(tokens, start=tokens.pad)
    given = rows(tokens, (1, 40))
    batch = objective.prepare(given, tokens, NoiseSettings(), draw(1)).batch
    with torch.no_grad():
        packed = objective.losses(module, batch)[0]
        apart = []
        for number in (0, 1):
            apart.append(objective.losses(module, alone(batch, number))[0])
    assert packed.numpy() == pytest.approx(torch.cat(apart).numpy(), abs=2e-5)
    if name in ("causal", "masked"):
        together = objective.prepare(replace(given, apart=False), tokens, NoiseSettings(), draw(1)).batch
        with torch.no_grad():
            seen = objective.losses(module, together)[0]
        assert len(seen) != len(packed) or not np.allclose(seen.numpy(), packed.numpy(), atol=1e-3)


def alone(batch: dict[str, torch.Tensor], number: int) -> dict[str, torch.Tensor]:
    """One document of a batch of one row, as a batch of its own."""
    keep = {"segments": batch["segments"][0] == number}
    if "source_segments" in batch:
        keep["source_segments"] = batch["source_segments"][0] == number
    source = {"input_ids", "source_segments"} if "source_segments" in batch else set()
    return {
        name: part[:, keep["source_segments" if name in source else "segments"]].contiguous()
        for name, part in batch.items()
    }


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_losses_are_those_of_a_plain_forward(
    tokenizer: PreTrainedTokenizerFast, tokens: Tokens, name: str, kind: dict[str, Any]
) -> None:
    """One document, no padding: the library's own call on the spoilt text gives the same cross-entropy."""
    objective, module = OBJECTIVES[name], made(kind, tokenizer, name)
    given = rows(tokens, (1, 40))
    given = Rows(given.ids[:, :20], given.weights[:, :20], given.documents[:, :20], False)
    batch = objective.prepare(given, tokens, NoiseSettings(), draw(1)).batch
    chosen = batch["weights"] > 0
    labels = torch.where(chosen, batch["labels"], -100)
    with torch.no_grad():
        losses, _, wanted = objective.losses(module, batch)
        if name == "span-corruption":
            read = batch["input_ids"][:, : int(batch["attention_mask"].sum())]
            logits = module(input_ids=read, decoder_input_ids=batch["decoder_input_ids"]).logits
        elif name == "prefix-lm":
            length = int(batch["prefix"].sum())
            before = torch.ones(20, 20, dtype=torch.bool).tril()
            before[:, :length] = True
            logits = module(input_ids=batch["input_ids"], attention_mask=before[None, None]).logits
        else:
            logits = module(input_ids=batch["input_ids"]).logits
    plain = torch.nn.functional.cross_entropy(logits[0], labels[0], reduction="none")[chosen[0]]
    assert losses.numpy() == pytest.approx(plain.numpy(), abs=2e-5)
    assert wanted.tolist() == labels[chosen].tolist()


def test_weights_count(tokenizer: PreTrainedTokenizerFast, tokens: Tokens) -> None:
    objective, module = OBJECTIVES["causal"], made(MODEL, tokenizer, "causal")
    ids = rows(tokens).ids[:, :20]
    weights = np.zeros((3, 20), dtype=np.float32)
    weights[1, 7], weights[2, 3] = 1.0, 0.5
    given = Rows(ids, weights, np.zeros(ids.shape, dtype=np.int64))
    batch = objective.prepare(given, tokens, NoiseSettings(), []).batch
    logs = module(input_ids=torch.from_numpy(ids)).logits.log_softmax(-1)
    expected = -(logs[1, 6, ids[1, 7]] + 0.5 * logs[2, 2, ids[2, 3]]) * 2 / 1.5
    assert objective.loss(module, batch).item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_no_loss_at_all_is_an_error(tokenizer: PreTrainedTokenizerFast, tokens: Tokens, name: str) -> None:
    objective, module = OBJECTIVES[name], made(FORMS[name], tokenizer, name)
    batch = dict(objective.prepare(rows(tokens), tokens, NoiseSettings(), draw(3)).batch)
    batch["weights"] = torch.zeros_like(batch["weights"])
    with pytest.raises(RungError, match="no token of the batch carries loss"):
        objective.loss(module, batch)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_probe_lets_good_modules_pass(
    tokenizer: PreTrainedTokenizerFast, tokens: Tokens, name: str, kind: dict[str, Any]
) -> None:
    for apart in (False, True):
        check_module(made(kind, tokenizer, name), OBJECTIVES[name], tokens, apart=apart)


@pytest.mark.parametrize(
    ("name", "kind", "apart", "message"),
    [
        ("causal", BERT, False, "tokens see what comes after them"),
        ("causal", {"model_type": "mamba", "hidden_size": 32, "num_hidden_layers": 1, "state_size": 4}, True,
         "takes no mask of who sees whom"),
        ("prefix-lm", {"model_type": "mamba", "hidden_size": 32, "num_hidden_layers": 1, "state_size": 4}, False,
         "takes no mask of who sees whom"),
    ],
)  # fmt: skip
def test_probe_refuses_what_does_not_keep_to_a_mask(
    tokenizer: PreTrainedTokenizerFast, tokens: Tokens, name: str, kind: dict[str, Any], apart: bool, message: str
) -> None:
    with pytest.raises(RungError, match=message):
        check_module(made(kind, tokenizer, name), OBJECTIVES[name], tokens, apart=apart)


# Whole runs


@pytest.mark.parametrize(
    ("name", "noise", "apart"),
    [("masked", {}, False), ("masked", {"whole_words": True}, True), ("span-corruption", {}, True), ("prefix-lm", {}, True)],
)  # fmt: skip
def test_a_stopped_run_ends_as_one_that_was_not(tmp_path: Path, name: str, noise: dict[str, Any], apart: bool) -> None:
    given = mapping(tmp_path) | {"model": FORMS[name]}
    train = given["train"] | {"objective": name, "noise": noise, "separate_documents": apart}
    recipe = Recipe.from_mapping({**given, "train": train}, tmp_path)
    quiet: Callable[[str], None] = lambda line: None  # noqa: E731
    pretrain(recipe, tmp_path / "whole", report=quiet)
    for steps in (3, 7, None):
        pretrain(recipe, tmp_path / "parts", report=quiet, stop_after=steps)
    whole, parts = ((tmp_path / place / "model.safetensors").read_bytes() for place in ("whole", "parts"))
    assert whole == parts
    cards = [json.loads((tmp_path / place / "pretraining.json").read_text()) for place in ("whole", "parts")]
    assert cards[0]["curve"] == cards[1]["curve"] and cards[0]["validation"] == cards[1]["validation"]
