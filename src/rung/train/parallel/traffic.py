"""How many bytes a process sends in one step: counted collective by collective, beside what theory says.

A collective of S bytes over n processes sends, in a ring, 2 S (n − 1) / n for a sum in every process, S (n − 1) / n to
gather or to scatter S (Patarasuk and Yuan 2009); a message sends itself. Which collectives run is the layouts' matter.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
import torch.distributed as dist
from torch.utils._python_dispatch import TorchDispatchMode

SUM, PART, MESSAGE = "sum", "part", "message"
# What a call of torch's c10d or functional collectives is to a ring, and which of its arguments has its S bytes.
KINDS = {
    "c10d::allreduce_": (SUM, 0),
    "c10d::broadcast_": (PART, 0),
    "c10d::_allgather_base_": (PART, 0),
    "c10d::allgather_": (PART, 0),
    "c10d::_reduce_scatter_base_": (PART, 1),
    "c10d::reduce_scatter_": (PART, 1),
    "c10d::send": (MESSAGE, 0),
}


class Traffic(TorchDispatchMode):
    """Counts within the block. `sent` is the bytes that this process sends, by kind of collective."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, float] = defaultdict(float)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().partition(".")[0]
        if name in KINDS:
            kind, place = KINDS[name]
            self.sent[name.partition("::")[2].strip("_")] += _sent(kind, _bytes(args[place]), _members(args))
        return func(*args, **(kwargs or {}))

    @property
    def total(self) -> int:
        """All bytes."""
        return round(sum(self.sent.values()))


def _sent(kind: str, size: int, members: int) -> float:
    if kind == MESSAGE:
        return size
    share = (members - 1) / members
    return 2 * size * share if kind == SUM else size * share


def _bytes(value: Any) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    return sum(_bytes(part) for part in value) if isinstance(value, list | tuple) else 0


def _members(args: Any) -> int:
    groups = [part for part in args if isinstance(part, torch.ScriptObject)]
    return dist.ProcessGroup.unbox(groups[0]).size() if groups else dist.get_world_size()
