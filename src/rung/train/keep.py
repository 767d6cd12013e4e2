"""What a training keeps: the weights that move, the best of them so far, the learning curve, and finished checkpoints.

Everything here is read and written; when to do so is decided by the loop in `trainer`.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from rung.errors import RungError
from rung.train.settings import CurvePoint, Stopped

Weights = dict[str, torch.Tensor]

WEIGHTS, BEST, RECORD = "trainable.safetensors", "best.safetensors", "loop.json"
IN_MEMORY = 1 << 30  # bytes of trained weights up to which a second copy is held in memory rather than on disk


@dataclass
class Best:
    """The best weights so far: in memory where they are small, else in a file beside the checkpoints."""

    weights: Weights | None = None
    file: Path | None = None

    @classmethod
    def of(cls, weights: Weights, folder: Path, step: int) -> Best:
        """A copy of the trainable weights as they are after `step` steps."""
        if sum(weight.nbytes for weight in weights.values()) <= IN_MEMORY:
            return cls({name: weight.clone() for name, weight in weights.items()})
        part, file = folder / "best.part", folder / f"best-{step}.safetensors"
        safetensors.torch.save_file(weights, part)
        part.replace(file)
        return cls(file=file)

    @classmethod
    def read(cls, checkpoint: Path) -> Best | None:
        """The best weights that a checkpoint remembers."""
        file = checkpoint / BEST
        if not file.is_file():
            return None
        if file.stat().st_size <= IN_MEMORY:
            return cls(safetensors.torch.load_file(file))
        # A second name for the same bytes: the checkpoint's own goes when a later one is complete.
        own = checkpoint.parent / "best-resumed.safetensors"
        own.unlink(missing_ok=True)
        os.link(file, own)
        return cls(file=own)

    def write(self, checkpoint: Path) -> None:
        """Put the weights into a checkpoint under way."""
        if self.weights is not None:
            safetensors.torch.save_file(self.weights, checkpoint / BEST)
        elif self.file is not None:
            os.link(self.file, checkpoint / BEST)

    def read_back(self) -> Weights:
        """The weights, whole."""
        if self.weights is not None:
            return self.weights
        assert self.file is not None
        return safetensors.torch.load_file(self.file)

    def drop(self) -> None:
        """Forget them."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)


@dataclass
class Ledger:
    """What a training remembers besides weights; everything here is in each checkpoint.

    `spent` holds the processor seconds of training, judging left out, at each point of the curve, `unjudged` those
    since its last point.
    """

    tokens: int = 0
    curve: list[CurvePoint] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)
    unjudged: float = 0.0
    best_step: int = 0
    best_rank: float | None = None
    waited: int = 0
    loss_sum: float = 0.0
    loss_targets: int = 0
    stopped: Stopped | None = None
    best: Best | None = None

    def record(self, identity: str) -> dict[str, Any]:
        """As JSON, without the best weights."""
        plain = {key: value for key, value in vars(self).items() if key not in ("best", "curve")}
        return plain | {"curve": [asdict(point) for point in self.curve], "identity": identity}

    @classmethod
    def read(cls, checkpoint: Path, identity: str, lead: bool = True) -> Ledger:
        """What the checkpoint's training remembered; the best weights only in the process that leads.

        Raises RungError where it was another training.
        """
        record = json.loads((checkpoint / RECORD).read_text())
        if record.pop("identity") != identity:
            raise RungError(
                "holds checkpoints of another training",
                where=str(checkpoint.parent),
                mend="name another folder or remove this one",
            )
        curve = [CurvePoint(**point) for point in record.pop("curve")]
        there = (checkpoint / BEST).is_file()
        return cls(**record, curve=curve, best=Best.read(checkpoint) if lead or not there else Best({}))


def trainable_weights(module: Any) -> Weights:
    """The weights that move, by name, on the CPU and without history."""
    named = module.named_parameters()
    return {name: weight.detach().cpu().contiguous() for name, weight in named if weight.requires_grad}


@torch.no_grad()
def load_weights(module: Any, weights: Weights) -> None:
    """Put `weights` into the trainable ones of `module`. Raises RungError where names differ."""
    own = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
    if own.keys() != weights.keys():
        odd = sorted(own.keys() ^ weights.keys())[0]
        raise RungError(f"{odd} is only in one of module and checkpoint", where="training", mend="start afresh")
    for name, weight in own.items():
        weight.copy_(weights[name])


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint that got farthest."""
    return max(folder.glob("checkpoint-*"), key=step_of_checkpoint, default=None)


def step_of_checkpoint(checkpoint: Path | None) -> int:
    """How many steps a checkpoint has behind it."""
    return int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
