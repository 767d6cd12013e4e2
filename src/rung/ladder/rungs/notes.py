"""What a training leaves for the report: chosen settings, the learning curve, the trials of its search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rung.ladder.rung import Desk
from rung.train.search import Search
from rung.train.settings import FitResult


def note_training(desk: Desk, result: FitResult, chosen: Mapping[str, Any], search: Search | None = None) -> None:
    """Note a finished training at the rung's desk; the processor seconds of its curve stand apart, as measured."""
    desk.note(
        chosen=dict(chosen),
        curve=[{"step": p.step, "loss": p.train_loss, "score": p.score} for p in result.curve],
        training={
            "steps": result.step,
            "best_step": result.best_step,
            "stopped": result.stopped,
            "tokens": result.tokens,
            "trainable": result.trainable,
            "batching": result.batching,
        },
    )
    if result.note:
        desk.note(note=result.note)
    desk.write("measured-curve", list(result.spent))
    if search is not None:
        desk.note(trials=search.to_json()["trials"])
