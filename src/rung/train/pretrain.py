"""Pretraining from a recipe: corpus, tokenizer, model, training, and the finished folder.

Each step is kept in a work folder beside the output, so a run that was killed goes on where it stopped and ends bit for
bit as if it had not been. The loop is `transformers.Trainer`; objectives, schedules and optimisers have rooms of their
own.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from rung.data.mixture import documents
from rung.errors import RungError
from rung.model.build import build
from rung.model.tokenizer import train_tokenizer
from rung.train.masters import Masters
from rung.train.objectives import OBJECTIVES, token_losses
from rung.train.recipe import PretrainSettings, Recipe
from rung.train.schedule import schedule
from rung.train.stream import Corpus, Stage, write_corpus
from rung.types import digest

Report = Callable[[str], None]
MODEL_FILES = ("config.json", "generation_config.json", "model.safetensors", "pretraining.json")
LOG_STEPS = 20


def pretrain(recipe: Recipe, out: Path, *, report: Report = print, stop_after: int | None = None) -> Path:
    """Run `recipe` and leave the model in `out` (Hugging Face form, with `pretraining.json` for the card).

    Steps already done in `out.work` are not done again. `stop_after` ends the process's part of the training after
    that many steps, with a checkpoint. Raises RungError where `out` exists or another recipe is under way there.
    """
    work = out.with_name(out.name + ".work")
    if out.exists():
        raise RungError("exists already", where=str(out), mend="name another folder or remove it")
    _claim(recipe, work)
    tokenizer = _tokenizer(recipe, work, report)
    corpus = _corpus(recipe, tokenizer, work, report)
    checks = _validation(recipe, tokenizer, work, report)
    module = build(recipe.model, tokenizer, objective=recipe.train.objective, seed=recipe.seed)
    trainer = _trainer(recipe, module, corpus, checks, work, report, stop_after)
    latest = _latest_checkpoint(work / "checkpoints")
    trainer.train(resume_from_checkpoint=str(latest) if latest else None)
    if trainer.state.global_step < recipe.train.steps:
        report(f"stopped at step {trainer.state.global_step} of {recipe.train.steps}; run again to go on")
        return work
    _finish(recipe, trainer, tokenizer, corpus, work, out)
    report(f"done: {out}")
    return out


def identity(recipe: Recipe) -> dict[str, Any]:
    """What makes two runs the same run: every setting of the recipe, paths by name."""
    return {
        "name": recipe.name,
        "seed": recipe.seed,
        "corpus": json.loads(json.dumps(asdict(recipe.corpus), default=lambda value: Path(value).name)),
        "tokenizer": asdict(recipe.tokenizer),
        "model": dict(recipe.model),
        "train": {k: v for k, v in asdict(recipe.train).items() if k != "checkpoint_minutes"},
    }


def _claim(recipe: Recipe, work: Path) -> None:
    work.mkdir(parents=True, exist_ok=True)
    mark, wanted = work / "recipe.json", digest(identity(recipe))
    if mark.exists() and json.loads(mark.read_text())["digest"] != wanted:
        raise RungError("another recipe is under way here", where=str(work), mend="remove the folder or name another")
    _write(mark, {"digest": wanted, "recipe": identity(recipe)})


def _tokenizer(recipe: Recipe, work: Path, report: Report) -> Any:
    folder = work / "tokenizer"
    if not folder.exists():
        report(f"tokenizer: {recipe.tokenizer.vocabulary} tokens")
        source = zip(range(recipe.corpus.tokenizer_documents), documents(recipe.corpus, recipe.seed + 1), strict=False)
        trained = train_tokenizer(("".join(text for text, _ in document) for _, document in source), recipe.tokenizer)
        _place(folder, lambda part: trained.save_pretrained(part))
    return PreTrainedTokenizerFast.from_pretrained(folder)


def _corpus(recipe: Recipe, tokenizer: Any, work: Path, report: Report) -> Corpus:
    folder = work / "corpus"
    if not folder.exists():
        report(f"corpus: {sum(stage.tokens for stage in recipe.train.stages):,} tokens")
        source = documents(recipe.corpus, recipe.seed)
        _place(folder, lambda part: write_corpus(source, tokenizer, recipe.train.stages, part))
    return Corpus(folder, recipe.train.stages)


def _validation(recipe: Recipe, tokenizer: Any, work: Path, report: Report) -> Corpus | None:
    """Rows of fresh documents of the same mixture: a curve to watch, not a held-out set of sources."""
    rows = recipe.train.validation_rows
    if not rows:
        return None
    folder = work / "validation"
    stages = (Stage(length=recipe.train.stages[-1].length, rows=1, steps=rows),)
    if not folder.exists():
        source = documents(recipe.corpus, recipe.seed + 2)
        _place(folder, lambda part: write_corpus(source, tokenizer, stages, part))
    return Corpus(folder, stages)


def _trainer(
    recipe: Recipe,
    module: Any,
    corpus: Corpus,
    checks: Corpus | None,
    work: Path,
    report: Report,
    stop_after: int | None,
) -> Trainer:
    settings = recipe.train
    optimiser = Masters(module, settings.optimiser)
    if settings.dtype == "bfloat16":
        module.to(torch.bfloat16)
    module.set_attn_implementation(settings.attention)
    pace = schedule(settings.schedule, settings.steps, settings.warmup, settings.decay)
    arguments = TrainingArguments(
        output_dir=str(work / "checkpoints"),
        max_steps=settings.steps,
        per_device_train_batch_size=1,
        max_grad_norm=0.0,  # the optimiser clips its float32 gradients itself
        save_strategy="no",  # by the clock instead, see Keeper
        save_total_limit=2,
        logging_strategy="no",
        disable_tqdm=True,
        report_to=[],
        seed=recipe.seed,
        remove_unused_columns=False,
        dataloader_num_workers=0,
        use_cpu=not torch.cuda.is_available(),
    )
    loop = Loop(
        settings,
        model=module,
        args=arguments,
        train_dataset=corpus,
        data_collator=lambda items: {name: torch.from_numpy(array) for name, array in items[0].items()},
        optimizers=(optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, pace)),
    )
    loop.remove_callback(PrinterCallback)
    loop.add_callback(Keeper(loop, checks, report, settings, stop_after))
    return loop


class Loop(Trainer):
    """`Trainer` with an objective by name and batches that come ready, in order: item i is step i."""

    def __init__(self, settings: PretrainSettings, **options: Any) -> None:
        super().__init__(**options)
        self._objective = OBJECTIVES[settings.objective]
        self.last_loss = float("nan")

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
        loss = self._objective(model, inputs)
        self.last_loss = float(loss.detach())
        return (loss, None) if return_outputs else loss

    def _get_train_sampler(self, *_: Any) -> Any:
        return torch.utils.data.SequentialSampler(self.train_dataset)  # type: ignore[arg-type]


class Keeper(TrainerCallback):
    """Progress lines, the training curve, and checkpoints by the clock. Nothing here changes what is computed."""

    def __init__(
        self, loop: Loop, checks: Corpus | None, report: Report, settings: PretrainSettings, stop_after: int | None
    ) -> None:
        self._loop, self._checks, self._report = loop, checks, report
        self._settings, self._stop_after = settings, stop_after
        self._began = self._saved = time.monotonic()
        self._first = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clocks; step 0 may be a resumed one."""
        self._began = self._saved = time.monotonic()
        self._first = state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Log every few steps; save when the time has come."""
        step, steps = state.global_step, self._settings.steps
        state.log_history.append({"step": step, "loss": self._loop.last_loss})
        if step % LOG_STEPS == 0 or step == steps:
            self._log(state)
        due = time.monotonic() - self._saved > 60 * self._settings.checkpoint_minutes
        stop = self._stop_after is not None and step >= self._stop_after
        if due or stop or step == steps:
            self._check(state)
            control.should_save = True
            self._saved = time.monotonic()
        control.should_training_stop = control.should_training_stop or stop

    def _log(self, state: Any) -> None:
        step, steps = state.global_step, self._settings.steps
        loss = float(np.mean([row["loss"] for row in state.log_history[-LOG_STEPS:] if "loss" in row]))
        spent = time.monotonic() - self._began
        left = spent / (step - self._first) * (steps - step)
        self._report(f"step {step}/{steps}  loss {loss:.3f}  {spent / 60:.1f} min, {left / 60:.0f} left")

    def _check(self, state: Any) -> None:
        if self._checks is None or any(
            row.get("step") == state.global_step and "answers" in row for row in state.log_history
        ):
            return
        found = check(self._loop.model, (self._checks[i] for i in range(len(self._checks))))
        state.log_history.append({"step": state.global_step, **found})
        self._report("validation  " + "  ".join(f"{name} {value:.3f}" for name, value in found.items()))


@torch.no_grad()
def check(module: Any, batches: Iterator[dict[str, np.ndarray]]) -> dict[str, float]:
    """Mean loss (nats) of the tokens of answers (weight 1) and of text (weight below 1) over the batches."""
    training = module.training
    module.eval()
    losses, weights = [], []
    for batch in batches:
        batch = {name: torch.from_numpy(array).to(module.device) for name, array in batch.items()}
        if bool((batch["weights"][:, 1:] > 0).any()):
            found, weight = token_losses(module, batch)
            losses.append(found)
            weights.append(weight)
    module.train(training)
    loss, weight = torch.cat(losses), torch.cat(weights)
    groups = {"answers": loss[weight >= 1], "text": loss[weight < 1]}
    return {name: float(values.mean()) for name, values in groups.items() if len(values)}


def _latest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint: Trainer writes `trainer_state.json` last."""
    whole = [file.parent for file in folder.glob("checkpoint-*/trainer_state.json")]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2])) if whole else None


def _finish(recipe: Recipe, trainer: Trainer, tokenizer: Any, corpus: Corpus, work: Path, out: Path) -> None:
    history = trainer.state.log_history
    card = {
        "recipe": identity(recipe),
        "corpus": corpus.card,
        "parameters": trainer.model.num_parameters(),
        "steps": recipe.train.steps,
        "curve": _curve([row["loss"] for row in history if "loss" in row]),
        "measured": {
            "machine": platform.machine(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "validation": [row for row in history if "answers" in row or "text" in row],
        },
    }

    def fill(part: Path) -> None:
        trainer.model.save_pretrained(part)
        tokenizer.save_pretrained(part)
        _write(part / "pretraining.json", card)

    _place(out, fill)


def _curve(losses: list[float], points: int = 100) -> list[list[float]]:
    """The mean loss of about `points` stretches of the run, each with its last step."""
    width = max(1, len(losses) // points)
    ends = range(width, len(losses) + 1, width)
    return [[end, round(float(np.mean(losses[end - width : end])), 4)] for end in ends]


def _place(folder: Path, fill: Callable[[Path], object]) -> None:
    """Fill a folder under a temporary name, then move it to its own."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    fill(part)
    os.replace(part, folder)


def _write(path: Path, value: Any) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, indent=1, ensure_ascii=False))
    os.replace(part, path)
