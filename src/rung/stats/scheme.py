"""How a split's items were drawn and read, and what is refused before anything is computed.

No statistic lives here: estimates and their errors are in `error`, bounds in `bounds`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rung.errors import RungError
from rung.types import Score, ScoreKind

Value = Callable[[np.ndarray, Any], Any]
"""`value(totals, count)`: column sums of shape (..., k) and the number of items, to metric values of shape (...)."""

CORPUS_ITEMS = 100
"""Fewest items from which a corpus score has a bound, unless its `Scheme` says otherwise."""
RATIO_ITEMS = 30
"""The same for a ratio of two sums (edits by words), which scatters almost like a mean."""
GROUPS = 10
"""Fewest groups from which grouped items have a bound."""


@dataclass(frozen=True)
class Scheme:
    """How a split's items were drawn and read.

    `groups` names the group of each item (customer, document, ...) where items of one group are not independent;
    `value` is the metric's function from column sums to its value, needed for corpus scores, and `least` the fewest items
    from which such a score has a bound; `seed` seeds resampling.
    """

    groups: tuple[str, ...] | None = None
    value: Value | None = None
    seed: int = 0
    least: int = CORPUS_ITEMS


ITEMS = Scheme()
"""Items drawn one by one, and a score that is a mean over items."""


def refusal(kind: ScoreKind, count: int, groups: Sequence[str] | None = None, least: int = CORPUS_ITEMS) -> str | None:
    """Why a split of `count` items can carry no bound, in words; None where it can. `least` is the scheme's own."""
    if count < 1:
        return "there are no items"
    if kind == "corpus" and count < least:
        return f"a score of the whole split needs {least} items or more for a bound; there are {count}"
    if groups is not None and len(set(groups)) < GROUPS:
        return f"grouped items need {GROUPS} groups or more for a bound; there are {len(set(groups))}"
    return None


def check_level(level: float) -> None:
    """Refuse what is no one-sided level."""
    if not 0.0 <= level <= 0.5:
        raise ValueError(f"level is a one-sided probability of error between 0 and 0.5, not {level}")


def check_score(score: Score, scheme: Scheme) -> None:
    """Refuse what no statistic can be computed from."""
    table = score.statistics
    where = f"score {score.metric}"
    if table.ndim != 2:
        raise ValueError(f"statistics of {score.metric} have shape {table.shape}, not (n, k)")
    if not len(score):
        raise RungError("there are no items to score", where=where, mend="give the split at least one example")
    if not np.isfinite(table).all():
        rows = np.flatnonzero(~np.isfinite(table).all(axis=1))
        raise RungError(f"item {rows[0]} has no finite score ({len(rows)} in all)", where=where)
    if not (math.isfinite(score.worst) and math.isfinite(score.best) and score.worst < score.best):
        raise RungError(f"the scale {score.worst} to {score.best} has no ends to compute with", where=where)
    if scheme.groups is not None and len(scheme.groups) != len(score):
        raise ValueError(f"{len(scheme.groups)} groups for {len(score)} items of {score.metric}")
    if score.kind == "corpus":
        if scheme.value is None:
            raise ValueError(f"{score.metric} is a corpus score: its value function is needed")
        return
    if score.kind == "binary" and not np.isin(score.items, (0.0, 1.0)).all():
        raise ValueError(f"{score.metric} is binary, yet has items that are neither 0 nor 1")
    slack = 1e-9 * (score.best - score.worst)
    if score.items.min() < score.worst - slack or score.items.max() > score.best + slack:
        raise RungError(
            f"items from {score.items.min()} to {score.items.max()} leave the scale {score.worst} to {score.best}",
            where=where,
        )


def check_pair(first: Score, second: Score, scheme: Scheme) -> None:
    """Refuse two scores that are not of one metric on one split."""
    check_score(first, scheme)
    check_score(second, scheme)
    same = (first.metric, first.kind, first.worst, first.best) == (
        second.metric,
        second.kind,
        second.worst,
        second.best,
    )
    if not same or len(first) != len(second):
        raise ValueError(f"{first.metric} on {len(first)} items cannot be paired with {second.metric} on {len(second)}")


def refuse(score: Score, scheme: Scheme) -> None:
    """Raise `refusal` as an error."""
    reason = refusal(score.kind, len(score), scheme.groups, scheme.least)
    if reason:
        raise RungError(reason, where=f"score {score.metric}", mend="add examples to the split")


def drawn_units(count: int, scheme: Scheme) -> int:
    """How many units were drawn: items, or groups."""
    return count if scheme.groups is None else len(set(scheme.groups))


def group_size(scheme: Scheme) -> float:
    """The size of the group that the average item stands in; 1 where items are drawn one by one."""
    if scheme.groups is None:
        return 1.0
    sizes = np.unique(np.asarray(scheme.groups, dtype=str), return_counts=True)[1].astype(float)
    return float(sizes @ sizes / sizes.sum())


def effective_units(count: int, scheme: Scheme) -> float:
    """How many independent units a bound may count on: items, or the effective number of groups (Kish 1965).

    Groups of unequal size count as n^2 / (sum of squared sizes) equal ones. Where one customer sends half of the items
    the plain number of groups makes bounds that err up to ten times as often as they say.
    """
    return count / group_size(scheme)


def by_group(table: np.ndarray, groups: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Column sums of each group, shape (G, k), and the number of items in each, shape (G,)."""
    names, inverse = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    sums = np.zeros((len(names), table.shape[1]))
    np.add.at(sums, inverse, table)
    return sums, np.bincount(inverse, minlength=len(names)).astype(float)


def value_of(score: Score, scheme: Scheme) -> Value:
    """The function from column sums to the score's value."""
    if score.kind != "corpus":
        return mean_value
    assert scheme.value is not None
    return scheme.value


def mean_value(totals: np.ndarray, count: Any) -> Any:
    """The value of a score that is a mean over items."""
    return totals[..., 0] / count
