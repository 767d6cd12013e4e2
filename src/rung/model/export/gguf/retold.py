"""A fast tokenizer made of what a GGUF file tells: the way back from `tokens`."""

from __future__ import annotations

import base64
from typing import Any

from rung.errors import RungError, nearest
from rung.model.export.gguf.tokens import BYTE, CONTROL, SPACE, SPLITTERS, UNUSED, USER_DEFINED, Vocabulary
from rung.model.importer import merges


def tokenizer_of(told: Vocabulary) -> Any:
    """A `PreTrainedTokenizerFast`. Raises RungError for kinds and splitters that are not known here."""
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerFast

    makers = {"gpt2": _byte_level, "llama": _sentencepiece, "t5": _unigram}
    if told.model not in makers:
        raise RungError(f"a tokenizer of kind {told.model!r}", where="GGUF", mend=nearest(told.model, makers))
    made = makers[told.model](told)
    for number, kind in enumerate(told.types):
        if kind in (CONTROL, USER_DEFINED):
            made.add_tokens([AddedToken(told.tokens[number], normalized=False, special=kind == CONTROL)])
    _close(made, told)
    names = {f"{name}_token": told.tokens[number] for name, number in told.marks.items()}
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=made, clean_up_tokenization_spaces=False, padding_side="left",
        **({"model_max_length": told.window} if told.window else {}), **names,
    )  # fmt: skip
    if told.template:
        wrapped.chat_template = told.template
    return wrapped


def _used(told: Vocabulary) -> dict[str, int]:
    return {text: number for number, text in enumerate(told.tokens) if told.types[number] != UNUSED}


def _byte_level(told: Vocabulary) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    if told.splitter not in SPLITTERS:
        raise RungError(f"a splitter {told.splitter!r}", where="GGUF", mend=nearest(told.splitter, SPLITTERS))
    patterns, own = SPLITTERS[told.splitter]
    pairs = [(left, right) for left, _, right in (one.partition(" ") for one in told.merges)]
    made = Tokenizer(models.BPE(_used(told), pairs, ignore_merges=told.splitter == "llama-bpe"))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=own)
    cuts = [pre_tokenizers.Split(Regex(pattern), behavior="isolated") for pattern in patterns]
    made.pre_tokenizer = pre_tokenizers.Sequence([*cuts, level]) if cuts else level
    made.decoder = decoders.ByteLevel()
    return made


def _sentencepiece(told: Vocabulary) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers

    plain = {
        text: told.scores[number]
        for number, text in enumerate(told.tokens)
        if told.types[number] not in (CONTROL, UNUSED, BYTE) and number != told.marks.get("unk")
    }
    unknown = told.tokens[told.marks["unk"]] if "unk" in told.marks else None
    made = Tokenizer(models.BPE(_used(told), merges(plain), unk_token=unknown, byte_fallback=True, fuse_unk=True))
    first = [normalizers.Prepend(SPACE)] if told.space_first else []
    made.normalizer = normalizers.Sequence([*first, normalizers.Replace(" ", SPACE)])
    strip = [decoders.Strip(" ", 1, 0)] if told.space_first else []
    made.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *strip])
    return made


def _unigram(told: Vocabulary) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    pieces = [(text, told.scores[number]) for text, number in _used(told).items()]
    if told.types[: len(pieces)].count(UNUSED):
        raise RungError("its unused tokens stand among the others", where="GGUF", mend="read it with llama.cpp")
    made = Tokenizer(models.Unigram(pieces, told.marks.get("unk", 0), False))
    if told.charsmap:
        made.normalizer = normalizers.Precompiled(base64.b64encode(told.charsmap))
    scheme = "always" if told.space_first else "never"
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    made.decoder = decoders.Metaspace(prepend_scheme=scheme)
    return made


def _close(made: Any, told: Vocabulary) -> None:
    """What stands before and behind every text."""
    from tokenizers import processors

    front = told.tokens[told.marks["bos"]] if told.begins else ""
    back = told.tokens[told.marks["eos"]] if told.ends else ""
    if front or back:
        special = [(text, made.token_to_id(text)) for text in (front, back) if text]
        made.post_processor = processors.TemplateProcessing(single=f"{front} $A {back}".strip(), special_tokens=special)
