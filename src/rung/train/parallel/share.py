"""Which pieces of a step a process computes. Every process builds the same step, so none has to be sent.

A piece is a batch and the factor of its loss: 1, or 0 where a process has nothing to do and computes along only so that
all call the same collectives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from rung.train.pack import IGNORED

Batch = Mapping[str, torch.Tensor]


def shares(micros: Sequence[Batch], rank: int, ranks: int) -> list[tuple[Batch, float]]:
    """What process `rank` of `ranks` computes of `micros`: as many pieces in every process, all rows in some.

    Whole batches go round; what is left over is cut by rows, so that the work is even.
    """
    if ranks == 1:
        return [(batch, 1.0) for batch in micros]
    rounds = len(micros) // ranks * ranks
    own = [(batch, 1.0) for batch in micros[:rounds][rank::ranks]]
    for batch in micros[rounds:]:
        part = rows_of(batch, rank, ranks)
        own.append((part, 1.0) if carries_loss(part) else (batch, 0.0))
    return own


def rows_of(batch: Batch, rank: int, ranks: int) -> Batch:
    """Every `ranks`-th row from row `rank` on. A batch whose tensors have no rows in common stays with process 0."""
    sizes = {part.shape[0] if part.dim() else 0 for part in batch.values()}
    if len(sizes) != 1 or 0 in sizes:
        return batch if rank == 0 else {}
    return {name: part[rank::ranks] for name, part in batch.items()}


def carries_loss(batch: Batch) -> bool:
    """Whether some row of the batch has a target."""
    if not batch or not all(len(part) for part in batch.values()):
        return False
    if "weights" in batch:
        return bool((batch["weights"][:, 1:] > 0).any())
    if "labels" in batch:
        return bool((batch["labels"] != IGNORED).any())
    return True
