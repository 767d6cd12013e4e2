"""The worst case over changed forms of each input: what robustness and fairness have in common.

HELM (Liang et al. 2022, arXiv:2211.09110, 4.4): an item counts as its worst score over the original and its changed
forms; a change that finds nothing to change is not asked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rung import stats
from rung.evaluate.asking import ask
from rung.evaluate.evaluation import Evaluation
from rung.evaluate.measures.perturbation import Change, Perturbation, perturb
from rung.metrics import METRICS, score
from rung.metrics.metric import Metric
from rung.task import Task
from rung.types import Completion, Example, Score, System


@dataclass(frozen=True)
class Worsened:
    """An item that a perturbation made worse: what changed in it, both answers, both scores."""

    id: str
    perturbation: str
    changes: tuple[Change, ...]
    before: str
    after: str
    was: float
    now: float
    error: str | None = None


@dataclass(frozen=True)
class Invariance:
    """`original`, `worst` and each perturbation's own score, all over the same rows; `changed` counts the rows that a
    perturbation could change, `errors` the changed rows without an answer, `interval` is the worst case's (95 %)."""

    original: Score = field(repr=False)
    worst: Score = field(repr=False)
    scores: dict[str, Score] = field(repr=False)
    changed: dict[str, int]
    errors: int
    interval: tuple[float, float] | None
    worsened: tuple[Worsened, ...] = field(default=(), repr=False)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, with every row that got worse."""
        low, high = self.interval or (None, None)
        return {
            "metric": self.worst.metric, "original": self.original.value, "worst": self.worst.value, "low": low,
            "high": high, "errors": self.errors,
            "perturbations": {
                name: {"value": one.value, "changed": self.changed[name]} for name, one in self.scores.items()
            },
            "worsened": [
                {**vars(row), "changes": [[change.before, change.after] for change in row.changes]}
                for row in self.worsened
            ],
        }  # fmt: skip


def invariance(
    system: System,
    task: Task,
    evaluation: Evaluation,
    perturbations: Sequence[Perturbation],
    *,
    seed: int = 0,
    groups: tuple[str, ...] | None = None,
) -> Invariance:
    """Ask `system` every changed form of the rows of `evaluation`, and take each row's worst score.

    The score is the task's where it has one for a row (`row_metric`), else right or wrong, or token F1. `groups` name
    the rows' groups, for the interval.
    """
    metric = row_metric(task)
    original = _score(metric, task, evaluation.examples, evaluation.completions)
    made = [[perturb(one, example, task.kind, seed) for example in evaluation.examples] for one in perturbations]
    places = [(n, row) for n, rows in enumerate(made) for row, form in enumerate(rows) if form.changes]
    said = ask(system, [task.prompt(made[n][row].example) for n, row in places])
    scored = _score(metric, task, [made[n][row].example for n, row in places], said).items if places else np.zeros(0)
    table = np.tile(original.items, (len(perturbations), 1))
    worsened = []
    for (n, row), completion, value in zip(places, said, scored):
        table[n, row] = value
        if value < original.items[row]:
            before = evaluation.completions[row].text
            example, form = evaluation.examples[row], made[n][row]
            worsened.append(
                Worsened(
                    example.id, perturbations[n].name, form.changes, before, completion.text,
                    float(original.items[row]), float(value), completion.error,
                )
            )  # fmt: skip
    worst = _as_score(metric, np.minimum(original.items, table.min(axis=0, initial=np.inf)))
    scheme = stats.Scheme(groups)
    return Invariance(
        original,
        worst,
        {one.name: _as_score(metric, table[n]) for n, one in enumerate(perturbations)},
        {one.name: sum(bool(form.changes) for form in made[n]) for n, one in enumerate(perturbations)},
        sum(one.error is not None for one in said),
        None if stats.refusal(worst.kind, len(worst), groups) else stats.interval(worst, scheme),
        tuple(worsened),
    )


def row_metric(task: Task) -> Metric:
    """A metric that scores single rows: the task's own, or for scores of a whole split accuracy or token F1."""
    own = METRICS[task.metric]
    if own.kind != "corpus":
        return own
    return METRICS["token_f1" if task.kind == "generate" else "accuracy"]


def _score(metric: Metric, task: Task, examples: Sequence[Example], said: Sequence[Completion]) -> Score:
    errors = [one.error is not None for one in said]
    return score(metric, [one.text for one in said], examples, errors, task.labels)


def _as_score(metric: Metric, items: np.ndarray) -> Score:
    return Score(metric.name, metric.kind, float(items.mean()), items.reshape(-1, 1), metric.worst, metric.best)
