"""The whole look: read the text, run it, and gather what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rung.errors import RungError
from rung.generate.look.attending import MOST_BYTES, attention_bytes, attentions
from rung.generate.look.following import following
from rung.generate.look.found import Attention, Following, Look
from rung.generate.look.nearby import neighbourhoods
from rung.generate.look.opened import Opened
from rung.generate.look.reading import Read, check_length, read_answer, surprises, tokens
from rung.generate.look.settings import Wanted
from rung.model.pieces import Pieces
from rung.page import quantities as q


def look(opened: Opened, text: Read, wanted: Wanted) -> Look:
    """What `opened` does with a text that was read. Raises RungError for a text that is too long, and for a layer, head,
    token or word that is not there."""
    model, pieces = opened.model, Pieces(opened.model.tokenizer)
    check_length(model, text, opened.front, "text")
    said = _answer(opened, wanted)
    output = opened.run(text.ids, said.ids)
    bits, answer_bits = _bits(opened, output, text, said)
    own, answer = tokens(text, pieces, bits), tokens(said, pieces, answer_bits)
    near, notes = neighbourhoods(opened, own, wanted, pieces)
    labels = {"text": [token.piece for token in own], "answer": [token.piece for token in answer]}
    maps, told = _attention(opened, text, said, labels, wanted)
    next_tokens, missing = _following(opened, output, text, wanted, pieces)
    return Look(
        opened.name, model.kind, _facts(opened), text.text, own, answer, near, maps, next_tokens,
        "" if model.kind == "encoder" else sampling_words(wanted), (*notes, *told, *missing),
    )  # fmt: skip


def sampling_words(wanted: Wanted) -> str:
    """How the next token would be drawn, in words."""
    cuts = [f"min-p {wanted.min_p:g}"] if wanted.min_p > 0 else []
    cuts += [f"top-k {wanted.top_k}"] if wanted.top_k > 0 else []
    cuts += [f"top-p {wanted.top_p:g}"] if wanted.top_p < 1 else []
    return f"temperature {wanted.temperature:g}, " + (" → ".join(cuts) if cuts else "nothing filtered")


def _answer(opened: Opened, wanted: Wanted) -> Read:
    if opened.model.kind != "encoder-decoder":
        if wanted.answer:
            raise RungError("only an encoder–decoder has one", where="--answer", mend="let the text end in it")
        return Read("", (), ())
    said = read_answer(opened.model, opened.start(), wanted.answer)
    check_length(opened.model, said, 0, "--answer")
    return said


def _bits(opened: Opened, output: Any, text: Read, said: Read) -> tuple[Sequence[float | None], Sequence[float | None]]:
    """Surprise where something is predicted from left to right."""
    none = [None] * len(text.ids)
    if opened.model.kind == "encoder":
        return none, []
    own = text.ids if opened.model.kind == "decoder" else said.ids
    # Learnt vectors in front bring logits of their own; learnt keys and values bring none.
    bits = surprises(output.logits[0], own, len(output.logits[0]) - len(own))
    return (bits, []) if opened.model.kind == "decoder" else (none, bits)


def _attention(
    opened: Opened, text: Read, said: Read, labels: Mapping[str, Sequence[str]], wanted: Wanted
) -> tuple[tuple[Attention, ...], list[str]]:
    size = attention_bytes(opened.module.config, opened.front + len(text.ids))
    if size > MOST_BYTES:
        return (), [f"no attention is shown: its weights would take {q.memory(size)}; look at a shorter text"]
    if not hasattr(opened.module, "set_attn_implementation"):
        return (), ["no attention is shown: the module has one way to attend"]
    found = attentions(opened.run(text.ids, said.ids, attention=True), labels, wanted)
    if not found:
        return (), ["no attention is shown: this architecture has no attention weights"]
    if any(one.folded for one in found):
        return found, ["attention is shown of the last tokens; what goes to those before is one key"]
    return found, []


def _following(
    opened: Opened, output: Any, text: Read, wanted: Wanted, pieces: Pieces
) -> tuple[tuple[Following, ...], list[str]]:
    if opened.model.kind != "encoder":
        return (following(output.logits[0, -1], wanted.sampling, pieces, wanted.shown, None),), []
    if not opened.predicts:
        return (), ["no tokens are predicted: the folder holds no masked-language-model head"]
    mask = opened.model.tokenizer.mask_token_id
    places = [place for place, token in enumerate(text.ids) if token == mask]
    if not places:
        return (), [f"no tokens are predicted: write {opened.model.tokenizer.mask_token} where one is to be guessed"]
    bare = Wanted().sampling
    return tuple(following(output.logits[0, place], bare, pieces, wanted.shown, place) for place in places), []


def _facts(opened: Opened) -> str:
    config = opened.module.config.get_text_config()
    layers, heads = getattr(config, "num_hidden_layers", None), getattr(config, "num_attention_heads", None)
    shape = f"{layers} layers" + (f" × {heads} heads" if heads else "")
    vocabulary, hidden = opened.embedding.shape
    return f"{opened.model.kind}, {shape}, {vocabulary:,} tokens × {hidden} dimensions, {opened.model.precision}"
