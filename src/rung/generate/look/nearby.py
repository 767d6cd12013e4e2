"""Whose neighbours in the vocabulary are shown: words asked for, tokens of the text, learnt vectors of a soft prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from rung.errors import RungError
from rung.generate.look.found import Near, Neighbourhood, Token
from rung.generate.look.opened import Opened
from rung.generate.look.settings import Wanted
from rung.model.neighbours import nearest_tokens, usual_angles
from rung.model.pieces import Pieces

MOST = 12
"""Tokens of the text whose neighbours are shown where none were asked for."""


def neighbourhoods(
    opened: Opened, tokens: Sequence[Token], wanted: Wanted, pieces: Pieces
) -> tuple[tuple[Neighbourhood, ...], list[str]]:
    """The neighbours, those of learnt vectors first, and what is left out."""
    asked, notes = _asked(opened, tokens, wanted, pieces)
    table = opened.embedding
    found: list[Neighbourhood] = []
    if (vectors := opened.vectors) is not None:
        names = {f"learnt vector {n}": None for n in range(len(vectors))}
        found += _around(vectors, names, table, wanted.neighbours, pieces)
    if asked:
        rows = table[torch.tensor(list(asked.values()), device=table.device)]
        found += _around(rows, asked, table, wanted.neighbours, pieces)
    return tuple(found), notes


def _asked(opened: Opened, tokens: Sequence[Token], wanted: Wanted, pieces: Pieces) -> tuple[dict[str, int], list[str]]:
    asked: dict[str, int] = {}
    for word in wanted.words:
        asked |= {pieces.shown(token): token for token in ids_of(opened, word, pieces)}
    for place in wanted.positions:
        if place >= len(tokens):
            told = f"there is no token {place}: the text has {len(tokens)}, counted from 0"
            raise RungError(told, where="--token", mend=f"give 0 to {len(tokens) - 1}")
        asked[f"{tokens[place].piece} (token {place})"] = tokens[place].id
    if asked:
        return asked, []
    own = {token.piece: token.id for token in tokens if not token.special}
    notes = []
    if len(own) > MOST:
        notes.append(
            f"neighbours are shown for the first {MOST} of {len(own)} different tokens; ask by --word or --token"
        )
    return dict(list(own.items())[:MOST]), notes


def ids_of(opened: Opened, word: str, pieces: Pieces) -> list[int]:
    """The tokens that are this word, within a text and at its beginning. Raises RungError where no single one is."""
    tokenizer = opened.model.tokenizer
    word = word.replace("␣", " ")  # as tokens are shown
    found = [token for text in (f" {word}", word) for token in _alone(tokenizer, text)]
    # Some tokenizers put a blank before a text themselves: there the word without one is the one within a text.
    if found := found or _alone(tokenizer, word.lstrip()):
        return list(dict.fromkeys(found))
    split = list(map(int, tokenizer(word, add_special_tokens=False)["input_ids"]))
    if not split or all(token == tokenizer.unk_token_id for token in split):
        raise RungError(f"the vocabulary knows nothing of {word!r}", where="--word", mend="ask for another word")
    told = " ".join(pieces.shown(token) for token in split[:8]) + (" …" if len(split) > 8 else "")
    raise RungError(
        f"{word!r} is no token of the vocabulary ({len(split)} tokens: {told})",
        where="--word",
        mend="ask for one of these",
    )


def _alone(tokenizer: Any, text: str) -> list[int]:
    """The one known token that a text is, if it is one."""
    ids = list(map(int, tokenizer(text, add_special_tokens=False)["input_ids"]))
    known = len(ids) == 1 and (ids[0] != tokenizer.unk_token_id or text.strip() == tokenizer.unk_token)
    return ids if known else []


def _around(
    vectors: torch.Tensor, names: Mapping[str, int | None], table: torch.Tensor, k: int, pieces: Pieces
) -> list[Neighbourhood]:
    """One more than `k` are looked for: a token is its own nearest, and is left out of its list."""
    usual = usual_angles(vectors, table)
    out = []
    for (name, own), rows, angle in zip(names.items(), nearest_tokens(vectors, table, k + 1), usual):
        near = [Near(one.token, pieces.shown(one.token), one.cosine, one.degrees) for one in rows if one.token != own]
        out.append(Neighbourhood(name, own, None if math.isnan(angle) else angle, tuple(near[:k])))
    return out
