"""Texts as token ids by lm-eval's rules, without encoding a long context again for every continuation.

A continuation's tokens are those of context + continuation behind the context's; spaces at the end of the context belong
to it. Only the last stretch of a text is encoded again with what follows: the tokens before it stay, because no tokenizer
looks so far ahead, and that the stretch alone gives the tokens that it has in the whole is checked each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rung.model.load import Model

STRETCH = 48  # characters, at least, that are encoded again
Ids = list[int]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Ids of a text, how many of them stay whatever follows, and the text of the others."""

    ids: Ids
    stay: int
    tail: str


class Encoder:
    """The tokenizer of a base, as lm-eval's `hf` backend uses it."""

    def __init__(self, model: Model) -> None:
        self._tokenizer: Any = model.tokenizer
        bos, eos = self._tokenizer.bos_token_id, self._tokenizer.eos_token_id
        self.first = int(bos if bos is not None else eos)
        self._first_text = str(self._tokenizer.decode(self.first))
        self._separate = model.kind == "encoder-decoder"
        self._kept = lru_cache(maxsize=64)(self.encode)

    def ids(self, text: str) -> Ids:
        """A text alone, with the tokenizer's special tokens unless it begins with one."""
        return [int(i) for i in self._tokenizer.encode(text, **self._special(text))]

    def encode(self, text: str) -> Encoded:
        """The same, and what of it stays when more text follows."""
        if self._separate or not self._tokenizer.is_fast:
            return Encoded(self.ids(text), 0, text)
        return self._cut(text, [], self._special(text))

    def extended(self, before: str, own: str) -> Encoded:
        """`encode(before + own)`; what `before` makes is remembered."""
        known = self._kept(before) if before else Encoded([], 0, "")
        if not known.stay:
            return self.encode(before + own)
        return self._cut(known.tail + own, known.ids[: known.stay], {"add_special_tokens": False})

    def continuation(self, context: Encoded, text: str) -> Ids:
        """The tokens of a text behind a context (which does not end in a space)."""
        if self._separate:
            return [int(i) for i in self._tokenizer.encode(text, add_special_tokens=False)]
        whole = context.tail + text
        settings = {"add_special_tokens": False} if context.stay else self._special(whole)
        behind = self._tokenizer.encode(whole, **settings)
        return [int(i) for i in behind[len(context.ids) - context.stay :]]

    def pairs(self, before: str, own: str, texts: list[str]) -> list[tuple[Ids, Ids]]:
        """(context, continuation) for each text behind the context before + own."""
        if not own.strip():  # nothing of its own: the whole is the context
            before, own = "", before + own
        bare = own.rstrip()
        spaces = own[len(bare) :]
        if not bare:
            return [self._first_of(spaces + text) for text in texts]
        context = self.extended(before, bare)
        return [(context.ids, self.continuation(context, spaces + text)) for text in texts]

    def _first_of(self, text: str) -> tuple[Ids, Ids]:
        """A text behind nothing: the token that begins texts stands before it."""
        plain = [int(i) for i in self._tokenizer.encode(text, add_special_tokens=False)]
        return ([self.first], plain) if plain[:1] != [self.first] else (plain[:1], plain[1:])

    def _cut(self, text: str, front: Ids, settings: dict[str, bool]) -> Encoded:
        found = self._tokenizer(text, return_offsets_mapping=True, **settings)
        ids, spans = found["input_ids"], found["offset_mapping"]
        for place in range(len(ids) - 1, 0, -1):
            start = spans[place][0]
            if len(text) - start < STRETCH or start == 0 or not text[start].isspace() or text[start - 1].isspace():
                continue
            tail = text[start:]
            if self._tokenizer.encode(tail, add_special_tokens=False) == ids[place:]:
                return Encoded(front + ids, len(front) + place, tail)
            if len(tail) > 8 * STRETCH:
                break
        return Encoded(front + ids, len(front), text)

    def _special(self, text: str) -> dict[str, bool]:
        return {"add_special_tokens": False} if self._first_text and text.startswith(self._first_text) else {}
