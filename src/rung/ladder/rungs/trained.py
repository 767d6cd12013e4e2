"""What all rungs that train have in common: fields, settings to try, computed cost, and how they are adapted.

Each trains on the prompts that it will answer (the best zero-shot wording), keeps the checkpoint with the best task
score on validation, and saves what moved in its small standard form. Encoders go their own way in `encoding`. With
`seeds` above 1 the climb trains so many times, only to tell how much the seed matters: the first training is the rung.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from rung.errors import RungError, nearest
from rung.ladder.rung import Desk
from rung.ladder.rungs import encoding
from rung.ladder.rungs.heads import Training
from rung.ladder.rungs.prompting import best_wording
from rung.ladder.rungs.searching import Looking, SearchFields
from rung.ladder.rungs.training import Search, searched, too_long, trainable_rows
from rung.ladder.work import Facts, Work, training
from rung.model.load import Model
from rung.model.methods.method import Method
from rung.system.body import Body
from rung.task import Task
from rung.train.forgetting import KEEPING, Keeping
from rung.train.optimisers.table import OPTIMISERS, lacking
from rung.train.search import budgets, grid
from rung.train.settings import TrainSettings
from rung.types import System

SEEDS = 20
"""Most trainings of one rung."""
NO_CLASSES = "a base that answers in words learns its answers as they are; loss, weights and resample are an encoder's"


@dataclass(frozen=True)
class Trained(SearchFields):
    """A rung that trains. Fields that hold several values, and the learning rate, are chosen by successive halving.

    `learning_rate` left open tries two around what suits a base of this size. `keep` works against forgetting (`l2`,
    `ewc` or `replay`, see `train.forgetting`) with `keep_strength`; `keep_text` names a file of general text, which
    `ewc` and `replay` need.
    """

    name: ClassVar[str]
    method_class: ClassVar[type[Any]]
    rates: ClassVar[tuple[float, float]] = (5e-3, 0.4)
    """What suited a base of 3 million parameters, and the power of their number by which it falls."""
    spread: ClassVar[tuple[float, ...]] = (0.5, 1.5)
    """The rates tried, as multiples of it."""
    several: ClassVar[tuple[str, ...]] = ()
    """Fields of the method that may hold several values."""
    patience: ClassVar[int | None] = None

    learning_rate: tuple[float, ...] | float | None = None
    epochs: int | None = None
    batch_size: int = 16
    weight_decay: float = 0.0
    optimiser: str = "adamw"
    keep: str = "none"
    keep_strength: float | None = None
    keep_text: str = ""
    seeds: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self.name, seeds=(self.seeds, 1, SEEDS))
        positive(self.name, epochs=1 if self.epochs is None else self.epochs, batch_size=self.batch_size)
        for rate in many(() if self.learning_rate is None else self.learning_rate):
            positive(self.name, learning_rate=rate)
        if self.optimiser not in OPTIMISERS:
            mend = nearest(self.optimiser, OPTIMISERS)
            raise RungError(f"unknown optimiser {self.optimiser!r}", where=self.name, mend=mend)
        if self.keep not in KEEPING:
            raise RungError(f"unknown keep {self.keep!r}", where=self.name, mend=nearest(self.keep, KEEPING))
        self.keeping()
        self.look(1, 0)
        for own in grid(**self._searched):
            self.method(own)

    @property
    def label(self) -> str:
        """The rung's name and what is not as usual: `lora`, `full-focal`, `full-ewc`."""
        own = [self.name, *self.telling, *([self.keep] if self.keep != "none" else [])]
        own += [self.optimiser] if self.optimiser != "adamw" else []
        return self.named("-".join([*own, *([self.search] if self.search != "halving" else [])]))

    @property
    def telling(self) -> tuple[str, ...]:
        """What of the method's own fields the label tells."""
        return ()

    def keeping(self) -> Keeping:
        """What works against forgetting. Raises RungError where it lacks what it needs."""
        return Keeping(self.keep, self.keep_strength, self.keep_text)

    def method(self, own: Mapping[str, Any]) -> Method:
        """The method with the values of one setting."""
        made: Method = self.method_class(**{name: own.get(name, getattr(self, name)) for name in self._shared})
        return made

    @property
    def _shared(self) -> set[str]:
        """The fields that the rung and its method have in common."""
        return {part.name for part in fields(self.method_class)} & {part.name for part in fields(self)}

    @property
    def _searched(self) -> dict[str, tuple[Any, ...]]:
        """The values of the fields that may hold several."""
        return {name: many(getattr(self, name)) for name in self.several}

    def why_not(self, body: Body, task: Task) -> str:
        """What the method lacks here, or the rows."""
        if why := self.method(self.settings(body.model.parameters)[0]).why_not(body.model):
            return why
        if why := lacking(self.optimiser):
            return why
        if self.keep == "l2" and self.trains not in ("part", "weights"):
            return "l2 holds the base's own weights near where they began, and here they do not move"
        if body.model.kind == "encoder":
            if self.keep != "none" or self.name == "half":
                return f"{self.name if self.keep == 'none' else self.keep} is for bases that answer in words"
            if self.search != "halving":
                return f"search by {self.search} is for bases that answer in words"
            if self.optimiser != "adamw":  # a head and its encoder train by AdamW: no label may say otherwise
                return f"{self.optimiser} is for bases that answer in words"
            return encoding.why_not(task) or self.unfit(body, task)
        if not self.class_loss().plain:
            return NO_CLASSES
        return too_long(body, task, self.virtual) if self.virtual else ""

    @property
    def trains(self) -> str:
        """What of the base moves, as its method says."""
        return str(self.method_class.trains)

    @property
    def virtual(self) -> int:
        """Places before the prompt that are trained."""
        return int(getattr(self, "tokens", 0)) if self.trains == "virtual" else 0

    def work(self, facts: Facts) -> Work:
        """Every setting begins; half of them go on at each round. Weights of the base cost gradients too."""
        once = epochs_for(facts.train, self.epochs)
        epochs = _search_epochs(len(self.settings(facts.parameters)), once)
        if self.search != "halving":
            epochs = float(self.trials * once)  # at most: poor trials end early
        own = self.trains in ("part", "weights")
        return training(
            facts, epochs=epochs, passes=int(epochs), weights=own, virtual=self.virtual, batch_size=self.batch_size
        )

    def settings(self, parameters: int) -> tuple[dict[str, Any], ...]:
        """What the search tries on a base of so many parameters."""
        return grid(**self._searched, learning_rate=rates_for(parameters, self.learning_rate, *self.suited))

    @property
    def suited(self) -> tuple[tuple[float, float], tuple[float, ...]]:
        """What `rates` and `spread` come to for the rung's optimiser: others than AdamW are known less well."""
        if self.optimiser == "adamw":
            return self.rates, self.spread
        return (self.rates[0] * OPTIMISERS[self.optimiser].rate, self.rates[1]), (0.3, 1.0, 3.0)

    def look(self, parameters: int, seed: int) -> Looking:
        """The search over the rung's settings on a base of so many parameters."""
        rates = rates_for(parameters, self.learning_rate, *self.suited)
        return self.looking(self._searched, self._shared, rates, seed)

    def adapt(self, body: Body, task: Task, desk: Desk) -> System:
        """Search, then keep the best setting at its best checkpoint."""
        tried, epochs = self.settings(body.model.parameters), epochs_for(len(task.train), self.epochs)
        if body.model.kind == "encoder":

            def prepare(model: Model, own: Mapping[str, Any]) -> Any:
                return self.method(own).prepare(model, seed=desk.seed)

            kept = self.method(tried[0]).kept
            asked = Training(tried, epochs, self.batch_size, prepare, kept, self.class_loss())
            return encoding.train(body, task, desk, asked)
        whole = len(task.train)
        if self.virtual:
            task = trainable_rows(body, task, self.virtual)
        plan = TrainSettings(
            epochs=epochs,
            batch_size=self.batch_size,
            schedule="cosine",
            weight_decay=self.weight_decay,
            optimiser=self.optimiser,
            patience=self.patience,
            seed=desk.seed,
        )
        search = Search(body, task, desk, best_wording(body, task, desk), plan, self.method, self.keeping())
        return searched(search, tried, self.look(body.model.parameters, desk.seed), left_out=whole - len(task.train))


def rates_for(
    parameters: int, asked: Any, suited: tuple[float, float], spread: tuple[float, ...] = (0.5, 1.5)
) -> tuple[float, ...]:
    """Learning rates to try: those asked for, else some around rate × (3 million / parameters)^power.

    The rate suited a base of 3 million parameters; the power brings it to what practice uses for 7 billion: some 2e-5
    for all weights (power 0.6), 2e-4 for LoRA (0.4).
    """
    if asked is not None:
        return many(asked)
    rate, power = suited
    middle = rate * (3e6 / max(3e6, parameters)) ** power
    return tuple(float(f"{middle * factor:.2g}") for factor in spread)


def epochs_for(rows: int, asked: int | None) -> int:
    """How often the training rows are seen: what was asked for, else some 6,000 examples in all, in 2 to 6 rounds."""
    return asked if asked is not None else min(6, max(2, round(6000 / rows)))


def _search_epochs(trials: int, epochs: int) -> float:
    """Epochs trained in all, when half of the settings go on at each round."""
    stops, alive, total, before = budgets(epochs * 1000, trials), trials, 0.0, 0
    for stop in stops:
        total += alive * (stop - before) / 1000
        before, alive = stop, max(1, (alive + 1) // 2)
    return total


def many(value: Any) -> tuple[Any, ...]:
    """A field's values, where it may hold one or several."""
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def within(rung: str, **limits: tuple[int, int, int]) -> None:
    """Raises RungError for a whole number outside its (value, low, high)."""
    for name, (value, low, high) in limits.items():
        if not isinstance(value, int) or not low <= value <= high:
            raise RungError(f"{name} is {value}", where=rung, mend=f"choose {low} to {high}")


def positive(rung: str, **values: float) -> None:
    """Raises RungError for a number that is not above 0."""
    for name, value in values.items():
        if not isinstance(value, int | float) or not value > 0:
            raise RungError(f"{name} is {value}", where=rung, mend="choose a number above 0")
