"""How a rung that trains looks for its settings: fields that all of them share, and the space that they span.

By default the ladder's successive halving over a few values; by name any method of `train.search`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rung.errors import RungError, nearest
from rung.ladder.rungs.learning import ClassFields
from rung.train.search import Range, RunTrial, Search, SearchPlan, Store, budgets, halve, read_space, search
from rung.train.search.space import Dimension, Values, write_space

AROUND = 10.0
"""How far to either side of the usual learning rate a search looks, as a factor."""
TRAINING = ("learning_rate", "weight_decay")
"""What a trial may change beside the fields of its method."""


@dataclass(frozen=True)
class Looking:
    """A search as planned: the method, its space, and what every trial has in common where the space leaves it open."""

    plan: SearchPlan
    space: Mapping[str, Dimension]
    common: Mapping[str, Any]

    def run(self, steps: int, run_trial: RunTrial, store: Store, tried: Sequence[Mapping[str, Any]]) -> Search:
        """The best settings; halving walks over `tried`, in its order."""
        if self.plan.method == "halving":
            return halve([dict(one) for one in tried], budgets(steps, len(tried)), run_trial, store=store)

        def whole(index: int, own: Mapping[str, Any], budget: int) -> float:
            return run_trial(index, {**self.common, **own}, budget)

        return search(self.plan, self.space, steps, whole, store=store)

    def note(self, found: Search) -> dict[str, Any]:
        """What a page of the search needs to know, JSON-ready; empty for halving."""
        if self.plan.method == "halving":
            return {}
        return {"search": {"method": self.plan.method, "space": write_space(self.space), "found": found.to_json()}}


@dataclass(frozen=True)
class SearchFields(ClassFields):
    """`search` names a method (`halving`, `random`, `grid`, `tpe`, `gp`), `trials` how many points, `prune` what ends
    poor ones early, and `space` what is searched, as `learning_rate=1e-5..1e-2:log` or `rank=4,8,16`."""

    search: str = "halving"
    trials: int = 20
    prune: str = "median"
    space: tuple[str, ...] | str = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        SearchPlan(self.search, self.trials, self.prune)
        if self.space and self.search == "halving":
            raise RungError(
                "halving walks over listed fields", where="space", mend="list values in the fields, or say search: tpe"
            )
        read_space(self.written)

    @property
    def written(self) -> tuple[str, ...]:
        """The parts of the space as they were written."""
        return (self.space,) if isinstance(self.space, str) else self.space

    def looking(
        self, own: Mapping[str, tuple[Any, ...]], fields: Collection[str], rates: tuple[float, ...], seed: int
    ) -> Looking:
        """The search: `own` are the values of the fields that hold several, `fields` all that a method has, `rates` the
        learning rates that halving would try. Raises RungError for a space over anything else."""
        asked, known = read_space(self.written), {*fields, *TRAINING}
        for name in asked:
            if name not in known:
                raise RungError(f"no field {name} to search", where="space", mend=nearest(name, known))
        middle = (min(rates) * max(rates)) ** 0.5
        space: dict[str, Dimension] = {}
        if not asked:
            space = {name: Values(values) for name, values in own.items() if len(values) > 1}
        if not asked and self.search == "grid":
            space["learning_rate"] = Values(rates)
        elif not asked:
            space["learning_rate"] = Range(middle / AROUND, middle * AROUND, log=True)
        common = {name: values[0] for name, values in own.items()} | {"learning_rate": middle}
        return Looking(SearchPlan(self.search, self.trials, self.prune, seed=seed), asked or space, common)
