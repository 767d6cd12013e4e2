"""Successive halving: many settings with little training, few with much.

Trials share a ladder of budgets; after each the better part goes on from where it stopped, until one is left (Jamieson
and Talwalkar 2016). What a trial trains and how it is scored is handed in; nothing here knows of weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise, product
from typing import Any, Protocol

from rung.errors import RungError
from rung.train.settings import Diverged

Settings = Mapping[str, Any]


class Store(Protocol):
    """Where finished trials are kept: a run directory has these three."""

    def has(self, key: str) -> bool: ...

    def read(self, key: str) -> Any: ...

    def write(self, key: str, value: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting at one budget. `score` is None where the training diverged; `kept` says whether it went on."""

    index: int
    settings: Settings
    budget: int
    score: float | None
    kept: bool


@dataclass(frozen=True)
class Search:
    """What a search found: the chosen setting, its place among the trials, its score, and every trial in order."""

    chosen: Settings
    index: int
    score: float
    trials: tuple[Trial, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values for a JSON document."""
        return asdict(self) | {"trials": [asdict(trial) for trial in self.trials]}


def grid(**values: Sequence[Any]) -> tuple[dict[str, Any], ...]:
    """Every combination, the last name varying fastest.

    >>> grid(rank=[4, 8], learning_rate=[0.1])
    ({'rank': 4, 'learning_rate': 0.1}, {'rank': 8, 'learning_rate': 0.1})
    """
    return tuple(dict(zip(values, combination, strict=True)) for combination in product(*values.values()))


def budgets(total: int, trials: int, *, keep: float = 0.5, least: int = 1) -> tuple[int, ...]:
    """Steps at which to choose, rising to `total`: each as much larger as fewer trials remain.

    >>> budgets(400, 8)
    (50, 100, 200, 400)
    """
    rounds, left = 1, trials
    while left > 1:
        left = _survivors(left, keep)
        rounds += 1
    steps = [max(least, round(total * keep**power)) for power in range(rounds - 1, -1, -1)]
    return tuple(sorted({min(step, total) for step in steps}))


def halve(
    trials: Sequence[Settings],
    budgets: Sequence[int],
    run_trial: Callable[[int, Settings, int], float],
    *,
    store: Store | None = None,
    key: str = "search",
    keep: float = 0.5,
) -> Search:
    """Find the best of `trials` by successive halving.

    `run_trial(index, settings, budget)` goes on with that trial up to `budget` steps in all and returns its validation
    score (greater is better). With equal scores the earlier trial wins, so list the cheaper ones first. A trial whose
    training diverges is out. With a `store` every finished (trial, budget) is kept under `key` and not run again.
    Raises RungError for no trials, budgets that do not rise, or when every trial diverged.
    """
    if not trials or not budgets:
        raise RungError("no trials or no budgets", where="search", mend="give at least one of each")
    if any(later <= earlier for earlier, later in pairwise(budgets)) or budgets[0] < 1:
        raise RungError(f"budgets {list(budgets)} do not rise", where="search", mend="list them from small to large")
    if not 0 < keep < 1:
        raise RungError(f"keep {keep} is no share", where="search", mend="give one between 0 and 1")
    left, records, scores = list(range(len(trials))), [], dict[int, float | None]()
    for round_, budget in enumerate(budgets):
        for index in left:
            scores[index] = _once(index, trials[index], budget, run_trial, store, key)
        ranked = sorted((i for i in left if scores[i] is not None), key=lambda i: (-(scores[i] or 0.0), i))
        final = round_ == len(budgets) - 1
        survivors = ranked[:1] if final else ranked[: _survivors(len(left), keep)]
        records += [Trial(i, trials[i], budget, scores[i], i in survivors) for i in left]
        if not survivors:
            raise RungError("every trial diverged", where="search", mend="lower the learning rates")
        left = sorted(survivors)
    best = left[0]
    return Search(trials[best], best, scores[best] or 0.0, tuple(records))


def _once(
    index: int,
    settings: Settings,
    budget: int,
    run_trial: Callable[[int, Settings, int], float],
    store: Store | None,
    key: str,
) -> float | None:
    place = f"{key}/trial-{index}/{budget}"
    if store is not None and store.has(place):
        found: float | None = store.read(place)["score"]
        return found
    try:
        score: float | None = float(run_trial(index, settings, budget))
    except Diverged:
        score = None
    if score is not None and not math.isfinite(score):
        raise RungError(f"trial {index} scored {score}", where="search", mend="scores must be numbers")
    if store is not None:
        store.write(place, {"settings": dict(settings), "budget": budget, "score": score})
    return score


def _survivors(count: int, keep: float) -> int:
    return min(max(1, math.ceil(count * keep)), max(1, count - 1))
