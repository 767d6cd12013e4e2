"""Data parallelism over shards: what no process needs all of lies in parts (PyTorch's FSDP2), and matrices may be split too.

ZeRO (Rajbhandari et al. 2020): stage 1 shards what the optimiser remembers, stage 2 the gradients too, stage 3 the weights
too. Hybrid: stage 3 within groups, which are replicas of each other. All are one mechanism here, told when to send what.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from rung.errors import RungError
from rung.train.answers import base_of
from rung.train.hooks import Hooks
from rung.train.parallel.layout import Backward, Batch, LossOf, T
from rung.train.parallel.replicated import Called
from rung.train.parallel.restored import restored, shells
from rung.train.parallel.settings import ParallelSettings
from rung.train.parallel.spread import Spread, whole_of
from rung.train.parallel.team import Team
from rung.train.parallel.tensor import SplitMatrices, split_matrices
from rung.train.surroundings import device_of


class Sharded(Spread):
    """ZeRO 1, 2, 3 and hybrid, each alone or over matrices split among `tensor` processes."""

    def __init__(self, team: Team, settings: ParallelSettings) -> None:
        super().__init__(team, settings)
        self.name = settings.data
        self.first_of_matrix = team.rank % settings.tensor == 0
        self._split: SplitMatrices | None = None

    @contextlib.contextmanager
    def placed(self, module: Any) -> Iterator[None]:
        """As `Layout.placed`. Raises RungError for weights in 4 bits, or matrices that do not divide."""
        odd = [name for name, weight in module.named_parameters() if not weight.is_floating_point()]
        if odd:
            raise RungError(f"{odd[0]} is kept in 4 or 8 bits", where="parallel", mend="say data: ddp and tensor: 1")
        data, tensor = _meshes(self.settings, self.data_ranks, device_of(module).type)
        logging.getLogger("torch.distributed.tensor._redistribute").setLevel(
            logging.ERROR
        )  # hints on speed, a tensor each
        with restored(module, whole_of), shells(_blocks(module)) as blocks:
            self._split = split_matrices(module, tensor) if tensor is not None else None
            self.root = Called(module)
            if data is not None:
                for part in [*blocks, self.root]:
                    fully_shard(part, mesh=data, reshard_after_forward=self._drops and part is not self.root)
                    # Sums: the loss is divided by the targets of the whole step already. Gloo knows no scaled sum.
                    part.set_gradient_divide_factor(1.0)
                    part.set_force_sum_reduction_for_comms(True)
            try:
                yield
            finally:
                self._reshard()
                del self.root

    @property
    def _drops(self) -> bool:
        """Whether weights are let go between the passes."""
        return self.settings.data in ("zero3", "hybrid")

    def compute(self, module: Any, micros: Sequence[Batch], loss_of: LossOf, backward: Backward) -> torch.Tensor:
        """As `Spread.compute`. Stage 1 sends gradients once a step, the others with each piece."""
        total = torch.zeros((), device=device_of(module))
        pieces = self.pieces(micros)
        for number, (batch, factor) in enumerate(pieces, 1):
            if isinstance(self.root, FSDPModule):
                last = number == len(pieces)
                self.root.set_requires_gradient_sync(last or self.settings.data != "zero1")
                self.root.set_reshard_after_backward(last or self._drops)
                self.root.set_is_last_backward(last)
            loss = self.root(loss_of, batch) * factor
            backward(loss)
            total += loss.detach()
        if self._split is not None:
            self._split.sum_shared()
        return total if self.first_of_matrix else torch.zeros_like(total)

    def judge(self, look: Callable[[], T]) -> T:
        """As `Layout.judge`: a pass of its own, in which weights are put together as they are needed."""
        found: list[T] = []
        self.root(lambda module, batch: found.append(look()), {})
        self._reshard()
        return found[0]

    def check_hooks(self, hooks: Hooks) -> None:
        """Penalties and weights held still look at whole weights, which are not there."""
        if hooks != Hooks():
            raise RungError(
                f"a penalty or weights held still with data {self.settings.data}, tensor {self.settings.tensor}",
                where="parallel",
                mend="say data: ddp and tensor: 1",
            )

    def _reshard(self) -> None:
        for part in self.root.modules():
            if isinstance(part, FSDPModule):
                part.reshard()


def _meshes(settings: ParallelSettings, ranks: int, device: str) -> tuple[DeviceMesh | None, DeviceMesh | None]:
    """The mesh over which rows and shards are spread, and the one over which matrices are split; None for one process."""
    groups = ranks // settings.shard if settings.shard else 1
    sizes = {"replica": groups, "shard": ranks // groups, "tensor": settings.tensor}
    if settings.data == "ddp":
        sizes |= {"replica": ranks, "shard": 1}
    mesh = init_device_mesh(device, tuple(sizes.values()), mesh_dim_names=tuple(sizes))
    data = None
    if ranks > 1:
        data = mesh["replica", "shard"] if sizes["replica"] > 1 else mesh["shard"]
    return data, mesh["tensor"] if settings.tensor > 1 else None


def _blocks(module: Any) -> list[tuple[Any, str]]:
    """The layers that repeat, each as (its parent, its name there)."""
    base = base_of(module)
    kinds = set(getattr(base, "_no_split_modules", None) or ())
    found = [
        (parent, name)
        for parent in module.modules()
        for name, child in parent.named_children()
        if type(child).__name__ in kinds
    ]
    if found:
        return found
    lists = [part for part in module.modules() if isinstance(part, torch.nn.ModuleList)]
    longest = max(lists, key=len, default=None)
    return [(longest, name) for name, _ in longest.named_children()] if longest is not None else []
