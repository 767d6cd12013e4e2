"""The prefix objective: a drawn stretch at the start is read in both directions, the rest is predicted token by token.

After Raffel et al. 2020 (prefix LM), on a decoder under an explicit mask. Loss falls on what stands behind the prefix.
"""

from __future__ import annotations

import numpy as np
import torch

from rung.train.objectives.causal import body, inputs, next_tokens
from rung.train.objectives.objective import Form, Prepared
from rung.train.objectives.rows import Draw, NoiseSettings, Rows, Tokens


def prepare(rows: Rows, tokens: Tokens, noise: NoiseSettings, draw: Draw) -> Prepared:
    """Each segment of n tokens gets a prefix of 1 to n - 1, drawn evenly; a segment of one token has no target."""
    within = np.zeros(rows.ids.shape, dtype=bool)
    for row, rng in enumerate(draw):
        for piece in rows.pieces(row):
            count = piece.stop - piece.start
            length = int(rng.integers(1, count)) if count > 1 else 1
            within[row, piece.start : piece.start + length] = True
    batch, targets = next_tokens(rows, np.where(within, 0.0, rows.weights))
    batch["segments"] = torch.from_numpy(rows.segments.astype(np.int64))
    batch["prefix"] = torch.from_numpy(within)
    return Prepared(batch, targets)


prefix = Form(prepare, inputs, body, prefixed=True)
