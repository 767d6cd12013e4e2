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
class _Part(Unpaced):
    """Some of the base's own weights, chosen by their names."""

    trains: ClassVar[Trains] = "part"
    kept: ClassVar[Kept] = "delta"
    mend: ClassVar[str] = "choose another"

    def moves(self, model: Model) -> Callable[[str], bool]:
        """Whether the weight of a name moves."""
        raise NotImplementedError

    def why_not(self, model: Model) -> str:
        """Where none of the base's weights would move."""
        moves = self.moves(model)
        some = any(moves(name) for name, _ in model.module.named_parameters())
        return "" if some else f"a {model.config.get('model_type')} has no such weights"

    def prepare(self, model: Model, *, seed: int = 0, start: Sequence[int] = ()) -> Any:
        """A float32 copy of the base with these weights free. Raises RungError where it has none such."""
        self.check(self.why_not(model), self.mend)
        module, moves = model.fresh("float32"), self.moves(model)
        for name, weight in module.named_parameters():
            weight.requires_grad_(moves(name))
        return module


@dataclass(frozen=True)
class LastLayers(_Part):
    """The last `k` layers, the closing norm, and the head where it is not the embeddings too."""

    name: ClassVar[str] = "last-layers"
    mend: ClassVar[str] = "choose fewer"
    k: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.k, int) or self.k < 1:
            raise RungError(f"k is {self.k}", where=self.name, mend="give a whole number from 1")

    def why_not(self, model: Model) -> str:
        """More layers than there are."""
        deep = layers_of(model.module)
        return f"k is {self.k} and the base has {deep} layers" if self.k > deep else super().why_not(model)

    def moves(self, model: Model) -> Callable[[str], bool]:
        """The top, and never what embeds tokens, by whatever name."""
        deep, words = layers_of(model.module), model.module.get_input_embeddings()
        tables = {name for name, weight in model.module.named_parameters() if weight is getattr(words, "weight", None)}

        def top(name: str) -> bool:
            number = layer_number(name)
            if name in tables or name.startswith("embeddings."):
                return False
            return component(name) in ("norms", "head") if number is None else number >= deep - self.k

        return top


@dataclass(frozen=True)
class Layers(_Part):
    """Chosen layers, counted from 0; below 0 from the end."""

    name: ClassVar[str] = "layers"
    mend: ClassVar[str] = "count from 0, or from -1 down for the last ones"
    numbers: tuple[int, ...] | int = (0, -1)

    @property
    def _asked(self) -> tuple[int, ...]:
        return self.numbers if isinstance(self.numbers, tuple) else (self.numbers,)

    def why_not(self, model: Model) -> str:
        """A layer that is not there."""
        deep = layers_of(model.module)
        odd = next((n for n in self._asked if not -deep <= n < deep), None)
        return super().why_not(model) if odd is None else f"no layer {odd} of {deep}"

    def moves(self, model: Model) -> Callable[[str], bool]:
        """What is in these layers."""
        deep = layers_of(model.module)
        chosen = {number % deep for number in self._asked}
        return lambda name: layer_number(name) in chosen


@dataclass(frozen=True)
class Components(_Part):
    """Chosen components: embeddings, attention, feed-forward, norms, head."""

    name: ClassVar[str] = "components"
    mend: ClassVar[str] = "choose another component"
    parts: tuple[str, ...] | str = ("attention",)

    def __post_init__(self) -> None:
        for part in self._parts:
            if part not in COMPONENTS:
                raise RungError(f"unknown component {part!r}", where=self.name, mend=nearest(str(part), COMPONENTS))

    @property
    def _parts(self) -> tuple[str, ...]:
        return (self.parts,) if isinstance(self.parts, str) else self.parts

    def moves(self, model: Model) -> Callable[[str], bool]:
        """What is of these components."""
        return lambda name: component(name) in self._parts


@dataclass(frozen=True)
class Biases(_Part):
    """Biases only (BitFit, Ben Zaken et al. 2022), and the shifts of norms, which are biases too. Many bases have none."""

    name: ClassVar[str] = "biases"
    mend: ClassVar[str] = "take {components: {parts: norms}}, or lora"

    def moves(self, model: Model) -> Callable[[str], bool]:
        """Every bias."""
        return is_bias
