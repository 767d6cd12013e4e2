"""What a method of adapting is, and what its modules tell of themselves: how much of them moves.

The methods themselves are beside this; how a trained one is kept on disk is in `model.tuned`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Literal, Protocol

from rung.errors import RungError
from rung.model.load import Model

Trains = Literal["virtual", "adapter", "part", "weights"]
"""What moves: embeddings or keys and values in front, small parts put in beside frozen weights, some weights, all."""

Kept = Literal["soft_prompt", "prefix", "adapter", "bottleneck", "delta", "weights"]
"""The form that a trained one is kept in, which is the name of its folder in a bundle."""


class Method(Protocol):
    """A choice of parameters. Its fields are its whole configuration, checked at construction."""

    name: ClassVar[str]
    trains: ClassVar[Trains]
    kept: ClassVar[Kept]

    def why_not(self, model: Model) -> str:
        """Why this method cannot adapt `model`, or nothing."""
        ...

    def prepare(self, model: Model, *, seed: int = 0, start: Sequence[int] = ()) -> Any:
        """A copy of the base's module whose moving weights, and no others, require gradients, in float32.

        `start` are the token ids of the instruction, from which soft prompts begin. Raises RungError where a setting
        does not fit the architecture.
        """
        ...

    def around(self, module: Any, step: int, per_round: int, seed: int) -> AbstractContextManager[None]:
        """Entered for step `step` (from 0): what it holds still does not move. A round has `per_round` steps."""
        ...


class Unpaced:
    """What most methods share: in every step the same weights move, and what does not fit is one line."""

    name: ClassVar[str]

    def check(self, why: str, mend: str) -> None:
        """Raises RungError where `why` says something."""
        if why:
            raise RungError(why, where=self.name, mend=mend)

    def around(self, module: Any, step: int, per_round: int, seed: int) -> AbstractContextManager[None]:
        """Nothing is held still within step `step`."""
        return nullcontext()


def frozen(model: Model) -> Any:
    """A copy of the base for adapters to train beside: in its own numbers, an encoder's in float32 unless in 4 bits."""
    numbers = "float32" if model.kind == "encoder" and model.precision != "nf4" else None
    return model.fresh(numbers).requires_grad_(False)


def moving_share(module: Any) -> tuple[int, float]:
    """How many weights of `module` move, and their share of all (weights in 4 bits counted one by one)."""
    moving = sum(weight.numel() for weight in module.parameters() if weight.requires_grad)
    whole = 0
    for weight in module.parameters():
        state = getattr(weight, "quant_state", None)
        whole += weight.numel() if state is None else int(state.shape.numel())
    return moving, moving / max(1, whole)
