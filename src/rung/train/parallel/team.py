"""The processes of one training: who this one is, how it joins the others, and what the first of them tells the rest.

The usual variables (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT) name it, whoever sets them: `--nproc`,
`torchrun`, or a cluster's own launcher. How work is shared is not known here.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from rung.errors import RungError

T = TypeVar("T")

HIDDEN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE")
PATIENCE = timedelta(days=30)  # the first process may read a corpus for hours before the others have work
# What gloo, NCCL and torch's store say when a peer is gone or silent.
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Timed out waiting", "timeout",
        "Connection refused", "NCCL", "failed to recv", "Application timeout", "recvValue failed", "sendBytes failed")  # fmt: skip


class PeerLost(RungError):
    """Another process of the training is gone or silent."""

    def __init__(self, rank: int) -> None:
        super().__init__(
            f"process {rank} lost its connection to the others",
            where="training",
            mend="what is finished is kept; run the same command again to go on",
        )


@dataclass
class Team:
    """This process among those of one training. `wide` is the group of all for plain words, over the CPU."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    wide: Any = None

    @property
    def lead(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def tell(self, value: Any) -> Any:
        """The first process's `value` (as JSON keeps it), in every process."""
        if self.world == 1:
            return value
        said = json.dumps(value).encode() if self.lead else b""
        length = torch.tensor([len(said)])
        dist.broadcast(length, 0, group=self.wide)
        told = (
            torch.frombuffer(bytearray(said), dtype=torch.uint8)
            if self.lead
            else torch.empty(int(length), dtype=torch.uint8)
        )
        dist.broadcast(told, 0, group=self.wide)
        return json.loads(told.numpy().tobytes())

    def decides(self, wish: bool) -> bool:
        """What the first process wishes, in every process."""
        if self.world == 1:
            return wish
        said = torch.tensor([int(wish)], dtype=torch.uint8)
        dist.broadcast(said, 0, group=self.wide)
        return bool(said)

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.world > 1:
            dist.barrier(group=self.wide)

    def first(self, work: Callable[[], T]) -> T:
        """Do `work` in the first process, then in the others, who find on disk what it made."""
        if self.lead:
            done = work()
            self.wait()
            return done
        self.wait()
        return work()

    def only(self, said: Callable[[str], None]) -> Callable[[str], None]:
        """`said` in the first process; silence in the others."""
        return said if self.lead else _silence


def _silence(line: str) -> None:
    """Nothing: the first process speaks for all."""


def expected() -> int:
    """How many processes this one was started as one of; 1 where it stands alone."""
    return int(os.environ.get("WORLD_SIZE") or 1)


@contextlib.contextmanager
def joined(timeout: int = 600) -> Iterator[Team]:
    """Join the processes that the environment names, and leave them at the end.

    Inside, the libraries below see one process: accelerate would spread the work a second time. Raises PeerLost where
    another process is gone or has been silent for `timeout` seconds, RungError for an environment that is not whole.
    """
    if expected() == 1 or dist.is_initialized():
        yield Team()
        return
    rank, world = _number("RANK"), _number("WORLD_SIZE")
    local = _number("LOCAL_RANK", rank)
    cuda = _one_device(local)
    _share_cores(_number("LOCAL_WORLD_SIZE", world))
    with _hidden(), _told(rank):
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo", rank=rank, world_size=world, timeout=timedelta(seconds=timeout)
        )
        wide = dist.new_group(backend="gloo", timeout=PATIENCE)
        try:
            yield Team(rank, world, local, wide)
            dist.barrier(group=wide)
        finally:
            dist.destroy_process_group()


def _number(name: str, default: int | None = None) -> int:
    value = os.environ.get(name)
    if value is None and default is not None:
        return default
    if value is None or not value.isdigit():
        raise RungError(f"{name} is {value!r}", where="environment", mend="start with --nproc or torchrun")
    return int(value)


def _one_device(local: int) -> bool:
    """Let this process see its own GPU alone. Raises RungError where there are fewer GPUs than processes."""
    count = torch.cuda.device_count() if torch.version.cuda else 0
    if not count:
        return False
    if local >= count:
        raise RungError(f"process {local} of a machine with {count} GPUs", where="parallel", mend=f"--nproc {count}")
    if not torch.cuda.is_initialized():
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = seen.split(",")[local] if seen else str(local)
    torch.cuda.set_device(0)
    return True


def _share_cores(processes: int) -> None:
    """A fair part of the cores for each process of this machine, unless the caller has said."""
    if not os.environ.get("OMP_NUM_THREADS"):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
        torch.set_num_threads(max(1, cores // max(1, processes)))


@contextlib.contextmanager
def _hidden() -> Iterator[None]:
    """The variables of `env://` are read once, by `joined` and torch; then they are out of sight until the end."""
    kept = {name: os.environ.pop(name) for name in HIDDEN if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


@contextlib.contextmanager
def _told(rank: int) -> Iterator[None]:
    """A collective that broke because a peer is gone becomes `PeerLost`."""
    try:
        yield
    except (RuntimeError, ConnectionError) as error:  # torch has no one class for what its back ends raise
        if isinstance(error, dist.DistError) or any(sign in str(error) for sign in LOST):
            raise PeerLost(rank) from error
        raise
