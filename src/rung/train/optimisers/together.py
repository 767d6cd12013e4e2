"""Two optimisers as one to the loop: one for the matrices between layers, another for all other weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

Make = Callable[[Sequence[dict[str, Any]]], Any]


def together(groups: Sequence[dict[str, Any]], matrices: Make, rest: Make) -> torch.optim.Optimizer:
    """The optimiser that `matrices` makes of the groups of matrices beside the one that `rest` makes of the others."""
    own = [group for group in groups if group["matrices"]]
    others = [group for group in groups if not group["matrices"]]
    parts = [make(part) for make, part in ((matrices, own), (rest, others)) if part]
    return parts[0] if len(parts) == 1 else Together(parts)


class Together(torch.optim.Optimizer):
    """Optimisers of different weights in one. Its groups are theirs, so a schedule reaches all."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = list(parts)
        super().__init__([{"params": [torch.empty(0)]}], {})  # the base class wants a group of its own to start with
        self._share()

    def _share(self) -> None:
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Any = None) -> None:
        """One step of each."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """As one optimiser's: the weights of the parts are numbered on."""
        state: dict[int, Any] = {}
        groups: list[dict[str, Any]] = []
        for part, first in zip(self.parts, self._firsts(), strict=True):
            own = part.state_dict()
            state |= {first + number: kept for number, kept in own["state"].items()}
            groups += [
                {**group, "params": [first + number for number in group["params"]]} for group in own["param_groups"]
            ]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where `state_dict` stopped."""
        groups = iter(state_dict["param_groups"])
        for part, first in zip(self.parts, self._firsts(), strict=True):
            own = [next(groups) for _ in part.param_groups]
            numbers = {number for group in own for number in group["params"]}
            state = {number - first: kept for number, kept in state_dict["state"].items() if number in numbers}
            shifted = [{**group, "params": [number - first for number in group["params"]]} for group in own]
            part.load_state_dict({"state": state, "param_groups": shifted})
        self._share()

    def _firsts(self) -> list[int]:
        """The number of each part's first weight."""
        counts = [sum(len(group["params"]) for group in part.param_groups) for part in self.parts]
        return [sum(counts[:place]) for place in range(len(counts))]
