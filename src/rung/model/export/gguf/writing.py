"""A model as one GGUF file, read back and checked tensor by tensor before anybody else sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rung.errors import RungError, nearest
from rung.model.export.gguf.architecture import (
    Architecture,
    architecture_of,
    gguf_name,
    heads_turned,
    need_gguf,
    rope_of,
    turned,
)
from rung.model.export.gguf.reading import read_vocabulary
from rung.model.export.gguf.retold import tokenizer_of
from rung.model.export.gguf.tokens import Vocabulary, vocabulary_of
from rung.model.load import Model
from rung.model.precision import stored_as
from rung.model.whole import folded

TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0")
FILE_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 7, "bf16": 32}
BLOCK = 32
"""Weights of a row that share a scale in q8_0 and q4_0."""
PROBES = (
    "Hello world", " two  blanks\n\nand lines\t", "3.14159 + 42 = ?", "it's they'll WE'VE", "naïve café Straße 東京 🙂", "a",
)  # fmt: skip


def write_gguf(model: Model, file: Path, to: str = "f16") -> None:
    """Write `model` as the new `file` with matrices as `to`; vectors stay float32.

    Matrices whose rows are no whole blocks fall back to f16; of q4_0 the embedding and the head are q8_0, as they matter
    most. Raises RungError for an architecture or a tokenizer that GGUF has no word for, and where what is read back is
    not what was written.
    """
    if to not in TYPES:
        raise RungError(f"unknown type {to!r}", where="--type", mend=nearest(to, TYPES))
    gguf = need_gguf()
    text = model.config.get("text_config") or model.config
    architecture = architecture_of(text)
    vocabulary = vocabulary_of(model.tokenizer, int(text["vocab_size"]), window_of(model, text))
    _check_tokens(model.tokenizer, vocabulary)
    writer = gguf.GGUFWriter(str(file), architecture.name)
    _settings(writer, model, text, to)
    _tokens(writer, vocabulary)
    wanted = {}
    for name, rows in _tensors(model, text, architecture):
        kind = _type_of(name, rows, to, gguf.GGMLQuantizationType)
        writer.add_tensor(name, gguf.quantize(rows, kind), raw_dtype=kind)
        wanted[name] = rows
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    check_file(file, wanted, vocabulary)


def check_file(file: Path, wanted: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> None:
    """Raises RungError where `file` holds other tensors than `wanted`, values further off than its types round, or
    another vocabulary."""
    gguf = need_gguf()
    reader = gguf.GGUFReader(str(file))
    if {tensor.name for tensor in reader.tensors} != set(wanted) or read_vocabulary(reader) != vocabulary:
        raise RungError("holds other names than were written", where=str(file), mend="report this with the model")
    for tensor in reader.tensors:
        rows = wanted[tensor.name]
        found = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(rows.shape)
        if (np.abs(found - rows) > _bound(rows, tensor.tensor_type.name)).any():
            raise RungError(
                f"{tensor.name} is not what was written", where=str(file), mend="report this with the model"
            )


def _bound(rows: np.ndarray, kind: str) -> np.ndarray:
    """How far rounding may move each value: half a step of its type, and of the scale of its block (in float16)."""
    size = np.abs(rows)
    if kind in ("F32", "F16", "BF16"):
        share, least = {"F32": (0.0, 0.0), "F16": (2.0**-11, 2.0**-24), "BF16": (2.0**-8, 0.0)}[kind]
        return size * share + least
    largest = size.reshape(-1, BLOCK).max(axis=1, keepdims=True)
    steps = {"Q8_0": 1 / 254 + 2.0**-11, "Q4_0": 1 / 8 + 2.0**-10}[kind]
    # One end of q4_0's 16 levels is cut off: there the error is a whole step.
    whole = np.broadcast_to(largest * steps + 2.0**-24, (largest.shape[0], BLOCK))
    return np.asarray(whole.reshape(rows.shape) * 1.01)


def _type_of(name: str, rows: np.ndarray, to: str, kinds: Any) -> Any:
    if rows.ndim == 1:
        return kinds.F32
    if to in ("q8_0", "q4_0") and rows.shape[-1] % BLOCK:
        return kinds.F16
    return kinds.Q8_0 if to == "q4_0" and name in ("token_embd.weight", "output.weight") else kinds[to.upper()]


def _tensors(model: Model, text: Mapping[str, Any], architecture: Architecture) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor by its name in GGUF, float32, q and k as llama.cpp orders their rows."""
    few = stored_as(model.config)
    module = folded(model.fresh(), where=str(model.folder)).float() if few else model.fresh("float32")
    heads = {"q": int(text["num_attention_heads"])}
    heads["k"] = int(text.get("num_key_value_heads") or heads["q"])
    for name, weight in module.state_dict().items():
        if name == "lm_head.weight" and text.get("tie_word_embeddings"):
            continue
        own, rows = gguf_name(name), weight.cpu().numpy()
        which = heads_turned(own) if architecture.turned else ""
        yield own, np.ascontiguousarray(turned(rows, heads[which]) if which else rows)


def _settings(writer: Any, model: Model, text: Mapping[str, Any], to: str) -> None:
    base, factor = rope_of(text)
    heads = int(text["num_attention_heads"])
    width = int(text.get("head_dim") or text["hidden_size"] // heads)
    writer.add_name(model.name if "/" not in model.name else Path(model.name).name)
    writer.add_file_type(FILE_TYPES[to])
    writer.add_context_length(window_of(model, text))
    writer.add_embedding_length(int(text["hidden_size"]))
    writer.add_block_count(int(text["num_hidden_layers"]))
    writer.add_feed_forward_length(int(text["intermediate_size"]))
    writer.add_head_count(heads)
    writer.add_head_count_kv(int(text.get("num_key_value_heads") or heads))
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_layer_norm_rms_eps(float(text["rms_norm_eps"]))
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(base)
    writer.add_vocab_size(int(text["vocab_size"]))
    if factor != 1.0:
        writer.add_rope_scaling_type(need_gguf().RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(factor)


def window_of(model: Model, text: Mapping[str, Any]) -> int:
    """The tokens within which llama.cpp computes the same: no more than a sliding window, of which it is not told."""
    sliding = text.get("sliding_window") if text.get("use_sliding_window", True) else None
    return min(model.window, int(sliding)) if sliding else model.window


def _tokens(writer: Any, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.splitter)
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_types(list(vocabulary.types))
    if vocabulary.merges:
        writer.add_token_merges(list(vocabulary.merges))
    if vocabulary.scores:
        writer.add_token_scores(list(vocabulary.scores))
    for name, number in vocabulary.marks.items():
        getattr(writer, f"add_{name}_token_id")(number)
    writer.add_add_bos_token(vocabulary.begins)
    writer.add_add_eos_token(vocabulary.ends)
    if vocabulary.model != "gpt2":
        writer.add_add_space_prefix(vocabulary.space_first)
        writer.add_remove_extra_whitespaces(False)
    if vocabulary.charsmap:
        writer.add_precompiled_charsmap(vocabulary.charsmap)
    if vocabulary.template:
        writer.add_chat_template(vocabulary.template)


def _check_tokens(tokenizer: Any, vocabulary: Vocabulary) -> None:
    """What the file tells must cut texts as the tokenizer does; neighbouring unknown signs count as one to llama.cpp."""
    again, unknown = tokenizer_of(vocabulary), vocabulary.marks.get("unk")

    def ids(of: Any, text: str) -> list[int]:
        found = list(of(text)["input_ids"])
        return [one for n, one in enumerate(found) if one != unknown or found[n - 1 : n] != [unknown]]

    for text in (*PROBES, vocabulary.template[:2000]):
        if ids(tokenizer, text) != ids(again, text):
            raise RungError(
                f"GGUF has no way to tell how it cuts {text[:30]!r}", where="tokenizer", mend="export it --to hf"
            )
