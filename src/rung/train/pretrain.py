"""Pretraining from a recipe: corpus, tokenizer, model, training, and the finished folder.

Each step is kept in a work folder beside the output, so a run that was killed goes on where it stopped and ends bit for
bit as if it had not been. The loop is `trainer.train`, the one that tunes as well; objectives, schedules and the
optimiser are handed to it.
"""

from __future__ import annotations

import json
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from rung.data.mixture import documents
from rung.errors import RungError
from rung.model.build import build
from rung.model.load import pick_device
from rung.model.tokenizer import train_tokenizer
from rung.train.keep import latest_checkpoint, step_of_checkpoint
from rung.train.keeper import Judgement
from rung.train.masters import Masters
from rung.train.objectives import OBJECTIVES, Batch, Objective, token_losses
from rung.train.recipe import Recipe
from rung.train.schedule import schedule
from rung.train.settings import FitResult, TrainSettings
from rung.train.stream import Corpus, Stage, write_corpus
from rung.train.trainer import train
from rung.types import digest

Report = Callable[[str], None]
POINTS = 100  # of the training curve
CHECKS = 20  # validations in a run


def pretrain(recipe: Recipe, out: Path, *, report: Report = print, stop_after: int | None = None) -> Path:
    """Run `recipe` and leave the model in `out` (Hugging Face form, with `pretraining.json` for the card).

    What is done already lies in `OUT.work` and is not done again. `stop_after` pauses after that many steps, with a
    checkpoint, and returns the work folder. Raises RungError where `out` exists or another recipe is under way there.
    """
    work = out.with_name(out.name + ".work")
    if out.exists():
        raise RungError("exists already", where=str(out), mend="name another folder or remove it")
    _claim(recipe, work)
    tokenizer = _tokenizer(recipe, work, report)
    corpus = _corpus(recipe, tokenizer, work, report)
    checks = _validation(recipe, tokenizer, work)
    module = build(recipe.model, tokenizer, objective=recipe.train.objective, seed=recipe.seed)
    result = _train(recipe, module, corpus, checks, work, report, stop_after)
    if result.step < recipe.train.steps:
        report(f"paused at step {result.step} of {recipe.train.steps}; run again to go on")
        return work
    _finish(recipe, module, tokenizer, corpus, result, work, out)
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
        source = zip(
            range(recipe.corpus.tokenizer_documents), documents(recipe.corpus.mature, recipe.seed + 1), strict=False
        )
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


def _validation(recipe: Recipe, tokenizer: Any, work: Path) -> Corpus | None:
    """Rows of fresh documents of the same mixture: a curve to watch, not a held-out set of sources."""
    rows = recipe.train.validation_rows
    if not rows:
        return None
    folder = work / "validation"
    stages = (Stage(length=recipe.train.stages[-1].length, rows=1, steps=rows),)
    if not folder.exists():
        source = documents(recipe.corpus.mature, recipe.seed + 2)
        _place(folder, lambda part: write_corpus(source, tokenizer, stages, part))
    return Corpus(folder, stages)


def _train(
    recipe: Recipe,
    module: Any,
    corpus: Corpus,
    checks: Corpus | None,
    work: Path,
    report: Report,
    stop_after: int | None,
) -> FitResult:
    settings = recipe.train
    module.to(pick_device("auto"))  # before the copies are taken: they live where the weights do
    optimiser = Masters(module, settings.optimiser)  # its copies are taken in full precision
    if settings.dtype == "bfloat16":
        module.to(torch.bfloat16)
    module.set_attn_implementation(settings.attention)
    pace = schedule(settings.schedule, settings.steps, settings.warmup, settings.decay)
    watch = Watch(module, checks, work / "validation.json", settings.steps, report)
    loop = TrainSettings(
        clip=0.0,  # the optimiser clips its float32 gradients itself
        precision="float32",  # the weights themselves are in the format of the products
        checkpoint_seconds=60 * settings.checkpoint_minutes,
        seed=recipe.seed,
    )
    return train(
        module,
        corpus,
        watch.over(OBJECTIVES[settings.objective]),
        loop,
        folder=work / "checkpoints",
        evaluate=watch.judge,
        eval_every=max(1, settings.steps // POINTS),
        until=stop_after,
        identity=digest(identity(recipe)),
        progress=watch.progress,
        optimizers=(optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, pace)),
    )


class Watch:
    """Progress lines with the time left, and validations kept in a file. Nothing here changes what is computed."""

    def __init__(self, module: Any, checks: Corpus | None, file: Path, steps: int, report: Report) -> None:
        self._module, self._checks, self._file, self._steps, self._report = module, checks, file, steps, report
        self._every = max(1, steps // POINTS)
        self._step = step_of_checkpoint(latest_checkpoint(file.parent / "checkpoints"))
        self._first: int | None = None
        self._began = time.monotonic()
        self._loss = self._weight = 0.0

    def over(self, objective: Objective) -> Objective:
        """The same objective, its losses noted for the next line."""

        def noted(module: Any, batch: Batch) -> torch.Tensor:
            loss = objective(module, batch)
            self._loss += float(loss.detach())
            self._weight += float(batch["weights"].sum())
            return loss

        return noted

    def progress(self, step: int, last: int) -> None:
        """One line every hundredth of the run."""
        if self._first is None:
            self._first, self._began = step, time.monotonic()
        self._step = step
        if step > self._first and (step % self._every == 0 or step == last):
            spent = time.monotonic() - self._began
            left = spent / (step - self._first) * (self._steps - step)
            loss = self._loss / max(self._weight, 1e-9)
            self._loss = self._weight = 0.0
            self._report(f"step {step}/{self._steps}  loss {loss:.3f}  {spent / 60:.1f} min, {left / 60:.1f} to go")

    def judge(self) -> Judgement:
        """Validate now and then. No score is returned: the last weights are the ones that count, not the best."""
        step = self._step + 1
        due = step % max(self._every, self._steps // CHECKS) < self._every or step == self._steps
        if self._checks is not None and due:
            found = check(self._module, (self._checks.rows(i) for i in range(len(self._checks))))
            known = json.loads(self._file.read_text()) if self._file.exists() else {}
            _write(self._file, {**known, str(step): found})
            self._report(f"step {step}  " + "  ".join(f"loss of {name} {value:.3f}" for name, value in found.items()))
        return Judgement()


@torch.no_grad()
def check(module: Any, rows: Iterator[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Mean loss (nats) of the tokens of answers (weight 1 or more) and of text (weight below 1) over the rows."""
    losses, weights = [], []
    for ids, given in rows:
        batch = {"input_ids": torch.from_numpy(ids), "weights": torch.from_numpy(given)}
        if (given[:, 1:] > 0).any():
            found, weight = token_losses(module, {name: part.to(module.device) for name, part in batch.items()})
            losses.append(found)
            weights.append(weight)
    loss, weight = torch.cat(losses), torch.cat(weights)
    groups = {"answers": loss[weight >= 1], "text": loss[weight < 1]}
    return {name: round(float(values.mean()), 4) for name, values in groups.items() if len(values)}


def _finish(
    recipe: Recipe, module: Any, tokenizer: Any, corpus: Corpus, result: FitResult, work: Path, out: Path
) -> None:
    validation = work / "validation.json"
    card = {
        "recipe": identity(recipe),
        "corpus": corpus.card,
        "parameters": module.num_parameters(),
        "tokens": result.tokens,
        "curve": [[point.step, round(point.train_loss, 4)] for point in result.curve],
        "validation": json.loads(validation.read_text()) if validation.exists() else {},
        "measured": {
            "machine": platform.machine(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "seconds_of_the_last_stretch": round(result.measured["seconds"], 1),
        },
    }

    def fill(part: Path) -> None:
        module.set_attn_implementation("sdpa")
        module.save_pretrained(part)
        tokenizer.save_pretrained(part)
        _write(part / "pretraining.json", card)

    _place(out, fill)


def _place(folder: Path, fill: Callable[[Path], object]) -> None:
    """Fill a folder under a temporary name, then move it to its own."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    fill(part)
    part.replace(folder)


def _write(path: Path, value: Any) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, indent=1, ensure_ascii=False))
    part.replace(path)
