"""Optimising bfloat16 weights through float32 masters.

The module stays in the fast format; the optimiser moves float32 copies and writes them back, so that small steps are
not lost to rounding (Micikevicius et al. 2018). One `torch.optim.Optimizer` to the loop, whatever runs inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from rung.errors import RungError, nearest


@dataclass(frozen=True)
class OptimiserSettings:
    """`learning_rate` is for matrices; `embedding_rate` for embeddings, norms and biases (Muon leaves those to AdamW)."""

    name: str = "muon"
    learning_rate: float = 0.005
    embedding_rate: float = 0.003
    weight_decay: float = 0.05
    clip: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in OPTIMISERS:
            raise RungError(f"unknown optimiser {self.name!r}", where="train", mend=nearest(self.name, OPTIMISERS))


class Masters(torch.optim.Optimizer):
    """AdamW or Muon over float32 copies of a module's trainable weights."""

    def __init__(self, module: Any, settings: OptimiserSettings) -> None:
        named = [(name, weight) for name, weight in module.named_parameters() if weight.requires_grad]
        # Embeddings and heads are lookup tables: orthogonalised updates (Jordan 2024) are for matrices between layers.
        tables = {
            id(t.weight) for t in (module.get_input_embeddings(), module.get_output_embeddings()) if t is not None
        }
        matrices = [w for _, w in named if w.ndim == 2 and id(w) not in tables]
        rest = [w for _, w in named if w.ndim != 2 or id(w) in tables]
        groups = [
            {"params": matrices, "lr": settings.learning_rate, "weight_decay": settings.weight_decay},
            {"params": rest, "lr": settings.embedding_rate, "weight_decay": 0.0},
        ]
        super().__init__([group for group in groups if group["params"]], {})
        self._clip = settings.clip
        self._copies = {id(w): w.detach().float().clone() for _, w in named}
        self._inner = OPTIMISERS[settings.name](self._copy_groups())

    def _copy_groups(self) -> list[dict[str, Any]]:
        return [
            {"params": [self._copies[id(w)] for w in g["params"]], "lr": g["lr"], "weight_decay": g["weight_decay"]}
            for g in self.param_groups
        ]

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
        torch.nn.utils.clip_grad_norm_(copies, self._clip)
        for inner, group in zip(self._inner, self.param_groups, strict=True):
            inner.param_groups[0]["lr"] = group["lr"]
            inner.step()
        torch._foreach_copy_(self.weights, copies)

    def state_dict(self) -> dict[str, Any]:
        """The groups' settings, the float32 copies, and the state of what runs inside."""
        return {
            "rates": [{k: v for k, v in g.items() if k != "params"} for g in self.param_groups],
            "copies": [self._copies[id(w)] for w in self.weights],
            "inner": [inner.state_dict() for inner in self._inner],
        }

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where `state_dict` stopped, to the bit."""
        for group, rates in zip(self.param_groups, state_dict["rates"], strict=True):
            group.update(rates)
        for weight, copy in zip(self.weights, state_dict["copies"], strict=True):
            self._copies[id(weight)].copy_(copy)
        for inner, state in zip(self._inner, state_dict["inner"], strict=True):
            inner.load_state_dict(state)


def _adamw(groups: Iterable[dict[str, Any]]) -> list[torch.optim.Optimizer]:
    return [torch.optim.AdamW([group], betas=(0.9, 0.95)) for group in groups]


def _muon(groups: Iterable[dict[str, Any]]) -> list[torch.optim.Optimizer]:
    matrices, *rest = groups
    muon = torch.optim.Muon([matrices], momentum=0.95, adjust_lr_fn="match_rms_adamw")
    return [muon, *_adamw(rest)]


OPTIMISERS: dict[str, Callable[[Iterable[dict[str, Any]]], list[torch.optim.Optimizer]]] = {
    "adamw": _adamw,
    "muon": _muon,
}
