"""The companion of a training: it judges, remembers the best weights, stops early, and completes checkpoints.

What is kept, and how it lies on disk, is in `keep`; the loop that calls this after each step is in `trainer`.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers

from rung.model.randomness import kept_randomness
from rung.train.keep import RECORD, Best, Ledger
from rung.train.parallel.layout import Layout
from rung.train.settings import CurvePoint, TrainSettings

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Judgement:
    """What an evaluation found: the task's own score (greater is better) and the validation loss."""

    score: float | None = None
    validation_loss: float | None = None

    @property
    def rank(self) -> float | None:
        """What decides which weights are best."""
        if self.score is not None:
            return self.score
        return None if self.validation_loss is None else -self.validation_loss


@dataclass
class Keeper(transformers.TrainerCallback):
    """Judges, remembers the best weights, stops early, and puts finished checkpoints in their place."""

    module: Any
    ledger: Ledger
    settings: TrainSettings
    folder: Path
    last: int
    evaluate: Callable[[], Judgement] | None
    eval_every: int
    identity: str
    progress: Progress | None
    layout: Layout = field(default_factory=Layout)
    always_save: bool = False
    saved_at: float = field(default_factory=time.monotonic)
    busy_since: float = 0.0

    def __post_init__(self) -> None:
        self.busy_since = time.process_time() - self.ledger.unjudged

    def saw(self, loss: float, targets: int, tokens: int) -> None:
        """Take note of one step's mean loss (nats a target)."""
        self.ledger.loss_sum += loss * targets
        self.ledger.loss_targets += targets
        self.ledger.tokens += tokens

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Judge where it is time to, and decide whether to stop and whether to save."""
        step = int(state.global_step)
        due = self.eval_every > 0 and step % self.eval_every == 0
        if due or step >= self.last:
            self._judge(step)
        if self.progress:
            self.progress(step, self.last)
        if step >= self.last or self.ledger.stopped:
            control.should_training_stop = True
            control.should_save = self.always_save
            return
        every = self.settings.checkpoint_seconds
        due = every is not None and time.monotonic() - self.saved_at >= every
        control.should_save = every is not None and self.layout.team.decides(due)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Complete the checkpoint that the Trainer wrote, give it its name, and drop older ones."""
        name = f"checkpoint-{state.global_step}"
        self.ledger.unjudged = time.process_time() - self.busy_since
        written = Path(args.output_dir) / name
        self.saved_at = time.monotonic()
        if not self.layout.team.lead:
            shutil.rmtree(written)
            return
        (written / RECORD).write_text(json.dumps(self.ledger.record(self.identity)))
        if self.ledger.best is not None:
            self.ledger.best.write(written)
        older = [path for path in self.folder.glob("checkpoint-*") if path.name != name]
        shutil.rmtree(self.folder / name, ignore_errors=True)
        written.replace(self.folder / name)
        for path in older:
            shutil.rmtree(path)

    def _judge(self, step: int) -> None:
        judgement, before = Judgement(), self.ledger.spent[-1] if self.ledger.spent else 0.0
        self.ledger.spent.append(before + time.process_time() - self.busy_since)
        self.ledger.unjudged = 0.0
        if self.evaluate is not None:
            self.module.eval()
            with kept_randomness(), torch.no_grad():
                judgement = Judgement(**self.layout.team.tell(asdict(self.layout.judge(self.evaluate))))
        ledger = self.ledger
        loss = ledger.loss_sum / max(1, ledger.loss_targets)
        ledger.loss_sum, ledger.loss_targets = 0.0, 0
        ledger.curve.append(CurvePoint(step, ledger.tokens, loss, judgement.score, judgement.validation_loss))
        rank = judgement.rank
        if rank is None:
            return
        if ledger.best_rank is None or rank > ledger.best_rank:
            ledger.best_rank, ledger.best_step, ledger.waited = rank, step, 0
            if ledger.best is not None:
                ledger.best.drop()
            ledger.best = Best.of(self.layout.weights(self.module), self.folder, step)
            return
        ledger.waited += 1
        if self.settings.patience is not None and ledger.waited >= self.settings.patience:
            ledger.stopped = "patience"
