"""Successive halving: many settings with little training, few with much.

Trials share a ladder of budgets; after each the better part goes on from where it stopped, until one is left (Jamieson
and Talwalkar 2016). What a trial trains and how it is scored is handed in; nothing here knows of weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from rung.errors import RungError
from rung.train.search.trials import RunTrial, Search, Settings, Store, Trial, once


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
    run_trial: RunTrial,
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
            scores[index] = once(index, trials[index], budget, run_trial, store, key)
        ranked = sorted((i for i in left if scores[i] is not None), key=lambda i: (-(scores[i] or 0.0), i))
        final = round_ == len(budgets) - 1
        survivors = ranked[:1] if final else ranked[: _survivors(len(left), keep)]
        records += [Trial(i, trials[i], budget, scores[i], i in survivors) for i in left]
        if not survivors:
            raise RungError("every trial diverged", where="search", mend="lower the learning rates")
        left = sorted(survivors)
    best = left[0]
    return Search(trials[best], best, scores[best] or 0.0, tuple(records))


def _survivors(count: int, keep: float) -> int:
    return min(max(1, math.ceil(count * keep)), max(1, count - 1))
