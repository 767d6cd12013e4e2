"""Rung: climb only as high as your task needs.

    import rung
    climb = rung.climb("task.yaml", "tiny")
    print(climb.sentence)
    print(climb.system.ask("a new input").text)

The names below load what they need on first use, so that `import rung` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rung.model.threads import prepare_environment

if TYPE_CHECKING:
    from rung.errors import RungError
    from rung.ladder.choice import Choice
    from rung.ladder.climb import Climb, climb
    from rung.ladder.plan import plan_task
    from rung.model.load import Model
    from rung.system.bundle import load
    from rung.task import Task
    from rung.train.trainer import Trainer

__all__ = ["Choice", "Climb", "Model", "RungError", "Task", "Trainer", "climb", "load", "plan_task"]

_HOMES = {
    "Choice": "rung.ladder.choice",
    "Climb": "rung.ladder.climb",
    "Model": "rung.model.load",
    "RungError": "rung.errors",
    "Task": "rung.task",
    "Trainer": "rung.train.trainer",
    "climb": "rung.ladder.climb",
    "load": "rung.system.bundle",
    "plan_task": "rung.ladder.plan",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rung' has no attribute {name!r}")
    prepare_environment()  # how threads wait is read once, when torch is loaded
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
