"""What may reach into a step of the loop: a penalty on the weights, and weights that are held still for a while.

Which penalty, and which weights, is decided by those who hand them in (`forgetting`, `model.methods`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch


def _nothing(module: Any, step: int) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True)
class Hooks:
    """`penalty(module)` is a scalar whose gradient joins that of each step's mean loss; the curve shows the loss alone.

    `around(module, step)` is entered for the passes forward and back of step number `step` (from 0) and left before the
    weights move: a weight that needs no gradient within it is not moved by that step.
    """

    penalty: Callable[[Any], torch.Tensor] | None = None
    around: Callable[[Any, int], AbstractContextManager[None]] = _nothing
