"""How the learning rate moves over a run. A schedule is a plain function of the step, known before the run begins."""

from __future__ import annotations

import math
from collections.abc import Callable

from rung.errors import RungError, nearest


def wsd(step: int, steps: int, warmup: int, decay: float) -> float:
    """Warm-up, stable, decay (Hu et al. 2024): linear up, flat, linear down over the last `decay` share of the run."""
    if step < warmup:
        return (step + 1) / warmup
    falling = max(1, round(steps * decay))
    return min(1.0, max(0.0, (steps - step) / falling))


def cosine(step: int, steps: int, warmup: int, decay: float) -> float:
    """Linear warm-up, then half a cosine down to 0 (Loshchilov and Hutter 2017). `decay` is not used."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def linear(step: int, steps: int, warmup: int, decay: float) -> float:
    """Linear warm-up, then straight down to 0. `decay` is not used."""
    if step < warmup:
        return (step + 1) / warmup
    return max(0.0, (steps - step) / max(1, steps - warmup))


def constant(step: int, steps: int, warmup: int, decay: float) -> float:
    """Linear warm-up, then flat."""
    return min(1.0, (step + 1) / max(1, warmup))


SCHEDULES: dict[str, Callable[[int, int, int, float], float]] = {
    "wsd": wsd,
    "cosine": cosine,
    "linear": linear,
    "constant": constant,
}


def schedule(name: str, steps: int, warmup: int, decay: float) -> Callable[[int], float]:
    """The multiplier of the learning rate at each step (from 0), by a name in `SCHEDULES`."""
    if name not in SCHEDULES:
        raise RungError(f"unknown schedule {name!r}", where="train", mend=nearest(name, SCHEDULES))
    shape = SCHEDULES[name]
    return lambda step: shape(step, steps, warmup, decay)
