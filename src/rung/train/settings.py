"""What a training is told and what it answers: examples, settings, the learning curve, the result.

Values only, checked at construction, and free of torch, so that a rung can hold them in its fields. The loop that obeys
them is in `trainer`; which answers carry loss is decided in `loop` and `pack`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rung.errors import RungError
from rung.train.optimisers.table import OPTIMISERS, options_of

Schedule = Literal["linear", "cosine", "constant"]
Precision = Literal["auto", "float32", "bfloat16"]
Batching = Literal["auto", "packed", "padded"]
Stopped = Literal["finished", "patience", "paused", "diverged"]


class Diverged(RungError):
    """The loss became infinite or undefined. `batch` is the file that the step's batch was kept in."""

    def __init__(self, step: int, learning_rate: float, batch: Path | None = None) -> None:
        kept = f"; its batch is kept in {batch}" if batch else ""
        super().__init__(
            f"the loss is not a number at step {step} (learning rate {learning_rate:g}){kept}",
            where="training",
            mend="lower the learning rate" + (", or look for the row that breaks it" if batch else ""),
        )
        self.step, self.batch = step, batch


@dataclass(frozen=True, slots=True)
class TrainExample:
    """One prompt and its answer as token ids. Only the answer's tokens carry loss.

    For an encoder–decoder the context is what the encoder reads and the answer what the decoder writes.
    """

    context_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]

    @classmethod
    def of(cls, context_ids: Sequence[int], answer_ids: Sequence[int]) -> TrainExample:
        """An example from any two sequences of ids."""
        return cls(tuple(map(int, context_ids)), tuple(map(int, answer_ids)))

    def __len__(self) -> int:
        return len(self.context_ids) + len(self.answer_ids)


@dataclass(frozen=True)
class TrainSettings:
    """How the weights are moved.

    `batch_size` counts examples in one optimizer step. They are computed in as many pieces of at most `micro_tokens`
    tokens as memory and speed ask for; the loss is the mean over all target tokens of the step, so the pieces never
    change the result. `optimiser` is a name in `optimisers.table`, of which `momentum`, `betas` and `eps` are options (None:
    its own); with gradient descent a step is all examples. `warmup` is a share of all steps. `eval_every` counts steps (None: once an epoch), `patience`
    evaluations without a better score (None: never stop early). `checkpointing` computes layers again on the way back
    instead of keeping them: less memory, more time, the same bits. `checkpoint_seconds` is the least time between two
    checkpoints on disk (0: every step, None: never).
    """

    learning_rate: float = 2e-4
    epochs: float = 3.0
    max_steps: int | None = None
    batch_size: int = 16
    schedule: Schedule = "linear"
    warmup: float = 0.05
    weight_decay: float = 0.0
    optimiser: str = "adamw"
    momentum: float | None = None
    betas: tuple[float, float] | None = None
    eps: float | None = None
    clip: float = 1.0
    precision: Precision = "auto"
    batching: Batching = "auto"
    row_tokens: int | None = None
    micro_tokens: int | None = None
    eval_every: int | None = None
    patience: int | None = None
    checkpoint_seconds: float | None = 60.0
    checkpointing: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        _positive(self, "learning_rate", "epochs", "batch_size", "max_steps", "row_tokens", "micro_tokens")
        _positive(self, "eval_every", "patience")
        _known(self, "schedule", ("linear", "cosine", "constant"))
        _known(self, "precision", ("auto", "float32", "bfloat16"))
        _known(self, "batching", ("auto", "packed", "padded"))
        self.optimiser_options()
        if not 0 <= self.warmup < 1:
            raise RungError(f"{self.warmup} is no share of the steps", where="warmup", mend="give 0 to below 1")
        if self.weight_decay < 0 or self.clip < 0 or (self.checkpoint_seconds or 0) < 0:
            raise RungError("weight_decay, clip and checkpoint_seconds cannot be negative", where="training settings")

    def steps(self, per_epoch: int) -> int:
        """Optimizer steps in all, where one epoch has `per_epoch`."""
        return self.max_steps or max(1, math.ceil(self.epochs * per_epoch))

    def optimiser_options(self) -> dict[str, Any]:
        """The options of the optimiser, its own where none was given. Raises RungError for one it does not have."""
        return options_of(self.optimiser, momentum=self.momentum, betas=self.betas, eps=self.eps)

    def batch_of(self, examples: int) -> int:
        """How many of so many examples a step reads."""
        return examples if OPTIMISERS[self.optimiser].full_batch else self.batch_size

    def identity(self) -> dict[str, Any]:
        """The settings that decide the result: all but how often it is written to disk, and what is kept on the way."""
        told = {key: value for key, value in asdict(self).items() if key not in ("checkpoint_seconds", "checkpointing")}
        options = self.optimiser_options()
        for name in ("optimiser", "momentum", "betas", "eps"):
            del told[name]
        # AdamW with its own eps is what a training was before there was a choice, and still the same training.
        plain = self.optimiser == "adamw" and options["eps"] == OPTIMISERS["adamw"].options["eps"]
        return told | ({"betas": options["betas"]} if plain else {"optimiser": self.optimiser, **options})


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One point of the learning curve.

    `tokens` were computed so far (shared ones once), `train_loss` is the mean since the last point and
    `validation_loss` the mean over the validation examples, both in nats a target token; `score` is the task's own.
    """

    step: int
    tokens: int
    train_loss: float
    score: float | None = None
    validation_loss: float | None = None


@dataclass(frozen=True)
class FitResult:
    """What a training came to. The module it was given holds the weights of `best_step` afterwards.

    `stopped` is `finished`, `patience` (no better score for long enough), `paused` (at `until`) or `diverged` (the
    best weights before that were kept). `batching` says in words how the examples were laid out, `note` what must be
    said about the optimiser on this device. `measured` holds
    wall-clock numbers, which never decide anything, and `spent` the
    processor seconds of training at each point of the curve. `best_score` is minus the validation loss where no score was given.
    """

    step: int
    total_steps: int
    tokens: int
    curve: tuple[CurvePoint, ...]
    best_step: int
    best_score: float | None
    stopped: Stopped
    trainable: int
    batching: str = ""
    note: str = ""
    measured: Mapping[str, float] = field(default_factory=dict)
    spent: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain values for a JSON document."""
        return asdict(self) | {"measured": dict(self.measured), "curve": [asdict(point) for point in self.curve]}


def _positive(settings: TrainSettings, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if value is not None and not value > 0:
            raise RungError(f"{value} is not above 0", where=name, mend="give a number above 0")


def _known(settings: TrainSettings, name: str, known: tuple[str, ...]) -> None:
    value = getattr(settings, name)
    if value not in known:
        raise RungError(f"unknown {name} {value!r}", where=name, mend=f"known: {', '.join(known)}")
