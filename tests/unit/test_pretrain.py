"""The pretraining recipe: reading it, tokenizing, packing, the loss, the optimiser, and resuming to the bit."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from pretraining import MODEL, mapping, story
from rung.data.mixture import MixtureSettings, documents, marked
from rung.errors import RungError
from rung.model.build import build
from rung.model.tokenizer import TokenizerSettings, train_tokenizer
from rung.train.masters import Masters, OptimiserSettings
from rung.train.objectives import OBJECTIVES
from rung.train.objectives.rows import NoiseSettings, Rows, Tokens
from rung.train.pretrain import pretrain
from rung.train.recipe import Recipe
from rung.train.schedule import cosine, linear, schedule, wsd
from rung.train.stream import Corpus, Stage, Steps, write_corpus

CAUSAL = OBJECTIVES["causal"]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer((story(i) for i in range(40)), TokenizerSettings(vocabulary=300, window=64))


def test_chat_template_survives_saving(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    again = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    turns = [
        {"role": "system", "content": "Sort.\n\nBe brief."},
        {"role": "user", "content": " cold \n"},
        {"role": "assistant", "content": "light"},
        {"role": "user", "content": "fish"},
    ]
    text = again.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|begin|><|system|>Sort.\n\nBe brief.<|end|><|user|> cold \n<|end|><|assistant|>light<|end|>"
        "<|user|>fish<|end|><|assistant|>"
    )
    assert text == tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)


def test_marks_are_single_tokens_and_text_comes_back(tokenizer: PreTrainedTokenizerFast) -> None:
    assert len(tokenizer("<|user|><|end|>", add_special_tokens=False)["input_ids"]) == 2
    assert tokenizer("fish")["input_ids"][0] == tokenizer.bos_token_id
    text = "Ünïcode – 2024 and\ttabs\n\nlines  "
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_digits_stand_alone(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.tokenize("2024") == ["2", "0", "2", "4"]


def test_unknown_role_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(Exception, match="no mark for the role tool"):
        tokenizer.apply_chat_template([{"role": "tool", "content": "x"}], tokenize=False)


def test_too_little_text_for_the_vocabulary() -> None:
    with pytest.raises(RungError, match="fewer than the vocabulary"):
        train_tokenizer(["one two"], TokenizerSettings(vocabulary=2000))


def test_build_refuses_unknown_names(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(RungError, match="did you mean hidden_size"):
        build({**MODEL, "hiden_size": 4}, tokenizer)
    with pytest.raises(RungError, match="did you mean llama"):
        build({**MODEL, "model_type": "lama"}, tokenizer)


def test_build_is_seeded(tokenizer: PreTrainedTokenizerFast) -> None:
    first, second, other = (build(MODEL, tokenizer, seed=s).get_input_embeddings().weight for s in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modle": {}}, "did you mean model"),
        ({"train": {"warm_up": 3}}, "did you mean warmup"),
        ({"train": {"warmup": "long"}}, "give a whole number"),
        ({"train": {"schedule": "wds"}}, "did you mean wsd"),
        ({"train": {"optimiser": {"name": "moun"}}}, "did you mean muon"),
        ({"train": {"stages": [{"length": 4, "rows": 2}]}}, "give length, rows and steps"),
        ({"train": {"stages": [{"length": 0, "rows": 2, "steps": 1}]}}, "length is 0"),
        ({"corpus": {"texts": ["missing.txt"]}}, "no such file"),
        ({"corpus": {}}, "needs texts, sources or a generator"),
        ({"corpus": {"texts": ["${RUNG_NOWHERE}/a.txt"]}}, "RUNG_NOWHERE is not set"),
        ({"tokenizer": {"vocabulary": 12}}, "leaves no room for merges"),
    ],
)
def test_recipe_refuses(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(RungError, match=message):
        Recipe.from_mapping({**mapping(tmp_path), **change}, tmp_path)


def test_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RungError, match="no such recipe"):
        Recipe.load(tmp_path / "recipe.yaml")


def test_schedules() -> None:
    assert [wsd(step, 10, 2, 0.4) for step in (0, 1, 5, 6, 8, 9)] == [0.5, 1.0, 1.0, 1.0, 0.5, 0.25]
    assert cosine(6, 10, 2, 0.0) == pytest.approx(0.5)
    assert cosine(10, 10, 2, 0.0) == pytest.approx(0.0)
    assert [linear(step, 10, 2, 0.0) for step in (0, 2, 6, 10)] == [0.5, 1.0, 0.5, 0.0]
    assert schedule("constant", 10, 4, 0.0)(0) == 0.25


def test_rows_hold_whole_documents(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    source = [(("<|begin|>", 0.0), (story(i, 2 + i % 9), 0.5), ("<|end|>", 1.0)) for i in range(300)]
    stages = (Stage(length=40, rows=2, steps=6), Stage(length=64, rows=1, steps=3))
    write_corpus(iter(source), tokenizer, stages, tmp_path)
    corpus = Corpus(tmp_path, stages)
    assert [corpus.rows(i).ids.shape for i in (0, 6)] == [(2, 40), (1, 64)]
    known = {"".join(text for text, _ in document) for document in source}
    ends = tokenizer.eos_token_id
    for step in range(len(corpus)):
        rows = corpus.rows(step)
        assert ((rows.documents == -1) == (rows.ids == tokenizer.pad_token_id)).all()
        for ids, weights, numbers in zip(rows.ids, rows.weights, rows.documents, strict=True):
            assert [int(n) for n in numbers[ids == tokenizer.bos_token_id]] == list(range(numbers.max() + 1))
            text = tokenizer.decode(ids[ids != tokenizer.pad_token_id])
            parts = {part + "<|end|>" for part in text.split("<|end|>") if part}
            assert parts <= known
            assert (weights[ids == ends] == 1.0).all()
            assert (weights[(ids == tokenizer.bos_token_id) | (ids == tokenizer.pad_token_id)] == 0.0).all()
    assert corpus.card["cut_tokens"] == 0


def test_long_documents_are_cut_and_counted(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    length = len(tokenizer(story(1, 60), add_special_tokens=False)["input_ids"])
    stages = (Stage(length=16, rows=1, steps=1),)
    write_corpus(iter([((story(1, 60), 1.0),)]), tokenizer, stages, tmp_path)
    assert Corpus(tmp_path, stages).card["cut_tokens"] == length - 16


def test_long_documents_go_on_in_another_row(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    whole = tokenizer(story(1, 60), add_special_tokens=False)["input_ids"]
    stages = (Stage(length=16, rows=1, steps=20),)
    write_corpus(iter([((story(1, 60), 1.0),)]), tokenizer, stages, tmp_path, split_long=True)
    corpus = Corpus(tmp_path, stages)
    assert len(corpus) == -(-len(whole) // 16) < 20
    assert corpus.card["cut_tokens"] == 0
    ids = np.concatenate([corpus.rows(i).ids[0] for i in range(len(corpus))])
    assert ids[: len(whole)].tolist() == whole


def test_marks_in_a_text_are_text(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """A page that shows `<|end|>` does not end there; of a generator, whose marks stand in its texts, it does."""
    stages = (Stage(length=32, rows=1, steps=1),)
    source = list(marked(iter(["fish <|end|> river"]), "<|begin|>", "<|end|>"))
    counts = []
    for in_text in (False, True):
        write_corpus(iter(source), tokenizer, stages, tmp_path, marks_in_text=in_text)
        counts.append(int((Corpus(tmp_path, stages).rows(0).ids == tokenizer.eos_token_id).sum()))
    assert counts == [1, 2]


def test_weights_of_a_step_sum_to_its_targets(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    source = [((story(i, 6), 0.25), (story(i, 3), 1.0)) for i in range(50)]
    stages = (Stage(length=64, rows=2, steps=2),)
    write_corpus(iter(source), tokenizer, stages, tmp_path)
    corpus = Corpus(tmp_path, stages)
    step = Steps(corpus, CAUSAL, Tokens.of(tokenizer), NoiseSettings(), 0)[1]
    (batch,) = step["micros"]
    given = corpus.rows(1).weights
    assert step["tokens"] == 128
    assert step["targets"] == (given[:, 1:] > 0).sum() > 40
    assert batch["weights"].sum().item() == pytest.approx(step["targets"], rel=1e-5)
    scale = batch["weights"][0, 4].item() / given[0, 5]
    assert batch["weights"][:, :-1].numpy() == pytest.approx(given[:, 1:] * scale, rel=1e-5)


def test_generator_is_called_with_the_settings_of_its_stage(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "__init__.py").write_text(
        "def documents(seed, settings, files, held_out):\n"
        "    while True:\n"
        '        yield [(f\'{seed} {settings["a"]} {settings["b"]} {sorted(held_out)} {files["x"].name}\', 1.0)]\n'
    )
    (tmp_path / "words").write_text("owl elk\n")
    settings = MixtureSettings.from_mapping(
        {
            "generator": "made",
            "settings": {"a": 1, "b": 2},
            "later": {"b": 3},
            "held_out": "words",
            "files": {"x": "words"},
        },
        tmp_path,
    )
    assert next(iter(documents(settings, 5)))[0][0] == "5 1 2 ['elk', 'owl'] words"
    assert next(iter(documents(settings.mature, 6)))[0][0] == "6 1 3 ['elk', 'owl'] words"


def batch(ids: torch.Tensor, weights: torch.Tensor) -> dict[str, torch.Tensor]:
    rows = Rows(ids.numpy(), weights.numpy(), np.zeros(ids.shape, dtype=np.int64))
    return CAUSAL.prepare(rows, Tokens(300, 0, 1), NoiseSettings(), []).batch


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_masters_learn_below_the_step_of_bfloat16(tokenizer: PreTrainedTokenizerFast, name: str) -> None:
    module = build(MODEL, tokenizer)
    optimiser = Masters(module, OptimiserSettings(name=name, learning_rate=1e-5, embedding_rate=1e-5))
    module.to(torch.bfloat16)
    before = [weight.clone() for weight in optimiser.weights]
    copies = [state["copy"].clone() for state in optimiser.state_dict()["state"].values()]
    ids = torch.randint(10, 300, (2, 20), generator=torch.Generator().manual_seed(1))
    CAUSAL.loss(module, batch(ids, torch.ones(2, 20))).backward()
    optimiser.step()
    after = [state["copy"] for state in optimiser.state_dict()["state"].values()]
    assert all(not torch.equal(old, new) for old, new in zip(copies, after, strict=True))
    unmoved = sum(int((old == new).sum()) for old, new in zip(before, optimiser.weights, strict=True))
    assert unmoved > 0.5 * sum(weight.numel() for weight in before)  # most steps are lost in the fast format


def test_masters_start_from_full_precision(tokenizer: PreTrainedTokenizerFast) -> None:
    module = build(MODEL, tokenizer)
    exact = module.get_input_embeddings().weight.detach().clone()
    optimiser = Masters(module, OptimiserSettings())
    copies = [state["copy"] for state in optimiser.state_dict()["state"].values()]
    assert any(copy.shape == exact.shape and torch.equal(copy, exact) for copy in copies)


def test_a_stopped_run_ends_as_one_that_was_not(tmp_path: Path) -> None:
    recipe = Recipe.from_mapping(mapping(tmp_path), tmp_path)
    lines: list[str] = []
    pretrain(recipe, tmp_path / "whole", report=lines.append)
    pretrain(recipe, tmp_path / "parts", report=lines.append, stop_after=3)
    assert not (tmp_path / "parts").exists()
    pretrain(recipe, tmp_path / "parts", report=lines.append, stop_after=7)
    pretrain(recipe, tmp_path / "parts", report=lines.append)
    whole, parts = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts"))
    assert whole == parts
    cards = [json.loads((tmp_path / name / "pretraining.json").read_text()) for name in ("whole", "parts")]
    for card in cards:
        del card["measured"]
    assert cards[0] == cards[1]
    losses = [loss for _, loss in cards[0]["curve"]]
    assert len(losses) == 9
    assert set(cards[0]["validation"]["9"]) == {"text"}
    assert losses[0] == pytest.approx(math.log(300), abs=0.3)
    assert losses[-1] < losses[0] - 0.1
    with pytest.raises(RungError, match="exists already"):
        pretrain(recipe, tmp_path / "whole")


def test_another_recipe_does_not_go_on(tmp_path: Path) -> None:
    rows = mapping(tmp_path)
    pretrain(Recipe.from_mapping(rows, tmp_path), tmp_path / "out", report=lambda line: None, stop_after=1)
    with pytest.raises(RungError, match="another recipe is under way"):
        pretrain(Recipe.from_mapping({**rows, "seed": 4}, tmp_path), tmp_path / "out")
