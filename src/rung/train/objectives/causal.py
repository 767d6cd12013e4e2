"""The causal objective: every token is predicted from those before it (Bengio et al. 2003; Radford et al. 2018)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rung.train.objectives.attend import earlier, mask_for, positions
from rung.train.objectives.objective import Batch, Form, Prepared
from rung.train.objectives.rows import Draw, NoiseSettings, Rows, Tokens, scaled


def prepare(rows: Rows, tokens: Tokens, noise: NoiseSettings, draw: Draw) -> Prepared:
    """Nothing is spoilt. The first token of a row, and of each document where they are apart, is not predicted."""
    batch, targets = next_tokens(rows, rows.weights)
    if rows.apart:
        batch["segments"] = torch.from_numpy(rows.segments.astype(np.int64))
    return Prepared(batch, targets)


def next_tokens(rows: Rows, weights: np.ndarray) -> tuple[dict[str, torch.Tensor], int]:
    """`input_ids`, `labels` and `weights` (rows, length): place i predicts token i + 1; and the number of targets."""
    ahead = np.zeros(weights.shape, dtype=np.float32)
    ahead[:, :-1] = weights[:, 1:]
    labels = np.roll(rows.ids, -1, axis=1).astype(np.int64)
    if rows.apart:
        ahead[:, :-1][rows.segments[:, 1:] != rows.segments[:, :-1]] = 0.0
    ahead, targets = scaled(ahead)
    made = {"input_ids": rows.ids.astype(np.int64), "labels": labels, "weights": ahead}
    return {name: torch.from_numpy(np.ascontiguousarray(part)) for name, part in made.items()}, targets


def inputs(module: Any, batch: Batch) -> dict[str, Any]:
    """Plain rows, or rows under a mask that keeps documents apart, each with positions of its own."""
    given: dict[str, Any] = {"input_ids": batch["input_ids"], "use_cache": False}
    if "segments" in batch:
        prefix = batch.get("prefix")
        given["attention_mask"] = mask_for(module, earlier(batch["segments"], prefix))
        given["position_ids"] = positions(batch["segments"])
    return given


def body(module: Any) -> Any:
    """What a decoder's head reads."""
    return module.base_model


causal = Form(prepare, inputs, body)
