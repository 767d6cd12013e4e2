"""A tokenizer as GGUF tells it: its kind, its splitter by name, tokens with their types, scores or merges, and marks."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rung.errors import RungError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""Types of tokens in GGUF."""
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLITTERS: Mapping[str, tuple[tuple[str, ...], bool]] = {
    "gpt-2": ((), True),
    "smollm": ((r"\p{N}",), True),
    "llama-bpe": ((LLAMA3,), False),
    "qwen2": ((QWEN2,), False),
}
"""llama.cpp's names of splitters of byte-level BPE: the patterns cut by first, and whether GPT-2's own follows."""
MARKS = ("bos", "eos", "unk", "pad", "sep", "mask")
SPACE = "\u2581"


@dataclass(frozen=True)
class Vocabulary:
    """`model` is `gpt2` (byte-level BPE), `llama` (SentencePiece's BPE) or `t5` (Unigram); `splitter` one of `SPLITTERS` for
    the first. `marks` are ids by name; `space_first` says whether a text gets a blank in front."""

    model: str
    splitter: str
    tokens: tuple[str, ...] = field(repr=False)
    types: tuple[int, ...] = field(repr=False)
    scores: tuple[float, ...] = field(default=(), repr=False)
    merges: tuple[str, ...] = field(default=(), repr=False)
    marks: Mapping[str, int] = field(default_factory=dict)
    begins: bool = False
    ends: bool = False
    space_first: bool = False
    charsmap: bytes = field(default=b"", repr=False)
    template: str = field(default="", repr=False)
    window: int = 0


def vocabulary_of(tokenizer: Any, size: int, window: int) -> Vocabulary:
    """What GGUF is told of a fast tokenizer, filled up to the `size` that the embedding has; `window` is the model's.

    Raises RungError for kinds that llama.cpp does not know, and for tokenizers without a `tokenizer.json`.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise RungError("is no fast tokenizer", where="tokenizer", mend="save it with a tokenizer.json")
    told = json.loads(backend.to_str())
    model, kind = told["model"], told["model"]["type"]
    if kind == "BPE" and not model.get("byte_fallback") and _has(told["pre_tokenizer"], "ByteLevel"):
        pairs = tuple(one if isinstance(one, str) else " ".join(one) for one in model["merges"])
        own: dict[str, Any] = {"model": "gpt2", "splitter": _splitter(told), "merges": pairs}
    elif kind == "BPE" and model.get("byte_fallback"):
        own = {"model": "llama", "splitter": "default", "space_first": _space_first(told)}
    elif kind == "Unigram":
        own = {"model": "t5", "splitter": "default", "space_first": _space_first(told), "charsmap": _charsmap(told)}
    else:
        raise RungError(
            f"llama.cpp knows no tokenizer of kind {kind} for this architecture",
            where="tokenizer",
            mend="use byte-level BPE, SentencePiece or Unigram, or export --to hf",
        )
    return _filled(own | {"window": window}, told, tokenizer, size)


def _filled(own: dict[str, Any], told: Mapping[str, Any], tokenizer: Any, size: int) -> Vocabulary:
    tokens, types = [f"[PAD{number}]" for number in range(size)], [UNUSED] * size
    for text, number in tokenizer.get_vocab().items():
        if number >= size:
            raise RungError(f"knows {number + 1} tokens and the model {size}", where="tokenizer", mend="name its own")
        tokens[number], types[number] = text, NORMAL
    if own["model"] == "llama":
        for number, text in enumerate(tokens):
            if len(text) == 6 and text.startswith("<0x"):
                types[number] = BYTE
    for added in told["added_tokens"]:
        types[added["id"]] = CONTROL if added["special"] else USER_DEFINED
    marks = {name: getattr(tokenizer, f"{name}_token_id") for name in MARKS}
    marks = {name: int(number) for name, number in marks.items() if number is not None}
    if "unk" in marks and own["model"] != "gpt2":
        types[marks["unk"]] = UNKNOWN
    ids = tokenizer("a")["input_ids"]
    return Vocabulary(
        **own,
        tokens=tuple(tokens),
        types=tuple(types),
        scores=_scores(own["model"], told["model"], tokens),
        marks=marks,
        begins=bool(ids) and ids[0] == marks.get("bos", -1),
        ends=len(ids) > 1 and ids[-1] == marks.get("eos", -1),
        template=tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else "",
    )


def _scores(model: str, told: Mapping[str, Any], tokens: list[str]) -> tuple[float, ...]:
    """Unigram's own; SentencePiece's BPE joins what has the highest score, so a piece's is minus the rank of its merge."""
    if model == "t5":
        known = dict(map(tuple, told["vocab"]))
        return tuple(float(np.float32(known.get(text, 0.0))) for text in tokens)  # as the file keeps them
    if model == "llama":
        rank: dict[str, int] = {}
        for number, pair in enumerate(told["merges"]):
            rank.setdefault("".join(pair.split(" ") if isinstance(pair, str) else pair), number)
        return tuple(-float(rank.get(text, 0)) for text in tokens)
    return ()


def _splitter(told: Mapping[str, Any]) -> str:
    if (told["normalizer"] or {}).get("type") not in (None, "NFC"):
        raise RungError("its tokenizer changes the text before it cuts", where="tokenizer", mend="export --to hf")
    parts = _parts(told["pre_tokenizer"])
    level = next(part for part in parts if part["type"] == "ByteLevel")
    # A splitter of single digits has two names in the library.
    cuts = tuple(
        r"\p{N}" if part["type"] == "Digits" else part["pattern"].get("Regex", part["pattern"].get("String", ""))
        for part in parts
        if part["type"] in ("Split", "Digits") and part.get("individual_digits", True)
    )
    known = len(cuts) == len(parts) - 1 and not level["add_prefix_space"]
    for name, (patterns, own) in SPLITTERS.items():
        if known and cuts == patterns and own == level.get("use_regex", True):
            return name
    raise RungError(
        "its tokenizer splits words in a way that has no name here", where="tokenizer", mend="export --to hf"
    )


def _space_first(told: Mapping[str, Any]) -> bool:
    for part in _parts(told["pre_tokenizer"]):
        if part["type"] == "Metaspace":
            return part.get("prepend_scheme", "always") != "never"
    return _has(told["normalizer"], "Prepend")


def _charsmap(told: Mapping[str, Any]) -> bytes:
    parts = _parts(told["normalizer"])
    for part in parts:
        if part["type"] == "Precompiled":
            return base64.b64decode(part["precompiled_charsmap"])
    if parts:
        raise RungError("its tokenizer changes the text before it cuts", where="tokenizer", mend="export --to hf")
    return b""


def _parts(told: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The steps of a normaliser or splitter, a sequence or a single one."""
    if told is None:
        return []
    if told["type"] == "Sequence":
        return list(told.get("pretokenizers") or told.get("normalizers") or [])
    return [told]


def _has(told: Mapping[str, Any] | None, kind: str) -> bool:
    return any(part["type"] == kind for part in _parts(told))
