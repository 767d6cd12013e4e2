"""A real checkpoint of another program, brought over: the same ids, logits, losses and texts as its reference values.

The reference values come from an independent forward pass; they and the checkpoint lie in the folder of real data.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from rung.cli.main import app
from rung.errors import RungError
from rung.generate.engine import Engine
from rung.model.importer import SPACE, Piece, Shape, build_tokenizer, import_llama2c, read_pieces, read_shape
from rung.model.layout import Layout
from rung.model.load import Model
from rung.types import Message, Sampling

TINY = Shape(hidden=16, feed_forward=24, layers=2, heads=4, kv_heads=2, vocabulary=300, window=32, tied=True)


@pytest.fixture(scope="module")
def stories(real_data: Path) -> Path:
    folder = real_data / "stories260K"
    if not folder.is_dir():
        pytest.skip("no stories260K in the folder of real data")
    return folder


@pytest.fixture(scope="module")
def reference(stories: Path) -> dict[str, Any]:
    return dict(json.loads((stories / "reference.json").read_text()))


@pytest.fixture(scope="module")
def model(stories: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    out = tmp_path_factory.mktemp("import") / "stories260K"
    import_llama2c(stories / "stories260K.bin", stories / "tok512.bin", out)
    return Model.load(str(out))


def test_it_is_a_base_like_any_other(model: Model) -> None:
    assert model.parameters == 260_032 == sum(weight.numel() for weight in model.module.parameters())
    assert (model.kind, model.window, model.module.dtype) == ("decoder", 512, torch.float32)
    assert (model.tokenizer.bos_token_id, model.tokenizer.eos_token_id) == (1, 2)


def test_logits_of_the_first_token(model: Model, reference: dict[str, Any]) -> None:
    with torch.inference_mode():
        logits = model.module(input_ids=torch.tensor([[1]])).logits[0, -1]
    assert logits[:8].tolist() == pytest.approx(reference["logits_bos_first8"], abs=2e-5)


def test_200_greedy_tokens_by_both_ways(model: Model, reference: dict[str, Any]) -> None:
    ids = reference["greedy_200_ids"]
    assert len(ids) == 201
    made = model.module.generate(torch.tensor([[1]]), do_sample=False, max_new_tokens=200)
    assert made[0].tolist() == ids
    ours = Engine(model).generate([[1]], Sampling(max_new_tokens=200))[0]
    assert [1, *ours.tokens] == ids and ours.text == reference["greedy_200_text"]
    assert "".join(Engine(model).stream([1], Sampling(max_new_tokens=200))) == reference["greedy_200_text"]


def test_encoding_of_the_example(model: Model, reference: dict[str, Any]) -> None:
    example = reference["encode_example"]
    assert model.tokenizer(example["text"])["input_ids"] == example["ids"]
    plain = Layout.of(model)
    assert plain.style == "plain"
    context = plain.context("", (), (Message("user", "One day"),))
    assert context[0] == 1 and context.count(1) == 1
    joint = model.tokenizer("Input: One day\nAnswer: Lily")["input_ids"]
    assert context + plain.answer("Lily") == joint


def test_losses_of_whole_stories(model: Model, reference: dict[str, Any], real_data: Path) -> None:
    file = real_data / "cs336_fixtures" / "tinystories_sample.txt"
    if not file.is_file():
        pytest.skip("no cs336_fixtures in the folder of real data")
    texts = [text.strip() for text in file.read_text(encoding="utf-8").split("<|endoftext|>")[:5]]
    rows = [model.tokenizer(text)["input_ids"] for text in texts]
    got = Engine(model).loglikelihood([(row[:1], row[1:]) for row in rows])
    for row, total, wanted in zip(rows, got, reference["nll_per_token"], strict=True):
        assert len(row) - 1 == wanted["n_tokens"]
        assert -total / (len(row) - 1) == pytest.approx(wanted["mean_nll"], abs=1e-5)


TEXTS = [
    "Once upon a time", " two  spaces ", "tabs\tand\nlines\n\n", "naïve café", "emoji 🙂 and 漢字", "“quoted” – dash…",
    "123 4567", "\u00a0no-break", "x" * 60, "aaaaaaaaaaaaa", "\x00\x7f",
]  # fmt: skip


def test_texts_come_back(model: Model) -> None:
    for text in TEXTS:
        ids = model.tokenizer(text)["input_ids"]
        assert model.tokenizer.decode(ids, skip_special_tokens=True) == text
        assert 0 not in ids  # bytes stand in for whatever is no piece
    assert model.tokenizer("")["input_ids"] == [1]


def merged(text: str, pieces: list[Piece]) -> list[int]:
    """The joining as llama2.c does it: of all neighbours that make a piece, those of the highest score, leftmost."""
    numbers = {piece.text: number for number, piece in enumerate(pieces)}
    parts: list[str] = []
    for letter in SPACE + text.replace(" ", SPACE) if text else "":
        parts += [letter] if letter in numbers else [f"<0x{byte:02X}>" for byte in letter.encode()]
    while True:
        joins = [
            (-pieces[numbers[a + b]].score, at)
            for at, (a, b) in enumerate(pairwise(parts))
            if numbers.get(a + b, 0) > 258
        ]
        if not joins:
            return [1, *(numbers[part] for part in parts)]
        at = min(joins)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


def test_encoding_equals_joining_by_score(model: Model, stories: Path) -> None:
    pieces = read_pieces(stories / "tok512.bin")
    chance = random.Random(5)
    story = (stories / "reference.json").read_text()[:1200]
    noise = ["".join(chance.choices(" the andwlisoé\n🙂.T", k=chance.randrange(1, 50))) for _ in range(300)]
    for text in (*TEXTS, story, *noise):
        assert model.tokenizer(text)["input_ids"] == merged(text, pieces)


def test_encoding_equals_sentencepiece(tmp_path: Path) -> None:
    """A vocabulary trained by SentencePiece itself, written as llama2.c's exporter writes it."""
    spm = pytest.importorskip("sentencepiece")
    words = (Path(__file__).parents[2] / "docs" / "design.md").read_text(encoding="utf-8")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(words, encoding="utf-8")
    spm.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(tmp_path / "sp"), model_type="bpe", vocab_size=700, byte_fallback=True,
        split_digits=True, normalization_rule_name="identity", remove_extra_whitespaces=False, minloglevel=2,
    )  # fmt: skip
    theirs = spm.SentencePieceProcessor(model_file=str(tmp_path / "sp.model"))
    pieces = [Piece(theirs.id_to_piece(n), theirs.get_score(n)) for n in range(700)]
    ours = build_tokenizer(read_pieces(write_tokenizer(tmp_path / "tok.bin", pieces)), 512)
    chance = random.Random(7)
    drawn = [words[at : at + chance.randrange(80)] for at in (chance.randrange(len(words)) for _ in range(200))]
    for text in (*TEXTS, *drawn, *("".join(chance.choices(words[:900], k=40)) for _ in range(100))):
        if "\x00" not in text:  # SentencePiece's own reader takes it for the end
            assert ours(text)["input_ids"] == [1, *theirs.encode(text)], text


def write_tokenizer(file: Path, pieces: list[Piece]) -> Path:
    """`pieces` in the form of llama2.c, its line breaks around the marks included."""
    data = struct.pack("<i", max(len(piece.text) for piece in pieces))
    for number, piece in enumerate(pieces):
        text = f"\n{piece.text}\n" if number in (1, 2) else piece.text
        said = text.replace(SPACE, " ").encode()
        data += struct.pack("<fi", piece.score, len(said)) + said
    file.write_bytes(data)
    return file


def write_checkpoint(file: Path, shape: Shape) -> Path:
    """A checkpoint of `shape` with random weights."""
    sign = 1 if shape.tied else -1
    head = struct.pack(
        "<7i", shape.hidden, shape.feed_forward, shape.layers, shape.heads, shape.kv_heads, sign * shape.vocabulary,
        shape.window,
    )  # fmt: skip
    weights = np.random.default_rng(3).normal(0, 0.3, (shape.size - 28) // 4).astype("<f4")
    file.write_bytes(head + weights.tobytes())
    return file


def pieces_for(size: int) -> list[Piece]:
    """`size` pieces: marks, bytes, then letters and what they join to."""
    letters = [SPACE, *"abcdefghijklmnopqrstuvwxyz"]
    joins = [a + b for a in letters for b in letters]
    named = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *letters, *joins][:size]
    return [Piece(text, float(-max(0, number - 258))) for number, text in enumerate(named)]


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, Path, Path]:
    checkpoint = write_checkpoint(tmp_path / "m.bin", TINY)
    return checkpoint, write_tokenizer(tmp_path / "t.bin", pieces_for(TINY.vocabulary)), tmp_path / "out"


def test_rotated_pairs_of_an_untied_model(tmp_path: Path) -> None:
    """Against llama2.c's own formula, written out for one head: rows 2i and 2i + 1 turn by position / base^(2i/size)."""
    shape = Shape(16, 24, 1, 2, 1, 300, 32, tied=False)
    checkpoint = write_checkpoint(tmp_path / "m.bin", shape)
    import_llama2c(checkpoint, write_tokenizer(tmp_path / "t.bin", pieces_for(300)), tmp_path / "out")
    module = Model.load(str(tmp_path / "out")).module
    ids = [1, 270, 261, 290, 275]
    with torch.inference_mode():
        got = module(input_ids=torch.tensor([ids])).logits[0, -1].numpy()
    assert got == pytest.approx(by_hand(checkpoint, shape, ids), abs=2e-4)
    assert module.lm_head.weight is not module.model.embed_tokens.weight


def by_hand(checkpoint: Path, shape: Shape, ids: list[int]) -> np.ndarray:
    """Logits after `ids` of a one-layer checkpoint, in float64 and without any library of models."""
    data, at, w = np.fromfile(checkpoint, "<f4", offset=28).astype(float), 0, {}
    for name, size in shape.tensors.items():
        w[name] = data[at : at + int(np.prod(size))].reshape(size)
        at += int(np.prod(size))

    def norm(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight

    size = shape.hidden // shape.heads
    x = w["embed_tokens"][ids]
    h = norm(x, w["input_layernorm"][0])

    def turned(rows: np.ndarray) -> np.ndarray:
        pairs = rows.reshape(len(ids), -1, size // 2, 2)
        angle = np.arange(len(ids))[:, None] / 10000.0 ** (np.arange(0, size, 2) / size)
        whole = (pairs[..., 0] + 1j * pairs[..., 1]) * np.exp(1j * angle)[:, None, :]
        return np.stack([whole.real, whole.imag], -1).reshape(len(ids), -1, size)

    q, k = turned(h @ w["q_proj"][0].T), turned(h @ w["k_proj"][0].T)
    v = (h @ w["v_proj"][0].T).reshape(len(ids), -1, size)
    heads = []
    for head in range(shape.heads):
        own = head // (shape.heads // shape.kv_heads)
        scores = q[:, head] @ k[:, own].T / np.sqrt(size)
        scores[np.triu_indices(len(ids), 1)] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        heads.append(weights / weights.sum(-1, keepdims=True) @ v[:, own])
    x = x + np.concatenate(heads, -1) @ w["o_proj"][0].T
    h = norm(x, w["post_attention_layernorm"][0])
    gate = h @ w["gate_proj"][0].T
    x = x + (gate / (1 + np.exp(-gate)) * (h @ w["up_proj"][0].T)) @ w["down_proj"][0].T
    logits: np.ndarray = norm(x, w["norm"])[-1] @ w["lm_head"].T
    return logits


def test_the_verb(small: tuple[Path, Path, Path]) -> None:
    checkpoint, tokenizer, out = small
    result = CliRunner().invoke(
        app, ["import", "llama2c", str(checkpoint), "--tokenizer", str(tokenizer), "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert "2 layers, window 32, 300 tokens" in result.output
    assert Model.load(str(out)).tokenizer("ab ba")["input_ids"][0] == 1


def refused(small: tuple[Path, Path, Path]) -> str:
    """The one line of the refusal, with nothing written."""
    with pytest.raises(RungError) as caught:
        import_llama2c(*small)
    assert not any(part.name.endswith(".part") for part in small[2].parent.iterdir())
    return str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: data[:-4], "holds 35,416 bytes where its header asks for 35,420; fetch it again"),
        (lambda data: data + b"\0\0\0\0", "bytes where its header asks for"),
        (lambda data: data[:20], "holds 20 bytes, fewer than a header"),
        (lambda data: b"24ka" + data[4:], "is of a later llama2.c format; export it with --version 0"),
        (lambda data: b"GGUF" + data[4:], "its first seven numbers are no model's"),
        (lambda data: struct.pack("<i", -16) + data[4:], "its first seven numbers are no model's"),
        (lambda data: data[:12] + struct.pack("<i", 3) + data[16:], "its first seven numbers are no model's"),
        (lambda data: data[:40] + b"\0\0\xc0\x7f" + data[44:], "the weights of embed_tokens are not all numbers"),
    ],
)  # fmt: skip
def test_bad_checkpoints_are_one_line(
    small: tuple[Path, Path, Path], spoil: Callable[[bytes], bytes], said: str
) -> None:
    small[0].write_bytes(spoil(small[0].read_bytes()))
    line = refused(small)
    assert said in line and line.startswith(str(small[0])) and "\n" not in line
    assert not small[2].exists()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: data[:-1], "ends within piece 299; fetch it again"),
        (lambda data: data[:-6], "ends within piece 299; fetch it again"),
        (lambda data: data[:4], "piece 0 is 'missing', not <unk>"),
        (lambda data: data.replace(b"<0x41>", b"<0x4X>"), "piece 68 is '<0x4X>', not <0x41>"),
        (lambda data: data.replace(struct.pack("<i", 1) + b"a", struct.pack("<i", 1) + b"b"), "'b' is there twice"),
        (lambda data: data.replace(struct.pack("<i", 1) + b"a", struct.pack("<i", 1) + b"\xff"), "260 is not UTF-8"),
        (lambda data: data + struct.pack("<fi", -50.0, 2) + b"qq", "holds 301 pieces and m.bin has 300 tokens"),
    ],
)  # fmt: skip
def test_bad_tokenizers_are_one_line(
    small: tuple[Path, Path, Path], spoil: Callable[[bytes], bytes], said: str
) -> None:
    small[1].write_bytes(spoil(small[1].read_bytes()))
    line = refused(small)
    assert said in line and line.startswith(str(small[1])) and "\n" not in line
    assert not small[2].exists()


def test_nothing_is_overwritten(small: tuple[Path, Path, Path]) -> None:
    small[2].mkdir()
    (small[2] / "mine.txt").write_text("kept")
    assert "is there already; name another with --out" in refused(small)
    assert [file.name for file in small[2].iterdir()] == ["mine.txt"]


def test_missing_files_are_one_line(small: tuple[Path, Path, Path]) -> None:
    with pytest.raises(RungError, match="cannot be read: No such file"):
        read_shape(small[0].with_name("absent.bin"))
    with pytest.raises(RungError, match="cannot be read"):
        read_pieces(small[1].parent)
