"""Tuning on answers: `fit` takes examples as token ids and leaves the best weights in the module.

It chooses how examples are laid out (`answers`), and hands the steps to the one loop (`trainer`). Which weights move is
decided before, by `requires_grad` or an adapter (`adapters`); turning text into ids is the matter of `model.layout`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rung.errors import RungError
from rung.train.answers import (
    AnswerLoss,
    ShuffledSteps,
    base_of,
    choose_layout,
    digest_of,
    mean_loss,
    virtual_tokens,
)
from rung.train.hooks import Hooks
from rung.train.keeper import Judgement, Progress
from rung.train.settings import FitResult, TrainExample, TrainSettings
from rung.train.trainer import train
from rung.types import digest


def fit(
    module: Any,
    examples: Sequence[TrainExample],
    settings: TrainSettings,
    *,
    folder: Path,
    score: Callable[[], float] | None = None,
    validation: Sequence[TrainExample] = (),
    until: int | None = None,
    progress: Progress | None = None,
    hooks: Hooks | None = None,
    rehearse: Callable[[], object] | None = None,
) -> FitResult:
    """Train `module` to give the answers of `examples`, and leave its best weights in it.

    `score` judges the module as it stands (greater is better) and decides which weights are best; without it the mean
    loss of `validation` does; without either the last weights stay. `until` pauses after that many steps, to be gone on
    with by another call on the same `folder`. A killed call that is repeated ends with the same bits. `progress` gets
    (steps done, steps to do). `hooks` reach into each step. `rehearse` tries the part of `score` that takes
    most memory, early in a long training. Raises RungError for examples that cannot be trained on, Diverged for a broken loss.
    """
    check_examples(module, examples)
    check_examples(module, validation, allow_none=True)
    layout = choose_layout(module, [*examples, *validation] if validation else examples, settings)
    steps = ShuffledSteps(examples, layout, settings.batch_of(len(examples)), 0, settings.seed)
    steps = replace(steps, total=settings.steps(steps.per_epoch))

    def evaluate() -> Judgement:
        loss = mean_loss(module, validation, layout) if validation else None
        return Judgement(None if score is None else float(score()), loss)

    def rehearsal() -> None:
        if validation:
            mean_loss(module, [max(validation, key=len)], layout)
        if rehearse is not None:
            rehearse()

    names = sorted(name for name, weight in module.named_parameters() if weight.requires_grad)
    identity = digest([settings.identity(), digest_of(examples), digest_of(validation), names, len(steps)])
    folder.mkdir(parents=True, exist_ok=True)
    result = train(
        module,
        steps,
        AnswerLoss(layout),
        settings,
        folder=folder,
        evaluate=evaluate if score is not None or validation else None,
        eval_every=settings.eval_every or steps.per_epoch,
        until=until,
        identity=identity,
        progress=progress,
        hooks=hooks,
        rehearse=rehearsal,
    )
    return replace(result, batching=layout.describe())


def check_examples(module: Any, examples: Sequence[TrainExample], *, allow_none: bool = False) -> None:
    """Raises RungError for no examples, an empty context or answer, or one longer than the module's window."""
    if not examples and not allow_none:
        raise RungError("no examples to train on", where="training")
    config = base_of(module).config
    window = None if config.is_encoder_decoder else getattr(config.get_text_config(), "max_position_embeddings", None)
    virtual = virtual_tokens(module)
    for number, example in enumerate(examples):
        if not example.context_ids or not example.answer_ids:
            empty = "context" if not example.context_ids else "answer"
            raise RungError(f"example {number} has an empty {empty}", where="training", mend="leave it out")
        if window is not None and len(example) + virtual > window:
            raise RungError(
                f"example {number} has {len(example) + virtual} tokens and the window is {window}",
                where="training",
                mend="leave it out or shorten it; nothing is cut in silence",
            )
