"""What rungs that train an encoder under a head share: copies ready to train, settings by successive halving, files.

Which head, on what, is said in `encoding` and `tagging`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rung.ladder.rung import Desk
from rung.ladder.rungs.notes import note_training
from rung.model.load import Model
from rung.model.methods.method import Kept
from rung.model.tuned import save_tuned
from rung.system.body import Body
from rung.train.classes import ClassLoss
from rung.train.encode import PLAIN
from rung.train.search import budgets, halve
from rung.train.settings import FitResult, TrainSettings

GENTLER = 10.0
"""A pretrained encoder under a fitted head wants smaller steps than a decoder that learns to answer."""
Prepare = Callable[[Model, Mapping[str, Any]], Any]
"""Makes a copy of the base that is ready to train with one setting."""


@dataclass(frozen=True)
class Training:
    """What a rung asks of a training: settings to try, epochs, rows of a step, how a copy of the base is made ready and
    kept, and the loss."""

    tried: Sequence[Mapping[str, Any]]
    epochs: int
    batch_size: int
    prepare: Prepare
    kept: Kept
    loss: ClassLoss = PLAIN

    def plan(self, settings: Mapping[str, Any], seed: int) -> TrainSettings:
        """The settings of one training."""
        return TrainSettings(
            learning_rate=settings["learning_rate"] / GENTLER,
            epochs=self.epochs,
            batch_size=self.batch_size,
            schedule="cosine",
            seed=seed,
        )


Run = Callable[[Mapping[str, Any], int, int | None], tuple[Any, FitResult]]
"""Trains with some settings, as trial number so-and-so, up to a step (None: to the end)."""


def best_of(desk: Desk, asked: Training, rows: int, run: Run) -> Any:
    """The module of the best settings at its best checkpoint, by successive halving; `rows` are read in an epoch."""

    def trial(index: int, settings: Mapping[str, Any], budget: int) -> float:
        _, result = run(settings, index, budget)
        return result.best_score if result.best_score is not None else 0.0

    steps = asked.epochs * -(-rows // asked.batch_size)
    found = halve([dict(one) for one in asked.tried], budgets(steps, len(asked.tried)), trial, store=desk)
    module, result = run(found.chosen, found.index, None)
    note_training(desk, result, found.chosen, found)
    return module


def head_of(module: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of a trained head, float32."""
    weight = module.head.weight.detach().cpu().numpy().astype(np.float32)
    return weight, module.head.bias.detach().cpu().numpy().astype(np.float32)


def writer(body: Body, module: Any, kept: Kept) -> Callable[[Path], None]:
    """Writes a trained encoder into a bundle, in its small form."""

    def write(folder: Path) -> None:
        save_tuned(module, kept, folder, body.model)

    return write
