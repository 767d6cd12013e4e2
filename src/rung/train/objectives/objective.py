"""An objective: how rows become a batch, and the loss of the tokens it predicts. `OBJECTIVES` lists them.

Corruption is a function of rows and of a random source for each of them, so that a run that goes on sees what one that
never stopped would have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from rung.train.objectives.attend import scores
from rung.train.objectives.rows import Draw, NoiseSettings, Rows, Tokens

Batch = Mapping[str, torch.Tensor]
Architecture = Literal["decoder", "encoder", "encoder-decoder"]


@dataclass(frozen=True)
class Prepared:
    """A batch as tensors, and the number of its targets.

    `labels` and `weights` have the shape of what the body of the module gives: the token that each place predicts, and
    how much that counts.
    """

    batch: dict[str, torch.Tensor]
    targets: int


@dataclass(frozen=True)
class Form:
    """What an objective does: `prepare` spoils rows, `inputs` says how a module is called on a batch.

    `body` gives the part of the module whose last hidden state the head reads; `prefixed` says that a batch marks a
    stretch that is read in both directions.
    """

    prepare: Callable[[Rows, Tokens, NoiseSettings, Draw], Prepared]
    inputs: Callable[[Any, Batch], dict[str, Any]]
    body: Callable[[Any], Any]
    prefixed: bool = False


@dataclass(frozen=True)
class Objective:
    """A named objective. It fits modules of one `architecture`; `predicts_next` tells it from those that mend a text."""

    architecture: Architecture
    form: Form
    predicts_next: bool = True

    def prepare(self, rows: Rows, tokens: Tokens, noise: NoiseSettings, draw: Draw) -> Prepared:
        """Rows as a batch, spoilt where the objective asks for it. Only the targets have a weight above 0."""
        return self.form.prepare(rows, tokens, noise, draw)

    def losses(self, module: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Cross-entropy (nats, float32), weight and id of each target, all of shape (targets,).

        Raises RungError where no token of the batch carries weight.
        """
        weights, labels = batch["weights"].reshape(-1), batch["labels"].reshape(-1)
        picked = weights.nonzero().squeeze(1)
        logits = scores(module, self.form.body(module), picked, self.form.inputs(module, batch))
        wanted = labels[picked]
        losses = torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
        return losses, weights[picked].float(), wanted

    def loss(self, module: Any, batch: Batch) -> torch.Tensor:
        """Cross-entropy (nats) of the targets, each times its weight, summed; the loop divides by the step's targets."""
        losses, weights, _ = self.losses(module, batch)
        return (losses * weights).sum()
