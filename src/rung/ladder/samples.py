"""The rows of a split as the decision sees them: how they were drawn, and what the ledger knows them by."""

from __future__ import annotations

from collections.abc import Sequence

from rung import stats
from rung.ladder.ledger import item_keys
from rung.ladder.question import Sample
from rung.metrics import METRICS, Metric
from rung.task import Task
from rung.types import Example, SplitName


def sample_of(task: Task, split: SplitName, scope: str = "") -> Sample:
    """A split as the decision sees it: how many items, their groups, their keys in the ledger."""
    rows = task.split(split)
    keys = item_keys(rows, scope) if split == "test" else frozenset()
    return Sample(len(rows), scheme_of(task, rows), keys)


def scheme_of(task: Task, rows: Sequence[Example]) -> stats.Scheme:
    """How the rows were drawn and how their metric's sums become its value."""
    groups = tuple(str(row.meta.get("group", "")) for row in rows)
    return scheme_by(METRICS[task.metric], groups if any(groups) else None)


def scheme_by(metric: Metric, groups: tuple[str, ...] | None) -> stats.Scheme:
    """The same for any metric, of rows in these groups."""
    if metric.kind != "corpus":
        return stats.Scheme(groups)
    return stats.Scheme(groups, metric.value, least=stats.RATIO_ITEMS if metric.ratio else stats.CORPUS_ITEMS)
