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
        """The states of the parts, in order."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where `state_dict` stopped."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share()
