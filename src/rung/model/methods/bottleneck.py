"""Bottleneck adapters: a narrow layer down, an activation and a layer up, added behind each sub-layer.

Placed as in Houlsby et al. (2019): behind the projection that closes attention and the one that closes the feed-forward
part, before the residual sum. peft has none, so the module, its file and its reading are ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import safetensors.torch
import torch

from rung.errors import RungError
from rung.model.load import Model
from rung.model.methods.method import Kept, Trains, Unpaced, frozen
from rung.model.randomness import kept_randomness

CLOSING = {
    "attention": ("o_proj", "out_proj", "attn.c_proj", "attention.dense", "attention.output.dense", "SelfAttention.o",
                  "EncDecAttention.o"),
    "feed-forward": ("down_proj", "mlp.c_proj", "dense_4h_to_h", "fc2", "output.dense", "wo"),
}  # fmt: skip
"""How the families of transformers call the projection that closes a sub-layer."""
WEIGHTS, SETTINGS = "bottleneck.safetensors", "bottleneck.json"
Behind = Literal["attention", "feed-forward"]


class Bottlenecked(torch.nn.Module):
    """A layer with a bottleneck behind it: y + up(gelu(down(y))), y its output of shape (…, out)."""

    def __init__(self, inner: Any, out: int, width: int) -> None:
        super().__init__()
        self.inner = inner
        device = next(inner.parameters()).device
        self.down = torch.nn.Linear(out, width, device=device)
        self.up = torch.nn.Linear(width, out, device=device)
        torch.nn.init.normal_(self.down.weight, std=0.02)
        for begins_at_zero in (self.down.bias, self.up.weight, self.up.bias):
            torch.nn.init.zeros_(begins_at_zero)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As the layer's own, in the numbers of its output."""
        y = self.inner(x)
        wide = y if torch.is_autocast_enabled(y.device.type) else y.to(self.down.weight.dtype)
        added: torch.Tensor = self.up(torch.nn.functional.gelu(self.down(wide)))
        return y + added.to(y.dtype)


@dataclass(frozen=True)
class Bottleneck(Unpaced):
    """`width` units behind each sub-layer, or, where `behind` is feed-forward alone, half as many adapters (Pfeiffer 2020)."""

    name: ClassVar[str] = "bottleneck"
    trains: ClassVar[Trains] = "adapter"
    kept: ClassVar[Kept] = "bottleneck"
    width: int = 16
    behind: tuple[str, ...] = ("attention", "feed-forward")

    def __post_init__(self) -> None:
        if not isinstance(self.width, int) or self.width < 1:
            raise RungError(f"width is {self.width}", where=self.name, mend="give a whole number from 1")
        for place in self.behind:
            if place not in CLOSING:
                raise RungError(f"unknown place {place!r}", where=self.name, mend=f"known: {', '.join(CLOSING)}")

    def why_not(self, model: Model) -> str:
        """Needs layers that are known to close a sub-layer."""
        found = self._closing(model.module)
        return "" if found else f"no layer of a {model.config.get('model_type')} is known to close a sub-layer"

    def _closing(self, module: Any) -> list[str]:
        wanted = tuple(name for place in self.behind for name in CLOSING[place])
        return [name for name, layer in module.named_modules() if name.endswith(wanted) and _width(layer)]

    def prepare(self, model: Model, *, seed: int = 0, start: Sequence[int] = ()) -> Any:
        """The frozen base with adapters that begin as nothing. Raises RungError where no layer closes a sub-layer."""
        self.check(self.why_not(model), "take lora")
        module = frozen(model)
        with kept_randomness():
            torch.manual_seed(seed)
            return self.put_in(module)

    def put_in(self, module: Any) -> Any:
        """`module` with the adapters in place, their weights fresh."""
        for name in self._closing(module):
            parent, _, own = name.rpartition(".")
            layer = module.get_submodule(name)
            setattr(module.get_submodule(parent), own, Bottlenecked(layer, _width(layer), self.width))
        return module


def _width(layer: Any) -> int:
    """Outputs of a linear layer; 0 of any other."""
    from transformers.pytorch_utils import Conv1D

    if isinstance(layer, torch.nn.Linear):
        return int(layer.out_features)
    return int(layer.nf) if isinstance(layer, Conv1D) else 0


def _own(module: Any) -> Iterator[tuple[str, torch.Tensor]]:
    for name, layer in module.named_modules():
        if isinstance(layer, Bottlenecked):
            for part in ("down", "up"):
                for own, weight in getattr(layer, part).named_parameters():
                    yield f"{name}.{part}.{own}", weight


def save_bottleneck(module: Any, folder: Path, base_name: str) -> None:
    """Write the adapters' weights (float32) and settings into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: weight.detach().float().cpu().contiguous() for name, weight in _own(module)}
    behind = [place for place, names in CLOSING.items() if any(n.rsplit(".", 2)[0].endswith(names) for n in weights)]
    width = next(weight.shape[0] for name, weight in weights.items() if name.endswith("down.weight"))
    safetensors.torch.save_file(weights, folder / WEIGHTS)
    settings = asdict(Bottleneck(int(width), tuple(behind))) | {"base_model_name_or_path": base_name}
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")


def with_bottleneck(module: Any, folder: Path) -> Any:
    """`module` with the adapters saved in `folder`. Raises RungError where they do not fit it."""
    settings = json.loads((folder / SETTINGS).read_text())
    module = Bottleneck(settings["width"], tuple(settings["behind"])).put_in(module)
    kept = safetensors.torch.load_file(folder / WEIGHTS)
    own = dict(_own(module))
    if own.keys() != kept.keys() or any(own[name].shape != kept[name].shape for name in own):
        raise RungError("the adapters were made for another model", where=str(folder), mend="name their base")
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(kept[name])
    return module
