"""Data parallelism: every process holds everything and works on rows of its own; gradients are summed (PyTorch's DDP).

Li et al. 2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel Training". Sharding is in `sharded`.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from rung.train.parallel.layout import Backward, Batch, LossOf
from rung.train.parallel.spread import Spread
from rung.train.surroundings import device_of


class Called(torch.nn.Module):
    """A module whose forward is a whole loss: what objectives call of it, in whatever order, counts as one pass."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, loss_of: LossOf, batch: Batch) -> torch.Tensor:
        """The loss of the batch."""
        return loss_of(self.module, batch)


class Replicated(Spread):
    """DDP. The wrapper is made anew where other weights move than before (half fine-tuning draws them each round)."""

    name = "ddp"

    @contextlib.contextmanager
    def placed(self, module: Any) -> Iterator[None]:
        """As `Layout.placed`: nothing moves, all begin with the first process's weights."""
        for tensor in [*module.parameters(), *module.buffers()]:
            dist.broadcast(tensor.detach(), 0)
        self._wrapped: DistributedDataParallel | None = None
        self._moving: frozenset[str] = frozenset()
        yield
        self._wrapped = None

    def compute(self, module: Any, micros: Sequence[Batch], loss_of: LossOf, backward: Backward) -> torch.Tensor:
        """As `Spread.compute`; gradients are sent once, with the last piece."""
        wrapped = self._wrapper(module)
        total = torch.zeros((), device=device_of(module))
        pieces = self.pieces(micros)
        for number, (batch, factor) in enumerate(pieces, 1):
            with contextlib.nullcontext() if number == len(pieces) else wrapped.no_sync():
                loss = wrapped(loss_of, batch) * factor
                backward(loss * self.data_ranks)  # DDP takes the mean over processes; the loss is a part of a sum
            total += loss.detach()
        return total

    def _wrapper(self, module: Any) -> DistributedDataParallel:
        moving = frozenset(name for name, weight in module.named_parameters() if weight.requires_grad)
        if self._wrapped is None or moving != self._moving:
            some_rest = any("expert" in name for name in moving)  # a router may send no token to some of them
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # the newer name of broadcast_buffers means more
                self._wrapped = DistributedDataParallel(
                    Called(module), find_unused_parameters=some_rest, init_sync=False, broadcast_buffers=False
                )
            self._moving = moving
        return self._wrapped
