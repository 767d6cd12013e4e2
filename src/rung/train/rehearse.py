"""The dress rehearsal of a long training: its largest batch forward and back, and the evaluation of the longest row.

A training that would run out of memory in its third hour does so in its first minute, and says what to change. Weights,
gradients, buffers and random states are as before. When a training is long is measured on its first step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
import transformers

from rung.model.randomness import kept_randomness
from rung.train.breaks import memory_told

LONG = 60.0
"""Seconds of training from which a rehearsal is worth it."""
SHARE = 0.01
"""Of the whole time, what the search for the largest batch may take."""


class Rehearsal(transformers.TrainerCallback):
    """Tries the largest batch after the first step of a training that has more than a minute to go.

    The optimiser's states are there by then, so what fits now fits later. `done` tells the bytes of the largest batch.
    Not where several processes train together: their clocks differ, and all would have to decide alike.
    """

    def __init__(
        self,
        module: Any,
        steps: Any,
        objective: Callable[[Any, Mapping[str, torch.Tensor]], torch.Tensor],
        low_precision: bool,
        evaluate: Callable[[], object] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.module, self.steps, self.objective = module, steps, objective
        self.low_precision, self.evaluate, self.clock = low_precision, evaluate, clock
        self.began = clock()
        self.done: int | None = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The time of the first step begins."""
        if self.done is None:
            self.began = self.clock()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Behind the first step: is it long? Raises OutOfMemory where the largest batch does not fit."""
        if self.done is not None:
            return
        self.done = 0
        if getattr(args, "world_size", 1) > 1:
            return
        seconds = self.clock() - self.began
        left = seconds * (len(self.steps) - int(state.global_step))
        if left > LONG:
            self.rehearse(SHARE * left)

    def rehearse(self, seconds: float) -> None:
        """Run what takes most memory; the search for it takes at most `seconds`."""
        batch = self._largest(seconds)
        with memory_told(lambda: "the rehearsal of the largest batch, after step 1"), kept_randomness():
            self._forward_and_back(batch)
        if self.evaluate is not None:
            training = self.module.training
            self.module.eval()
            with (
                memory_told(lambda: "the rehearsal of the evaluation, after step 1"),
                kept_randomness(),
                torch.no_grad(),
            ):
                self.evaluate()
            self.module.train(training)
        self.done = size_of(batch)

    def _largest(self, seconds: float) -> Mapping[str, torch.Tensor]:
        """The largest batch of all steps, or of as many, evenly spread, as the time allows."""
        until, count = self.clock() + seconds, len(self.steps)
        best = max(self.steps[0]["micros"], key=size_of)
        # First far apart, then closer, so that a search that is cut short has been everywhere.
        stride = 1 << max(0, (count - 1).bit_length() - 1)
        seen = {0}
        while stride >= 1:
            for number in range(0, count, stride):
                if number in seen:
                    continue
                if self.clock() > until:
                    return best
                seen.add(number)
                best = max([best, *self.steps[number]["micros"]], key=size_of)
            stride //= 2
        return best

    def _forward_and_back(self, batch: Mapping[str, torch.Tensor]) -> None:
        device = next(self.module.parameters()).device
        buffers = [(buffer, buffer.clone()) for buffer in self.module.buffers()]
        placed = {name: value.to(device) for name, value in batch.items()}
        self.module.train()
        with torch.autocast(device.type, torch.bfloat16, enabled=self.low_precision):
            loss = self.objective(self.module, placed)
        (0.0 * loss).backward()
        for weight in self.module.parameters():
            weight.grad = None
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


def size_of(batch: Mapping[str, torch.Tensor]) -> int:
    """Bytes of a batch's tensors: what takes most of them takes most activations."""
    return sum(value.nbytes for value in batch.values() if isinstance(value, torch.Tensor))
