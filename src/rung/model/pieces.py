"""What a token of a tokenizer stands for, made visible: blanks, line breaks, bytes that are only part of a character.

Three ways of writing tokens are read: byte-level BPE, SentencePiece's, WordPiece's. For people's eyes only: how ids become
text is the tokenizer's own matter.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

SIGNS = {" ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍"}
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>\Z")


class Pieces:
    """The tokens of one tokenizer, as a person can read them."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        backend = getattr(tokenizer, "backend_tokenizer", None)
        self._is_byte_level = backend is not None and "ByteLevel" in f"{backend.decoder} {backend.pre_tokenizer}"
        self._special = set(tokenizer.all_special_ids)
        self._added = {int(number): str(added.content) for number, added in tokenizer.added_tokens_decoder.items()}

    def is_special(self, token: int) -> bool:
        """Whether it is a mark (a beginning, a mask, padding) and no text."""
        return token in self._special

    def shown(self, token: int) -> str:
        """A token on one line, never empty: `␣parcel`, `##ing`, `⟨E2 82⟩`, `<s>`, `⟨id 40⟩` where no text has that id."""
        if token in self._added:
            return visible(self._added[token].encode()) or f"⟨id {token}⟩"
        written = self._tokenizer.convert_ids_to_tokens(token) if token < len(self._tokenizer) else None
        if not written:
            return f"⟨id {token}⟩"
        return visible(self._bytes(str(written)))

    def _bytes(self, written: str) -> bytes:
        if self._is_byte_level:
            letters = self._letters
            return b"".join(bytes([letters[c]]) if c in letters else c.encode() for c in written)
        if alone := _BYTE.match(written):
            return bytes([int(alone[1], 16)])
        return written.replace("▁", " ").encode("utf-8", "surrogatepass")

    @cached_property
    def _letters(self) -> dict[str, int]:
        """The letter that byte-level BPE writes for each byte (Radford et al. 2019, GPT-2): printable Latin-1 for
        itself, the other bytes in order by the letters from U+0100 on."""
        own = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
        others = [byte for byte in range(256) if byte not in own]
        return {chr(byte): byte for byte in own} | {chr(256 + n): byte for n, byte in enumerate(others)}


def visible(content: bytes) -> str:
    """Bytes as text on one line: signs for white space, ⟨hexadecimal⟩ for what is no whole or no printable character."""
    out: list[str] = []
    broken: list[str] = []

    def close() -> None:
        if broken:
            out.append(f"⟨{' '.join(broken)}⟩")
            broken.clear()

    for letter in content.decode("utf-8", "surrogateescape"):
        if 0xDC80 <= ord(letter) <= 0xDCFF:
            broken.append(f"{ord(letter) - 0xDC00:02X}")
            continue
        close()
        out.append(SIGNS.get(letter) or (letter if letter.isprintable() else f"⟨U+{ord(letter):04X}⟩"))
    close()
    return "".join(out)
