"""Tensor parallelism: the matrices of a layer split among processes that compute each product together.

Shoeybi et al. 2019, "Megatron-LM": first matrices by columns, second ones by rows, one sum a pass. Which is which is
read from the model's own plan in `transformers`; the splitting is PyTorch's.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

from rung.errors import RungError
from rung.train.parallel.layout import local

STYLES = {"colwise": ColwiseParallel, "rowwise": RowwiseParallel}
SHARED = "replicated_with_grad_allreduce"


@dataclass
class SplitMatrices:
    """A module whose matrices are split over `mesh`. `shared` weights are whole, and used in each part of the work."""

    mesh: DeviceMesh
    shared: list[tuple[Any, str]]

    def sum_shared(self) -> None:
        """Add up the gradients of weights that each process has used for its part alone."""
        for part, name in self.shared:
            gradient = getattr(part, name).grad
            if gradient is not None:
                dist.all_reduce(local(gradient), group=self.mesh.get_group())


def split_matrices(module: Any, mesh: DeviceMesh) -> SplitMatrices:
    """Split the matrices of `module` in place. Raises RungError for a model without a plan, or that does not divide."""
    if hasattr(module, "peft_config"):
        raise RungError(
            "tensor parallelism with an adapter", where="parallel", mend="say tensor: 1, or tune full weights"
        )
    body, config = module.base_model, module.config.get_text_config()
    plan = dict(getattr(body.config, "base_model_tp_plan", None) or {})
    if not plan:
        raise RungError(f"{config.model_type} has no plan of how to split it", where="parallel", mend="say tensor: 1")
    _check_divides(config, mesh.size())
    shared: list[tuple[Any, str]] = []
    used = set()
    for name, part in body.named_modules():
        style = next((kind for pattern, kind in plan.items() if fnmatchcase(name, pattern)), None)
        if style in STYLES:
            parallelize_module(part, mesh, STYLES[style]())
            used.add(style)
        elif style == SHARED:
            shared += [(part, weight) for weight, _ in part.named_parameters(recurse=False)]
        elif style is not None:
            raise RungError(
                f"{name} is split {style}", where="parallel", mend="this layout knows columns and rows only"
            )
    if not used:
        raise RungError(f"the plan of {config.model_type} names no matrix", where="parallel", mend="say tensor: 1")
    return SplitMatrices(mesh, shared)


def _check_divides(config: Any, parts: int) -> None:
    for key in ("num_attention_heads", "num_key_value_heads", "intermediate_size"):
        value = getattr(config, key, None)
        if isinstance(value, int) and value % parts:
            raise RungError(
                f"{key} {value} over {parts} processes", where="parallel.tensor", mend="choose a divisor of it"
            )
