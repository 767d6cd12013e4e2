"""What every search over settings is told and answers: a trial, what was found, and where trials are kept.

How the next trial is chosen is in `halving` and `study`; what a trial trains and how it is scored is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from rung.errors import RungError
from rung.train.settings import Diverged

Settings = Mapping[str, Any]
RunTrial = Callable[[int, Settings, int], float]


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

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Search:
        """From what `to_json` gave."""
        return cls(kept["chosen"], kept["index"], kept["score"], tuple(Trial(**trial) for trial in kept["trials"]))


def once(
    index: int,
    settings: Settings,
    budget: int,
    run_trial: RunTrial,
    store: Store | None,
    key: str,
) -> float | None:
    """The score of a trial at a budget: the one that `store` has under `key`, else of running it, which is then kept.

    None where the training diverged. Raises RungError for a score that is no number.
    """
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
