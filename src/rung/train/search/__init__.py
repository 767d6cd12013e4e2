"""Search over settings: one interface over successive halving, our own, and the methods of optuna.

`search(plan, space, …)` runs any of them; a trial is handed in as a function that goes on with it up to a budget of steps.
"""

from __future__ import annotations

from rung.train.search.halving import budgets, halve
from rung.train.search.plan import METHODS, SearchPlan
from rung.train.search.space import Range, Space, Values, grid, points, read_space
from rung.train.search.study import Progress, explore
from rung.train.search.trials import RunTrial, Search, Settings, Store, Trial

__all__ = [
    "METHODS",
    "Range",
    "RunTrial",
    "Search",
    "SearchPlan",
    "Settings",
    "Store",
    "Trial",
    "Values",
    "budgets",
    "grid",
    "halve",
    "points",
    "read_space",
    "search",
]


def search(
    plan: SearchPlan,
    space: Space,
    total: int,
    run_trial: RunTrial,
    *,
    store: Store | None = None,
    key: str = "search",
    progress: Progress | None = None,
) -> Search:
    """The best settings of `space` by `plan`, with at most `total` steps a trial.

    `run_trial(index, settings, budget)` goes on with that trial up to `budget` steps in all and returns its validation
    score (greater is better). With a `store` every finished (trial, budget) is kept under `key` and not run again.
    `progress` gets (trials done, trials in all). Raises RungError for a space that the method cannot walk, or when no
    trial ended.
    """
    if plan.method == "halving":
        trials = points(space)
        return halve(trials, budgets(total, len(trials)), run_trial, store=store, key=key)
    return explore(plan, space, plan.budgets(total), run_trial, store=store, key=key, progress=progress)
