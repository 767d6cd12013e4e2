"""The rungs that train: soft prompts, LoRA, all weights. Objectives and loops are the `train` room's.

Each trains on the prompts that it will answer (the best zero-shot wording), keeps the checkpoint with the best task
score on validation, and saves what moved in standard Hugging Face form. Encoders go their own way in `encoding`. With
`seeds` above 1 the climb trains so many times, only to tell how much the seed matters: the first training is the rung.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from rung.errors import RungError
from rung.evaluate import evaluate
from rung.generate.engine import Engine
from rung.ladder.fit import overflow
from rung.ladder.rung import Desk
from rung.ladder.rungs import encoding
from rung.ladder.rungs.heads import Training
from rung.ladder.rungs.learning import ClassFields
from rung.ladder.rungs.notes import note_training
from rung.ladder.rungs.prompting import best_wording
from rung.ladder.work import Facts, Work, training
from rung.model import adapters
from rung.system.body import Body
from rung.system.forms import Tuned
from rung.system.prompted import Prompted
from rung.task import Task
from rung.train.answers import base_of
from rung.train.loop import fit
from rung.train.search import budgets, grid, halve
from rung.train.settings import FitResult, TrainExample, TrainSettings
from rung.train.surroundings import low_precision
from rung.types import System

SEEDS = 20
"""Most trainings of one rung."""
NO_CLASSES = "a base that answers in words learns its answers as they are; loss, weights and resample are an encoder's"


@dataclass(frozen=True)
class SoftPrompt:
    """Prompt tuning (Lester et al. 2021): `tokens` trained embeddings before the prompt, the weights untouched."""

    name: ClassVar[str] = "soft-prompt"
    trains: ClassVar[str] = "virtual"
    tokens: int = 20
    learning_rate: float = 0.03
    epochs: int | None = None
    batch_size: int = 16
    seeds: int = 1

    def __post_init__(self) -> None:
        _within(self.name, tokens=(self.tokens, 20, 100), seeds=(self.seeds, 1, SEEDS))
        _positive(
            self.name,
            learning_rate=self.learning_rate,
            epochs=1 if self.epochs is None else self.epochs,
            batch_size=self.batch_size,
        )

    @property
    def label(self) -> str:
        """`soft-prompt`."""
        return self.name

    def why_not(self, body: Body, task: Task) -> str:
        """The virtual tokens take room in the window."""
        if body.model.kind == "encoder":
            return "an encoder reads no prompts"
        return _too_long(body, task, self.tokens)

    def work(self, facts: Facts) -> Work:
        """Gradients flow through the whole base, but only the prompt moves."""
        epochs = epochs_for(facts.train, self.epochs)
        return training(
            facts, epochs=epochs, passes=epochs, weights=False, virtual=self.tokens, batch_size=self.batch_size
        )

    def adapt(self, body: Body, task: Task, desk: Desk) -> System:
        """Train the embeddings, starting from those of the instruction's own words."""
        rows = len(task.train)
        task = _trainable(body, task, self.tokens)
        wording = best_wording(body, task, desk)
        start = body.model.tokenizer(wording, add_special_tokens=False)["input_ids"] if wording else None
        module = adapters.prompt_tuning(_fresh(body), self.tokens, start, seed=desk.seed)
        settings = TrainSettings(
            learning_rate=self.learning_rate,
            epochs=epochs_for(len(task.train), self.epochs),
            batch_size=self.batch_size,
            schedule="cosine",
            patience=3,
            seed=desk.seed,
        )
        result = _train(_Job(body, task, desk, wording, module, settings), desk.scratch("train"))
        left_out = {"rows left out": rows - len(task.train)} if len(task.train) < rows else {}
        note_training(desk, result, {"instruction": wording, **left_out})

        def write(folder: Path) -> None:
            adapters.save_adapter(module, folder / "soft_prompt", body.model.name)

        return Tuned(_system(body, module, wording), write)


@dataclass(frozen=True)
class Lora(ClassFields):
    """Low-rank updates (Hu et al. 2021); rank and learning rate by successive halving on validation."""

    name: ClassVar[str] = "lora"
    trains: ClassVar[str] = "adapter"
    rank: tuple[int, ...] | int = (8, 32)
    learning_rate: tuple[float, ...] | float | None = None
    epochs: int | None = None
    batch_size: int = 16
    dropout: float = 0.0
    seeds: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        _within(self.name, seeds=(self.seeds, 1, SEEDS))
        for rank in _many(self.rank):
            _within(self.name, rank=(rank, 4, 32))
        _positive(self.name, epochs=1 if self.epochs is None else self.epochs, batch_size=self.batch_size)
        for rate in _many(() if self.learning_rate is None else self.learning_rate):
            _positive(self.name, learning_rate=rate)

    @property
    def label(self) -> str:
        """`lora`, `lora-focal`."""
        return self.named(self.name)

    def why_not(self, body: Body, task: Task) -> str:
        """Every row that fits the plain prompt can be trained on."""
        if body.model.kind == "encoder":
            return encoding.why_not(task) or self.unfit(body, task)
        return "" if self.class_loss().plain else NO_CLASSES

    def work(self, facts: Facts) -> Work:
        """Every setting begins; half of them go on at each round."""
        epochs = _search_epochs(len(self.settings(facts.parameters)), epochs_for(facts.train, self.epochs))
        return training(facts, epochs=epochs, passes=int(epochs), weights=False, batch_size=self.batch_size)

    def adapt(self, body: Body, task: Task, desk: Desk) -> System:
        """Search, then keep the best setting at its best checkpoint."""
        if body.model.kind == "encoder":
            settings, epochs = self.settings(body.model.parameters), epochs_for(len(task.train), self.epochs)
            asked = Training(settings, epochs, self.batch_size, self._adapter(desk), self.class_loss())
            return encoding.train(body, task, desk, asked)
        add = self._adapter(desk)
        epochs = epochs_for(len(task.train), self.epochs)
        plan = TrainSettings(epochs=epochs, batch_size=self.batch_size, schedule="cosine", seed=desk.seed)
        return _searched(
            _Search(body, task, desk, best_wording(body, task, desk), plan, lambda own: add(_fresh(body), own)),
            self.settings(body.model.parameters),
            lambda module, folder: adapters.save_adapter(module, folder / "adapter", body.model.name),
        )

    def settings(self, parameters: int) -> tuple[dict[str, Any], ...]:
        """What the search tries on a base of so many parameters."""
        rates = rates_for(parameters, self.learning_rate, 5e-3, 0.4)
        return grid(rank=_many(self.rank), learning_rate=rates)

    def _adapter(self, desk: Desk) -> Callable[[Any, Mapping[str, Any]], Any]:
        return lambda module, settings: adapters.lora(module, settings["rank"], dropout=self.dropout, seed=desk.seed)


@dataclass(frozen=True)
class Full(ClassFields):
    """All weights move; the learning rate by successive halving on validation."""

    name: ClassVar[str] = "full"
    trains: ClassVar[str] = "weights"
    learning_rate: tuple[float, ...] | float | None = None
    epochs: int | None = None
    batch_size: int = 16
    weight_decay: float = 0.01
    seeds: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        _within(self.name, seeds=(self.seeds, 1, SEEDS))
        _positive(self.name, epochs=1 if self.epochs is None else self.epochs, batch_size=self.batch_size)
        for rate in _many(() if self.learning_rate is None else self.learning_rate):
            _positive(self.name, learning_rate=rate)

    @property
    def label(self) -> str:
        """`full`, `full-focal`."""
        return self.named(self.name)

    def why_not(self, body: Body, task: Task) -> str:
        """Every row that fits the plain prompt can be trained on."""
        if body.model.kind == "encoder":
            return encoding.why_not(task) or self.unfit(body, task)
        return "" if self.class_loss().plain else NO_CLASSES

    def work(self, facts: Facts) -> Work:
        """As LoRA, with gradients of the weights too."""
        epochs = _search_epochs(len(self.settings(facts.parameters)), epochs_for(facts.train, self.epochs))
        return training(facts, epochs=epochs, passes=int(epochs), weights=True, batch_size=self.batch_size)

    def adapt(self, body: Body, task: Task, desk: Desk) -> System:
        """Search, then keep the best setting at its best checkpoint."""
        tried = self.settings(body.model.parameters)
        if body.model.kind == "encoder":
            epochs = epochs_for(len(task.train), self.epochs)
            return encoding.train(body, task, desk, Training(tried, epochs, self.batch_size, None, self.class_loss()))
        plan = TrainSettings(
            epochs=epochs_for(len(task.train), self.epochs),
            batch_size=self.batch_size,
            schedule="cosine",
            weight_decay=self.weight_decay,
            seed=desk.seed,
        )

        def make(_: Mapping[str, Any]) -> Any:
            return body.model.fresh("float32").requires_grad_(True)

        return _searched(
            _Search(body, task, desk, best_wording(body, task, desk), plan, make),
            tried,
            lambda module, folder: save_whole(module, body, folder / "weights"),
        )

    def settings(self, parameters: int) -> tuple[dict[str, Any], ...]:
        """What the search tries on a base of so many parameters."""
        return grid(learning_rate=rates_for(parameters, self.learning_rate, 2e-3, 0.6))


def rates_for(parameters: int, asked: Any, tiny: float, power: float) -> tuple[float, ...]:
    """Learning rates to try: those asked for, else two around `tiny` × (3 million / parameters)^power.

    `tiny` suited a base of 3 million parameters; the power brings it to what practice uses for 7 billion: some 2e-5
    for all weights (power 0.6), 2e-4 for LoRA (0.4).
    """
    if asked is not None:
        return _many(asked)
    middle = tiny * (3e6 / max(3e6, parameters)) ** power
    return tuple(float(f"{middle * factor:.2g}") for factor in (0.5, 1.5))


def epochs_for(rows: int, asked: int | None) -> int:
    """How often the training rows are seen: what was asked for, else some 6,000 examples in all, in 2 to 6 rounds."""
    return asked if asked is not None else min(6, max(2, round(6000 / rows)))


def save_whole(module: Any, body: Body, folder: Path) -> None:
    """Write a trained copy of the base in the base's own number format, its tokenizer beside it."""
    module.to(body.model.module.dtype).save_pretrained(str(folder))
    body.model.tokenizer.save_pretrained(str(folder))


# -- one training ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Job:
    """A module that is ready to train, and what judges it."""

    body: Body
    task: Task
    desk: Desk
    wording: str
    module: Any
    settings: TrainSettings

    def examples(self) -> list[TrainExample]:
        """The training rows as token ids; the answer closes with the end mark."""
        layout, rows = self.body.layout, self.task.train
        contexts = layout.contexts([layout.text(self.wording, (), row.prompt) for row in rows])
        return [TrainExample.of(ids, layout.answer(row.target or "", end=True)) for ids, row in zip(contexts, rows)]

    def score(self) -> float:
        """The task's own score on validation, as the module stands."""
        import torch

        system = _system(self.body, self.module, self.wording)
        device = self.body.model.module.device.type
        with torch.autocast(
            device, torch.bfloat16, enabled=low_precision(self.settings, self.body.model.module.device)
        ):
            return evaluate(system, self.task).score.value


def _train(job: _Job, folder: Path, until: int | None = None, what: str = "training") -> FitResult:
    return fit(
        job.module,
        job.examples(),
        job.settings,
        folder=folder,
        score=job.score,
        until=until,
        progress=lambda done, total: job.desk.phase(what, done, total),
    )


@dataclass(frozen=True)
class _Search:
    """What all trials of one search share; `make` gives a module ready to train for one setting."""

    body: Body
    task: Task
    desk: Desk
    wording: str
    settings: TrainSettings
    make: Callable[[Mapping[str, Any]], Any]

    def job(self, own: Mapping[str, Any]) -> _Job:
        """One setting's training."""
        plan = replace(self.settings, learning_rate=own["learning_rate"])
        return _Job(self.body, self.task, self.desk, self.wording, self.make(own), plan)


def _searched(search: _Search, tried: Sequence[Mapping[str, Any]], save: Callable[[Any, Path], None]) -> Tuned:
    """The System of the best setting at its best checkpoint, found by successive halving.

    Each setting trains in its own folder, from which a later round, or a repeated climb, goes on.
    """
    desk, rows = search.desk, len(search.task.train)
    steps = search.settings.steps(-(-rows // search.settings.batch_size))

    def run(index: int, own: Mapping[str, Any], budget: int) -> float:
        job = search.job(own)
        name = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in own.items())
        result = _train(job, desk.scratch(f"trial-{index}"), until=budget, what=name)
        return result.best_score if result.best_score is not None else job.score()

    found = halve([dict(one) for one in tried], budgets(steps, len(tried)), run, store=desk)
    final = search.job(found.chosen)
    result = _train(final, desk.scratch(f"trial-{found.index}"))
    note_training(desk, result, {"instruction": search.wording, **found.chosen}, found)
    return Tuned(_system(search.body, final.module, search.wording), lambda folder: save(final.module, folder))


def _system(body: Body, module: Any, wording: str) -> Prompted:
    """The module as it stands, answering by prompt."""
    if hasattr(module, "prompt_encoder"):
        if body.model.kind == "encoder-decoder":
            return Prompted(Engine(body.model, module=module), body.layout, wording)
        virtual = module.get_prompt(batch_size=1)[0].detach()
        return Prompted(Engine(body.model, virtual=virtual, like=body.engine), body.layout, wording)
    return Prompted(Engine(body.model, module=base_of(module), like=body.engine), body.layout, wording)


def _fresh(body: Body) -> Any:
    """A frozen copy of the base, in its own number format."""
    return body.model.fresh().requires_grad_(False)


def _search_epochs(trials: int, epochs: int) -> float:
    """Epochs trained in all, when half of the settings go on at each round."""
    stops, alive, total, before = budgets(epochs * 1000, trials), trials, 0.0, 0
    for stop in stops:
        total += alive * (stop - before) / 1000
        before, alive = stop, max(1, (alive + 1) // 2)
    return total


def _too_long(body: Body, task: Task, virtual: int) -> str:
    """Why `virtual` tokens leave too little room: a held-out row that does not fit, or more than a few of train."""
    held_out = [*task.validation, *(task.splits.test or ())]
    over = sum(1 for excess in overflow(task, body, held_out, extra=virtual) if excess)
    if over:
        return f"{over} of {len(held_out)} prompts do not fit the window with {virtual} virtual tokens"
    rows = len(task.train)
    over = rows - len(_trainable(body, task, virtual).train)
    few = over <= task.allow_set_aside * rows
    return "" if few else f"{over} of {rows} training rows do not fit the window with {virtual} virtual tokens"


def _trainable(body: Body, task: Task, virtual: int) -> Task:
    """`task` with the training rows that leave room for `virtual` tokens."""
    over = overflow(task, body, task.train, extra=virtual)
    train = tuple(row for row, excess in zip(task.train, over) if not excess)
    return replace(task, splits=replace(task.splits, train=train)) if len(train) < len(over) else task


def _many(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _within(rung: str, **limits: tuple[int, int, int]) -> None:
    for name, (value, low, high) in limits.items():
        if not isinstance(value, int) or not low <= value <= high:
            raise RungError(f"{name} is {value}", where=rung, mend=f"choose {low} to {high}")


def _positive(rung: str, **values: float) -> None:
    for name, value in values.items():
        if not isinstance(value, int | float) or not value > 0:
            raise RungError(f"{name} is {value}", where=rung, mend="choose a number above 0")
