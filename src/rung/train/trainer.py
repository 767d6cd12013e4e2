"""The one training loop: `transformers.Trainer`, told what a step is, what its loss is, and how it is judged.

A step brings the batches of one optimizer step and the number of targets in them; an objective turns a batch into a
summed loss. Everything that tunes or pretrains hands both to `train`. Checkpoints hold what moves and nothing else,
and take their name only when complete. What the examples mean is not known here.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors.torch
import torch
import transformers
from transformers.trainer_callback import PrinterCallback

from rung.errors import RungError
from rung.model.randomness import kept_randomness
from rung.train.keep import (
    RECORD,
    WEIGHTS,
    Best,
    Ledger,
    latest_checkpoint,
    load_weights,
    step_of_checkpoint,
    trainable_weights,
)
from rung.train.settings import CurvePoint, Diverged, FitResult, TrainSettings

Objective = Callable[[Any, Mapping[str, torch.Tensor]], torch.Tensor]
Progress = Callable[[int, int], None]
LARGE = 50_000_000  # weights from which a second of care for memory is worth it
SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}


class Steps(Protocol):
    """All steps of a training. `steps[i]` is `{"micros": [batch, …], "targets": int, "tokens": int}`."""

    def __len__(self) -> int: ...

    def __getitem__(self, step: int) -> dict[str, Any]: ...


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


def train(
    module: Any,
    steps: Steps,
    objective: Objective,
    settings: TrainSettings,
    *,
    folder: Path,
    evaluate: Callable[[], Judgement] | None = None,
    eval_every: int = 0,
    until: int | None = None,
    identity: str = "",
    progress: Progress | None = None,
    optimizers: tuple[Any, Any] = (None, None),
) -> FitResult:
    """Move the trainable weights of `module` through `steps` and leave the best ones in it.

    `folder` takes checkpoints and is resumed from where it holds one. `evaluate` is called every `eval_every` steps and
    at the end. `until` pauses after that many steps, with a checkpoint; the learning rate still follows the whole
    length. `optimizers` may bring an optimizer and a scheduler instead of AdamW and the schedule of the settings.
    Raises Diverged, or RungError for weights that cannot be trained or a folder of another training.
    """
    trainable = check_trainable(module, narrow=optimizers[0] is not None)
    last = min(until or len(steps), len(steps))
    checkpoint = latest_checkpoint(folder)
    for stale in folder.glob("best*"):
        stale.unlink()  # a killed process's; checkpoints have their own
    ledger = Ledger.read(checkpoint, identity) if checkpoint else Ledger()
    started, first = time.perf_counter(), step_of_checkpoint(checkpoint)
    if checkpoint and (first >= last or ledger.stopped in ("patience", "diverged")):
        load_weights(module, safetensors.torch.load_file(checkpoint / WEIGHTS))
    else:
        keeper = Keeper(module, ledger, settings, folder, last, evaluate, eval_every, identity, progress)
        keeper.always_save = until is not None
        with untouched_surroundings(module):
            _run(keeper, steps, objective, optimizers, checkpoint)
    module.eval()
    shutil.rmtree(folder / "writing", ignore_errors=True)
    if ledger.best is not None:
        ledger.best.restore(module)
        ledger.best.drop()
    seconds = time.perf_counter() - started
    reached = ledger.curve[-1].step if ledger.curve else last
    measured = {"seconds": seconds, "steps_per_second": max(0, reached - first) / max(seconds, 1e-9)}
    return FitResult(
        step=reached,
        total_steps=len(steps),
        tokens=ledger.tokens,
        curve=tuple(ledger.curve),
        best_step=ledger.best_step or reached,
        best_score=ledger.best_rank,
        stopped=ledger.stopped or ("finished" if reached >= len(steps) else "paused"),
        trainable=trainable,
        measured=measured,
    )


def _run(
    keeper: Keeper, steps: Steps, objective: Objective, optimizers: tuple[Any, Any], checkpoint: Path | None
) -> None:
    loop = Loop(keeper.module, steps, objective, keeper.settings, keeper, optimizers)
    try:
        loop.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except Diverged:
        if keeper.ledger.best is None:
            raise
        keeper.ledger.stopped = "diverged"


class Loop(transformers.Trainer):
    """`transformers.Trainer` whose step is a list of batches and whose loss is a mean over the targets of the step.

    Differs from its parent: gradients accumulate over the batches of one step inside `training_step`, so that how a
    step is cut into pieces is free; checkpoints hold the trainable weights only.
    """

    def __init__(
        self,
        module: Any,
        steps: Steps,
        objective: Objective,
        settings: TrainSettings,
        keeper: Keeper,
        optimizers: tuple[Any, Any] = (None, None),
    ) -> None:
        self.objective = objective
        self.keeper = keeper
        self.low_precision = low_precision(settings, device_of(module))
        super().__init__(
            model=module,
            args=_arguments(module, settings, len(steps), keeper.folder),
            data_collator=_only,
            train_dataset=steps,
            callbacks=[keeper],
            optimizers=optimizers,
        )
        self.remove_callback(PrinterCallback)
        # transformers would split every batch over all visible GPUs of one process, which is slower than one of them.
        self.args._n_gpu = min(1, self.args.n_gpu)

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], int]:
        """The next step, and how many targets it has. Raises RungError where it has none."""
        samples = [next(epoch_iterator) for _ in range(num_batches)]
        targets = sum(int(sample["targets"]) for sample in samples)
        if targets == 0:
            raise RungError("a batch without a target token", where="training", mend="give every example an answer")
        return samples, targets

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward of every batch of the step. Returns the mean loss (nats a target), detached."""
        model.train()
        total = torch.zeros((), device=self.args.device)
        for batch in inputs["micros"]:
            with torch.autocast(self.args.device.type, torch.bfloat16, enabled=self.low_precision):
                loss = self.objective(model, batch) / num_items_in_batch
            self.accelerator.backward(loss)
            total += loss.detach()
        self.keeper.saw(float(total), int(num_items_in_batch), int(inputs["tokens"]), self.state.global_step + 1)
        return total

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the trainable weights to `output_dir`."""
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_file(trainable_weights(self.model), folder / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_weights(model or self.model, safetensors.torch.load_file(Path(resume_from_checkpoint) / WEIGHTS))


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
    always_save: bool = False
    saved_at: float = field(default_factory=time.monotonic)

    def saw(self, loss: float, targets: int, tokens: int, step: int) -> None:
        """Take note of one step's mean loss. Raises Diverged where it is not finite."""
        if not np.isfinite(loss):
            raise Diverged(step, self.settings.learning_rate)
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
        control.should_save = every is not None and time.monotonic() - self.saved_at >= every

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Complete the checkpoint that the Trainer wrote, give it its name, and drop older ones."""
        name = f"checkpoint-{state.global_step}"
        written = Path(args.output_dir) / name
        (written / RECORD).write_text(json.dumps(self.ledger.record(self.identity)))
        if self.ledger.best is not None:
            self.ledger.best.write(written)
        older = [path for path in self.folder.glob("checkpoint-*") if path.name != name]
        shutil.rmtree(self.folder / name, ignore_errors=True)
        written.replace(self.folder / name)
        for path in older:
            shutil.rmtree(path)
        self.saved_at = time.monotonic()

    def _judge(self, step: int) -> None:
        judgement = Judgement()
        if self.evaluate is not None:
            self.module.eval()
            with kept_randomness(), torch.no_grad():
                judgement = self.evaluate()
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
            ledger.best = Best.of(self.module, self.folder, step)
            return
        ledger.waited += 1
        if self.settings.patience is not None and ledger.waited >= self.settings.patience:
            ledger.stopped = "patience"


def _only(rows: list[Any]) -> Any:
    return rows[0]


def _arguments(module: Any, settings: TrainSettings, total: int, folder: Path) -> transformers.TrainingArguments:
    writing = folder / "writing"
    shutil.rmtree(writing, ignore_errors=True)  # what a killed process left half written
    config = getattr(module, "config", None)
    return transformers.TrainingArguments(
        output_dir=str(writing),
        max_steps=total,
        per_device_train_batch_size=1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=SCHEDULES[settings.schedule],
        warmup_steps=round(settings.warmup * total),
        weight_decay=settings.weight_decay,
        adam_beta1=settings.betas[0],
        adam_beta2=settings.betas[1],
        max_grad_norm=settings.clip,
        seed=settings.seed,
        use_cpu=device_of(module).type == "cpu",
        use_cache=bool(getattr(config, "use_cache", False)),
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        save_strategy="no",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
    )


def device_of(module: Any) -> torch.device:
    """Where the weights of `module` are."""
    device: torch.device = next(module.parameters()).device
    return device


def low_precision(settings: TrainSettings, device: torch.device) -> bool:
    """Whether products run in bfloat16. `auto`: where the processor multiplies it faster than float32."""
    if settings.precision != "auto":
        return settings.precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def check_trainable(module: Any, *, narrow: bool = False) -> int:
    """How many weights train. Raises RungError for none, or, unless `narrow`, for a format that loses small steps."""
    weights = [(name, weight) for name, weight in module.named_parameters() if weight.requires_grad]
    if not weights:
        raise RungError("no weight of the module is trainable", where="training", mend="set requires_grad")
    short = [name for name, weight in weights if weight.dtype != torch.float32]
    if short and not narrow:
        raise RungError(
            f"{short[0]} would be trained in fewer bits than float32 has, which loses small steps",
            where="training",
            mend="load the weights in float32; products still run in bfloat16",
        )
    return sum(weight.numel() for _, weight in weights)


@contextlib.contextmanager
def untouched_surroundings(module: Any) -> Iterator[None]:
    """Undo what the Trainer does to the process: random states, the log level, and determinism on a GPU."""
    verbosity = transformers.logging.get_verbosity()
    deterministic = torch.are_deterministic_algorithms_enabled()
    with kept_randomness(), _quick_collection(module):
        if device_of(module).type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True, warn_only=True)
        transformers.logging.set_verbosity_error()
        try:
            yield
        finally:
            transformers.logging.set_verbosity(verbosity)
            torch.use_deterministic_algorithms(deterministic)


@contextlib.contextmanager
def _quick_collection(module: Any) -> Iterator[None]:
    """Let garbage collections in here pass over what was there before, and leave none of the training's behind.

    accelerate collects at every start, a quarter of a second where transformers is loaded: as long as a short training.
    """
    if gc.get_freeze_count():
        yield
        return
    if sum(weight.numel() for weight in module.parameters()) > LARGE:
        gc.collect()  # what an earlier training left may be as large
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()
