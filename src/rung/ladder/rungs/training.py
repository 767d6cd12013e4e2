"""One training of a rung, and the search over several: a module made ready, its rows, its judge, its System.

What is trained is said by a method (`model.methods`), what is tried by the rung (`moving`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rung.evaluate import evaluate
from rung.generate.engine import Engine
from rung.ladder.fit import overflow
from rung.ladder.rung import Desk
from rung.ladder.rungs.notes import note_training
from rung.ladder.rungs.searching import TRAINING, Looking
from rung.model.methods.method import Method, moving_share
from rung.model.neighbours import nearest_tokens
from rung.model.tuned import save_tuned
from rung.model.virtual import virtual_of
from rung.system.body import Body
from rung.system.forms import Tuned
from rung.system.prompted import Prompted
from rung.task import Task
from rung.train.answers import base_of
from rung.train.forgetting import Keeping, Texts
from rung.train.hooks import Hooks
from rung.train.loop import fit
from rung.train.settings import FitResult, TrainExample, TrainSettings
from rung.train.surroundings import low_precision

NEIGHBOURS = 3
"""Tokens of the vocabulary told for each place of a learnt prompt."""


@dataclass(frozen=True)
class Job:
    """A module that is ready to train, and what judges it."""

    body: Body
    task: Task
    desk: Desk
    wording: str
    method: Method
    module: Any
    settings: TrainSettings
    rows: Sequence[TrainExample]
    texts: Texts = field(default_factory=Texts)
    keeping: Keeping = field(default_factory=Keeping)

    def score(self) -> float:
        """The task's own score on validation, as the module stands."""
        import torch

        system = system_of(self.body, self.module, self.wording)
        device = self.body.model.module.device
        with torch.autocast(device.type, torch.bfloat16, enabled=low_precision(self.settings, device)):
            return evaluate(system, self.task).score.value


def answers_of(body: Body, task: Task, wording: str) -> list[TrainExample]:
    """A task's training rows behind an instruction, as token ids; the answer closes with the end mark."""
    layout, rows = body.layout, task.train
    contexts = layout.contexts([layout.text(wording, (), row.prompt) for row in rows])
    return [TrainExample.of(ids, layout.answer(row.target or "", end=True)) for ids, row in zip(contexts, rows)]


def train(job: Job, folder: Path, until: int | None = None, what: str = "training") -> FitResult:
    """Train the job's module, as far as `until`, from where its folder stands."""
    examples, seed = [*job.rows, *job.texts.replayed], job.settings.seed
    per_epoch = -(-len(examples) // job.settings.batch_of(len(examples)))
    return fit(
        job.module,
        examples,
        job.settings,
        folder=folder,
        score=job.score,
        until=until,
        progress=lambda done, total: job.desk.phase(what, done, total),
        hooks=Hooks(
            penalty=job.keeping.penalty(job.module, job.texts),
            around=lambda module, step: job.method.around(module, step, per_epoch, seed),
        ),
    )


@dataclass(frozen=True)
class Search:
    """What all trials of one search share; `method` gives what one setting moves."""

    body: Body
    task: Task
    desk: Desk
    wording: str
    settings: TrainSettings
    method: Callable[[Mapping[str, Any]], Method]
    keeping: Keeping = field(default_factory=Keeping)

    @cached_property
    def rows(self) -> list[TrainExample]:
        """The training rows as token ids, laid out once for all trials."""
        return answers_of(self.body, self.task, self.wording)

    @cached_property
    def texts(self) -> Texts:
        """The general text that works against forgetting."""
        return self.keeping.texts(self.body.model, self.rows, self.settings.seed)

    def steps(self) -> int:
        """Optimizer steps of a whole training."""
        count = len(self.rows) + len(self.texts.replayed)
        return self.settings.steps(-(-count // self.settings.batch_of(count)))

    def job(self, own: Mapping[str, Any]) -> Job:
        """One setting's training, from the start."""
        plan = replace(self.settings, **{name: own[name] for name in TRAINING if name in own})
        method = self.method(own)
        start = self.body.model.tokenizer(self.wording, add_special_tokens=False)["input_ids"] if self.wording else ()
        module = method.prepare(self.body.model, seed=self.desk.seed, start=start)
        return Job(
            self.body, self.task, self.desk, self.wording, method, module, plan, self.rows, self.texts, self.keeping
        )


def searched(search: Search, tried: Sequence[Mapping[str, Any]], looking: Looking, left_out: int = 0) -> Tuned:
    """The System of the best setting at its best checkpoint, found by `looking`; halving walks over `tried`.

    Each setting trains in its own folder, from which a later round, or a repeated climb, goes on.
    """
    desk, steps = search.desk, search.steps()

    def run(index: int, own: Mapping[str, Any], budget: int) -> float:
        job = search.job(own)
        name = ", ".join(f"{key.replace('_', ' ')} {_shown(value)}" for key, value in own.items())
        result = train(job, desk.scratch(f"trial-{index}"), until=budget, what=name)
        return result.best_score if result.best_score is not None else job.score()

    found = looking.run(steps, run, desk, tried)
    chosen = {**looking.common, **found.chosen}
    final = search.job(chosen)
    result = train(final, desk.scratch(f"trial-{found.index}"))
    told = {"rows left out": left_out} if left_out else {}
    note_training(desk, result, {"instruction": search.wording, **chosen, **told}, found)
    desk.note(**looking.note(found))
    moving, share = moving_share(final.module)
    desk.note(moving={"method": final.method.name, "weights": moving, "share": share})
    if near := _nearest(search.body, final.module):
        desk.note(nearest=near)
    held = "nf4" if final.method.name == "qlora" else None
    system = system_of(search.body, final.module, search.wording)

    def write(folder: Path) -> None:
        save_tuned(final.module, final.method.kept, folder, search.body.model)

    return Tuned(system, write, held)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _nearest(body: Body, module: Any) -> list[list[dict[str, Any]]]:
    """For each place of a learnt soft prompt the tokens of the vocabulary nearest by angle; none for other modules."""
    import torch

    front = virtual_of(module)
    if not isinstance(front, torch.Tensor):
        return []
    table = base_of(module).get_input_embeddings().weight
    tell = body.model.tokenizer.decode
    return [
        [{"token": tell([near.token]), "degrees": round(near.degrees, 1)} for near in row]
        for row in nearest_tokens(front, table, NEIGHBOURS)
    ]


def system_of(body: Body, module: Any, wording: str) -> Prompted:
    """The module as it stands, answering by prompt."""
    if (front := virtual_of(module)) is not None:
        if body.model.kind == "encoder-decoder":
            return Prompted(Engine(body.model, module=module), body.layout, wording)
        return Prompted(Engine(body.model, virtual=front, like=body.engine), body.layout, wording)
    return Prompted(Engine(body.model, module=base_of(module), like=body.engine), body.layout, wording)


def too_long(body: Body, task: Task, virtual: int) -> str:
    """Why `virtual` tokens leave too little room: a held-out row that does not fit, or more than a few of train."""
    held_out = [*task.validation, *(task.splits.test or ())]
    over = sum(1 for excess in overflow(task, body, held_out, extra=virtual) if excess)
    if over:
        return f"{over} of {len(held_out)} prompts do not fit the window with {virtual} virtual tokens"
    rows = len(task.train)
    over = rows - len(trainable_rows(body, task, virtual).train)
    few = over <= task.allow_set_aside * rows
    return "" if few else f"{over} of {rows} training rows do not fit the window with {virtual} virtual tokens"


def trainable_rows(body: Body, task: Task, virtual: int) -> Task:
    """`task` with the training rows that leave room for `virtual` tokens."""
    over = overflow(task, body, task.train, extra=virtual)
    train_rows = tuple(row for row, excess in zip(task.train, over) if not excess)
    return replace(task, splits=replace(task.splits, train=train_rows)) if len(train_rows) < len(over) else task
