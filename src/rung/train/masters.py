"""Optimising bfloat16 weights through float32 masters.

The module stays in the fast format; the optimiser moves float32 copies and writes them back, so that small steps are
not lost to rounding (Micikevicius et al. 2018). One `torch.optim.Optimizer` to the loop, whatever runs inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from rung.train.optimisers.build import apart, matrices_of
from rung.train.optimisers.table import OPTIMISERS, optimiser, options_of
from rung.train.parallel.layout import Layout, local

BETAS = (0.9, 0.95)  # of AdamW over a pretraining (Brown et al. 2020)


@dataclass(frozen=True)
class OptimiserSettings:
    """`learning_rate` is for matrices; `embedding_rate` for embeddings, norms and biases (Muon leaves those to AdamW)."""

    name: str = "muon"
    learning_rate: float = 0.005
    embedding_rate: float = 0.003
    weight_decay: float = 0.05
    clip: float = 1.0

    def __post_init__(self) -> None:
        optimiser(self.name)


class Masters(torch.optim.Optimizer):
    """Any optimiser of the table over float32 copies of a module's trainable weights."""

    def __init__(self, module: Any, settings: OptimiserSettings, layout: Layout | None = None) -> None:
        named = [(name, weight) for name, weight in module.named_parameters() if weight.requires_grad]
        between = matrices_of(module)
        matrices = [w for _, w in named if id(w) in between]
        rest = [w for _, w in named if id(w) not in between]
        groups = [
            {"params": matrices, "lr": settings.learning_rate, "weight_decay": settings.weight_decay, "matrices": True},
            {"params": rest, "lr": settings.embedding_rate, "weight_decay": 0.0, "matrices": False},
        ]
        super().__init__(apart(groups), {})
        self._clip, self._layout = settings.clip, layout or Layout()
        self._copies = {id(w): w.detach().float().clone() for _, w in named}
        row = OPTIMISERS[settings.name]
        options = options_of(settings.name, betas=BETAS if "betas" in row.options else None)
        copied = [{**g, "params": [self._copies[id(w)] for w in g["params"]]} for g in self.param_groups]
        self._inner = row.make(copied, options)

    @property
    def weights(self) -> list[torch.Tensor]:
        """The module's own weights, in the order of the groups."""
        return [w for group in self.param_groups for w in group["params"]]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Clip the gradients by their common norm, move the copies, write them back."""
        copies = [self._copies[id(w)] for w in self.weights]
        for weight, copy in zip(self.weights, copies, strict=True):
            copy.grad = None if weight.grad is None else weight.grad.float()
        self._layout.clip(copies, self._clip)
        for inner, group in zip(self._inner.param_groups, self.param_groups, strict=True):
            inner["lr"] = group["lr"]
        self._inner.step()
        torch._foreach_copy_([local(weight) for weight in self.weights], [local(copy) for copy in copies])

    def state_dict(self) -> dict[str, Any]:
        """As every optimiser's: of each weight its float32 `copy` and what the optimiser inside remembers of it."""
        inside = self._inner.state_dict()["state"]
        state = {i: {"copy": self._copies[id(w)], **inside.get(i, {})} for i, w in enumerate(self.weights)}
        numbers = iter(range(len(state)))
        return {
            "state": state,
            "param_groups": [{**g, "params": [next(numbers) for _ in g["params"]]} for g in self.param_groups],
        }

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where `state_dict` stopped, to the bit."""
        inside = {i: {k: v for k, v in state.items() if k != "copy"} for i, state in state_dict["state"].items()}
        for group, kept in zip(self.param_groups, state_dict["param_groups"], strict=True):
            group.update({key: value for key, value in kept.items() if key != "params"})
        for number, weight in enumerate(self.weights):
            self._copies[id(weight)].copy_(state_dict["state"][number]["copy"])
        self._inner.load_state_dict({"state": inside, "param_groups": self._inner.state_dict()["param_groups"]})
