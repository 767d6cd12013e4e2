"""Bases: finding and describing them, prompts and answers as token ids, threads. On tiny real models and tokenizers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import processors

import bases
from rung.errors import RungError
from rung.model import threads
from rung.model.importer import SPACE, Piece, build_tokenizer
from rung.model.layout import Layout
from rung.model.load import Model, weight_files
from rung.types import Message

Base = Callable[[str], Path]
KINDS = {
    "llama": "decoder", "llama-plain": "decoder", "gpt2": "decoder", "gemma3": "decoder", "mamba": "decoder",
    "t5": "encoder-decoder", "bert": "encoder",
}  # fmt: skip
ANSWERS = ["refund", "a bad lamp", "N/A", "two\nlines", "café ☕", "yes.", "42", "{\"a\": 1}", "<tag>"]  # fmt: skip
USER = (Message("user", "where is my order"),)
SHOTS = (((Message("user", "the lamp broke"),), "refund"), ((Message("user", "cannot log in"),), "password"))


def copied(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to))


# Loading


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_base_is(kind: str, base: Base) -> None:
    model = Model.load(str(base(kind)), device="cpu")
    assert model.kind == KINDS[kind]
    assert model.window == 256  # of the configuration, or of the tokenizer where that has none
    own = {weight.data_ptr(): weight.numel() for weight in model.module.parameters()}
    assert model.parameters == sum(own.values()) > 10_000
    assert model.weight_bytes >= 4 * model.parameters


@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_module_is_shared_and_frozen_and_fresh_is_neither(kind: str, base: Base) -> None:
    model = Model.load(str(base(kind)))
    assert model.module is model.module and not model.module.training
    assert not any(weight.requires_grad for weight in model.module.parameters())
    fresh = model.fresh()
    name, weight = next(iter(fresh.named_parameters()))
    before = model.module.get_parameter(name).clone()
    assert weight.requires_grad and torch.equal(weight, before)
    with torch.no_grad():
        weight.zero_()
    assert torch.equal(model.module.get_parameter(name), before) and before.abs().max() > 0


def test_the_number_format_asked_for(base: Base) -> None:
    assert Model.load(str(base("llama")), dtype="bfloat16").module.dtype == torch.bfloat16
    with pytest.raises(RungError, match="unknown dtype 'bf16'"):
        Model.load(str(base("llama")), dtype="bf16")


def test_digest_is_of_what_the_model_computes(base: Base, tmp_path: Path) -> None:
    here = Model.load(str(base("llama"))).digest
    there = copied(base("llama"), tmp_path / "elsewhere")
    (there / "README.md").write_text("words")
    assert Model.load(str(there)).digest == here
    weights = load_file(there / "model.safetensors")
    key = next(key for key in weights if key.endswith("norm.weight"))
    weights[key][0] += 0.5
    save_file(weights, there / "model.safetensors", metadata={"format": "pt"})
    changed = Model.load(str(there)).digest
    (there / "chat_template.jinja").write_text("{{ messages[0].content }}")
    assert len({here, changed, Model.load(str(there)).digest}) == 3


def test_digest_of_an_encoder_covers_its_pooling(base: Base, tmp_path: Path) -> None:
    there = copied(base("bert"), tmp_path / "bert")
    before = Model.load(str(there)).digest
    (there / "1_Pooling").mkdir()
    (there / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    assert Model.load(str(there)).digest != before


def test_weights_in_shards_count_the_same(base: Base, tmp_path: Path) -> None:
    model = Model.load(str(base("gpt2")))
    model.fresh().save_pretrained(tmp_path / "m", max_shard_size="50KB")
    model.tokenizer.save_pretrained(tmp_path / "m")
    sharded = Model.load(str(tmp_path / "m"))
    assert len(weight_files(sharded.folder)) > 1 and sharded.parameters == model.parameters
    weight_files(sharded.folder)[-1].unlink()
    with pytest.raises(RungError, match=r"model-.*\.safetensors of its index is missing"):
        Model.load(str(tmp_path / "m"))


def test_a_second_copy_of_the_weights_is_not_counted(base: Base, tmp_path: Path) -> None:
    there = copied(base("llama"), tmp_path / "twice")
    shutil.copy(there / "model.safetensors", there / "consolidated.safetensors")
    assert Model.load(str(there)).parameters == Model.load(str(base("llama"))).parameters
    assert Model.load(str(there)).digest == Model.load(str(base("llama"))).digest


def test_pickled_weights_are_refused(base: Base, tmp_path: Path) -> None:
    there = copied(base("llama"), tmp_path / "pickled")
    (there / "model.safetensors").rename(there / "pytorch_model.bin")
    with pytest.raises(RungError, match=r"only pickled weights \(pytorch_model.bin\).*convert them to safetensors"):
        Model.load(str(there))


def test_code_of_a_repository_runs_only_when_asked_for(base: Base, tmp_path: Path) -> None:
    there = copied(base("llama"), tmp_path / "own-code")
    config = json.loads((there / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Model"}
    (there / "config.json").write_text(json.dumps(config))
    with pytest.raises(RungError, match="--trust-remote-code"):
        Model.load(str(there))
    assert Model.load(str(there), trust_remote_code=True).trust_remote_code


@pytest.mark.parametrize(
    ("config", "window"),
    [
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "gpt2", "n_positions": 1024}, 1024),
        ({"model_type": "gemma3", "text_config": {"max_position_embeddings": 8192}}, 8192),
    ],
)  # fmt: skip
def test_window_of_configurations(config: dict[str, Any], window: int) -> None:
    assert Model("m", Path(), config).window == window


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"architectures": ["BertForMaskedLM"], "model_type": "bert"}, "encoder"),
        ({"architectures": ["BertLMHeadModel"], "model_type": "bert", "is_decoder": True}, "decoder"),
        ({"architectures": ["GPT2Model"], "model_type": "gpt2"}, "decoder"),
        ({"model_type": "qwen3"}, "decoder"),
        ({"architectures": ["BartModel"], "model_type": "bart", "is_encoder_decoder": True}, "encoder-decoder"),
    ],
)  # fmt: skip
def test_kind_of_configurations(config: dict[str, Any], kind: str) -> None:
    assert Model("m", Path(), config).kind == kind


# Layouts


def tokenizer_with(template: str | None = None, *, bos: bool = False, closing: bool = False, like: Any = None) -> Any:
    """A tokenizer of the tests' bases with another template, with a mark in front of every text or behind it."""
    tok = like or bases.tokenizer(chat=False)
    if bos or closing:
        tok.add_special_tokens({"bos_token": "<s>"})
        ends = [("<s>", tok.bos_token_id), ("</s>", tok.eos_token_id)]
        single = " ".join([*(["<s>"] if bos else []), "$A", *(["</s>"] if closing else [])])
        tok.backend_tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=ends)
    tok.chat_template = template
    return tok


def sentencepiece_like(template: str | None = None) -> Any:
    """A tokenizer that puts a space in front of every text, as Llama 2's does."""
    joins = ["re", "fu", "nd", "fund", "refund", f"{SPACE}a", f"{SPACE}refund", f"{SPACE}y", "\n\n"]
    letters = [*"abcdefghijklmnopqrstuvwxyz", SPACE, "\n", ":", "]", "[", "/", *joins]
    marks = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces = [Piece(text, -float(n)) for n, text in enumerate([*marks, *sorted(letters, key=len, reverse=True)])]
    return tokenizer_with(template, like=build_tokenizer(pieces, 256))


def joint(layout: Layout, shots: Sequence[Any], messages: Sequence[Message], answer: str) -> list[int]:
    """Token ids of the whole conversation at once: the template's own, or the plain text's."""
    if layout.style == "chat":
        turns = [{"role": m.role, "content": m.content} for m in messages]
        whole = layout.tokenizer.apply_chat_template([*turns, {"role": "assistant", "content": answer}], tokenize=False)
        return list(layout.tokenizer(whole, add_special_tokens=False)["input_ids"])
    return list(layout.tokenizer(f"{layout.text('', shots, messages)} {answer}")["input_ids"])


TEMPLATES = {
    "marks": bases.CHAT,
    "chatml": (
        "{% for m in messages %}{{ '<|user|>' + m.role + '\n' + m.content + '<|end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|user|>assistant\n' }}{% endif %}"
    ),
    "llama2": (
        "{% for m in messages %}{% if m.role == 'user' %}{{ '<s>[INST] ' + m.content + ' [/INST]' }}"
        "{% else %}{{ ' ' + m.content + ' </s>' }}{% endif %}{% endfor %}"
    ),
}


@pytest.mark.parametrize(
    ("kind", "style"), [("llama", "chat"), ("llama-plain", "plain"), ("gpt2", "plain"), ("t5", "seq2seq")]
)
def test_the_style_follows_the_base(kind: str, style: str, base: Base) -> None:
    layout = Layout.of(Model.load(str(base(kind))))
    assert layout.style == style
    text = layout.text("Sort it.", SHOTS, USER)
    spoken = ["Sort it.", "the lamp broke", "refund", "cannot log in", "password", "where is my order"]
    places = [text.index(words) for words in spoken]
    assert places == sorted(places)
    assert layout.contexts([text, text]) == [layout.context("Sort it.", SHOTS, USER)] * 2


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("make", [bases.tokenizer, sentencepiece_like], ids=["bytes", "spaces"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_answers_continue_a_chat_as_the_whole_is_encoded(template: str, make: Callable[[], Any], answer: str) -> None:
    layout = Layout(tokenizer_with(TEMPLATES[template], like=make()), "chat")
    whole = joint(layout, (), USER, answer)
    ours = layout.context("", (), USER) + layout.answer(answer)
    assert whole[: len(ours)] == ours


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("make", [bases.tokenizer, sentencepiece_like], ids=["bytes", "spaces"])
def test_answers_continue_plain_text_as_the_whole_is_encoded(make: Callable[[], Any], answer: str) -> None:
    layout = Layout(tokenizer_with(like=make()), "plain")
    assert layout.context("", SHOTS, USER) + layout.answer(answer) == joint(layout, SHOTS, USER, answer)


def test_answers_of_an_encoder_decoder_are_texts_of_their_own(base: Base) -> None:
    layout = Layout.of(Model.load(str(base("t5"))))
    for answer in ANSWERS:
        assert layout.answer(answer, end=True) == layout.tokenizer(answer)["input_ids"]
    assert layout.context("", (), USER)[-1] == layout.tokenizer.eos_token_id


def test_end_marks(base: Base) -> None:
    chat = Layout.of(Model.load(str(base("llama"))))
    assert chat.end == [chat.tokenizer.convert_tokens_to_ids("<|end|>")] != [chat.tokenizer.eos_token_id]
    whole = joint(chat, (), USER, "refund")
    ours = chat.context("", (), USER) + chat.answer("refund", end=True)
    assert whole == ours  # the template itself closes the turn so
    assert Layout(tokenizer_with(TEMPLATES["chatml"]), "chat").end == chat.end
    plain = Layout.of(Model.load(str(base("llama-plain"))))
    assert plain.end == [plain.tokenizer.eos_token_id] and plain.answer("refund", end=True)[-1:] == plain.end
    # A template that closes by a blank and the end of sequence: the mark, not the blank.
    assert Layout(sentencepiece_like(TEMPLATES["llama2"]), "chat").end == [2]


def test_no_end_mark_at_all() -> None:
    tok = tokenizer_with()
    tok.eos_token = None
    layout = Layout(tok, "plain")
    assert layout.end == [] and layout.answer("refund", end=True) == layout.answer("refund")


def test_an_empty_thought_is_left_to_the_model() -> None:
    """Some templates write an empty thought before a finished answer, but not before one to be made."""
    template = bases.CHAT.replace(
        "{{ message['content'] }}", "{{ '<think></think>' if message.role == 'assistant' }}{{ message['content'] }}"
    )
    assert template != bases.CHAT
    layout = Layout(tokenizer_with(template), "chat")
    assert layout.answer("refund") == layout.tokenizer("refund", add_special_tokens=False)["input_ids"]


NO_SYSTEM = {
    "refuses": "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}",
    "drops": "{% for m in messages %}{% if m.role != 'system' %}{{ m.role + ': ' + m.content + '\n' }}{% endif %}{% endfor %}",
}  # fmt: skip


@pytest.mark.parametrize("template", NO_SYSTEM)
def test_without_a_system_role_its_words_open_the_first_user_turn(template: str) -> None:
    layout = Layout(tokenizer_with(NO_SYSTEM[template]), "chat")
    rows = (Message("system", "You know lamps."), *USER)
    assert layout.text("Sort it.", (), rows) == "user: Sort it.\n\nYou know lamps.\n\nwhere is my order\n"
    said = layout.text("Sort it.", SHOTS[:1], USER)
    assert said == "user: Sort it.\n\nthe lamp broke\nassistant: refund\nuser: where is my order\n"
    assert layout.text("", SHOTS[:1], USER) == said.replace("Sort it.\n\n", "")


def test_one_system_turn_stands_at_the_start() -> None:
    """Of instruction and rows alike; what only a shot's own system said opens that shot's turn."""
    layout = Layout(tokenizer_with(bases.CHAT), "chat")
    shot = ((Message("system", "S1"), Message("user", "u1")), "a1")
    same = ((Message("system", "S2"), Message("user", "u2")), "a2")
    text = layout.text("I", (shot, same), (Message("system", "S2"), Message("user", "u3")))
    assert text == (
        "<|system|>I\n\nS2<|end|><|user|>S1\n\nu1<|end|><|assistant|>a1<|end|><|user|>u2<|end|><|assistant|>a2<|end|>"
        "<|user|>u3<|end|><|assistant|>"
    )


def test_a_template_that_refuses_the_prompt_is_one_line() -> None:
    layout = Layout(tokenizer_with("{{ raise_exception('only tools here') }}"), "chat")
    with pytest.raises(RungError, match="the chat template refuses the prompt: only tools here"):
        layout.context("", (), USER)


def test_several_turns_in_plain_text() -> None:
    turns = (Message("user", "hello"), Message("assistant", "hi"), Message("user", "my lamp broke"))
    text = Layout(tokenizer_with(), "plain").text("Be short.", (), turns)
    assert text == "Be short.\n\nUser: hello\nAssistant: hi\nUser: my lamp broke\nAnswer:"


@pytest.mark.parametrize("template", [None, "<s>" + bases.CHAT])
def test_a_tokenizer_that_marks_the_beginning_does_so_once(template: str | None) -> None:
    layout = Layout(tokenizer_with(template, bos=True), "plain" if template is None else "chat")
    mark = layout.tokenizer.bos_token_id
    context = layout.context("Sort it.", SHOTS, USER)
    assert context[0] == mark and context.count(mark) == 1
    assert mark not in layout.answer("refund", end=True)
    assert (
        layout.context("", (), USER) + layout.answer("refund")
        == joint(layout, (), USER, "refund")[: -1 if template else None]
    )


def test_a_mark_behind_every_text_does_not_close_the_prompt() -> None:
    layout = Layout(tokenizer_with(bos=True, closing=True), "plain")
    context = layout.context("", (), USER)
    assert layout.tokenizer("a")["input_ids"][-1] == layout.tokenizer.eos_token_id
    assert layout.tokenizer.eos_token_id not in context and context[0] == layout.tokenizer.bos_token_id
    assert [*context, *layout.answer("refund", end=True)] == joint(layout, (), USER, "refund")


@pytest.mark.parametrize("style", ["plain", "chat", "seq2seq"])
def test_nothing_is_cut(style: str) -> None:
    """Not even by a tokenizer whose own file says so."""
    tok = tokenizer_with(bases.CHAT if style == "chat" else None)
    tok.backend_tokenizer.enable_truncation(16)
    tok.backend_tokenizer.enable_padding(length=400)
    layout = Layout(tok, style)
    long = " ".join(["where is my order"] * 300)
    short, whole = layout.contexts(["north", layout.text("", (), (Message("user", long),))])
    assert len(whole) > 900 > tok.model_max_length and len(short) < 10
    assert long in tok.decode(whole)
    assert tok.decode(layout.answer(long)).strip() == long


@pytest.mark.parametrize("style", ["plain", "chat", "seq2seq"])
def test_an_answer_without_tokens_is_refused(style: str) -> None:
    with pytest.raises(RungError, match="no tokens of its own to ''"):
        Layout(tokenizer_with(bases.CHAT if style == "chat" else None), style).answer("")


def test_answers_at_a_joining_boundary_stand_alone() -> None:
    """A tokenizer that merges the prompt's last line break with the answer's first: no id of the prompt may change."""
    layout = Layout(sentencepiece_like(TEMPLATES["chatml"]), "chat")
    assert joint(layout, (), USER, "\nyes")[: len(layout.context("", (), USER))] != layout.context("", (), USER)
    assert layout.answer("\nyes") == layout.tokenizer("\nyes", add_special_tokens=False)["input_ids"]


# Threads


def test_the_environment_of_the_caller_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    threads.prepare_environment()
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["TOKENIZERS_PARALLELISM"]) == ("ACTIVE", "false")
    assert "GOMP_SPINCOUNT" not in os.environ
    monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.setenv("KMP_BLOCKTIME", "7")
    threads.prepare_environment()
    assert (os.environ["GOMP_SPINCOUNT"], os.environ["KMP_BLOCKTIME"]) == (threads.SPINS, "7")


def test_threads_are_those_that_are_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        torch.set_num_threads(1)
        assert threads.set_threads() == 1
        monkeypatch.delenv("OMP_NUM_THREADS")
        torch.set_num_threads(64)
        assert 1 <= threads.set_threads() == torch.get_num_threads() <= (os.cpu_count() or 1)
    finally:
        torch.set_num_threads(before)


def test_busy_neighbours_take_cores_away() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    spin = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        assert threads.idle_cores(0.3) == 1
    finally:
        for process in spin:
            process.kill()
            process.wait()
