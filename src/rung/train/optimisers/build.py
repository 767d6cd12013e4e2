"""An optimiser for the weights of a module that move: which groups they fall into, and the one that `table` makes of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from rung.train.optimisers.table import OPTIMISERS, options_of


@dataclass(frozen=True)
class Choice:
    """An optimiser by name with its learning rate, weight decay and options. Checked at construction."""

    name: str = "adamw"
    learning_rate: float = 2e-4
    weight_decay: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        options_of(self.name, **self.options)

    def build(self, module: Any, decays: Collection[str]) -> Any:
        """The optimiser of `module`'s trainable weights; those named in `decays` feel the weight decay."""
        groups = grouped(module, self.learning_rate, self.weight_decay, decays)
        return OPTIMISERS[self.name].make(groups, options_of(self.name, **self.options))


def grouped(module: Any, rate: float, decay: float, decays: Collection[str]) -> list[dict[str, Any]]:
    """The trainable weights by whether they decay and whether they are matrices between layers; empty groups left out."""
    matrices = matrices_of(module)
    groups = []
    for decaying in (True, False):
        for matrix in (True, False):
            weights = [
                weight
                for name, weight in module.named_parameters()
                if weight.requires_grad and (name in decays) is decaying and (id(weight) in matrices) is matrix
            ]
            own = {"params": weights, "lr": rate, "weight_decay": decay if decaying else 0.0, "matrices": matrix}
            groups += [own] if weights else []
    return apart(groups)


def apart(groups: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The groups, each parted by the meshes of devices that its weights lie over: one call moves one mesh."""
    found = []
    for group in groups:
        meshes: dict[Any, list[Any]] = {}
        for weight in group["params"]:
            meshes.setdefault(getattr(weight, "device_mesh", None), []).append(weight)
        found += [{**group, "params": weights} for weights in meshes.values()]
    return found


def matrices_of(module: Any) -> set[int]:
    """The ids of the trainable matrices between layers.

    Embeddings and heads are lookup tables: orthogonalised updates (Jordan et al. 2024) and 8-bit states are not for them.
    """
    tables = {id(part.weight) for part in module.modules() if isinstance(part, torch.nn.Embedding)}
    head = module.get_output_embeddings() if hasattr(module, "get_output_embeddings") else None
    tables |= set() if head is None else {id(head.weight)}
    return {id(w) for w in module.parameters() if w.requires_grad and w.ndim == 2 and id(w) not in tables}
