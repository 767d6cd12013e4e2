"""The masked objective: some tokens are hidden and found again from both sides (Devlin et al. 2019).

Of the drawn tokens most are replaced by the mask, some by another token, and the rest stay. With whole words, all tokens
of a drawn word are hidden (Cui et al. 2021).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rung.errors import RungError
from rung.train.objectives.attend import mask_for, positions, same
from rung.train.objectives.objective import Batch, Form, Prepared
from rung.train.objectives.rows import Draw, NoiseSettings, Rows, Tokens, scaled, words_of


def prepare(rows: Rows, tokens: Tokens, noise: NoiseSettings, draw: Draw) -> Prepared:
    """Hide `noise.share` of the tokens of each row, never special ones nor such as carry no weight."""
    if tokens.mask is None:
        raise RungError("the tokenizer has no mask token", where="train", mend="train one, or choose another objective")
    ids, weights = rows.ids.astype(np.int64), np.zeros(rows.ids.shape, dtype=np.float32)
    plain = np.setdiff1d(np.arange(tokens.vocabulary), list(tokens.special))
    for row, rng in enumerate(draw):
        free = (rows.weights[row] > 0) & ~np.isin(ids[row], list(tokens.special))
        chosen = _words(ids[row], free, tokens, noise, rng) if noise.whole_words else _tokens(free, noise, rng)
        weights[row, chosen] = rows.weights[row, chosen]
        fate = rng.random(len(chosen))
        ids[row, chosen[fate < noise.mask]] = tokens.mask
        other = chosen[(fate >= noise.mask) & (fate < noise.mask + noise.random)]
        ids[row, other] = rng.choice(plain, size=len(other))
    weights, targets = scaled(weights)
    batch = {"input_ids": torch.from_numpy(ids), "weights": torch.from_numpy(weights)}
    batch["labels"] = torch.from_numpy(rows.ids.astype(np.int64))
    if rows.apart:
        batch["segments"] = torch.from_numpy(rows.segments.astype(np.int64))
    else:
        batch["attention_mask"] = torch.from_numpy((rows.segments >= 0).astype(np.int64))
    return Prepared(batch, targets)


def _tokens(free: np.ndarray, noise: NoiseSettings, rng: np.random.Generator) -> np.ndarray:
    places = np.flatnonzero(free)
    count = _count(len(places), noise.share, rng)
    return np.sort(rng.permutation(places)[:count])


def _words(
    ids: np.ndarray, free: np.ndarray, tokens: Tokens, noise: NoiseSettings, rng: np.random.Generator
) -> np.ndarray:
    """Words in drawn order while they fit into the share; a word that would go beyond it is left out."""
    words = np.where(free, words_of(ids, tokens), -1)
    known, sizes = np.unique(words[free], return_counts=True)
    room = _count(int(free.sum()), noise.share, rng)
    taken: list[int] = []
    for i in rng.permutation(len(known)):
        if sizes[i] <= room:
            taken.append(int(known[i]))
            room -= int(sizes[i])
    return np.flatnonzero(np.isin(words, taken) & free)


def _count(places: int, share: float, rng: np.random.Generator) -> int:
    """The share of some places as a whole number, rounded at random so that short rows keep it on average."""
    return min(places, int(places * share + rng.random()))


def inputs(module: Any, batch: Batch) -> dict[str, Any]:
    """Rows that see all of themselves, or documents that see all of themselves."""
    given: dict[str, Any] = {"input_ids": batch["input_ids"]}
    if "segments" in batch:
        given["attention_mask"] = mask_for(module, same(batch["segments"], batch["segments"]))
        given["position_ids"] = positions(batch["segments"])
    else:
        given["attention_mask"] = batch["attention_mask"]
    return given


def body(module: Any) -> Any:
    """What an encoder's head reads."""
    return module.base_model


masked = Form(prepare, inputs, body)
