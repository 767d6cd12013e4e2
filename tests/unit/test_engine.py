"""The engine: the same numbers and tokens as a plain pass on every architecture, by whatever route, beside whatever rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rung.errors import RungError
from rung.generate.constraint import json_schema, one_of, regex
from rung.generate.engine import Engine, windows
from rung.generate.request import Generation
from rung.model.adapters import adapted_copy, lora, prompt_tuning, save_adapter
from rung.model.load import Model
from rung.types import Sampling

KINDS = ["llama", "llama-plain", "mistral", "qwen3", "gemma", "gemma3", "gpt2", "gpt-neox", "mamba", "t5", "bart"]
PLAIN = ("mamba", "t5", "bart")
SEQ2SEQ = ("t5", "bart")
WORDS = 400  # ids that requests are drawn from
Base = Callable[[str], Path]


def requests(seed: int = 1, rows: int = 7, prefix: int = 12) -> tuple[list[list[int]], list[list[list[int]]]]:
    chance = torch.Generator().manual_seed(seed)

    def draw(size: int) -> list[int]:
        return [int(x) for x in torch.randint(10, WORDS, (size,), generator=chance)]

    head = draw(prefix)
    contexts = [head + draw(1 + row) for row in range(rows)]
    stem = draw(2)
    answers = [[stem + draw(1), stem + draw(2), draw(1), draw(4)] for _ in range(rows)]
    return contexts, answers


def reference(module: Any, context: list[int], answer: list[int], seq2seq: bool) -> float:
    """One unbatched forward pass, nothing shared."""
    with torch.inference_mode():
        if seq2seq:
            logits = module(input_ids=torch.tensor([context]), labels=torch.tensor([answer])).logits[0]
        else:
            logits = module(input_ids=torch.tensor([context + answer])).logits[0, len(context) - 1 : -1]
        return float(logits.float().log_softmax(-1)[torch.arange(len(answer)), torch.tensor(answer)].sum())


def greedy(module: Any, context: list[int], count: int, seq2seq: bool, **settings: Any) -> list[int]:
    """The library's own answer to one prompt."""
    ids = torch.tensor([context])
    settings = {"max_new_tokens": count, "do_sample": False, "eos_token_id": None, "pad_token_id": 0} | settings
    whole = module.generate(ids, attention_mask=torch.ones_like(ids), **settings)[0].tolist()
    return [int(token) for token in (whole[1:] if seq2seq else whole[len(context) :])]


# -- the same as the library -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_likelihoods_equal_a_plain_pass(kind: str, base: Base) -> None:
    model = Model.load(str(base(kind)))
    engine = Engine(model, batch_tokens=60)
    contexts, answers = requests()
    got = engine.choose(contexts, answers)
    for context, options, scores in zip(contexts, answers, got):
        for option, score in zip(options, scores):
            assert score == pytest.approx(reference(model.module, context, option, kind in SEQ2SEQ), abs=1e-4)
    assert engine.shares is (kind not in PLAIN)


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_answers_equal_the_library(kind: str, base: Base) -> None:
    model = Model.load(str(base(kind)))
    contexts, _ = requests(seed=3)
    got = Engine(model, batch_tokens=100).generate(contexts, Sampling(max_new_tokens=9))
    for context, answer in zip(contexts, got):
        assert list(answer.tokens) == greedy(model.module, context, 9, kind in SEQ2SEQ)


@pytest.mark.parametrize("kind", ["llama", "gpt-neox", "mamba", "t5", "bart"])
def test_beams_equal_the_library(kind: str, base: Base) -> None:
    model = Model.load(str(base(kind)))
    contexts, _ = requests(seed=4, rows=2)
    got = Engine(model).generate(contexts, Sampling(max_new_tokens=6, beams=3, n=2))
    for context, answer in zip(contexts, got):
        assert list(answer.tokens) == greedy(model.module, context, 6, kind in SEQ2SEQ, num_beams=3)
        assert len(answer.others) == 1 and answer.others[0].tokens != answer.tokens


def test_repetition_penalty_equals_the_library(base: Base) -> None:
    model = Model.load(str(base("llama")))
    contexts, _ = requests(seed=5, rows=3)
    got = Engine(model).generate(contexts, Sampling(max_new_tokens=12, repetition_penalty=1.7))
    for context, answer in zip(contexts, got):
        assert list(answer.tokens) == greedy(model.module, context, 12, False, repetition_penalty=1.7)


def test_whether_an_answer_is_what_greedy_decoding_gives(base: Base) -> None:
    engine = Engine(Model.load(str(base("llama"))))
    contexts, answers = requests(rows=3)
    own = [list(answer.tokens) for answer in engine.generate(contexts, Sampling(max_new_tokens=3))]
    found = engine.likelihoods(contexts, [[said, *options[:1]] for said, options in zip(own, answers)])
    assert [[likelihood.greedy for likelihood in row] for row in found] == [[True, False]] * 3


@pytest.mark.parametrize("stride", [None, 1, 5])
def test_rolling_likelihood_scores_every_token_once(stride: int | None, base: Base) -> None:
    model = Model.load(str(base("llama")))
    chance = torch.Generator().manual_seed(2)
    texts = [torch.randint(10, WORDS, (size,), generator=chance).tolist() for size in (3, 11, 40)]
    got = Engine(model).rolling(texts, first=1, window=12, stride=stride)
    for text, value in zip(texts, got):
        whole, expected = [1, *text], 0.0
        for context, answer in windows(len(whole), 12, stride or 11):
            expected += reference(model.module, whole[context], whole[answer], False)
        assert value == pytest.approx(expected, abs=2e-4)
        scored = [at for _, answer in windows(len(whole), 12, stride or 11) for at in range(len(whole))[answer]]
        assert scored == list(range(1, len(whole)))
    with pytest.raises(ValueError, match="stride"):
        Engine(model).rolling(texts, first=1, window=12, stride=12)


def test_a_sliding_window_longer_than_its_reach_takes_the_plain_route(base: Base) -> None:
    model = Model.load(str(base("gemma3")))
    engine = Engine(model)
    contexts, answers = requests(prefix=40)
    assert not engine._forest_serves(45)
    got = engine.choose(contexts, answers)
    assert got[0][0] == pytest.approx(reference(model.module, contexts[0], answers[0][0], False), abs=1e-4)


def test_virtual_tokens_stand_in_front(base: Base) -> None:
    model = Model.load(str(base("llama")))
    virtual = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    contexts, answers = requests(rows=3)
    engine = Engine(model, virtual=virtual)
    got = engine.choose(contexts, answers)
    ids = torch.tensor([contexts[1] + answers[1][3]])
    with torch.inference_mode():
        embedded = torch.cat([virtual[None], model.module.get_input_embeddings()(ids)], 1)
        logits = model.module(inputs_embeds=embedded).logits[0, 5 + len(contexts[1]) - 1 : -1]
        expected = logits.log_softmax(-1)[torch.arange(4), torch.tensor(answers[1][3])].sum()
    assert got[1][3] == pytest.approx(float(expected), abs=1e-4)
    assert engine.generate(contexts, Sampling(max_new_tokens=6, beams=2))[1].tokens  # beams too know what stands before


# -- neither neighbours, nor order, nor what is kept matter -------------------------------------------------------------


def told(answers: list[Generation]) -> list[tuple[int, ...]]:
    return [answer.tokens for answer in answers]


def mixed_requests(rows: int = 9) -> tuple[list[list[int]], list[Sampling]]:
    contexts, _ = requests(seed=8, rows=rows, prefix=40)
    contexts[::3] = requests(seed=9, rows=len(contexts[::3]), prefix=3)[0]
    warm = Sampling(max_new_tokens=8, temperature=1.0, top_p=0.9, top_k=50, seed=4)
    each = [Sampling(max_new_tokens=6), warm, replace(warm, max_new_tokens=11, min_p=0.01, presence_penalty=0.5)]
    return contexts, [each[row % 3] for row in range(rows)]


@pytest.mark.parametrize("batch_tokens", [8, 64, 4096])
def test_answers_do_not_depend_on_batch_order_or_cache(batch_tokens: int, base: Base) -> None:
    model = Model.load(str(base("llama")))
    contexts, each = mixed_requests()
    alone = [Engine(model).generate([context], own)[0] for context, own in zip(contexts, each)]
    engine = Engine(model, batch_tokens=batch_tokens, kept_bytes=20_000)
    assert told(engine.generate(contexts, each)) == told(alone)
    assert told(engine.generate(contexts[::-1], each[::-1])) == told(alone)[::-1]
    assert engine.prefixes.bytes <= 20_000


def test_likelihoods_do_not_depend_on_batch_order_or_cache(base: Base) -> None:
    model = Model.load(str(base("qwen3")))
    contexts, _ = mixed_requests()
    _, answers = requests(rows=9)
    alone = [Engine(model).choose([context], [options])[0] for context, options in zip(contexts, answers)]
    engine = Engine(model, batch_tokens=90)
    for _ in range(2):
        for one, other in zip(engine.choose(contexts, answers), alone):
            assert one == pytest.approx(other, abs=1e-4)
    for one, other in zip(engine.choose(contexts[::-1], answers[::-1]), alone[::-1]):
        assert one == pytest.approx(other, abs=1e-4)


def test_sixteen_bits_keep_to_a_stated_distance(base: Base) -> None:
    """In bfloat16 rows move with the shapes of their batch: within 0.15 nats on these weights, a token rarely."""
    model = Model.load(str(base("llama")), dtype="bfloat16")
    contexts, answers = requests(rows=9, prefix=30)
    alone = [Engine(model).choose([context], [options])[0] for context, options in zip(contexts, answers)]
    for one, other in zip(Engine(model).choose(contexts, answers), alone):
        assert one == pytest.approx(other, rel=0.02, abs=0.15)


def test_autocast_lowers_the_precision_of_every_pass(base: Base) -> None:
    """As during training, whose copies are float32: prefixes kept from before included."""
    engine = Engine(Model.load(str(base("llama"))))
    contexts, answers = requests(rows=9, prefix=30)
    before = engine.choose(contexts, answers)
    with torch.autocast("cpu", torch.bfloat16):
        for one, other in zip(engine.choose(contexts, answers), before):
            assert one == pytest.approx(other, rel=0.02, abs=0.15)
        assert engine.generate(contexts, Sampling(max_new_tokens=4))[0].tokens


def test_sampling_depends_on_the_seed(base: Base) -> None:
    engine = Engine(Model.load(str(base("llama"))))
    contexts, _ = requests(seed=6, rows=5)
    warm = Sampling(max_new_tokens=12, temperature=1.0, top_p=0.9, top_k=50, seed=4)
    assert told(engine.generate(contexts, warm)) == told(engine.generate(contexts, warm))
    assert told(engine.generate(contexts, warm)) != told(engine.generate(contexts, replace(warm, seed=5)))


@pytest.mark.parametrize("kind", ["llama", "mamba", "t5"])
def test_several_answers_of_one_prompt(kind: str, base: Base) -> None:
    engine = Engine(Model.load(str(base(kind))))
    contexts, _ = requests(seed=6, rows=2)
    warm = Sampling(max_new_tokens=6, temperature=1.0, seed=4)
    several = engine.generate(contexts, replace(warm, n=3))
    for answer, one in zip(several, engine.generate(contexts, warm)):
        assert answer.tokens == one.tokens and len(answer.others) == 2
        assert len({answer.tokens, *told(list(answer.others))}) == 3


@pytest.mark.parametrize("kind", ["llama", "mamba", "t5"])
def test_log_probabilities_are_the_models_own(kind: str, base: Base) -> None:
    model = Model.load(str(base(kind)))
    contexts, _ = requests(seed=6, rows=3)
    biased = Sampling(max_new_tokens=5, logit_bias=((17, 100.0),), logprobs=2)
    (answer, *_) = Engine(model).generate(contexts, biased)
    assert set(answer.tokens) == {17} and len(answer.chances) == 5
    total = sum(chance.logprob for chance in answer.chances)
    assert total == pytest.approx(reference(model.module, contexts[0], [17] * 5, kind == "t5"), abs=1e-4)
    assert all(len(chance.others) == 2 and chance.others[0][1] >= chance.others[1][1] for chance in answer.chances)


# -- ends, streams, cancelling -----------------------------------------------------------------------------------------


def test_stop_strings_end_marks_and_streaming_agree(base: Base) -> None:
    engine = Engine(Model.load(str(base("llama"))))
    contexts, _ = requests(seed=5, rows=4)
    free = engine.generate(contexts, Sampling(max_new_tokens=20))
    for context, answer in zip(contexts, free):
        assert "".join(engine.stream(context, Sampling(max_new_tokens=20))) == answer.text
    stop = free[0].text[4:7]
    cut = engine.generate(contexts[:1], Sampling(max_new_tokens=20), stop=[stop])[0]
    assert cut.text == free[0].text[: free[0].text.find(stop)] and cut.finished
    assert "".join(engine.stream(contexts[0], Sampling(max_new_tokens=20), stop=[stop])) == cut.text
    end = free[0].tokens[2]
    for ended in (
        engine.generate(contexts[:1], Sampling(max_new_tokens=20), end=[end])[0],
        engine.generate(contexts[:1], Sampling(max_new_tokens=20, stop_tokens=(end,)))[0],
    ):
        assert ended.tokens == free[0].tokens[: free[0].tokens.index(end)] and ended.finished


def test_a_stream_never_shows_half_a_character(base: Base) -> None:
    """A model that only says the bytes of a euro sign, one a token."""
    model = Model.load(str(base("llama")))
    tokens = model.tokenizer("\u20ac", add_special_tokens=False).input_ids
    assert len(tokens) == 3
    engine = Engine(model)
    context = requests(rows=1)[0][0]
    pattern = regex("\u20ac{1,4}")
    pieces = list(engine.stream(context, Sampling(max_new_tokens=7), constraint=pattern))
    assert "".join(pieces).rstrip("\ufffd") == "\u20ac\u20ac" and all(
        p.strip("\ufffd") in ("\u20ac", "") for p in pieces
    )


def test_a_cancelled_answer_leaves_the_others_alone(base: Base) -> None:
    engine = Engine(Model.load(str(base("llama"))))
    contexts, _ = requests(seed=6, rows=5)
    sampling = Sampling(max_new_tokens=10)
    expected = engine.generate(contexts, sampling)
    jobs = [own[0] for own in engine._jobs([engine._request(c, sampling, (), (), None, "") for c in contexts])]
    runner = engine._runner(64)
    runner.add(jobs)
    for turn, _ in enumerate(runner.turns()):
        if turn == 3:
            runner.cancel(jobs[1])
            runner.cancel(jobs[4])
    assert len(jobs[1].chooser.made) < 10
    assert [tuple(jobs[row].chooser.made) for row in (0, 2, 3)] == [expected[row].tokens for row in (0, 2, 3)]


def test_a_long_prompt_does_not_hold_up_the_others(base: Base) -> None:
    engine = Engine(Model.load(str(base("llama"))))
    contexts = [requests(seed=1, rows=1)[0][0], requests(seed=2, rows=1, prefix=120)[0][0]]
    sampling = Sampling(max_new_tokens=12)
    jobs = [own[0] for own in engine._jobs([engine._request(c, sampling, (), (), None, "") for c in contexts])]
    runner = engine._runner(16)
    runner.add(jobs)
    order = [jobs.index(job) for said in runner.turns() for job, _, _ in said]
    assert order[:7] == [0] * 7 and 1 in order  # read in eight stretches, a token of the short one between each
    assert [tuple(job.chooser.made) for job in jobs] == told(engine.generate(contexts, sampling))


# -- constraints -------------------------------------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": ["Oslo", "Rome"]}, "count": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["city", "count"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("kind", ["llama", "gpt2", "mamba", "t5"])
def test_constrained_answers_are_what_they_must_be(kind: str, base: Base) -> None:
    model = Model.load(str(base(kind)))
    engine = Engine(model)
    contexts, _ = requests(seed=6, rows=4)
    end = [model.tokenizer.eos_token_id]
    for temperature in (0.0, 1.5):
        sampling = Sampling(max_new_tokens=80, temperature=temperature, seed=3)
        each = [json_schema(SCHEMA), regex(r"[A-C]{2}-\d{3}"), one_of(["north", "south east"]), None]
        made = engine.generate(contexts, sampling, end=end, constraints=each)
        value = json.loads(made[0].text)
        assert value["city"] in ("Oslo", "Rome") and 0 <= value["count"] <= 99
        assert re.fullmatch(r"[A-C]{2}-\d{3}", made[1].text)
        assert made[2].text in ("north", "south east")
        free = engine.generate(contexts[3:], sampling, end=end)
        assert made[3].tokens == free[0].tokens  # who is not constrained is not touched


def test_blanks_in_json_are_bounded(base: Base) -> None:
    """A model that would write blanks for ever."""
    model = Model.load(str(base("llama")))
    blank = model.tokenizer(" ", add_special_tokens=False).input_ids[0]
    line = model.tokenizer("\n", add_special_tokens=False).input_ids[0]
    sampling = Sampling(max_new_tokens=250, logit_bias=((blank, 100.0), (line, 100.0)))
    (made,) = Engine(model).generate(requests(rows=1)[0], sampling, end=[1], constraints=[json_schema(SCHEMA)])
    assert made.finished and json.loads(made.text)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: regex("(unclosed"), "unclosed"),
        (lambda: json_schema({"type": "nonsense"}), "nonsense"),
        (lambda: one_of([]), "choice"),
        (lambda: one_of(["a", ""]), "choice"),
    ],
)
def test_a_constraint_that_cannot_be_is_one_line(make: Callable[[], Any], word: str) -> None:
    with pytest.raises(RungError, match=word) as caught:
        make()
    assert "\n" not in str(caught.value)


# -- variants ----------------------------------------------------------------------------------------------------------


def adapter(model: Model, folder: Path, seed: int, *, soft: bool = False) -> Path:
    """An adapter that has learnt something: random weights of some size."""
    module = model.fresh("float32")
    adapted = prompt_tuning(module, 4, seed=seed) if soft else lora(module, rank=2, seed=seed)
    chance = torch.Generator().manual_seed(seed)
    for name, weight in adapted.named_parameters():
        if weight.requires_grad and (soft or "lora_B" in name):
            weight.data = torch.randn(weight.shape, generator=chance) * (1.0 if soft else 0.3)
    save_adapter(adapted, folder, model.name)
    return folder


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt-neox"])
def test_a_batch_of_variants_equals_each_alone(kind: str, base: Base, tmp_path: Path) -> None:
    model = Model.load(str(base(kind)))
    folders = {name: adapter(model, tmp_path / name, seed) for seed, name in enumerate(["one", "two.b"], 1)}
    soft = adapter(model, tmp_path / "soft", 3, soft=True)
    contexts, answers = requests(seed=6, rows=8, prefix=30)
    sampling = Sampling(max_new_tokens=7)
    alone = {
        "": Engine(model),
        **{
            name: Engine(model, module=adapted_copy(model, folder).base_model.model) for name, folder in folders.items()
        },
        "soft": Engine(model, virtual=_soft(soft)),
    }
    engine = Engine(model)
    before = told(engine.generate(contexts, sampling))
    for name, folder in [*folders.items(), ("soft", soft)]:
        engine.load(name, folder)
    names = ["", "one", "two.b", "soft"] * 2
    made = engine.generate(contexts, sampling, variants=names)
    for context, name, answer in zip(contexts, names, made):
        assert answer.tokens == alone[name].generate([context], sampling)[0].tokens
    assert len({answer.tokens for answer in made[:4]}) > 1
    for name, own in alone.items():
        for one, other in zip(engine.choose(contexts, answers, variant=name), own.choose(contexts, answers)):
            assert one == pytest.approx(other, abs=1e-4)
    engine.drop("one")
    assert engine.adapters.names == ["soft", "two.b"]
    assert told(engine.generate(contexts, sampling)) == before == told(Engine(model).generate(contexts, sampling))
    with pytest.raises(RungError, match="no variant 'one'"):
        engine.generate(contexts[:1], sampling, variants=["one"])


def _soft(folder: Path) -> torch.Tensor:
    from rung.model.adapters import soft_prompt

    return soft_prompt(folder)


def test_what_no_row_can_differ_in_is_refused(base: Base, tmp_path: Path) -> None:
    model = Model.load(str(base("llama")))
    folder = adapter(model, tmp_path / "one", 1)
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"use_dora": True}))
    engine = Engine(model)
    with pytest.raises(RungError, match="DoRA"):
        engine.load("dora", folder)
    with pytest.raises(RungError, match="adapter_config"):
        engine.load("none", tmp_path)
    with pytest.raises(RungError, match="no variants"):
        Engine(Model.load(str(base("t5")))).load("one", folder)
