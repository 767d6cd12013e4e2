"""What mattered in a search: the share of the scores' variance that each setting explains."""

from __future__ import annotations

import warnings
from typing import Any

from rung.train.search.space import Range, Space
from rung.train.search.study import library
from rung.train.search.trials import Search, Trial

LEAST = 4  # trials from which shares of variance say anything


def compared(found: Search) -> tuple[Trial, ...]:
    """The trials that can be held against one another: all scored at the largest budget that four or more reached."""
    scored = [trial for trial in found.trials if trial.score is not None]
    for budget in sorted({trial.budget for trial in scored}, reverse=True):
        reached = tuple(trial for trial in scored if trial.budget == budget)
        if len(reached) >= LEAST:
            return reached
    return ()


def importances(found: Search, space: Space) -> dict[str, float]:
    """The share of the variance of the scores that each setting explains alone (fANOVA, Hutter et al. 2014).

    Most important first; they sum to 1. Empty where fewer than four trials can be compared, or all scored alike.
    """
    optuna, trials = library(), compared(found)
    if len({trial.score for trial in trials}) < 2 or len(space) < 2:
        return {name: 1.0 for name in space if len(space) == 1 and trials}
    study = optuna.create_study(direction="maximize")
    for trial in trials:
        told = {name: _distribution(optuna, part) for name, part in space.items()}
        study.add_trial(optuna.trial.create_trial(params=dict(trial.settings), distributions=told, value=trial.score))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _distribution(optuna: Any, dimension: Any) -> Any:
    kinds = optuna.distributions
    if not isinstance(dimension, Range):
        return kinds.CategoricalDistribution(dimension.values)
    if dimension.whole:
        return kinds.IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return kinds.FloatDistribution(dimension.low, dimension.high, log=dimension.log)
