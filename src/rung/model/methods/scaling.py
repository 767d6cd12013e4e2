"""Scaling what flows through a frozen base: IA³, three learnt vectors a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rung.model import adapters
from rung.model.load import Model
from rung.model.methods.method import Kept, Trains, Unpaced, frozen


@dataclass(frozen=True)
class Ia3(Unpaced):
    """Vectors that scale keys, values and the inside of the feed-forward part (Liu et al. 2022); they begin at one."""

    name: ClassVar[str] = "ia3"
    trains: ClassVar[Trains] = "adapter"
    kept: ClassVar[Kept] = "adapter"

    def why_not(self, model: Model) -> str:
        """Only where keys, values and feed-forward layers are layers of their own."""
        return (
            "" if _family(model) in TARGETS else f"no keys, values and feed-forward layers known of a {_family(model)}"
        )

    def prepare(self, model: Model, *, seed: int = 0, start: Sequence[int] = ()) -> Any:
        """The frozen base with a vector of ones beside each scaled layer."""
        self.check(self.why_not(model), "take lora")
        return adapters.ia3(frozen(model), *TARGETS[_family(model)], seed=seed)


GATED = (("k_proj", "v_proj", "down_proj"), ("down_proj",))
TARGETS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    **dict.fromkeys(
        (
            "llama",
            "mistral",
            "mixtral",
            "qwen2",
            "qwen3",
            "gemma",
            "gemma2",
            "gemma3_text",
            "olmo",
            "olmo2",
            "granite",
            "cohere",
            "smollm3",
            "stablelm",
        ),
        GATED,
    ),
    "gpt2": (("c_attn", "mlp.c_proj"), ("mlp.c_proj",)),
    "gpt_neox": (("query_key_value", "dense_4h_to_h"), ("dense_4h_to_h",)),
    "opt": (("k_proj", "v_proj", "fc2"), ("fc2",)),
    "bart": (("k_proj", "v_proj", "fc2"), ("fc2",)),
    "t5": (("k", "v", "wo"), ("wo",)),
    "mt5": (("k", "v", "wo"), ("wo",)),
    **dict.fromkeys(
        ("bert", "roberta", "xlm-roberta", "electra"), (("key", "value", "output.dense"), ("output.dense",))
    ),
}
"""Layers to scale by architecture, and those of them whose input is scaled. `output.dense` is also what closes BERT's
attention; peft's own table has it so."""


def _family(model: Model) -> str:
    return str(model.config.get("model_type"))
