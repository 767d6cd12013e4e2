"""How many bytes a process sends in one step: counted collective by collective, beside what theory says.

A collective of S bytes over n processes sends, in a ring, 2 S (n − 1) / n for a sum in every process, S (n − 1) / n to
gather or to scatter S (Patarasuk and Yuan 2009); a message sends itself. Which collectives run is the layouts' matter.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import _resolve_process_group
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode

from rung.train.parallel.settings import ParallelSettings

SUM, PART, GATHERED, MESSAGE = "sum", "part", "gathered", "message"
# What a call of torch's c10d or functional collectives is to a ring, and which of its arguments has its S bytes.
KINDS = {
    "c10d::allreduce_": (SUM, 0),
    "c10d::broadcast_": (PART, 0),
    "c10d::_allgather_base_": (PART, 0),
    "c10d::allgather_": (PART, 0),
    "c10d::_reduce_scatter_base_": (PART, 1),
    "c10d::reduce_scatter_": (PART, 1),
    "c10d::send": (MESSAGE, 0),
    "_c10d_functional::all_reduce": (SUM, 0),
    "_c10d_functional::all_reduce_": (SUM, 0),
    "_c10d_functional::all_gather_into_tensor": (GATHERED, 0),
    "_c10d_functional::reduce_scatter_tensor": (PART, 0),
}


class Traffic(TorchDispatchMode):
    """Counts within the block. `sent` is the bytes that this process sends, by kind of collective."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, float] = defaultdict(float)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(issubclass(kind, DTensor) for kind in types):
            return NotImplemented  # sharded tensors first take their operation apart, into what is counted here
        name = func.name().partition(".")[0]
        if name in KINDS:
            kind, place = KINDS[name]
            self.sent[name.partition("::")[2].strip("_")] += _sent(kind, _bytes(args[place]), _members(args))
        return func(*args, **(kwargs or {}))

    @property
    def total(self) -> int:
        """All bytes."""
        return round(sum(self.sent.values()))


@dataclass(frozen=True)
class Theory:
    """Bytes that data parallelism sends a process and step, and their formula in Φ, the bytes of the weights.

    Rajbhandari et al. 2020, section 7, for a step in one piece; Rung's own count where a step has several.
    """

    formula: str
    sent: float


def theory(settings: ParallelSettings, weights: int, gradients: int, ranks: int, pieces: int = 1) -> Theory:
    """What `ranks` data-parallel processes send for `weights` bytes, of which `gradients` bytes move, in `pieces`."""
    share, times = (ranks - 1) / ranks, "" if pieces == 1 else f"{pieces} × "
    if settings.data == "ddp":
        return Theory("2 Φ (n − 1) / n", 2 * gradients * share)
    if settings.data == "zero1":
        return Theory("2 Φ (n − 1) / n", (gradients + weights) * share)
    if settings.data == "zero2":
        formula = "2 Φ (n − 1) / n" if pieces == 1 else f"{pieces + 1} Φ (n − 1) / n"
        return Theory(formula, (pieces * gradients + weights) * share)
    if settings.data == "zero3":
        return Theory(f"{times}3 Φ (n − 1) / n", pieces * (gradients + 2 * weights) * share)
    inside, copies = settings.shard, ranks // settings.shard
    within = (gradients + 2 * weights) * (inside - 1) / inside
    between = 2 * gradients / inside * (copies - 1) / copies
    return Theory(f"{times}(3 Φ (s − 1) / s + 2 Φ (r − 1) / (r s))", pieces * (within + between))


def _sent(kind: str, size: int, members: int) -> float:
    if kind == MESSAGE:
        return size
    if kind == GATHERED:  # the argument is a part of what is put together
        return size * (members - 1)
    share = (members - 1) / members
    return 2 * size * share if kind == SUM else size * share


def _bytes(value: Any) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    return sum(_bytes(part) for part in value) if isinstance(value, list | tuple) else 0


def _members(args: Any) -> int:
    groups = [part for part in args if isinstance(part, torch.ScriptObject)]
    if groups:
        return int(dist.ProcessGroup.unbox(groups[0]).size())
    named = [part for part in args if isinstance(part, str)]  # functional collectives know groups by name
    return int(_resolve_process_group(named[-1]).size()) if named else dist.get_world_size()
