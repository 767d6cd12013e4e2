"""The one training loop: `transformers.Trainer` with all it documents, and, where an objective is given, steps of ours.

A step brings the batches of one optimizer step and the number of targets in them; an objective turns a batch into a
summed loss. Everything that tunes or pretrains hands both to `train`. What the examples mean is not known here, nor
what a checkpoint remembers beside weights (`keep`, `keeper`).
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import safetensors.torch
import torch
import transformers
from transformers.trainer_callback import PrinterCallback

from rung.errors import RungError
from rung.train.breaks import keep_batch, memory_told
from rung.train.checkpointing import recomputing
from rung.train.foreign import check_same_model
from rung.train.hooks import Hooks
from rung.train.keep import WEIGHTS, Ledger, latest_checkpoint, load_weights, step_of_checkpoint
from rung.train.keeper import Judgement, Keeper, Progress
from rung.train.optimisers.build import Choice
from rung.train.optimisers.table import note
from rung.train.parallel.layout import Layout
from rung.train.parallel.states import load_states, save_states
from rung.train.rehearse import Rehearsal
from rung.train.settings import Diverged, FitResult, TrainSettings
from rung.train.surroundings import check_trainable, device_of, low_precision, untouched_surroundings

Objective = Callable[[Any, Mapping[str, torch.Tensor]], torch.Tensor]
SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}


class Steps(Protocol):
    """All steps of a training. `steps[i]` is `{"micros": [batch, …], "targets": int, "tokens": int}`."""

    def __len__(self) -> int: ...

    def __getitem__(self, step: int) -> dict[str, Any]: ...


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
    hooks: Hooks | None = None,
    layout: Layout | None = None,
    rehearse: Callable[[], object] | None = None,
) -> FitResult:
    """Move the trainable weights of `module` through `steps` and leave the best ones in it.

    `folder` takes checkpoints and is resumed from where it holds one. `evaluate` is called every `eval_every` steps and
    at the end. `until` pauses after that many steps, with a checkpoint; the learning rate still follows the whole
    length. `optimizers` may bring an optimizer and a scheduler instead of AdamW and the schedule of the settings.
    `hooks` add a penalty to each step, or hold weights still in it. `layout` says how `module`, placed in it, lies over
    several processes, each of which calls this alike. Before a long training goes on its largest batch is tried out, and
    `rehearse` called, which should evaluate what takes most memory. Raises Diverged, or RungError for weights that cannot be trained
    or a folder of another training.
    """
    layout = layout or Layout()
    trainable = layout.trainable or check_trainable(module, narrow=optimizers[0] is not None)
    last = min(until or len(steps), len(steps))
    checkpoint, ledger = _begun(folder, identity, layout)
    started, first = time.perf_counter(), step_of_checkpoint(checkpoint)
    if checkpoint and (first >= last or ledger.stopped in ("patience", "diverged")):
        layout.load(module, _stored(checkpoint, layout))
    else:
        keeper = Keeper(module, ledger, settings, folder, last, evaluate, eval_every, identity, progress, layout)
        keeper.always_save = until is not None
        with untouched_surroundings(module), recomputing(module, settings.checkpointing):
            _run(keeper, steps, objective, optimizers, checkpoint, hooks, rehearse)
    module.eval()
    shutil.rmtree(_writing(folder, layout), ignore_errors=True)
    if ledger.best is not None:
        layout.load(module, ledger.best.read_back())
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
        note=note(settings.optimiser, device_of(module).type),
        measured=measured,
        spent=tuple(ledger.spent),
    )


def _begun(folder: Path, identity: str, layout: Layout) -> tuple[Path | None, Ledger]:
    """The checkpoint to go on from, if there is one, and what it remembers."""
    checkpoint = latest_checkpoint(folder)
    for stale in folder.glob("best*") if layout.team.lead else ():
        stale.unlink()  # a killed process's; checkpoints have their own
    ledger = Ledger.read(checkpoint, identity, layout.team.lead) if checkpoint else Ledger()
    layout.team.wait()
    return checkpoint, ledger


def _run(
    keeper: Keeper,
    steps: Steps,
    objective: Objective,
    optimizers: tuple[Any, Any],
    checkpoint: Path | None,
    hooks: Hooks | None,
    rehearse: Callable[[], object] | None,
) -> None:
    module, settings = keeper.module, keeper.settings
    loop = Trainer(
        module,
        _arguments(module, settings, len(steps), _writing(keeper.folder, keeper.layout)),
        train_dataset=steps,
        callbacks=[keeper, Rehearsal(module, steps, objective, low_precision(settings, device_of(module)), rehearse)],
        optimizers=optimizers,
        objective=objective,
        fast=low_precision(settings, device_of(module)),
        optimiser=None if any(optimizers) else _choice(settings),
        broken=keeper.folder,
        saw=keeper.saw,
        hooks=hooks,
        layout=keeper.layout,
    )
    loop.remove_callback(PrinterCallback)
    try:
        loop.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except Diverged:
        if keeper.ledger.best is None:
            raise
        keeper.ledger.stopped = "diverged"


class Trainer(transformers.Trainer):
    """`transformers.Trainer`: every argument it documents means here what it means there. What is ours:

    - A loss that is no number ends the training (`Diverged`), with the batch kept in a file of the folder `broken`
      (None: `args.output_dir`); memory that runs out is one line (`OutOfMemory`); a checkpoint of another model is
      refused, where the parent loads the names that fit.
    - Checkpoints hold only the weights that move, in `trainable.safetensors`, where `trainable_only` (None: where some
      weights are frozen; models of `peft` keep the parent's form, which is as small). `save_model` writes the whole.
    - With an `objective`, `train_dataset` holds steps, `{"micros": [batch, …], "targets": int, "tokens": int}`: the
      objective's summed losses of a step's batches are divided by its targets (nats a target), so how a step is cut
      into batches is free. `fast` computes products in bfloat16; `saw(loss, targets, tokens)` is told of each step.
      `hooks` may add a penalty to each step, or hold weights still in it. `layout` spreads each step over processes;
      checkpoints are then the same files as of one process.
    - `optimiser` is one of `rung.train.optimisers` by name, at the rate and decay of `args`, or a whole choice.
    """

    def __init__(
        self,
        *arguments: Any,
        objective: Objective | None = None,
        fast: bool = False,
        trainable_only: bool | None = None,
        optimiser: Choice | str | None = None,
        broken: Path | None = None,
        saw: Callable[[float, int, int], None] | None = None,
        hooks: Hooks | None = None,
        layout: Layout | None = None,
        **named: Any,
    ) -> None:
        self.objective, self.fast, self.saw = objective, fast, saw
        self.hooks, self.layout = hooks or Hooks(), layout or Layout()
        self.layout.check_hooks(self.hooks)
        if objective is not None:
            named.setdefault("data_collator", _only)
        super().__init__(*arguments, **named)
        if optimiser is not None and (any(named.get("optimizers", ())) or named.get("optimizer_cls_and_kwargs")):
            raise RungError("an optimiser by name and another by object", where="optimiser", mend="give one of them")
        self.choice = Choice(optimiser) if isinstance(optimiser, str) else optimiser
        self.by_arguments = isinstance(optimiser, str)
        self.broken = broken or Path(self.args.output_dir)
        self.trainable_only = self._whether_trainable_only(trainable_only)
        if objective is not None:
            if self.args.per_device_train_batch_size != 1:
                raise RungError("a step is a batch already", where="training", mend="set per_device_train_batch_size=1")
            self.args.remove_unused_columns = False
            # The parent would split every batch over all visible GPUs of one process, slower than one of them.
            self.args._n_gpu = min(1, self.args.n_gpu)

    def create_optimizer(self, model: Any = None) -> Any:
        """The optimiser by name where one was asked for, else the parent's."""
        if self.choice is None or getattr(self, "optimizer", None) is not None:
            return super().create_optimizer(model)
        choice, moved = self.choice, self.model if model is None else model
        if self.by_arguments:  # read here, because a search over hyper-parameters changes them
            choice = replace(choice, learning_rate=self.args.learning_rate, weight_decay=self.args.weight_decay)
        self.optimizer = choice.build(moved, set(self.get_decay_parameter_names(moved)))
        return self.optimizer

    def _whether_trainable_only(self, asked: bool | None) -> bool:
        if asked is not None:
            return asked
        frozen = any(not weight.requires_grad for weight in self.model.parameters())
        return self.objective is not None or (frozen and not hasattr(self.model, "peft_config"))

    def train(self, *arguments: Any, **named: Any) -> Any:
        """As the parent's. Raises Diverged, OutOfMemory, or RungError for a checkpoint of another model."""
        with memory_told(lambda: f"training, after step {self.state.global_step}"):
            return super().train(*arguments, **named)

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], Any]:
        """The batches of the next step, and how many targets they have. Raises RungError where a step has none."""
        if self.objective is None:
            return super().get_batch_samples(epoch_iterator, num_batches, device)
        samples = [next(epoch_iterator) for _ in range(num_batches)]
        targets = sum(int(sample["targets"]) for sample in samples)
        if targets == 0:
            raise RungError("a batch without a target token", where="training", mend="give every example an answer")
        return samples, targets

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward of a batch, or of every batch of a step. Returns its loss, detached."""
        if self.objective is None:
            loss = super().training_step(model, inputs, num_items_in_batch)
        else:
            loss = self._step(model, inputs, num_items_in_batch)
        value = float(loss)
        if not math.isfinite(value):
            raise self._diverged(inputs, value)
        if self.saw is not None:
            self.saw(value, int(num_items_in_batch), int(inputs["tokens"]))
        return loss

    def _step(self, model: Any, inputs: Any, targets: int) -> torch.Tensor:
        objective = self.objective
        assert objective is not None
        model.train()

        def loss_of(module: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
            with torch.autocast(self.args.device.type, torch.bfloat16, enabled=self.fast):
                return objective(module, batch) / targets

        moment, backward = (self.args.seed, self.state.global_step), self.accelerator.backward
        with self.hooks.around(model, self.state.global_step):
            total = self.layout.step(model, inputs["micros"], loss_of, backward, moment)
            if self.hooks.penalty is not None:
                backward(self.hooks.penalty(model))
        return total

    def _diverged(self, inputs: Any, loss: float) -> Diverged:
        step, rate = self.state.global_step + 1, float(self._get_learning_rate())
        if not self.layout.team.lead:
            return Diverged(step, rate)
        rank = f"-rank-{self.args.process_index}" if self.args.world_size > 1 else ""
        file = self.broken / f"broken-batch-{step}{rank}.safetensors"
        return Diverged(step, rate, keep_batch(inputs, file, {"step": step, "learning_rate": rate, "loss": str(loss)}))

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.objective is None:
            return super()._get_train_sampler(train_dataset)
        return torch.utils.data.SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the model as the parent does; a checkpoint of moving weights only holds those alone."""
        if not (_internal_call and self.trainable_only):
            super().save_model(output_dir, _internal_call)
        elif self.args.should_save:
            folder = Path(output_dir or self.args.output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            weights = self.layout.weights(self.model)
            if self.layout.team.lead:
                safetensors.torch.save_file(weights, folder / WEIGHTS)

    def _clip_grad_norm(self, model: Any) -> Any:
        if self.layout.team.world == 1:
            return super()._clip_grad_norm(model)
        return self.layout.clip(model.parameters(), self.args.max_grad_norm)

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        if self.objective is None:
            return super()._get_grad_norm(model, grad_norm)
        return grad_norm  # nobody reads it where nothing is clipped

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self.objective is None:
            super()._save_optimizer_and_scheduler(output_dir)
        else:
            save_states(Path(output_dir), self.model, self.optimizer, self.lr_scheduler, self.layout)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if self.objective is None or checkpoint is None:
            super()._load_optimizer_and_scheduler(checkpoint)
        else:
            load_states(Path(checkpoint), self.model, self.optimizer, self.lr_scheduler, self.layout)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        own = Path(resume_from_checkpoint) / WEIGHTS
        if own.is_file():
            self.layout.load(model or self.model, _stored(own.parent, self.layout))
        else:
            check_same_model(model or self.model, Path(resume_from_checkpoint))
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        own = Path(self.state.best_model_checkpoint) / WEIGHTS
        if own.is_file():
            load_weights(self.model, safetensors.torch.load_file(own))
        else:
            super()._load_best_model()


def _stored(checkpoint: Path, layout: Layout) -> dict[str, torch.Tensor]:
    """A checkpoint's weights in the first process, who hands them out."""
    return safetensors.torch.load_file(checkpoint / WEIGHTS) if layout.team.lead else {}


def _writing(folder: Path, layout: Layout) -> Path:
    """Where a checkpoint lies until it is complete; other processes have a place for what the first one writes too."""
    return folder / (f"writing-{layout.team.rank}" if layout.team.rank else "writing")


def _only(rows: list[Any]) -> Any:
    return rows[0]


def _choice(settings: TrainSettings) -> Choice | None:
    """None for AdamW: the parent's, which also knows weights that lie on several meshes of devices."""
    if settings.optimiser == "adamw":
        return None
    return Choice(settings.optimiser, settings.learning_rate, settings.weight_decay, settings.optimiser_options())


def _adam(settings: TrainSettings) -> dict[str, float]:
    options = settings.optimiser_options()
    if settings.optimiser != "adamw":
        return {}
    return {"adam_beta1": options["betas"][0], "adam_beta2": options["betas"][1], "adam_epsilon": options["eps"]}


def _arguments(module: Any, settings: TrainSettings, total: int, writing: Path) -> transformers.TrainingArguments:
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
        **_adam(settings),
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
