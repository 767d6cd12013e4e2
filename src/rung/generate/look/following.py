"""What comes next: the probabilities that an answer would be drawn from, by `sampling`'s own order of filters."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from rung.generate.look.found import Chance, Following
from rung.generate.sampling import filtered
from rung.model.pieces import Pieces
from rung.types import Sampling


@torch.inference_mode()
def following(logits: torch.Tensor, sampling: Sampling, pieces: Pieces, shown: int, place: int | None) -> Following:
    """The `shown` likeliest tokens of one row of logits (vocabulary,), by id where equal; entropies in bits."""
    row = logits.float()[None]
    bare = Sampling(temperature=1.0)
    model = filtered(row, [bare])[0]
    tempered = filtered(row, [replace(bare, temperature=sampling.temperature)])[0]
    drawn = filtered(row, [sampling])[0]
    drawn = drawn / drawn.sum()  # the draw goes by shares of what is left
    best = model.sort(descending=True, stable=True).indices[:shown].tolist()
    chances = tuple(
        Chance(token, pieces.shown(token), float(model[token]), float(tempered[token]), float(drawn[token]))
        for token in best
    )
    return Following(place, chances, int((drawn > 0).sum()), len(model), entropy(model), entropy(drawn))


def entropy(shares: torch.Tensor) -> float:
    """−Σ p log2 p, in bits (Shannon 1948)."""
    return max(0.0, float(-(shares.double() * shares.double().clamp_min(1e-300).log()).sum() / math.log(2)))
