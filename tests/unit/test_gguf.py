"""GGUF there and back: tensors bit by bit, logits, tokenizers; held against transformers' reader and llama.cpp's ids."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rung.errors import RungError
from rung.model.export.gguf.file import import_gguf
from rung.model.load import Model

gguf = pytest.importorskip("gguf", reason="gguf is not installed (pip install 'rung[gguf]')")

from rung.model.export.gguf.reading import read_vocabulary  # noqa: E402
from rung.model.export.gguf.retold import tokenizer_of  # noqa: E402
from rung.model.export.gguf.writing import check_file, write_gguf  # noqa: E402

Base = Callable[[str], Path]
IDS = torch.tensor([[5, 6, 7, 8, 60, 200]])
TEXTS = ("where is my order", " the  parcel\n\nnever came!", "red42 and 7 naïve 🙂 lamps", "it's <|user|>")


def logits(model: Model) -> torch.Tensor:
    with torch.no_grad():
        return model.module(input_ids=IDS).logits.float()


def qwen2(folder: Path) -> Path:
    """A Qwen2, which has biases at q, k and v, with its own head and a window stretched by two."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from bases import save, tokenizer

    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=600, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=False, eos_token_id=1, pad_token_id=0,
        rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 5000.0},
    )  # fmt: skip
    module = Qwen2ForCausalLM(config)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if name.endswith("bias"):
                weight.normal_()
    return save(module, tokenizer(), folder)


@pytest.mark.parametrize("kind", ["llama", "llama-plain", "mistral", "qwen2", "qwen3"])
def test_there_and_back_nothing_is_lost(kind: str, base: Base, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = Model.load(str(qwen2(tmp_path / "qwen2") if kind == "qwen2" else base(kind)))
    write_gguf(model, tmp_path / "model.gguf", "f32")
    again = import_gguf(tmp_path / "model.gguf", tmp_path / "again")
    theirs, ours = model.module.state_dict(), again.module.state_dict()
    assert set(theirs) == set(ours) and all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert torch.equal(logits(again), logits(model)) and again.parameters == model.parameters
    assert again.window == (64 if kind == "mistral" else 256)  # a Llama within the sliding window
    for text in TEXTS:
        assert again.tokenizer(text)["input_ids"] == model.tokenizer(text)["input_ids"]
        assert again.tokenizer.decode(model.tokenizer(text)["input_ids"]) == model.tokenizer.decode(
            model.tokenizer(text)["input_ids"]
        )
    assert again.tokenizer.chat_template == model.tokenizer.chat_template
    if kind == "qwen3":
        return  # transformers' reader does not read how wide its heads are
    known = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", dtype="float32").state_dict()
    assert set(theirs) <= set(known) and all(torch.equal(known[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize(("to", "limit"), [("f16", 2e-3), ("bf16", 2e-2), ("q8_0", 2e-2), ("q4_0", 0.3)])
def test_rounded_weights_give_nearly_the_same_logits(to: str, limit: float, base: Base, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = Model.load(str(base("llama-plain")))
    write_gguf(model, tmp_path / "model.gguf", to)
    again = import_gguf(tmp_path / "model.gguf", tmp_path / "again")
    assert again.precision == {"f16": "float16", "bf16": "bfloat16"}.get(to, "float32")
    wanted, found = logits(model), logits(Model.load(str(tmp_path / "again"), dtype="float32"))
    off = float((found - wanted).pow(2).mean().sqrt() / wanted.std())
    assert 0 < off < limit
    with torch.no_grad():
        read = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", dtype="float32")
        assert torch.allclose(read(input_ids=IDS).logits, found, atol=1e-5 * float(found.abs().max()))
    sizes = {one.name: one.tensor_type.name for one in gguf.GGUFReader(str(tmp_path / "model.gguf")).tensors}
    assert sizes["output_norm.weight"] == "F32" and sizes["blk.0.attn_q.weight"] == to.upper()
    assert sizes["token_embd.weight"] == ("Q8_0" if to == "q4_0" else to.upper())


def test_a_value_that_is_not_what_was_written_is_found(base: Base, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    write_gguf(Model.load(str(base("llama-plain"))), file, "q8_0")
    reader = gguf.GGUFReader(str(file))
    wanted = {
        one.name: gguf.dequantize(one.data, one.tensor_type).reshape(tuple(int(n) for n in reversed(one.shape))).copy()
        for one in reader.tensors
    }
    check_file(file, wanted, read_vocabulary(reader))
    wanted["blk.1.ffn_up.weight"][3, 5] += 0.5
    with pytest.raises(RungError, match=r"blk\.1\.ffn_up\.weight is not what was written"):
        check_file(file, wanted, read_vocabulary(reader))


def test_a_real_vocabulary_cuts_as_llama_cpp_does(real_data: Path) -> None:
    folder = real_data / "gguf_vocabs"
    told = read_vocabulary(gguf.GGUFReader(str(folder / "ggml-vocab-gpt-2.gguf")))
    tokenizer = tokenizer_of(told)
    given = (folder / "ggml-vocab-gpt-2.gguf.inp").read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
    wanted = (folder / "ggml-vocab-gpt-2.gguf.out").read_text(encoding="utf-8").split("\n")
    assert len(given) == 47
    for text, ids in zip(given, wanted):
        assert tokenizer(text)["input_ids"] == list(map(int, ids.split())), text
    with pytest.raises(RungError, match="a tokenizer of kind 'bert'"):
        tokenizer_of(read_vocabulary(gguf.GGUFReader(str(folder / "ggml-vocab-bert-bge.gguf"))))


def test_sentencepiece_there_and_back(real_data: Path, tmp_path: Path) -> None:
    from rung.model.importer import import_llama2c

    stories = real_data / "stories260K"
    import_llama2c(stories / "stories260K.bin", stories / "tok512.bin", tmp_path / "stories")
    model = Model.load(str(tmp_path / "stories"))
    write_gguf(model, tmp_path / "model.gguf", "f32")
    again = import_gguf(tmp_path / "model.gguf", tmp_path / "again")
    assert read_vocabulary(gguf.GGUFReader(str(tmp_path / "model.gguf"))).model == "llama"
    text = (real_data / "tinystories_sample").glob("*")
    sample = next(file for file in text if file.suffix in (".txt", ".jsonl", ".json")).read_text(encoding="utf-8")[
        :20000
    ]
    assert again.tokenizer(sample)["input_ids"] == model.tokenizer(sample)["input_ids"]
    assert torch.equal(logits(again), logits(model))


def test_unigram_there_and_back_and_wordpiece_refused(base: Base, tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    from rung.model.tokenizer import TokenizerSettings, train_tokenizer

    lines = [" ".join(f"{word}{n % 7}" for word in ("order", "parcel", "lamp", "kettle")[n % 3 :]) for n in range(300)]
    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
    )
    for kind in ("unigram", "wordpiece"):
        tokenizer = train_tokenizer(lines, TokenizerSettings(vocabulary=24, window=256, kind=kind))
        LlamaForCausalLM(config).save_pretrained(tmp_path / kind)
        tokenizer.save_pretrained(tmp_path / kind)
    model = Model.load(str(tmp_path / "unigram"))
    write_gguf(model, tmp_path / "model.gguf", "f32")
    again = import_gguf(tmp_path / "model.gguf", tmp_path / "again")
    for text in (*lines[:20], "order  lamp4\nkettle"):
        assert again.tokenizer(text)["input_ids"] == model.tokenizer(text)["input_ids"]
    with pytest.raises(RungError, match="knows no tokenizer of kind WordPiece"):
        write_gguf(Model.load(str(tmp_path / "wordpiece")), tmp_path / "other.gguf", "f32")


@pytest.mark.parametrize(
    ("kind", "to", "told"),
    [
        ("gpt2", "f16", "GGUF has no name here for a gpt2"),
        ("gemma", "f16", "GGUF has no name here for a gemma"),
        ("bert", "f16", "GGUF has no name here for a bert"),
        ("llama", "q5_0", r"unknown type 'q5_0'; did you mean q[48]_0"),
    ],
)
def test_what_gguf_has_no_word_for_is_one_line(kind: str, to: str, told: str, base: Base, tmp_path: Path) -> None:
    with pytest.raises(RungError, match=told):
        write_gguf(Model.load(str(base(kind))), tmp_path / "model.gguf", to)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_none_is_one_line(base: Base, tmp_path: Path) -> None:
    write_gguf(Model.load(str(base("llama"))), tmp_path / "model.gguf", "f16")
    whole = (tmp_path / "model.gguf").read_bytes()
    for name, content in (
        ("none.gguf", b"no such thing" * 9),
        ("cut.gguf", whole[: len(whole) // 2]),
        ("head.gguf", whole[:40]),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RungError, match="is no GGUF file, or damaged"):
            import_gguf(tmp_path / name, tmp_path / "out")
    with pytest.raises(RungError, match="no such file"):
        import_gguf(tmp_path / "missing.gguf", tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".*part"))
    (tmp_path / "out").mkdir()
    with pytest.raises(RungError, match="is there already"):
        import_gguf(tmp_path / "model.gguf", tmp_path / "out")
