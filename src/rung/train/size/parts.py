"""How many parameters a model has, by component, counted on its outline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rung.model.components import COMPONENTS, component, layers_of
from rung.model.outline import Outline


@dataclass(frozen=True)
class Parts:
    """Parameters by component, tied ones once, under the name that comes first. `tied` says whether the head shares the
    embeddings' matrix; `active` are those that a token passes through (fewer than all in a mixture of experts)."""

    components: dict[str, int]
    total: int
    active: int
    layers: int
    tied: bool

    @property
    def without_embeddings(self) -> int:
        """What Kaplan et al. (2020) count: all but the embeddings and an untied head's matrix."""
        return self.total - self.components["embeddings"] - (0 if self.tied else self.components["head"])


def parts_of(outline: Outline) -> Parts:
    """Count `outline`."""
    module = outline.fresh("float32")
    found = dict.fromkeys(COMPONENTS, 0)
    for name, weight in module.named_parameters():
        found[component(name)] += weight.numel()
    words, head = module.get_input_embeddings(), module.get_output_embeddings()
    total = sum(found.values())
    return Parts(
        components=found,
        total=total,
        active=total - _resting(module),
        layers=layers_of(module),
        tied=head is not None and head.weight is words.weight,
    )


def _resting(module: Any) -> int:
    """Weights of experts that a token does not reach."""
    config = module.config.get_text_config()
    experts = next(
        (
            int(getattr(config, n))
            for n in ("num_local_experts", "num_experts", "n_routed_experts")
            if getattr(config, n, None)
        ),
        0,
    )
    chosen = int(getattr(config, "num_experts_per_tok", 0) or 0)
    if not experts or not chosen:
        return 0
    inside = sum(weight.numel() for name, weight in module.named_parameters() if ".experts." in name)
    return round(inside * (1 - chosen / experts))
