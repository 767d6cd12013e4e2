"""Moving the base's own weights: all of them, half at a time, or chosen layers, components or kinds.

The names of weights say what they belong to (`model.components`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rung.errors import RungError, nearest
from rung.model.components import COMPONENTS, component, is_bias, layer_number, layers_of
from rung.model.load import Model
from rung.model.methods.method import Kept, Trains, Unpaced


def _lacks(model: Model, moves: Callable[[str], bool]) -> str:
    """Why nothing would move, or nothing."""
    has = any(moves(name) for name, _ in model.module.named_parameters())
    return "" if has else f"a {model.config.get('model_type')} has no such weights"


def _moving(model: Model, moves: Callable[[str], bool], method: str, mend: str) -> Any:
    """A float32 copy of the base in which the weights that `moves` names require gradients."""
    if lack := _lacks(model, moves):
        raise RungError(lack, where=method, mend=mend)
    module = model.fresh("float32").requires_grad_(False)
    for name, weight in module.named_parameters():
        weight.requires_grad_(moves(name))
    return module


@dataclass(frozen=True)
class Full(Unpaced):
    """Every weight moves."""

    name: ClassVar[str] = "full"
    trains: ClassVar[Trains] = "weights"
    kept: ClassVar[Kept] = "weights"

    def why_not(self, model: Model) -> str:
        """Nothing."""
        return ""

    def prepare(self, model: Model, *, seed: int = 0, start: Sequence[int] = ()) -> Any:
        """A float32 copy of the base."""
        return model.fresh("float32").requires_grad_(True)


@dataclass(frozen=True)
class Half(Full):
    """Half fine-tuning (Hui et al. 2024): of each layer's matrices and norms a half, drawn anew every round, is held still."""

    name: ClassVar[str] = "half"

    def around(self, module: Any, step: int, per_round: int, seed: int) -> AbstractContextManager[None]:
        """Within a step the round's half needs no gradient, so the optimiser leaves it where it is."""
        return _still(module, set(self.held_still(module, step // max(1, per_round), seed)))

    def held_still(self, module: Any, round_: int, seed: int) -> list[str]:
        """The names of the weights that rest in round `round_`: of every component of every layer a half, by draw."""
        groups: dict[tuple[int | None, str], list[str]] = {}
        for name, _ in module.named_parameters():
            groups.setdefault((layer_number(name), component(name)), []).append(name)
        draw, resting, odd = np.random.default_rng([seed, round_]), list[str](), round_ % 2
        for names in groups.values():
            # Where a group is odd, turns are taken, so that halves stay halves over the whole model.
            count = len(names) // 2 + (odd if len(names) % 2 else 0)
            odd = 1 - odd if len(names) % 2 else odd
            resting += [names[i] for i in sorted(draw.permutation(len(names))[:count])]
        return resting


@contextlib.contextmanager
def _still(module: Any, names: set[str]) -> Iterator[None]:
    held = [weight for name, weight in module.named_parameters() if name in names]
    for weight in held:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in held:
            weight.requires_grad_(True)
            weight.grad = None


@dataclass(frozen=True)
class LastLayers(Unpaced):
    """The last `k` layers, the closing norm, and the head where it is not the embeddings too."""

    name: ClassVar[str] = "last-layers"
    trains: ClassVar[Trains] = "part"
    kept: ClassVar[Kept] = "delta"
    k: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.k, int) or self.k < 1:
            raise RungError(f"k is {self.k}", where=self.name, mend="give a whole number from 1")

    def why_not(self, model: Model) -> str:
        """More layers than there are."""
        deep = layers_of(model.module)
        return f"k is {self.k} and the base has {deep} layers" if self.k > deep else ""

    def prepare(self, model: Model, *, seed: int = 0, start: Sequence[int] = ()) -> Any:
        """The base with its top free. Raises RungError for more layers than there are."""
        if why := self.why_not(model):
            raise RungError(why, where=self.name, mend="choose fewer")
        module = model.fresh("float32").requires_grad_(False)
        deep = layers_of(module)
        tables = {id(t.weight) for t in (module.get_input_embeddings(),) if t is not None}
        for name, weight in module.named_parameters():
            number = layer_number(name)
            top = component(name) in ("norms", "head") if number is None else number >= deep - self.k
            weight.requires_grad_(top and id(weight) not in tables and not name.startswith("embeddings."))
        return module


@dataclass(frozen=True)
class Layers(Unpaced):
    """Chosen layers, counted from 0; below 0 from the end."""

    name: ClassVar[str] = "layers"
    trains: ClassVar[Trains] = "part"
    kept: ClassVar[Kept] = "delta"
    numbers: tuple[int, ...] | int = (0, -1)

    @property
    def _asked(self) -> tuple[int, ...]:
        return self.numbers if isinstance(self.numbers, tuple) else (self.numbers,)

    def why_not(self, model: Model) -> str:
        """A layer that is not there."""
        deep = layers_of(model.module)
        return next((f"no layer {n} of {deep}" for n in self._asked if not -deep <= n < deep), "")

    def prepare(self, model: Model, *, seed: int = 0, start: Sequence[int] = ()) -> Any:
        """The base with these layers free. Raises RungError for a layer that is not there."""
        deep = layers_of(model.module)
        if why := self.why_not(model):
            raise RungError(why, where=self.name, mend=f"choose {-deep} to {deep - 1}")
        module = model.fresh("float32").requires_grad_(False)
        chosen = {number % deep for number in self._asked}
        for name, weight in module.named_parameters():
            weight.requires_grad_(layer_number(name) in chosen)
        return module


@dataclass(frozen=True)
class Components(Unpaced):
    """Chosen components: embeddings, attention, feed-forward, norms, head."""

    name: ClassVar[str] = "components"
    trains: ClassVar[Trains] = "part"
    kept: ClassVar[Kept] = "delta"
    parts: tuple[str, ...] | str = ("attention",)

    def __post_init__(self) -> None:
        for part in self._parts:
            if part not in COMPONENTS:
                raise RungError(f"unknown component {part!r}", where=self.name, mend=nearest(str(part), COMPONENTS))

    @property
    def _parts(self) -> tuple[str, ...]:
        return (self.parts,) if isinstance(self.parts, str) else self.parts

    def why_not(self, model: Model) -> str:
        """Components that it does not have."""
        return _lacks(model, lambda name: component(name) in self._parts)

    def prepare(self, model: Model, *, seed: int = 0, start: Sequence[int] = ()) -> Any:
        """The base with these components free. Raises RungError where it has none of them."""
        return _moving(model, lambda name: component(name) in self._parts, self.name, "choose another component")


@dataclass(frozen=True)
class Biases(Unpaced):
    """Biases only (BitFit, Ben Zaken et al. 2022), and the shifts of norms, which are biases too."""

    name: ClassVar[str] = "biases"
    trains: ClassVar[Trains] = "part"
    kept: ClassVar[Kept] = "delta"

    def why_not(self, model: Model) -> str:
        """Many architectures have none."""
        return _lacks(model, is_bias)

    def prepare(self, model: Model, *, seed: int = 0, start: Sequence[int] = ()) -> Any:
        """The base with its biases free. Raises RungError for an architecture without any."""
        return _moving(model, is_bias, self.name, "take {components: {parts: norms}}, or lora")
