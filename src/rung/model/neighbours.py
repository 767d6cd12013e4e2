"""Which tokens of the vocabulary lie nearest to a vector, by angle.

For looking at embeddings and at learnt soft prompts, whose vectors are no token's own. What is drawn of it is elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from rung.errors import RungError

ROWS = 32
"""Vectors compared with the whole vocabulary at a time: memory is so many × vocabulary × 4 bytes."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A token of the vocabulary and the angle between its embedding and the vector asked about."""

    token: int
    cosine: float
    degrees: float


@torch.inference_mode()
def nearest_tokens(vectors: Any, embedding: Any, k: int) -> list[list[Neighbour]]:
    """The `k` tokens of the whole vocabulary nearest by angle to each vector, nearest first; equal angles by token id.

    `vectors` (n, hidden), `embedding` (vocabulary, hidden), both of any real dtype; computed in float32. A row of zeros
    has no direction: it is nobody's neighbour, and has none (an empty list). Fewer than `k` come back where the
    vocabulary is smaller. Raises RungError for k below 1, or where the widths differ.
    """
    if k < 1:
        raise RungError(f"{k} neighbours asked for", mend="ask for one or more")
    if vectors.ndim != 2 or embedding.ndim != 2 or vectors.shape[1] != embedding.shape[1]:
        shapes = f"vectors of shape {tuple(vectors.shape)} and embeddings of shape {tuple(embedding.shape)}"
        raise RungError(f"{shapes} have no angle between them", mend="give rows of the same width")
    table = embedding.detach().float()
    length = table.norm(dim=1)
    silent = length == 0
    table = table / length.clamp_min(torch.finfo(torch.float32).tiny)[:, None]
    out: list[list[Neighbour]] = []
    for some in vectors.detach().to(table.device).float().split(ROWS):
        own = some.norm(dim=1, keepdim=True)
        cosines = (some / own.clamp_min(torch.finfo(torch.float32).tiny)) @ table.T
        cosines = cosines.clamp(-1, 1).masked_fill(silent, -2.0)  # below every cosine
        best = cosines.sort(dim=1, descending=True, stable=True)
        angles = best.values[:, :k].clamp_min(-1).arccos().rad2deg()
        for row, has_direction in enumerate((own[:, 0] > 0).tolist()):
            found = zip(best.indices[row, :k].tolist(), best.values[row, :k].tolist(), angles[row].tolist())
            out.append([Neighbour(*one) for one in found if has_direction and one[1] > -2])
    return out


@torch.inference_mode()
def usual_angles(vectors: Any, embedding: Any) -> list[float]:
    """The median angle (degrees) between each vector (n, hidden) and all of the vocabulary: what "far" means for it.

    NaN for a row of zeros.
    """
    table = torch.nn.functional.normalize(embedding.detach().float(), dim=1)
    table = table[table.norm(dim=1) > 0]
    out: list[float] = []
    for some in vectors.detach().to(table.device).float().split(ROWS):
        own = torch.nn.functional.normalize(some, dim=1)
        angles = (own @ table.T).clamp(-1, 1).median(dim=1).values.arccos().rad2deg()
        out += angles.masked_fill(own.norm(dim=1) == 0, float("nan")).tolist()
    return out
