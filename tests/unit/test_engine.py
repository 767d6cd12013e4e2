"""The engine: the same numbers as a plain pass on every architecture, by whatever route."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rung.generate.engine import Engine
from rung.generate.trie import build, common_prefix
from rung.model.load import Model
from rung.types import Sampling

KINDS = ["llama", "llama-plain", "gpt2", "gemma3", "mamba", "t5"]
SHARING = {"llama": True, "llama-plain": True, "gpt2": True, "gemma3": True, "mamba": False, "t5": False}


def requests(seed: int = 1, rows: int = 7, prefix: int = 12) -> tuple[list[list[int]], list[list[list[int]]]]:
    chance = torch.Generator().manual_seed(seed)

    def draw(size: int) -> list[int]:
        return [int(x) for x in torch.randint(10, 400, (size,), generator=chance)]

    head = draw(prefix)
    contexts = [head + draw(1 + row) for row in range(rows)]
    stem = draw(2)
    answers = [[stem + draw(1), stem + draw(2), draw(1), draw(4)] for _ in range(rows)]
    return contexts, answers


def reference(module: torch.nn.Module, context: list[int], answer: list[int], seq2seq: bool) -> float:
    """One unbatched forward pass, nothing shared."""
    with torch.inference_mode():
        if seq2seq:
            labels = torch.tensor([answer])
            logits = module(input_ids=torch.tensor([context]), labels=labels).logits[0]
        else:
            logits = module(input_ids=torch.tensor([context + answer])).logits[0, len(context) - 1 : -1]
        return float(logits.float().log_softmax(-1)[torch.arange(len(answer)), torch.tensor(answer)].sum())


@pytest.mark.parametrize("kind", KINDS)
def test_likelihoods_equal_a_plain_pass(kind: str, base: Callable[[str], Path]) -> None:
    model = Model.load(str(base(kind)))
    engine = Engine(model, batch_tokens=60)
    contexts, answers = requests()
    got = engine.choose(contexts, answers)
    for context, options, scores in zip(contexts, answers, got):
        for option, score in zip(options, scores):
            assert score == pytest.approx(reference(model.module, context, option, kind == "t5"), abs=2e-4)
    assert engine.shares is SHARING[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_answers_equal_the_library(kind: str, base: Callable[[str], Path]) -> None:
    model = Model.load(str(base(kind)))
    contexts, _ = requests(seed=3)
    got = Engine(model, batch_tokens=100).generate(contexts, Sampling(max_new_tokens=9))
    for context, answer in zip(contexts, got):
        whole = model.module.generate(
            torch.tensor([context]), max_new_tokens=9, do_sample=False, eos_token_id=None, pad_token_id=0
        )[0].tolist()
        expected = whole[1:] if kind == "t5" else whole[len(context) :]
        assert list(answer.tokens) == expected


def test_a_sliding_window_longer_than_its_reach_takes_the_plain_route(base: Callable[[str], Path]) -> None:
    model = Model.load(str(base("gemma3")))
    engine = Engine(model)
    contexts, answers = requests(prefix=40)
    assert not engine._forest_serves(45)
    got = engine.choose(contexts, answers)
    assert got[0][0] == pytest.approx(reference(model.module, contexts[0], answers[0][0], False), abs=2e-4)


def test_virtual_tokens_stand_in_front(base: Callable[[str], Path]) -> None:
    model = Model.load(str(base("llama")))
    virtual = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    contexts, answers = requests(rows=3)
    got = Engine(model, virtual=virtual).choose(contexts, answers)
    ids = torch.tensor([contexts[1] + answers[1][3]])
    with torch.inference_mode():
        embedded = torch.cat([virtual[None], model.module.get_input_embeddings()(ids)], 1)
        logits = model.module(inputs_embeds=embedded).logits[0, 5 + len(contexts[1]) - 1 : -1]
        expected = logits.log_softmax(-1)[torch.arange(4), torch.tensor(answers[1][3])].sum()
    assert got[1][3] == pytest.approx(float(expected), abs=2e-4)


def test_stop_strings_end_marks_and_streaming_agree(base: Callable[[str], Path]) -> None:
    model = Model.load(str(base("llama")))
    engine = Engine(model)
    contexts, _ = requests(seed=5, rows=4)
    free = engine.generate(contexts, Sampling(max_new_tokens=20))
    for context, answer in zip(contexts, free):
        assert "".join(engine.stream(context, Sampling(max_new_tokens=20))) == answer.text
    stop = free[0].text[4:7]
    cut = engine.generate(contexts[:1], Sampling(max_new_tokens=20), stop=[stop])[0]
    assert cut.text == free[0].text[: free[0].text.find(stop)] and cut.finished
    assert "".join(engine.stream(contexts[0], Sampling(max_new_tokens=20), stop=[stop])) == cut.text
    end = free[0].tokens[2]
    ended = engine.generate(contexts[:1], Sampling(max_new_tokens=20), end=[end])[0]
    assert ended.tokens == free[0].tokens[: free[0].tokens.index(end)] and ended.finished


def test_sampling_depends_on_the_seed_and_not_on_the_batch(base: Callable[[str], Path]) -> None:
    engine = Engine(Model.load(str(base("llama"))))
    contexts, _ = requests(seed=6, rows=5)
    warm = Sampling(max_new_tokens=12, temperature=1.0, top_p=0.9, top_k=50, seed=4)
    together = engine.generate(contexts, warm)
    alone = [engine.generate([context], warm)[0] for context in contexts]
    assert [g.tokens for g in together] == [g.tokens for g in alone]
    other = engine.generate(contexts, Sampling(max_new_tokens=12, temperature=1.0, seed=5))
    assert [g.tokens for g in other] != [g.tokens for g in together]


def test_trie_shares_and_keeps_every_path() -> None:
    trie = build([[1, 2, 3], [1, 2, 4, 5], [6]])
    assert trie.tokens == (1, 2, 4) and trie.parents == (-1, 0, 1)
    assert [[token for _, token in path] for path in trie.paths] == [[1, 2, 3], [1, 2, 4, 5], [6]]
    assert trie.ancestors(2) == [2, 1, 0]
    assert common_prefix([[1, 2, 3], [1, 2], [1, 2, 9]]) == 2 and common_prefix([]) == 0
