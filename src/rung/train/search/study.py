"""Searching through optuna: random, grid, TPE or a Gaussian process choose the trials, a pruner ends the poor ones early.

What is kept of a search is what halving keeps, a document a trial and budget; a study is made of them anew. Each choice is
seeded by the number of its trial, so a search that was killed goes on as it would have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rung.errors import MissingExtra, RungError
from rung.train.search.plan import SearchPlan
from rung.train.search.space import Range, Space, points
from rung.train.search.trials import RunTrial, Search, Store, Trial, once
from rung.types import digest

Progress = Callable[[int, int], None]
FIRST = 5  # trials drawn at random, and never ended early, before there is something to learn from


def explore(
    plan: SearchPlan,
    space: Space,
    budgets: tuple[int, ...],
    run_trial: RunTrial,
    *,
    store: Store | None = None,
    key: str = "search",
    progress: Progress | None = None,
) -> Search:
    """The best of `plan.trials` points of `space`; `budgets` (steps, rising) are where a trial is scored and may end.

    Trials at budgets that `store` has under `key` are not run again. A trial whose training diverges counts as ended
    early. Raises RungError for a store with another search, a score that is no number, or when no trial came to its
    end; MissingExtra without optuna.
    """
    optuna = library()
    listed = points(space) if plan.method == "grid" else ()
    _claim(plan, space, budgets, store, key)
    study = optuna.create_study(direction="maximize", pruner=pruner(plan, budgets))
    count = len(listed) or plan.trials
    for number in range(count):
        place = f"{key}/trial-{number}/asked"
        known = listed[number] if listed else store.read(place) if store is not None and store.has(place) else None
        if known is not None:
            study.enqueue_trial(dict(known))
        study.sampler = sampler(plan, number, chooses=known is None)
        trial = study.ask()
        settings = {name: _suggest(trial, name, dimension) for name, dimension in space.items()}
        if store is not None and not store.has(place):
            store.write(place, settings)
        _run(study, trial, budgets, lambda budget: once(number, settings, budget, run_trial, store, key))  # noqa: B023
        if progress:
            progress(number + 1, count)
    return found(study)


def _claim(plan: SearchPlan, space: Space, budgets: tuple[int, ...], store: Store | None, key: str) -> None:
    if store is None:
        return
    place = f"{key}/search"
    own = digest([plan.identity(), {name: repr(part) for name, part in space.items()}, list(budgets)])
    if store.has(place) and store.read(place) != own:
        raise RungError("holds another search", where=key, mend="name another folder or remove this one")
    store.write(place, own)


def library() -> Any:
    """Optuna, quiet. Raises MissingExtra where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise MissingExtra("search", needs="optuna", what="a search by random, grid, tpe or gp") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def sampler(plan: SearchPlan, number: int, *, chooses: bool = True) -> Any:
    """What chooses the point of trial `number`; one a trial, so that it depends on the study and that number alone."""
    samplers, seed = library().samplers, plan.seed * 100_003 + number
    if chooses and plan.method == "tpe":  # multivariate: Falkner et al. 2018
        return samplers.TPESampler(seed=seed, n_startup_trials=FIRST, multivariate=True)
    if chooses and plan.method == "gp":
        return samplers.GPSampler(seed=seed, n_startup_trials=FIRST)
    return samplers.RandomSampler(seed=seed)


def pruner(plan: SearchPlan, budgets: tuple[int, ...]) -> Any:
    """What ends trials early: below the median so far, outside the better part at a budget, or not at all."""
    pruners = library().pruners
    if plan.prune == "median":
        return pruners.MedianPruner(n_startup_trials=FIRST)
    if plan.prune == "halving":  # asynchronous (Li et al. 2020)
        return pruners.SuccessiveHalvingPruner(min_resource=budgets[0], reduction_factor=2)
    if plan.prune == "hyperband":  # Li et al. 2018
        return pruners.HyperbandPruner(min_resource=budgets[0], max_resource=budgets[-1], reduction_factor=2)
    return pruners.NopPruner()


def _suggest(trial: Any, name: str, dimension: Any) -> Any:
    if not isinstance(dimension, Range):
        return trial.suggest_categorical(name, dimension.values)
    if dimension.whole:
        return trial.suggest_int(name, int(dimension.low), int(dimension.high), log=dimension.log)
    return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)


def _run(study: Any, trial: Any, budgets: tuple[int, ...], score: Callable[[int], float | None]) -> None:
    from optuna.trial import TrialState

    for budget in budgets:
        value = score(budget)
        if value is not None:
            trial.report(value, budget)
        if value is None or (budget != budgets[-1] and trial.should_prune()):
            study.tell(trial, state=TrialState.PRUNED)
            return
    study.tell(trial, value)


def found(study: Any) -> Search:
    """What a study came to: the best trial that was trained to the end, and every trial at every budget."""
    from optuna.trial import TrialState

    ended = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    if not ended:
        raise RungError("every trial diverged or was ended early", where="search", mend="lower the learning rates")
    best = max(ended, key=lambda trial: (trial.value, -trial.number))
    records = []
    for trial in study.trials:
        scores = sorted(trial.intermediate_values.items())
        for place, (budget, score) in enumerate(scores):
            kept = place + 1 < len(scores) or trial.number == best.number
            records.append(Trial(trial.number, dict(trial.params), budget, score, kept))
        if not scores:
            records.append(Trial(trial.number, dict(trial.params), 0, None, False))
    return Search(dict(best.params), best.number, best.value, tuple(records))
