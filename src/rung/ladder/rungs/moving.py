"""The rungs that train, one a method: what of it the ladder searches, and the rates that suit it.

How they train is the matter of `trained`; which weights they move, of `model.methods`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rung.ladder.rungs.trained import Trained, many, within
from rung.model.methods import METHODS


@dataclass(frozen=True)
class SoftPrompt(Trained):
    """Prompt tuning: `tokens` trained embeddings before the prompt, the weights untouched."""

    name: ClassVar[str] = "soft-prompt"
    method_class = METHODS["prompt-tuning"]
    rates: ClassVar[tuple[float, float]] = (0.03, 0.0)
    spread: ClassVar[tuple[float, ...]] = (1.0,)
    patience: ClassVar[int | None] = 3
    tokens: int = 20

    def __post_init__(self) -> None:
        within(self.name, tokens=(self.tokens, 20, 100))
        super().__post_init__()


@dataclass(frozen=True)
class PTuning(SoftPrompt):
    """P-tuning: the trained embeddings are written by a small network, which is thrown away at the end."""

    name: ClassVar[str] = "p-tuning"
    method_class = METHODS["p-tuning"]
    rates: ClassVar[tuple[float, float]] = (3e-3, 0.2)
    spread: ClassVar[tuple[float, ...]] = (0.5, 1.5)
    hidden: int = 128


@dataclass(frozen=True)
class PrefixTuning(SoftPrompt):
    """Prefix tuning: trained keys and values before every layer's own."""

    name: ClassVar[str] = "prefix-tuning"
    method_class = METHODS["prefix-tuning"]
    rates: ClassVar[tuple[float, float]] = (0.03, 0.1)
    spread: ClassVar[tuple[float, ...]] = (0.5, 1.5)


@dataclass(frozen=True)
class Ia3(Trained):
    """IA³: three vectors a layer that scale what flows through it."""

    name: ClassVar[str] = "ia3"
    method_class = METHODS["ia3"]
    rates: ClassVar[tuple[float, float]] = (0.03, 0.2)


@dataclass(frozen=True)
class Bottleneck(Trained):
    """Bottleneck adapters behind each sub-layer."""

    name: ClassVar[str] = "bottleneck"
    method_class = METHODS["bottleneck"]
    several: ClassVar[tuple[str, ...]] = ("width",)
    width: tuple[int, ...] | int = 32
    behind: tuple[str, ...] = ("attention", "feed-forward")


@dataclass(frozen=True)
class Lora(Trained):
    """Low-rank updates; rank and learning rate by successive halving on validation."""

    name: ClassVar[str] = "lora"
    method_class = METHODS["lora"]
    several: ClassVar[tuple[str, ...]] = ("rank",)
    rank: tuple[int, ...] | int = (8, 32)
    alpha: float | None = None
    dropout: float = 0.0
    target: tuple[str, ...] | str = "all-linear"
    rank_stabilised: bool = False
    dora: bool = False

    def __post_init__(self) -> None:
        for rank in many(self.rank):
            within(self.name, rank=(rank, 4, 32))
        super().__post_init__()

    @property
    def telling(self) -> tuple[str, ...]:
        """`dora` and `rs`, so that they can stand beside plain LoRA."""
        return ("dora",) * self.dora + ("rs",) * self.rank_stabilised


@dataclass(frozen=True)
class Qlora(Lora):
    """LoRA beside a base in 4 bits, in which it stays."""

    name: ClassVar[str] = "qlora"
    method_class = METHODS["qlora"]


@dataclass(frozen=True)
class Biases(Trained):
    """Biases only."""

    name: ClassVar[str] = "biases"
    method_class = METHODS["biases"]
    rates: ClassVar[tuple[float, float]] = (0.01, 0.3)


@dataclass(frozen=True)
class LastLayers(Trained):
    """The last `k` layers with what closes them."""

    name: ClassVar[str] = "last-layers"
    method_class = METHODS["last-layers"]
    rates: ClassVar[tuple[float, float]] = (2e-3, 0.5)
    several: ClassVar[tuple[str, ...]] = ("k",)
    k: tuple[int, ...] | int = 2


@dataclass(frozen=True)
class Layers(Trained):
    """Chosen layers."""

    name: ClassVar[str] = "layers"
    method_class = METHODS["layers"]
    rates: ClassVar[tuple[float, float]] = (2e-3, 0.5)
    numbers: tuple[int, ...] | int = (0, -1)


@dataclass(frozen=True)
class Components(Trained):
    """Chosen components in all layers."""

    name: ClassVar[str] = "components"
    method_class = METHODS["components"]
    rates: ClassVar[tuple[float, float]] = (2e-3, 0.5)
    parts: tuple[str, ...] | str = ("attention",)

    @property
    def telling(self) -> tuple[str, ...]:
        """The components."""
        return many(self.parts)


@dataclass(frozen=True)
class Half(Trained):
    """Half fine-tuning: every epoch another half of the weights is held still."""

    name: ClassVar[str] = "half"
    method_class = METHODS["half"]
    rates: ClassVar[tuple[float, float]] = (2e-3, 0.6)
    weight_decay: float = 0.01


@dataclass(frozen=True)
class Full(Trained):
    """All weights move; the learning rate by successive halving on validation."""

    name: ClassVar[str] = "full"
    method_class = METHODS["full"]
    rates: ClassVar[tuple[float, float]] = (2e-3, 0.6)
    weight_decay: float = 0.01
