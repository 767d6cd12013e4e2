"""Checkpoints of other programs as Hugging Face folders: llama2.c's first format, weights and tokenizer.

Only formats whose bytes say everything are read here; pickled ones never are. The folder that comes out is loaded by
`load` like any other.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from rung.errors import RungError
from rung.model.load import quiet
from rung.run import cannot_write

UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"
MARKS = (UNKNOWN, BEGIN, END)
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
SPACE = "\u2581"
LATER_FORMATS = b"24ka"
ROPE_BASE, NORM_EPS = 10000.0, 1e-5  # fixed in llama2.c, so its files do not say them


@dataclass(frozen=True)
class Shape:
    """The header of a checkpoint. `kv_heads` divides `heads`; `tied` says whether the output shares the embedding."""

    hidden: int
    feed_forward: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    window: int
    tied: bool

    @property
    def tensors(self) -> Mapping[str, tuple[int, ...]]:
        """The tensors of the file, in its order; the two `freqs` are tables that no model needs."""
        n, d, f = self.layers, self.hidden, self.feed_forward
        kv = self.kv_heads * (d // self.heads)
        table = (self.window, d // self.heads // 2)
        found: dict[str, tuple[int, ...]] = {
            "embed_tokens": (self.vocabulary, d), "input_layernorm": (n, d), "q_proj": (n, d, d),
            "k_proj": (n, kv, d), "v_proj": (n, kv, d), "o_proj": (n, d, d), "post_attention_layernorm": (n, d),
            "gate_proj": (n, f, d), "down_proj": (n, d, f), "up_proj": (n, f, d), "norm": (d,),
            "freqs_cos": table, "freqs_sin": table,
        }  # fmt: skip
        return found if self.tied else found | {"lm_head": (self.vocabulary, d)}

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return 28 + 4 * sum(map(prod, self.tensors.values()))


@dataclass(frozen=True)
class Piece:
    """One entry of the vocabulary: its text, and how early it is merged (a higher score first)."""

    text: str
    score: float


def import_llama2c(checkpoint: Path, tokenizer: Path, out: Path) -> Shape:
    """Write the llama2.c files `checkpoint` and `tokenizer` as the new folder `out`; the weights stay float32.

    Raises RungError for files that are not whole or do not belong together, and where `out` exists.
    """
    if out.exists():
        raise RungError("is there already", where=str(out), mend="name another with --out")
    shape = read_shape(checkpoint)
    pieces = read_pieces(tokenizer)
    if len(pieces) != shape.vocabulary:
        raise RungError(
            f"holds {len(pieces)} pieces and {checkpoint.name} has {shape.vocabulary} tokens",
            where=str(tokenizer),
            mend="name the tokenizer that the checkpoint was trained with",
        )
    quiet()
    module = build_llama(shape, read_weights(checkpoint, shape))
    part = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        module.save_pretrained(part)
        build_tokenizer(pieces, shape.window).save_pretrained(part)
        part.replace(out)
    except OSError as error:
        raise cannot_write(out, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return shape


def read_shape(checkpoint: Path) -> Shape:
    """The header: seven little-endian 32-bit integers, the vocabulary negative where the output has its own weights.

    Raises RungError where they make no model, or the file is shorter or longer than they say.
    """
    head = _read(checkpoint, 28)
    if head.startswith(LATER_FORMATS):
        raise RungError("is of a later llama2.c format", where=str(checkpoint), mend="export it with --version 0")
    if len(head) < 28:
        raise RungError(f"holds {len(head)} bytes, fewer than a header", where=str(checkpoint))
    hidden, feed_forward, layers, heads, kv_heads, vocabulary, window = struct.unpack("<7i", head)
    shape = Shape(hidden, feed_forward, layers, heads, kv_heads, abs(vocabulary), window, vocabulary > 0)
    positive = min(hidden, feed_forward, layers, heads, kv_heads, abs(vocabulary), window) > 0
    if not positive or hidden % (2 * heads) or heads % kv_heads:
        told = ", ".join(map(str, struct.unpack("<7i", head)))
        raise RungError(f"its first seven numbers are no model's ({told})", where=str(checkpoint),
                        mend="name a checkpoint of llama2.c, version 0")  # fmt: skip
    found = checkpoint.stat().st_size
    if found != shape.size:
        raise RungError(f"holds {found:,} bytes where its header asks for {shape.size:,}", where=str(checkpoint),
                        mend="fetch it again")  # fmt: skip
    return shape


def read_weights(checkpoint: Path, shape: Shape) -> dict[str, np.ndarray]:
    """The tensors by the names of `Shape.tensors`, float32. Raises RungError where one holds a number that is none."""
    data = np.memmap(checkpoint, dtype="<f4", mode="r", offset=28)
    found, at = {}, 0
    for name, size in shape.tensors.items():
        found[name] = data[at : at + prod(size)].reshape(size)
        at += prod(size)
        if not np.isfinite(found[name]).all():
            raise RungError(f"the weights of {name} are not all numbers", where=str(checkpoint), mend="fetch it again")
    return found


def build_llama(shape: Shape, weights: Mapping[str, np.ndarray]) -> Any:
    """The same model as a `LlamaForCausalLM`."""
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=shape.vocabulary, hidden_size=shape.hidden, intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers, num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.window, rms_norm_eps=NORM_EPS, tie_word_embeddings=shape.tied,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_BASE}, bos_token_id=1, eos_token_id=2,
        pad_token_id=None, dtype="float32",
    )  # fmt: skip
    with torch.device("meta"):
        module = LlamaForCausalLM(config)
    state = {name: torch.from_numpy(np.array(value, np.float32)) for name, value in state_dict(shape, weights).items()}
    if shape.tied:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    module.load_state_dict(state, assign=True)
    module.tie_weights()
    # llama2.c's texts begin with <s> and are cut there, so a second one ends a text as </s> does.
    module.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=[2, 1])
    return module


def state_dict(shape: Shape, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors under the names of `LlamaForCausalLM`, queries and keys in its order of rotated pairs."""
    found = {"model.embed_tokens.weight": weights["embed_tokens"], "model.norm.weight": weights["norm"]}
    if not shape.tied:
        found["lm_head.weight"] = weights["lm_head"]
    heads = {"q_proj": shape.heads, "k_proj": shape.kv_heads}
    rooms = {"self_attn": ("q_proj", "k_proj", "v_proj", "o_proj"), "mlp": ("gate_proj", "up_proj", "down_proj")}
    for layer in range(shape.layers):
        stem = f"model.layers.{layer}"
        for name in ("input_layernorm", "post_attention_layernorm"):
            found[f"{stem}.{name}.weight"] = weights[name][layer]
        for room, names in rooms.items():
            for name in names:
                matrix = weights[name][layer]
                found[f"{stem}.{room}.{name}.weight"] = _halved(matrix, heads[name]) if name in heads else matrix
    return found


def _halved(matrix: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a projection (heads × size, hidden) reordered: llama2.c rotates rows 2i and 2i + 1 of a head together,
    `transformers` rows i and i + size / 2."""
    rows, hidden = matrix.shape
    return matrix.reshape(heads, rows // heads // 2, 2, hidden).swapaxes(1, 2).reshape(rows, hidden)


def read_pieces(tokenizer: Path) -> list[Piece]:
    """The vocabulary of a llama2.c `tokenizer.bin`, spaces written as SentencePiece does.

    The file holds the longest piece's length (i32), then for each piece its score (f32), length (i32) and UTF-8 bytes.
    Raises RungError where it ends early or its first 259 pieces are not the marks and the 256 bytes.
    """
    data, at = _read(tokenizer), 4
    found: list[Piece] = []
    while at < len(data):
        score, length = struct.unpack_from("<fi", data, at) if at + 8 <= len(data) else (0.0, -1)
        at += 8
        if not 0 <= length <= len(data) - at:
            raise RungError(f"ends within piece {len(found)}", where=str(tokenizer), mend="fetch it again")
        try:
            text = data[at : at + length].decode("utf-8")
        except UnicodeDecodeError:
            raise RungError(f"piece {len(found)} is not UTF-8", where=str(tokenizer)) from None
        found.append(Piece(text.replace(" ", SPACE), score))
        at += length
    return _checked(found, tokenizer)


def _checked(pieces: Sequence[Piece], tokenizer: Path) -> list[Piece]:
    wanted = [*MARKS, *BYTES]
    # The exporter of llama2.c writes line breaks around its marks.
    found = [Piece(p.text.strip(), p.score) if n < len(MARKS) else p for n, p in enumerate(pieces)]
    for number, name in enumerate(wanted):
        said = found[number].text if number < len(found) else "missing"
        if said != name:
            raise RungError(f"piece {number} is {said!r}, not {name}", where=str(tokenizer),
                            mend="name a tokenizer.bin of llama2.c with byte fallback")  # fmt: skip
    for one, two in pairwise(sorted(piece.text for piece in found)):
        if one == two:
            raise RungError(f"the piece {one!r} is there twice", where=str(tokenizer))
    return found


def build_tokenizer(pieces: Sequence[Piece], window: int) -> Any:
    """A fast tokenizer with SentencePiece's ids: a space in front of the text, pieces merged by score, bytes for the
    rest, <s> at the start (Kudo and Richardson 2018; the merging is that of Sennrich et al. 2016).
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {piece.text: number for number, piece in enumerate(pieces)}
    plain = {piece.text: piece.score for piece in pieces[len(MARKS) + len(BYTES) :]}
    bpe = models.BPE(vocabulary, merges(plain), unk_token=UNKNOWN, byte_fallback=True, fuse_unk=True)
    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[(BEGIN, 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=UNKNOWN,
        bos_token=BEGIN,
        eos_token=END,
        model_max_length=window,
        clean_up_tokenization_spaces=False,
    )


def merges(plain: Mapping[str, float]) -> list[tuple[str, str]]:
    """Pairs of pieces that make a third, the highest score of the third first; `plain` are their scores by text.

    SentencePiece keeps no pairs: it joins any two neighbours whose join is a piece. So every way to cut a piece in two
    pieces is a merge.
    """
    found = [
        (-score, text[:cut], text[cut:])
        for text, score in plain.items()
        for cut in range(1, len(text))
        if text[:cut] in plain and text[cut:] in plain
    ]
    return [(left, right) for _, left, right in sorted(found, key=lambda pair: pair[0])]


def _read(file: Path, size: int = -1) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(size)
    except OSError as error:
        raise RungError(f"cannot be read: {error.strerror}", where=str(file)) from None
