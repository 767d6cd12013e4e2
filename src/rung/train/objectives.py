"""What a training step minimises: functions of a module and a batch, handed to the one loop by name.

A batch holds `input_ids` (rows, length) and `weights` (rows, length): how much each token counts as a prediction.
Building batches and moving weights is done elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from rung.errors import RungError
from rung.model.shapes import COUNT_STEP, rounded

Batch = Mapping[str, torch.Tensor]
Objective = Callable[[Any, Batch], torch.Tensor]


def causal(module: Any, batch: Batch) -> torch.Tensor:
    """Cross-entropy (nats) of the next token, each times its weight, summed; the loop divides by the step's targets.

    The vocabulary is only scored where a weight is above 0, which saves most of the head's work where prompts carry no
    loss. Raises RungError where no token of the batch carries weight.
    """
    losses, weights = token_losses(module, batch)
    return (losses * weights).sum()


def token_losses(module: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy (nats, float32) and weight of each token that carries weight, both of shape (tokens,)."""
    ids, weights = batch["input_ids"], batch["weights"][:, 1:].reshape(-1)
    picked = weights.nonzero().squeeze(1)
    if picked.numel() == 0:
        raise RungError("no token of the batch carries loss", where="train", mend="give answers or text a weight")
    hidden = module.base_model(input_ids=ids, use_cache=False).last_hidden_state
    hidden = hidden[:, :-1].reshape(-1, hidden.shape[-1])[picked]
    spare = rounded(len(hidden), COUNT_STEP) - len(hidden)
    logits = module.get_output_embeddings()(torch.nn.functional.pad(hidden, (0, 0, 0, spare)))[: len(hidden)].float()
    targets = ids[:, 1:].reshape(-1)[picked]
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none"), weights[picked].float()


OBJECTIVES: dict[str, Objective] = {"causal": causal}
