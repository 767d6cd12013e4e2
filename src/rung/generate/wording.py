"""Tokens as text: where an answer ends, and how much of it can be shown while it grows.

A stop string and an end token are no part of the answer. What is shown never has to be taken back: half a character and
what may become a stop string are held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

REPLACEMENT = "\ufffd"  # what a decoder writes for bytes that are not yet a character


@dataclass(frozen=True)
class Wording:
    """How the tokens of one request are read: its tokenizer, the tokens and strings that end an answer."""

    tokenizer: Any
    end: frozenset[int]
    stops: tuple[str, ...]

    def ended(self, tokens: Sequence[int]) -> bool:
        """Whether the last token ends the answer."""
        if tokens[-1] in self.end:
            return True
        if not self.stops:
            return False
        # A token is at least one byte, so the last `longest` + a few tokens hold any stop string that just ended.
        tail = self._text(tokens[-(max(map(len, self.stops)) + 4) :])
        return any(stop in tail for stop in self.stops)

    def read(self, tokens: Sequence[int]) -> tuple[str, tuple[int, ...], bool]:
        """Text and tokens of an answer without its end, and whether it came to one."""
        closed = bool(tokens) and tokens[-1] in self.end
        kept = tuple(tokens[:-1] if closed else tokens)
        text = self._text(kept)
        cut = min((text.find(stop) for stop in self.stops if stop in text), default=-1)
        return (text, kept, closed) if cut < 0 else (text[:cut], kept, True)

    def shown(self, tokens: Sequence[int]) -> str:
        """The text that no further token can change."""
        text, _, over = self.read(tokens)
        return text if over else text[: len(text) - _held(text, self.stops)]

    def _text(self, tokens: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True))


def _held(text: str, stops: Sequence[str]) -> int:
    """How many last characters may be the beginning of a stop string or half a character."""
    held = len(text) - len(text.rstrip(REPLACEMENT))
    for stop in stops:
        for size in range(min(len(stop), len(text)), 0, -1):
            if text.endswith(stop[:size]):
                held = max(held, size)
                break
    return held
