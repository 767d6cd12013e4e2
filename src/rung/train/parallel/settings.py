"""What a person asks of many devices: the `parallel:` block, checked at construction.

Light to import; whether a module can be laid out so is found in `choose`, and how many processes there are in `team`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from rung.errors import RungError, nearest

DATA = ("ddp", "zero1", "zero2", "zero3", "hybrid")
SCHEDULES = ("1f1b", "gpipe")
BACKENDS = ("torch", "deepspeed")
WORDS: dict[str, tuple[str, ...]] = {"data": DATA, "schedule": SCHEDULES, "backend": BACKENDS}


@dataclass(frozen=True)
class ParallelSettings:
    """How one training is spread over the processes it is started with.

    `data` says what processes with different rows share: `ddp` nothing, `zero1` the optimiser's states, `zero2` the
    gradients too, `zero3` the weights too (Rajbhandari et al. 2020), `hybrid` the same as zero3 within groups of `shard`
    processes, replicated across them. `tensor` processes compute each matrix together (Shoeybi et al. 2019); the layers
    stand in `pipeline` stages that pass `pieces` parts of a batch on by `schedule` (0: twice the stages). Processes that
    are left work on different rows. `timeout` is how many seconds a process waits for the others before it gives up.
    None of this changes what is computed, so a checkpoint goes on under other settings.
    """

    data: str = "ddp"
    shard: int = 0
    tensor: int = 1
    pipeline: int = 1
    schedule: str = "1f1b"
    pieces: int = 0
    backend: str = "torch"
    timeout: int = 600

    def __post_init__(self) -> None:
        for name, known in WORDS.items():
            value = getattr(self, name)
            if value not in known:
                raise RungError(f"unknown {name} {value!r}", where="parallel", mend=nearest(str(value), known))
        for name, least in (("tensor", 1), ("pipeline", 1), ("shard", 0), ("pieces", 0), ("timeout", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise RungError(f"{name} is {value!r}", where="parallel", mend=f"give a whole number from {least}")
        self._refuse_unsound()

    def _refuse_unsound(self) -> None:
        if (self.data == "hybrid") != (self.shard > 1):
            what = "hybrid without groups" if self.data == "hybrid" else f"shard {self.shard} with data {self.data}"
            raise RungError(what, where="parallel", mend="say data: hybrid and shard: 2 or more, or neither")
        if self.pipeline > 1 and (self.data != "ddp" or self.tensor > 1):
            other = f"tensor {self.tensor}" if self.tensor > 1 else f"data {self.data}"
            raise RungError(
                f"pipeline {self.pipeline} with {other}",
                where="parallel",
                mend="stages go with data: ddp and tensor: 1 only",
            )
        if self.backend == "deepspeed" and (self.tensor > 1 or self.pipeline > 1 or self.data in ("ddp", "hybrid")):
            raise RungError(
                "DeepSpeed is used for zero1, zero2 and zero3 only",
                where="parallel",
                mend="set data, or backend: torch",
            )

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], where: str = "parallel") -> ParallelSettings:
        """The settings in `mapping`. Raises RungError for what is no mapping, an unknown key or a wrong value."""
        if not isinstance(mapping, Mapping):
            raise RungError(f"{mapping!r} is not a mapping", where=where, mend="write key: value lines")
        known = [spec.name for spec in fields(cls)]
        for key in mapping:
            if key not in known:
                raise RungError(f"unknown key {key!r}", where=where, mend=nearest(str(key), known))
        return cls(**mapping)

    @classmethod
    def from_words(cls, words: str) -> ParallelSettings:
        """The settings of a command line: `zero3`, `tensor=2,data=zero1`. Raises RungError as `from_mapping` does."""
        found: dict[str, Any] = {}
        for word in filter(None, (part.strip() for part in words.split(","))):
            key, equals, value = word.partition("=")
            if not equals:
                key, value = "data", word
            found[key.strip()] = int(value) if value.strip().isdigit() else value.strip()
        return cls.from_mapping(found, "--parallel")

    def data_ranks(self, world: int) -> int:
        """How many processes work on different rows, of `world` in all. Raises RungError where they do not divide."""
        together = self.tensor * self.pipeline
        if world % together:
            raise RungError(
                f"{world} processes for tensor {self.tensor} × pipeline {self.pipeline}",
                where="parallel",
                mend=f"start a multiple of {together}: --nproc {together}",
            )
        ranks = world // together
        if self.shard and ranks % self.shard:
            raise RungError(
                f"{ranks} data-parallel processes in groups of {self.shard}",
                where="parallel.shard",
                mend=f"start a multiple of {self.shard * together}",
            )
        return ranks
