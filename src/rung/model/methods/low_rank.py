"""Low-rank updates beside frozen weights: LoRA with its variants, and QLoRA, which keeps the frozen ones in 4 bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from rung.errors import RungError
from rung.model import adapters
from rung.model.load import Model
from rung.model.methods.method import Kept, Trains, Unpaced, frozen
from rung.model.precision import need_bitsandbytes


@dataclass(frozen=True)
class Lora(Unpaced):
    """Low-rank updates (Hu et al. 2021) on the layers of `target`: all linear ones, or those whose names end so.

    `alpha` scales the update by alpha / rank (None: 2 × rank), or by alpha / √rank where `rank_stabilised` (Kalajdzievski
    2023). `dora` trains the length of each weight's columns apart from their direction (Liu et al. 2024).
    """

    name: ClassVar[str] = "lora"
    trains: ClassVar[Trains] = "adapter"
    kept: ClassVar[Kept] = "adapter"
    rank: int = 8
    alpha: float | None = None
    dropout: float = 0.0
    target: str | tuple[str, ...] = "all-linear"
    rank_stabilised: bool = False
    dora: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.rank, int) or self.rank < 1:
            raise RungError(f"rank is {self.rank}", where=self.name, mend="give a whole number from 1")
        if not 0 <= self.dropout < 1:
            raise RungError(f"dropout is {self.dropout}", where=self.name, mend="give 0 to below 1")

    def why_not(self, model: Model) -> str:
        """A target that no layer is called."""
        return adapters.no_such_layer(model.module, self.target)

    def prepare(self, model: Model, *, seed: int = 0, start: Sequence[int] = ()) -> Any:
        """The frozen base in its own numbers with updates that begin at zero."""
        module = frozen(model)
        return adapters.lora(
            module,
            self.rank,
            self.alpha,
            self.dropout,
            self.target,
            seed,
            rank_stabilised=self.rank_stabilised,
            dora=self.dora,
        )


@dataclass(frozen=True)
class Qlora(Lora):
    """LoRA beside a base held as NF4 with double quantisation (Dettmers et al. 2023). Its System keeps the base so."""

    name: ClassVar[str] = "qlora"

    def why_not(self, model: Model) -> str:
        """Encoders are small; for them the other methods do."""
        return "an encoder is not held in 4 bits here" if model.kind == "encoder" else super().why_not(model)

    def prepare(self, model: Model, *, seed: int = 0, start: Sequence[int] = ()) -> Any:
        """The base read anew as NF4, with updates beside it. Raises MissingExtra without bitsandbytes."""
        need_bitsandbytes("qlora")
        return super().prepare(replace(model, dtype="nf4"), seed=seed, start=start)
