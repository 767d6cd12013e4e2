"""Losses of a classifier by name: logits and right labels in, one loss a row out.

How rows are weighted and averaged is said once, in `classes`; sums over the pieces of a step are the loop's.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rung.errors import RungError
from rung.train.classes import ClassLoss

RowLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Logits (n, labels), float32 or float64, and label numbers (n,) to losses (n,)."""


def cross_entropy(settings: ClassLoss, labels: Sequence[str]) -> RowLoss:
    """-log p of the right label in nats; smoothed: (1 - ε) of that and ε of the mean over all labels (Szegedy et al. 2016).

    With weights a row counts by its right label's, in both parts (torch weighs the even part label by label).
    """

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(logits, targets, reduction="none", label_smoothing=settings.smoothing)

    return loss


def focal(settings: ClassLoss, labels: Sequence[str]) -> RowLoss:
    """-(1 - p)^γ log p of the right label (Lin et al. 2017, equation 4); with `alpha` as weights, equation 5."""

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logp = torch.log_softmax(logits, -1).gather(1, targets[:, None])[:, 0]
        # 1 - p from below 1e-7 on has no slope that float32 could hold, and x^γ none at 0 for γ below 1
        return -(-torch.expm1(logp)).clamp_min(1e-7).pow(settings.gamma) * logp

    return loss


def cost(settings: ClassLoss, labels: Sequence[str]) -> RowLoss:
    """Σⱼ costᵢⱼ pⱼ for a row of label i: what its answer costs on average when answers are drawn by probability."""
    matrix = torch.tensor(settings.cost_matrix(labels), dtype=torch.float32)

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (matrix.to(logits)[targets] * torch.softmax(logits, -1)).sum(-1)

    return loss


LOSSES: Mapping[str, Callable[[ClassLoss, Sequence[str]], RowLoss]] = {
    "cross-entropy": cross_entropy,
    "focal": focal,
    "cost": cost,
}


def row_loss(settings: ClassLoss, labels: Sequence[str]) -> RowLoss:
    """The loss that the settings name. Raises RungError for a function of the user's that is not there."""
    if settings.loss in LOSSES:
        return LOSSES[settings.loss](settings, labels)
    return checked(_imported(settings.loss), settings.loss)


def _imported(name: str) -> RowLoss:
    module, _, attribute = name.partition(":")
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise RungError(
            f"cannot import {module}: {error}", where="loss", mend="install it, or set PYTHONPATH"
        ) from error
    function: RowLoss | None = getattr(found, attribute, None)
    if not callable(function):
        raise RungError(f"{module} has no function {attribute}", where="loss", mend="write package.module:function")
    return function


def checked(function: RowLoss, name: str) -> RowLoss:
    """A function of the user's whose answer is looked at: one loss a row, or RungError."""

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        found: Any = function(logits, targets)
        if not isinstance(found, torch.Tensor) or found.shape != targets.shape:
            shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
            what = f"{name} gave {shape} for {len(targets)} rows"
            raise RungError(what, where="loss", mend="return one loss a row, shape (n,), unreduced")
        return found

    return loss


def step_weights(codes: Sequence[int] | np.ndarray, class_weights: np.ndarray | None) -> np.ndarray:
    """Weights of a step's rows (n,), scaled to sum to n: a sum over them, divided by n, is the mean under the weights.

    However a step is cut into pieces, its rows keep these weights, so accumulation changes nothing.
    """
    if class_weights is None or len(codes) == 0:
        return np.ones(len(codes))
    own = class_weights[np.asarray(codes, dtype=int)]
    scaled: np.ndarray = own * len(own) / own.sum()
    return scaled


@dataclass(frozen=True)
class ClassObjective:
    """An objective for the one loop: the weighted sum of a batch's row losses.

    A batch holds `labels` (any shape, -100 where nothing is to be learnt) and `weights` of the same shape.
    """

    loss: RowLoss

    def __call__(self, module: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The summed loss, a scalar."""
        labels = batch["labels"].flatten()
        picked = (labels != -100).nonzero().squeeze(1)
        logits = module(batch["input_ids"], batch["attention_mask"]).flatten(0, -2)
        losses = self.loss(logits[picked].float(), labels[picked])
        return (losses * batch["weights"].flatten()[picked]).sum()
