"""Rows of packed documents as they come from disk, and the tokens and shares that an objective needs to change them.

Only values live here: what an objective makes of them is in its own file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rung.errors import RungError

PADDING = -1
"""The document number of padding."""


@dataclass(frozen=True)
class NoiseSettings:
    """How text is spoilt for the objectives that mend it.

    `share` of the tokens is predicted (BERT and T5: 0.15). Masked: of these, the share `mask` is replaced by the mask,
    `random` by another token, and the rest stays (Devlin et al. 2019: 0.8, 0.1); `whole_words` draws words instead of
    tokens. Spans have `mean_span` tokens on average (Raffel et al. 2020: 3).
    """

    share: float = 0.15
    mask: float = 0.8
    random: float = 0.1
    whole_words: bool = False
    mean_span: float = 3.0

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise RungError(f"share is {self.share}", where="train.noise", mend="give more than 0 and less than 1")
        if self.mask < 0 or self.random < 0 or self.mask + self.random > 1:
            raise RungError(
                f"mask {self.mask} and random {self.random} are no shares of one whole",
                where="train.noise",
                mend="give two shares that sum to at most 1",
            )
        if self.mean_span < 1:
            raise RungError(f"mean_span is {self.mean_span}", where="train.noise", mend="give 1 or more tokens")


@dataclass(frozen=True)
class Tokens:
    """What an objective must know of the tokenizer: ids only.

    `special` are never spoilt. `begins_word[id]` says that a token begins a word. `sentinels` stand for spans, the first
    for the first one.
    """

    vocabulary: int
    pad: int
    end: int
    start: int = 0
    mask: int | None = None
    sentinels: tuple[int, ...] = ()
    special: frozenset[int] = frozenset()
    begins_word: np.ndarray | None = None

    @classmethod
    def of(cls, tokenizer: Any, start: int | None = None) -> Tokens:
        """Read off a fast tokenizer; `start` is what a decoder begins with (the model's `decoder_start_token_id`)."""
        pad = tokenizer.pad_token_id
        pad = pad if pad is not None else tokenizer.eos_token_id
        return cls(
            vocabulary=len(tokenizer),
            pad=pad,
            end=tokenizer.eos_token_id,
            start=pad if start is None else start,
            mask=tokenizer.mask_token_id,
            sentinels=sentinels_of(tokenizer),
            special=frozenset(tokenizer.all_special_ids) | frozenset(sentinels_of(tokenizer)),
            begins_word=word_starts(tokenizer),
        )


@dataclass(frozen=True)
class Rows:
    """Packed documents: `ids`, `weights` (of each token as a prediction) and `documents` (its number in the row from 0,
    -1 for padding), all of shape (rows, length). Where `apart`, documents of a row never see one another."""

    ids: np.ndarray
    weights: np.ndarray
    documents: np.ndarray
    apart: bool = False

    @property
    def segments(self) -> np.ndarray:
        """Numbers of what may see each other: documents where they are apart, else the whole row."""
        return self.documents if self.apart else np.minimum(self.documents, 0)

    def pieces(self, row: int) -> list[slice]:
        """The stretches of `row` that are one segment each, padding left out."""
        numbers = self.segments[row]
        ends = [*(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
        starts = [0, *ends[:-1]]
        return [slice(a, b) for a, b in zip(starts, ends, strict=True) if numbers[a] != PADDING]


def sentinel(number: int) -> str:
    """The text of a sentinel, as T5 writes it."""
    return f"<extra_id_{number}>"


def sentinels_of(tokenizer: Any) -> tuple[int, ...]:
    """Ids of `<extra_id_0>`, `<extra_id_1>` … as far as the tokenizer has them."""
    vocabulary = tokenizer.get_vocab()
    found: list[int] = []
    while sentinel(len(found)) in vocabulary:
        found.append(vocabulary[sentinel(len(found))])
    return tuple(found)


def word_starts(tokenizer: Any) -> np.ndarray:
    """Shape (vocabulary,), bool: whether a token begins a word.

    Byte-level BPE and Unigram write the space before a word into its first token (`Ġ`, `▁`), WordPiece marks what goes on
    inside one with `##`. A token without a letter or digit is a word of its own.
    """
    words: Sequence[str] = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    pieces = any(word.startswith("##") for word in words)
    return np.array([_begins(word, pieces) for word in words], dtype=bool)


def _begins(word: str, pieces: bool) -> bool:
    if pieces:
        return not word.startswith("##")
    return word[:1] in ("Ġ", "▁", "Ċ") or not any(sign.isalnum() for sign in word)


def words_of(ids: np.ndarray, tokens: Tokens) -> np.ndarray:
    """The number of the word that each of some tokens (n,) belongs to, from 0."""
    if tokens.begins_word is None:
        return np.arange(len(ids))
    starts = tokens.begins_word[ids].copy()
    special = np.isin(ids, list(tokens.special))
    starts |= special
    starts[1:] |= special[:-1]  # what stands behind a special token begins anew
    starts[:1] = True
    return np.cumsum(starts) - 1


def scaled(weights: np.ndarray) -> tuple[np.ndarray, int]:
    """Weights that sum to the number of those above 0, and this number: the loss of a step is their weighted mean."""
    targets = int((weights > 0).sum())
    return (weights * (targets / max(float(weights.sum()), 1e-9))).astype(np.float32), targets


Draw = Sequence[np.random.Generator]
"""A source of randomness for each row, so that how a step is cut into pieces changes nothing."""
