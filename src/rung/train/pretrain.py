"""Pretraining from a recipe: corpus, tokenizer, model, training, and the finished folder.

Each step is kept in a work folder beside the output, so a run that was killed goes on where it stopped and ends bit for
bit as if it had not been. The loop is `trainer.train`, the one that tunes as well; objectives, schedules and the
optimiser are handed to it.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from rung.errors import RungError
from rung.model.load import Model
from rung.run import read_json, write_atomic
from rung.train.masters import Masters
from rung.train.objectives.attend import attend_by
from rung.train.origin import Origin, begin, corpus_of, guard_of, place, validation_of
from rung.train.outcome import write_outcome
from rung.train.parallel.choose import layout_of
from rung.train.parallel.layout import Layout
from rung.train.parallel.team import Team
from rung.train.recipe import Recipe
from rung.train.samples import Samples
from rung.train.schedule import schedule
from rung.train.settings import FitResult, TrainSettings
from rung.train.stream import Corpus, Steps
from rung.train.trainer import train
from rung.train.watch import POINTS, Watch, validation_losses
from rung.types import digest

Report = Callable[[str], None]
SAMPLES = "samples.json"


def pretrain(
    recipe: Recipe, out: Path, *, report: Report = print, stop_after: int | None = None, team: Team | None = None
) -> Path:
    """Run `recipe` and leave the model in `out` (Hugging Face form, with `pretraining.json` for the card).

    What is done already lies in `OUT.work` and is not done again. `stop_after` pauses after that many steps, with a
    checkpoint, and returns the work folder. Several processes share a training by calling this alike, each with its
    place in the `team`; they see one file system. Raises RungError where `out` exists or another recipe is under way there.
    """
    work = out.with_name(out.name + ".work")
    if out.exists():
        raise RungError("exists already", where=str(out), mend="name another folder or remove it")
    team = team or Team()
    report, layout = team.only(report), layout_of(recipe.train.parallel, team)
    team.first(lambda: _claim(recipe, work))
    origin = team.first(lambda: begin(recipe, work, report))
    corpus = team.first(lambda: corpus_of(origin, work, report))
    checks = team.first(lambda: validation_of(origin, work))
    guard = team.first(lambda: _Guard.of(origin, work))
    watch = _watch(origin, checks, work, report, team)
    with layout.placed(origin.module):
        result = _train(origin, corpus, watch, work, guard, layout, stop_after)
    if layout.told():
        report(layout.told())
    if result.step < recipe.train.steps:
        report(f"paused at step {result.step} of {recipe.train.steps}; run again to go on")
        return work
    if team.lead:
        _finish(origin, corpus, result, work, out, guard, report)
    team.wait()
    report(f"done: {out}")
    return out


def _watch(origin: Origin, checks: Corpus | None, work: Path, report: Report, team: Team) -> Watch:
    recipe = origin.recipe
    rows = origin.steps(checks, recipe.seed + 1) if checks else None
    watch = Watch(
        origin.module, origin.objective, rows, work, recipe.train.steps, report,
        by_weight=recipe.corpus.generator is not None, writes=team.lead,
    )  # fmt: skip
    if rows is not None and recipe.train.samples:
        count, file = recipe.train.samples, work / SAMPLES
        watch.show = Samples(origin.module, origin.tokenizer, rows, count, file, team.lead).show
    return watch


def _finish(
    origin: Origin, corpus: Corpus, result: FitResult, work: Path, out: Path, guard: _Guard | None, report: Report
) -> None:
    card = _card(origin, corpus, result, work) | ({"guard": guard.after(report)} if guard else {})

    def fill(part: Path) -> None:
        attend_by(origin.module, "sdpa")
        origin.module.save_pretrained(part)
        origin.tokenizer.save_pretrained(part)
        write_outcome(part, card, _kept(work, SAMPLES))

    place(out, fill)


def identity(recipe: Recipe) -> dict[str, Any]:
    """What makes two runs the same run: every setting of the recipe, paths by name, a model by its digest."""
    corpus = json.loads(json.dumps(asdict(recipe.corpus), default=lambda value: Path(value).name))
    for source in corpus["sources"]:
        del source["folder"]
        if not source["place"].startswith("hub:"):
            source["place"] = Path(source["place"]).name
    begun = {"from": Model.load(recipe.begins_with).digest} if recipe.begins_with else {}
    guard = {"guard": asdict(recipe.guard) | {"file": Path(recipe.guard.file).name}} if recipe.guard else {}
    return {
        "name": recipe.name,
        "seed": recipe.seed,
        "corpus": corpus,
        "tokenizer": {"folder": Path(recipe.tokenizer_of).name} if recipe.tokenizer_of else asdict(recipe.tokenizer),
        "model": dict(recipe.model),
        "train": {k: v for k, v in asdict(recipe.train).items() if k not in ("checkpoint_minutes", "parallel")},
        **begun,
        **guard,
    }


def _claim(recipe: Recipe, work: Path) -> None:
    work.mkdir(parents=True, exist_ok=True)
    mark, told = work / "recipe.json", identity(recipe)
    if mark.exists() and read_json(mark)["digest"] != digest(told):
        raise RungError("another recipe is under way here", where=str(work), mend="remove the folder or name another")
    write_atomic(mark, json.dumps({"digest": digest(told), "recipe": told}, indent=1))


class _Guard:
    """Perplexity on general text before and after, the first kept in the work folder."""

    def __init__(self, origin: Origin, steps: Steps, file: Path) -> None:
        self._origin, self._steps, self._file = origin, steps, file
        assert origin.recipe.guard is not None
        self._margin = origin.recipe.guard.margin

    @classmethod
    def of(cls, origin: Origin, work: Path) -> _Guard | None:
        """The guard of a recipe that has one."""
        rows = guard_of(origin, work)
        return None if rows is None else cls(origin, origin.steps(rows, 0), work / "guard.json")

    def before(self) -> None:
        """Measure the module as it came, once."""
        if not self._file.exists():
            write_atomic(self._file, json.dumps({"before": self._perplexity()}))

    def after(self, report: Report) -> dict[str, Any]:
        """Both perplexities, and whether the second is within the margin of the first."""
        before, after = float(read_json(self._file)["before"]), self._perplexity()
        holds = after <= before * (1 + self._margin)
        said = f"perplexity on general text {before:.3f} before, {after:.3f} after ({after / before - 1:+.1%})"
        report(f"guard {'holds' if holds else 'BROKEN'}: {said}; allowed {self._margin:+.1%}")
        return {"before": before, "after": after, "margin": self._margin, "holds": holds}

    def _perplexity(self) -> float:
        return round(math.exp(validation_losses(self._origin.module, self._steps)["text"]), 4)


def _train(
    origin: Origin,
    corpus: Corpus,
    watch: Watch,
    work: Path,
    guard: _Guard | None,
    layout: Layout,
    stop_after: int | None,
) -> FitResult:
    module, settings, recipe = origin.module, origin.recipe.train, origin.recipe
    optimiser = Masters(module, settings.optimiser, layout)  # its copies are taken in full precision
    if settings.dtype == "bfloat16":
        module.to(torch.bfloat16)
    if guard is not None:
        layout.judge(guard.before)
    if recipe.begins_with and layout.team.decides(not watch.file.exists()):
        layout.judge(lambda: watch.validate(0))
    pace = schedule(settings.schedule, settings.steps, settings.warmup, settings.decay)
    loop = TrainSettings(
        clip=0.0,  # the optimiser clips its float32 gradients itself
        precision="float32",  # the weights themselves are in the format of the products
        checkpoint_seconds=60 * settings.checkpoint_minutes,
        seed=recipe.seed,
    )
    return train(
        module,
        origin.steps(corpus, recipe.seed),
        watch.loss,
        loop,
        folder=work / "checkpoints",
        evaluate=watch.judge,
        eval_every=max(1, settings.steps // POINTS),
        until=stop_after,
        identity=digest(identity(recipe)),
        progress=watch.progress,
        optimizers=(optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, pace)),
        layout=layout,
    )


def _card(origin: Origin, corpus: Corpus, result: FitResult, work: Path) -> dict[str, Any]:
    return {
        "recipe": identity(origin.recipe),
        "corpus": corpus.card,
        "tokenizer": _kept(work, "fertility.json"),
        "parameters": origin.module.num_parameters(),
        "tokens": result.tokens,
        "curve": [[point.step, round(point.train_loss, 4)] for point in result.curve],
        "validation": _kept(work, "validation.json"),
        "measured": {
            "machine": platform.machine(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "seconds_of_the_last_stretch": round(result.measured["seconds"], 1),
        },
    }


def _kept(work: Path, name: str) -> Any:
    return read_json(work / name) if (work / name).exists() else {}
