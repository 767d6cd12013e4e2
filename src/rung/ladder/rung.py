"""What a rung is, and the desk at which it works.

A rung is a frozen dataclass whose fields are its whole configuration. It turns a base and a task (without its test
split) into a System. The rungs themselves are in `rungs`; the order and the decision are not its business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from rung.evaluate import Evaluation
from rung.ladder.work import Facts, Work
from rung.run import Run
from rung.system.body import Body
from rung.task import Task
from rung.types import System

Phase = Callable[[str, int, int], None]


class Rung(Protocol):
    """One way to adapt a base."""

    name: ClassVar[str]

    @property
    def label(self) -> str:
        """The rung's name in this climb, its telling fields included: `few-shot-4`."""
        ...

    def why_not(self, body: Body, task: Task) -> str:
        """Why this rung cannot be built here, or nothing."""
        ...

    def work(self, facts: Facts) -> Work:
        """Its computed cost, before anything is built."""
        ...

    def adapt(self, body: Body, task: Task, desk: Desk) -> System:
        """Build the System from the training split, choosing on validation."""
        ...


def seeds_of(rung: Rung) -> int:
    """How often the rung is trained; 1 for rungs that do not train, or do so alike every time."""
    return int(getattr(rung, "seeds", 1))


def quiet(name: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass
class Desk:
    """A rung's place in the run: documents of its own, scratch space, progress, notes for the report.

    `validation` is set by rungs that have already scored their final System there, so that it is not done twice.
    """

    run: Run
    label: str
    seed: int = 0
    phase: Phase = quiet
    validation: Evaluation | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    def key(self, name: str) -> str:
        """The run's key of a document or artefact of this rung."""
        return f"rungs/{self.label}/{name}"

    def has(self, name: str) -> bool:
        """Whether the rung's document `name` was written."""
        return self.run.has(self.key(name))

    def read(self, name: str) -> Any:
        """The rung's document `name`."""
        return self.run.read(self.key(name))

    def write(self, name: str, value: Any) -> None:
        """Write the rung's document `name` whole."""
        self.run.write(self.key(name), value)

    def scratch(self, name: str) -> Path:
        """A folder for checkpoints, kept until the rung is finished."""
        return self.run.scratch(f"{self.label}/{name}")

    def note(self, **facts: Any) -> None:
        """Keep facts for the report: chosen settings, curves, trials. JSON-ready, without clock."""
        self.notes.update(facts)
