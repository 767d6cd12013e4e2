"""What every layout over several processes shares: one order of randomness, agreement on losses and norms, whole tensors
gathered in the first process and handed out from it. How a step is computed is left to the layouts themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor, distribute_tensor

from rung.train.keep import Weights
from rung.train.parallel.layout import Backward, Batch, Layout, LossOf, T, local
from rung.train.parallel.settings import ParallelSettings
from rung.train.parallel.share import shares
from rung.train.parallel.team import Team
from rung.train.parallel.traffic import Theory, Traffic, theory

MEASURED = 3  # the step whose bytes are counted: those before it set up buckets and buffers


class Spread(Layout):
    """A layout over the processes of `team`. `data_rank` of `data_ranks` says which rows of a step are this one's.

    What this process sends in one step is in `traffic` once that step is over.
    """

    def __init__(self, team: Team, settings: ParallelSettings) -> None:
        super().__init__(team)
        self.settings = settings
        self.data_ranks = settings.data_ranks(team.world)
        self.data_rank = team.rank // (team.world // self.data_ranks)
        self.traffic: Traffic | None = None
        self.theory: Theory | None = None
        self._steps = 0

    def step(
        self, module: Any, micros: Sequence[Batch], loss_of: LossOf, backward: Backward, moment: tuple[int, int]
    ) -> torch.Tensor:
        """This process's share of a step, gradients summed over all. Returns the loss of the whole step."""
        self._steps += 1
        # Randomness is a function of the step and of the rows at work, so resuming needs no more than the step's number.
        torch.manual_seed(int(np.random.SeedSequence([*moment, self.data_rank]).generate_state(1)[0]))
        if self._steps != MEASURED:
            total = self.compute(module, micros, loss_of, backward)
        else:
            self.theory = self._expected(module, len(self.pieces(micros)))
            with Traffic() as self.traffic:
                total = self.compute(module, micros, loss_of, backward)
        dist.all_reduce(total)
        return total

    def compute(self, module: Any, micros: Sequence[Batch], loss_of: LossOf, backward: Backward) -> torch.Tensor:
        """Forward and backward of this process's pieces. Returns the part of the loss that it answers for."""
        raise NotImplementedError

    def _expected(self, module: Any, pieces: int) -> Theory | None:
        """What theory says of the weights that this process works on; it is of data parallelism alone."""
        sizes = [(w.nbytes, w.requires_grad) for w in module.parameters()]
        whole, moving = sum(size for size, _ in sizes), sum(size for size, moves in sizes if moves)
        return theory(self.settings, whole, moving, self.data_ranks, pieces)

    def told(self) -> str:
        """One line of how the training lay over its processes and what each of them sent."""
        line = f"{self.name} over {self.team.world} processes"
        if self.traffic is None or self.theory is None:
            return line
        return (
            f"{line}: each sent {self.traffic.total:,} bytes a step; {self.theory.formula} is {self.theory.sent:,.0f}"
        )

    def pieces(self, micros: Sequence[Batch]) -> list[tuple[Batch, float]]:
        """This process's pieces of the step, and the factor of the loss of each."""
        return shares(micros, self.data_rank, self.data_ranks)

    def clip(self, weights: Iterable[torch.Tensor], most: float) -> torch.Tensor:
        """As `Layout.clip`, over gradients that lie in shards."""
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        norm = self.norm(gradients)
        if most > 0:
            factor = torch.clamp(most / (norm + 1e-6), max=1.0)
            for gradient in gradients:
                local(gradient).mul_(factor)
        return norm

    def norm(self, gradients: Iterable[torch.Tensor]) -> torch.Tensor:
        """The Euclidean norm of gradients that lie whole in each process, or in shards."""
        squares: dict[Any, torch.Tensor] = defaultdict(lambda: torch.zeros(()))
        for gradient in gradients:
            where = _shards_of(gradient)
            square = local(gradient).float().square().sum()
            squares[where] = squares[where].to(square.device) + square
        total = torch.zeros(())
        for where in sorted(squares, key=str):
            for group in _groups(where):
                dist.all_reduce(squares[where], group=group)
            total = total.to(squares[where].device) + squares[where]
        return total.sqrt()

    def weights(self, module: Any) -> Weights:
        """As `Layout.weights`."""
        return self.gather({name: weight for name, weight in module.named_parameters() if weight.requires_grad})

    @torch.no_grad()
    def load(self, module: Any, weights: Weights) -> None:
        """As `Layout.load`."""
        own = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
        for name, tensor in self.hand_out(weights, own).items():
            own[name].copy_(tensor)

    def gather(self, named: Mapping[str, torch.Tensor]) -> Weights:
        """As `Layout.gather`: one tensor at a time is whole."""
        found = {}
        for name, tensor in named.items():
            whole = whole_of(tensor.detach())
            if self.team.lead:
                found[name] = whole.cpu().contiguous()
        return found

    def hand_out(self, whole: Weights, likes: Mapping[str, torch.Tensor]) -> Weights:
        """As `Layout.hand_out`: one tensor at a time is sent."""
        index = self.team.tell([[name, list(t.shape), str(t.dtype)] for name, t in whole.items()])
        found = {}
        for name, shape, kind in index:
            sent = whole[name].contiguous() if self.team.lead else torch.empty(shape, dtype=getattr(torch, kind[6:]))
            dist.broadcast(sent, 0, group=self.team.wide)
            if name in likes:
                found[name] = laid_out(sent, likes[name])
        return found

    def judge(self, look: Callable[[], T]) -> T:
        """As `Layout.judge`."""
        return look()


def whole_of(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor put together from its shards; every process that holds one must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def laid_out(whole: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """`whole`, which every process has, laid out as `like`; as it is where the shapes differ."""
    if whole.shape != like.shape:
        return whole
    if not isinstance(like, DTensor):
        return whole.to(like.device)
    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def _shards_of(tensor: torch.Tensor) -> tuple[Any, tuple[int, ...]] | None:
    """The mesh of a tensor and the dimensions of the mesh over which it is cut; None for one that is whole."""
    if not isinstance(tensor, DTensor):
        return None
    cut = tuple(i for i, placement in enumerate(tensor.placements) if not placement.is_replicate())
    return (tensor.device_mesh, cut) if cut else None


def _groups(where: tuple[Any, tuple[int, ...]] | None) -> list[Any]:
    return [] if where is None else [where[0].get_group(dimension) for dimension in where[1]]
