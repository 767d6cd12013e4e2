"""What is seen of a pretraining under way: progress lines with the time left, and validations kept in a file.

Nothing here changes what is computed; the loop calls it between steps.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rung.run import read_json, write_atomic
from rung.train.keep import latest_checkpoint, step_of_checkpoint
from rung.train.keeper import Judgement
from rung.train.objectives.objective import Batch, Objective
from rung.train.stream import Steps

Report = Callable[[str], None]
POINTS = 100  # of the training curve
CHECKS = 20  # validations in a run


@dataclass
class Watch:
    """Told of every step. `checks` are the validation's rows, `show` writes samples with each validation.

    Of several processes each counts its own share of the losses, and one `writes`."""

    module: Any
    objective: Objective
    checks: Steps | None
    folder: Path
    steps: int
    report: Report
    by_weight: bool = False
    writes: bool = True
    show: Callable[[int], None] | None = None
    _first: int | None = None
    _began: float = field(default_factory=time.monotonic)
    _loss: float = 0.0
    _weight: float = 0.0

    def __post_init__(self) -> None:
        self._every = max(1, self.steps // POINTS)
        self._step = step_of_checkpoint(latest_checkpoint(self.folder / "checkpoints"))

    @property
    def file(self) -> Path:
        """Where validations are kept: by step, by kind of text, mean losses in nats."""
        return self.folder / "validation.json"

    def loss(self, module: Any, batch: Batch) -> torch.Tensor:
        """The objective's loss, noted for the next line."""
        loss = self.objective.loss(module, batch)
        self._loss += float(loss.detach())
        self._weight += float(batch["weights"].sum())
        return loss

    def progress(self, step: int, last: int) -> None:
        """One line every hundredth of the run."""
        if self._first is None:
            self._first, self._began = step, time.monotonic()
        self._step = step
        if step > self._first and (step % self._every == 0 or step == last):
            spent = time.monotonic() - self._began
            left = spent / (step - self._first) * (self.steps - step)
            loss = self._loss / max(self._weight, 1e-9)
            self._loss = self._weight = 0.0
            self.report(f"step {step}/{self.steps}  loss {loss:.3f}  {spent / 60:.1f} min, {left / 60:.1f} to go")

    def judge(self) -> Judgement:
        """Validate now and then. No score is returned: the last weights are the ones that count, not the best."""
        step = self._step + 1
        if step % max(self._every, self.steps // CHECKS) < self._every or step == self.steps:
            self.validate(step)
        return Judgement()

    def validate(self, step: int) -> None:
        """Measure the module as it stands, keep it under `step`, and write samples."""
        if self.checks is not None:
            found = validation_losses(self.module, self.checks, by_weight=self.by_weight)
            if self.writes:
                known = read_json(self.file) if self.file.exists() else {}
                write_atomic(self.file, json.dumps({**known, str(step): found}, indent=1))
            self.report(f"step {step}  " + "  ".join(f"loss of {name} {value:.3f}" for name, value in found.items()))
        if self.show is not None:
            self.show(step)


@torch.no_grad()
def validation_losses(module: Any, steps: Steps, *, by_weight: bool = False) -> Mapping[str, float]:
    """Mean loss (nats a target) over all rows; `by_weight` parts tokens of answers (weight 1 or more) from text."""
    losses, weights = [], []
    was_training = module.training
    module.eval()
    for number in range(len(steps)):
        rows = steps.corpus.rows(number)
        made = steps[number]
        if not made["targets"]:
            continue
        scale = 1.0 if not by_weight else made["targets"] / max(float(rows.weights[:, 1:].sum()), 1e-9)
        batch = {name: part.to(module.device) for name, part in made["micros"][0].items()}
        found, weight, _ = steps.objective.losses(module, batch)
        losses.append(found)
        weights.append(weight / scale)
    module.train(was_training)
    loss, weight = torch.cat(losses), torch.cat(weights)
    if not by_weight:
        return {"text": round(float((loss * weight).sum() / weight.sum()), 4)}
    groups = {"answers": loss[weight >= 1 - 1e-3], "text": loss[weight < 1 - 1e-3]}
    return {name: round(float(values.mean()), 4) for name, values in groups.items() if len(values)}
