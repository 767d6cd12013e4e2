"""Scoring one saved System on one task, outside a climb: what `rung eval` does.

Validation is free. Test costs a look, which is written to the ledger before anything is scored; the numbers that come
back then carry the bound of that look.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rung import stats
from rung.errors import RungError
from rung.evaluate import Evaluation, evaluate
from rung.ladder.climb import recommended_system
from rung.ladder.ledger import Ledger, Look, item_keys
from rung.ladder.plan import scheme_of
from rung.ladder.question import LookResult
from rung.run import write_atomic
from rung.system.bundle import MANIFEST, Saved, bundle_digest, load
from rung.task import Task
from rung.types import digest


@dataclass(frozen=True)
class Examined:
    """Scores of a System on a split, with a 95 % interval and, on test, the look's number and lower bound."""

    task: str
    split: str
    metric: str
    value: float
    low: float | None
    high: float | None
    count: int
    errors: int
    also: dict[str, float]
    look: int | None = None
    level: float | None = None
    lower: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dict(vars(self))

    def lines(self) -> list[str]:
        """In words."""
        interval = "" if self.low is None else f" (95 % interval {self.low:.3f} to {self.high:.3f})"
        lines = [f"{self.task}, {self.split}: {self.metric} {self.value:.3f}{interval} on {self.count:,} rows"]
        lines += [f"  {name} {value:.3f}" for name, value in self.also.items()]
        if self.errors:
            lines.append(f"  {self.errors} calls returned nothing and count as the worst score")
        if self.look is not None:
            lines.append(
                f"  this was look {self.look} at this test split: its true score is at least {self.lower:.3f} ({1 - (self.level or 0):.2%} sure)"
            )
        return lines


def examine(
    system: Path,
    task_file: Path,
    *,
    test: bool = False,
    rung: str | None = None,
    base: str | None = None,
    rows: Path | None = None,
    ledger: Path | None = None,
) -> Examined:
    """Score the System in `system` (a bundle or a run) on validation, or with `test` on test, which spends a look.

    `rows` names a new file for every row. Raises RungError where it is there already, before anything is scored.
    """
    if rows is not None and rows.exists():
        raise RungError("is there already", where=str(rows), mend="name another with --rows")
    if rows is not None and not rows.parent.is_dir():
        raise RungError("there is no such folder", where=str(rows.parent), mend="make it, or name another with --rows")
    task = Task.load(task_file)
    saved = load(system, base=base) if (system / MANIFEST).is_file() else recommended_system(system, rung, base=base)
    if not test:
        if not task.validation:
            raise RungError("the task has no validation rows", where=task.name, mend="give a validation split")
        done = evaluate(saved, task, "validation")
        found = _examined(task, "validation", done)
    else:
        with Ledger(ledger) as book:
            done, stands, look = _look(saved, task, book)
        done = replace(done, score=stands.score)
        lower = stats.lower(done.score, look.level, scheme_of(task, task.test)) if _carries(task, done) else None
        found = _examined(task, "test", done, look, lower)
    if rows is not None:
        write_atomic(rows, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in done.rows()))
    return found


def _look(saved: Saved, task: Task, book: Ledger) -> tuple[Evaluation, LookResult, Look]:
    """Reserve the look, score, and take the result that stands: the first of this artefact on these items."""
    artefact = bundle_digest(saved.folder)
    look = book.reserve(
        item_keys(task.test),
        [artefact],
        question=digest([task.metric, "eval"]),
        run=artefact,
        purpose=f"eval: {saved.folder.parent.name}",
    )
    done = evaluate(saved, task, "test")
    stored = look.results.get(artefact)
    if stored is None:
        stored = book.complete(look, artefact, LookResult(done.score, done.error_share).to_json())
    return done, LookResult.from_json(stored), look


def _carries(task: Task, done: Evaluation) -> bool:
    scheme = scheme_of(task, done.examples)
    return stats.refusal(done.score.kind, len(done.score), scheme.groups, scheme.least) is None


def _examined(
    task: Task, split: str, done: Evaluation, look: Look | None = None, lower: float | None = None
) -> Examined:
    low = high = None
    scheme = scheme_of(task, done.examples)
    if _carries(task, done):
        low, high = stats.interval(done.score, scheme)
    return Examined(
        task.name, split, task.metric, stats.estimate(done.score, scheme), low, high, len(done.score), sum(done.errors),
        {name: score.value for name, score in done.also.items()},
        None if look is None else look.number, None if look is None else look.level, lower,
    )  # fmt: skip
