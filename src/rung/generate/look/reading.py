"""The text as the model reads it: token ids, what each stands for, which characters it covers, how surprising it was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rung.errors import RungError
from rung.generate.look.found import Token
from rung.model.layout import Layout
from rung.model.load import Model
from rung.model.pieces import Pieces

ROWS = 256
"""Positions whose log-probabilities are computed at a time: memory is so many × vocabulary × 4 bytes."""

Span = tuple[int | None, int | None]


@dataclass(frozen=True)
class Read:
    """A text, its ids, and the characters (start, end) that each covers."""

    text: str
    ids: tuple[int, ...]
    spans: tuple[Span, ...]


def read(model: Model, text: str, style: str = "") -> Read:
    """A text as ids: plain, with the tokenizer's own beginning; a mark that would end it is left off for decoders.

    `style` is a layout's where the text was rendered as a prompt.
    """
    style = style or ("plain" if model.kind == "decoder" else "seq2seq")
    ids = Layout(model.tokenizer, style).encode(text)
    if not ids:
        raise RungError("the tokenizer makes no tokens of the text", where="text", mend="give another text")
    return Read(text, tuple(ids), _spans(model.tokenizer, text, len(ids), style != "chat"))


def read_answer(model: Model, start: Sequence[int], text: str) -> Read:
    """What an encoder–decoder has said so far, behind its start mark."""
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
    spans = _spans(model.tokenizer, text, len(ids), False) if ids else ()
    return Read(text, (*start, *map(int, ids)), (*[(None, None)] * len(start), *spans))


def check_length(model: Model, read: Read, front: int, where: str) -> None:
    """Raises RungError for a text that the model's window does not hold, with the vectors that stand before it."""
    # T5's positions are relative; its window is what it was trained on, as its tokenizer says.
    room = model.window - front
    if len(read.ids) > room:
        has = f"has {len(read.ids):,} tokens and {model.name} reads {model.window:,}"
        raise RungError(has + (f", {front} of them learnt places" if front else ""), where=where, mend="shorten it")


def _spans(tokenizer: Any, text: str, count: int, special: bool) -> tuple[Span, ...]:
    if not tokenizer.is_fast:
        return ((None, None),) * count
    found = tokenizer(text, add_special_tokens=special, return_offsets_mapping=True)["offset_mapping"]
    # A mark that the tokenizer adds covers nothing.
    return tuple((int(a), int(b)) if b > a else (None, None) for a, b in found[:count])


def tokens(read: Read, pieces: Pieces, bits: Sequence[float | None]) -> tuple[Token, ...]:
    """The tokens as a person reads them."""
    return tuple(
        Token(place, token, pieces.shown(token), start, end, pieces.is_special(token), own)
        for place, (token, (start, end), own) in enumerate(zip(read.ids, read.spans, bits))
    )


@torch.inference_mode()
def surprises(logits: torch.Tensor, ids: Sequence[int], front: int = 0) -> list[float | None]:
    """−log2 P(token | those before) of each of `ids`, from logits (front + tokens, vocabulary).

    The first is predicted by nothing, unless learnt vectors stand before it.
    """
    first = 0 if front else 1
    out: list[float | None] = [None] * first
    for begin in range(first, len(ids), ROWS):
        own = torch.tensor(list(ids[begin : begin + ROWS]), device=logits.device)
        at = front + begin - 1
        table = logits[at : at + len(own)].float().log_softmax(dim=-1)
        out += (-table.gather(1, own[:, None])[:, 0] / math.log(2)).tolist()
    return out
