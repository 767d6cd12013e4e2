"""Which parameters of a base move: one frozen dataclass a method, in one literal table. How they move is not known here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rung.model.methods.bottleneck import Bottleneck
from rung.model.methods.low_rank import Lora, Qlora
from rung.model.methods.method import Method, moving_share
from rung.model.methods.parts import Biases, Components, Full, Half, LastLayers, Layers
from rung.model.methods.scaling import Ia3
from rung.model.methods.virtual import PrefixTuning, PromptTuning, PTuning

__all__ = ["METHODS", "Method", "moving_share"]

METHODS: Mapping[str, type[Any]] = MappingProxyType(
    {
        "prompt-tuning": PromptTuning,
        "p-tuning": PTuning,
        "prefix-tuning": PrefixTuning,
        "ia3": Ia3,
        "bottleneck": Bottleneck,
        "lora": Lora,
        "qlora": Qlora,
        "biases": Biases,
        "last-layers": LastLayers,
        "layers": Layers,
        "components": Components,
        "half": Half,
        "full": Full,
    }
)
