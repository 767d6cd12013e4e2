"""Peak memory of one training, told by its settings: method, precision, optimiser, batch, checkpointing, ZeRO stage.

The step is counted on the model's outline (`model.memory.count`); what several devices share is divided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch

from rung.errors import RungError, nearest
from rung.model.memory.count import StepCount, count_step
from rung.model.memory.use import MemoryUse, train_memory
from rung.model.methods import METHODS
from rung.model.outline import Outline
from rung.train.checkpointing import checkpointed
from rung.train.optimisers.table import OPTIMISERS, optimiser

PRECISIONS = ("float32", "mixed", "bfloat16", "int8", "nf4")
"""`mixed`: float32 weights, products in bfloat16. `bfloat16`: everything in it. The last two hold a frozen base."""
STAGES = (0, 1, 2, 3)
DEEP = 24
"""Layers up to which every one is counted."""


@dataclass(frozen=True)
class Setting:
    """How a model would be trained. `rows` of `length` tokens go through each device at once, in `pieces` a step.

    Stage 1 shares the optimiser's states among `devices`, 2 the gradients too, 3 also the weights (ZeRO; Rajbhandari
    et al. 2020). `place` is the kind of device: a CPU's allocator wastes more than a GPU's.
    """

    method: str = "full"
    precision: str = "mixed"
    optimiser: str = "adamw"
    rows: int = 1
    length: int = 512
    pieces: int = 1
    checkpointing: bool = False
    devices: int = 1
    stage: int = 0
    place: str = "cuda"

    def __post_init__(self) -> None:
        if self.method == "qlora":
            object.__setattr__(self, "precision", "nf4")  # what the method is
        for name, known in (("method", METHODS), ("precision", PRECISIONS), ("optimiser", OPTIMISERS)):
            if getattr(self, name) not in known:
                raise RungError(
                    f"unknown {name} {getattr(self, name)!r}", where="size", mend=nearest(getattr(self, name), known)
                )
        for name in ("rows", "length", "pieces", "devices"):
            if getattr(self, name) < 1:
                raise RungError(f"{name} is {getattr(self, name)}", where="size", mend="give 1 or more")
        if self.stage not in STAGES:
            raise RungError(f"there is no ZeRO stage {self.stage}", where="size", mend="choose 0, 1, 2 or 3")
        if self.precision in ("int8", "nf4") and METHODS[self.method].trains in ("part", "weights"):
            mend = "train an adapter, such as lora, or hold the base in bfloat16"
            raise RungError(
                f"weights held as {self.precision} do not move, and {self.method} moves them", where="size", mend=mend
            )

    def alone(self) -> Setting:
        """What decides the count of one step: the same on one device, whatever optimiser follows."""
        return replace(self, optimiser="adamw", devices=1, stage=0, place="cpu")

    @property
    def tokens(self) -> int:
        """Tokens that all devices see in a step."""
        return self.rows * self.length * self.pieces * self.devices


def demand(outline: Outline, setting: Setting) -> MemoryUse:
    """Peak bytes of one device. Raises RungError for a method that the architecture lacks, or too long rows."""
    step = counted(outline, setting.alone())
    narrow = setting.precision == "bfloat16" and METHODS[setting.method].trains in ("part", "weights")
    states = optimiser(setting.optimiser).state * (0.5 if narrow and setting.optimiser != "adamw-8bit" else 1.0)
    whole = train_memory(step, states=states, device=setting.place)
    if setting.devices == 1 or setting.stage == 0:
        return whole
    n, gradients = setting.devices, whole.gradients
    weights, moving = whole.weights, whole.moving
    if setting.stage >= 2:
        # All of the gradients that stay are shared; those of the layer at work are whole until they are reduced.
        moving = max(moving - gradients * (1 - 1 / n), step.activations)
        gradients = gradients / n
    if setting.stage == 3:
        # The weights of the layer at work and of the next one are gathered.
        gathered = min(weights, 2 * weights / max(1, outline.layers))
        weights = weights / n + gathered
    return replace(whole, weights=weights, optimizer=whole.optimizer / n, gradients=gradients, moving=moving)


@cache
def counted(outline: Outline, setting: Setting) -> StepCount:
    """One step of `setting` on one device, counted; of a deep model from two shallow ones, for layers are alike."""
    if setting.length > outline.window:
        told = f"the window is {outline.window} tokens and a row has {setting.length}"
        raise RungError(told, where="size", mend="give a smaller --length")
    layers = outline.layers
    if layers <= DEEP:
        return _counted(outline, setting)
    few, more = DEEP // 6, DEEP // 3
    return _extended(
        _counted(outline.shallow(few), setting), _counted(outline.shallow(more), setting), (layers - few) / (more - few)
    )


def _extended(few: StepCount, more: StepCount, times: float) -> StepCount:
    """What a step comes to with so many times the layers that `more` has beyond `few`."""

    def along(name: str) -> int:
        a, b = getattr(few, name), getattr(more, name)
        a, b = (sum(a), sum(b)) if isinstance(a, tuple) else (a, b)
        return round(a + (b - a) * times)

    whole = {name: along(name) for name in ("gradients", "activations", "logits", "moving")}
    return StepCount(weights=(along("weights"),), trained=(along("trained"),), events=(), closed=0, **whole)


def _counted(outline: Outline, setting: Setting) -> StepCount:
    module = _module(outline, setting)
    ids = torch.zeros(setting.rows, setting.length, dtype=torch.long)
    batch = {"input_ids": ids}
    if setting.checkpointing:
        checkpointed(module)
    low = setting.precision == "mixed"
    packed = replace(outline, dtype=setting.precision).packed
    return count_step(module, [batch] * min(2, setting.pieces), _loss, low_precision=low, packed=packed)


def _module(outline: Outline, setting: Setting) -> Any:
    kind = METHODS[setting.method]
    held = {"float32": "float32", "mixed": "float32"}.get(setting.precision, setting.precision)
    if setting.method == "qlora":
        kind = METHODS["lora"]  # the same updates; the outline tells what the base is held in
    base, made = replace(outline, dtype=held), kind()
    if why := made.why_not(base):
        raise RungError(why, where=f"size --method {setting.method}", mend="choose another method")
    module = made.prepare(base)
    if setting.precision == "bfloat16":
        module = module.to(torch.bfloat16)
    return module


def _loss(module: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Cross-entropy of every token, or, where the module writes no words, a sum of what it gives."""
    ids, config = batch["input_ids"], module.config
    inputs = {"input_ids": ids} | ({"decoder_input_ids": ids} if config.is_encoder_decoder else {"use_cache": False})
    out = module(**inputs)
    logits = out.get("logits")
    if logits is None:
        return out[0].float().sum()
    logits = logits[:, -ids.shape[1] :]
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), ids.flatten(), reduction="sum")
