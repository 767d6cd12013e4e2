"""A GGUF file as a folder of Hugging Face form: settings, tensors in full numbers, tokenizer, all from the file alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rung.errors import RungError, nearest
from rung.model.export.gguf.architecture import ARCHITECTURES, heads_turned, hf_name, need_gguf, turned_back
from rung.model.export.gguf.retold import tokenizer_of
from rung.model.export.gguf.tokens import MARKS, Vocabulary

KEYS = {"sep": "seperator", "unk": "unknown", "pad": "padding"}
"""How GGUF spells marks that it does not call by our names."""
NUMBERS = {1: "float16", 32: "bfloat16"}
"""File types whose numbers a folder can hold as they are; others are spelt out in float32."""


def read_gguf(file: Path, folder: Path) -> None:
    """Write the model of `file` into the existing `folder`.

    Raises RungError for a file that is no GGUF, is damaged, or holds another architecture or tokenizer than are known here.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig

    gguf = need_gguf()
    reader = _opened(file)
    name = str(_told(reader, "general.architecture", ""))
    known = {one.name: one for one in ARCHITECTURES.values()}
    if name not in known:
        raise RungError(
            f"holds a {name}", where=str(file), mend=f"known are {', '.join(known)} ({nearest(name, known)})"
        )
    settings = _settings(reader, name)
    heads = {"q": settings["num_attention_heads"], "k": settings["num_key_value_heads"]}
    dtype = NUMBERS.get(int(_told(reader, "general.file_type", 0)), "float32")
    state = {}
    for tensor in reader.tensors:
        shape = tuple(int(size) for size in reversed(tensor.shape))
        rows = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(shape)
        which = heads_turned(tensor.name) if known[name].turned else ""
        rows = turned_back(rows, heads[which]) if which else rows
        state[hf_name(tensor.name)] = torch.from_numpy(np.array(rows)).to(getattr(torch, dtype))
    told = _biases(state) | {"tie_word_embeddings": "lm_head.weight" not in state, "dtype": dtype}
    vocabulary = read_vocabulary(reader)
    told |= {f"{mark}_token_id": number for mark, number in vocabulary.marks.items() if mark in ("bos", "eos", "pad")}
    config = AutoConfig.for_model(known[name].model_type, **settings, **told)
    config.architectures = [known[name].class_name]
    config.save_pretrained(str(folder))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer_of(vocabulary).save_pretrained(str(folder))


def read_vocabulary(reader: Any) -> Vocabulary:
    """The tokenizer that an open file tells."""
    marks = {name: _told(reader, f"tokenizer.ggml.{KEYS.get(name, name)}_token_id", None) for name in MARKS}
    return Vocabulary(
        model=str(_told(reader, "tokenizer.ggml.model", "")),
        splitter=str(_told(reader, "tokenizer.ggml.pre", "default")),
        tokens=tuple(_told(reader, "tokenizer.ggml.tokens", ())),
        types=tuple(int(one) for one in _told(reader, "tokenizer.ggml.token_type", ())),
        scores=tuple(float(one) for one in _told(reader, "tokenizer.ggml.scores", ())),
        merges=tuple(_told(reader, "tokenizer.ggml.merges", ())),
        marks={name: int(number) for name, number in marks.items() if number is not None},
        begins=bool(_told(reader, "tokenizer.ggml.add_bos_token", False)),
        ends=bool(_told(reader, "tokenizer.ggml.add_eos_token", False)),
        space_first=bool(_told(reader, "tokenizer.ggml.add_space_prefix", False)),
        charsmap=bytes(_told(reader, "tokenizer.ggml.precompiled_charsmap", b"")),
        template=str(_told(reader, "tokenizer.chat_template", "")),
        window=int(_told(reader, f"{_told(reader, 'general.architecture', '')}.context_length", 0)),
    )


def _opened(file: Path) -> Any:
    if not file.is_file():
        raise RungError("no such file", where=str(file), mend="name a .gguf file")
    try:
        return need_gguf().GGUFReader(str(file))
    except (ValueError, IndexError, KeyError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RungError(f"is no GGUF file, or damaged ({said})", where=str(file), mend="fetch it again") from error


def _told(reader: Any, key: str, default: Any) -> Any:
    field = reader.fields.get(key)
    return default if field is None else field.contents()


def _settings(reader: Any, name: str) -> dict[str, Any]:
    def number(key: str, default: Any = None) -> Any:
        found = _told(reader, f"{name}.{key}", default)
        if found is None:
            raise RungError(f"tells no {name}.{key}", where="GGUF", mend="write it anew")
        return found

    hidden, heads = int(number("embedding_length")), int(number("attention.head_count"))
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": float(number("rope.freq_base", 10000.0))}
    if (kind := number("rope.scaling.type", "none")) == "linear":
        rope |= {"rope_type": "linear", "factor": float(number("rope.scaling.factor"))}
    elif kind != "none":
        raise RungError(f"rotary positions of kind {kind}", where="GGUF", mend="read it with llama.cpp")
    return {
        "vocab_size": int(number("vocab_size", len(_told(reader, "tokenizer.ggml.tokens", ())))),
        "hidden_size": hidden,
        "intermediate_size": int(number("feed_forward_length")),
        "num_hidden_layers": int(number("block_count")),
        "num_attention_heads": heads,
        "num_key_value_heads": int(number("attention.head_count_kv", heads)),
        "head_dim": int(number("attention.key_length", hidden // heads)),
        "max_position_embeddings": int(number("context_length")),
        "rms_norm_eps": float(np.float32(number("attention.layer_norm_rms_epsilon"))),
        "rope_parameters": rope,
    }


def _biases(state: Mapping[str, Any]) -> dict[str, bool]:
    found = {
        "attention_bias": "model.layers.0.self_attn.o_proj.bias" in state,
        "mlp_bias": "model.layers.0.mlp.up_proj.bias" in state,
    }
    return {key: value for key, value in found.items() if value}
