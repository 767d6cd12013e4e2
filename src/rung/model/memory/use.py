"""Predicted bytes by purpose, and the peak of training and of serving made of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rung.model.memory.allocator import GnuHeap
from rung.model.memory.shape import ModelShape

if TYPE_CHECKING:
    from rung.model.memory.count import StepCount

BESIDE = 40_000_000
"""Bytes that a training on a CPU takes beside its tensors: libraries loaded late, kernels compiled for each shape."""
SLACK = {"cpu": 0.5, "cuda": 0.1}
"""What an allocator holds beside what is in use, as a share of what comes and goes, where no sequence of it is known."""
HELD_IN_MEMORY = 1 << 30
"""Bytes of trained weights up to which the best of them are held in memory."""
NUMBER_OF_STATES, NUMBER_OF_BEST = 1 << 40, 1 << 41


@dataclass(frozen=True)
class MemoryUse:
    """Predicted bytes by purpose. `moving` is the most that is in use at once within a step beside what stays;
    gradients, activations and logits are parts of it, not all of them at the same moment."""

    weights: float
    gradients: float = 0.0
    optimizer: float = 0.0
    best_weights: float = 0.0
    activations: float = 0.0
    logits: float = 0.0
    moving: float = 0.0
    cache: float = 0.0
    slack: float = 0.0

    @property
    def total(self) -> int:
        """The peak."""
        return round(self.weights + self.optimizer + self.best_weights + self.cache + self.moving + self.slack)

    def to_json(self) -> dict[str, int]:
        """As plain values, whole bytes."""
        return {key: round(value) for key, value in asdict(self).items()} | {"total": self.total}


def train_memory(
    step: StepCount, *, states: float = 8.0, keep_best: bool = False, device: str = "cpu", beside: int | None = None
) -> MemoryUse:
    """Peak bytes of one process that trains by steps like `step`.

    `states` are the optimiser's bytes for each moving weight. `keep_best` holds the best moving weights so far, in the
    same memory on a CPU. On a CPU the allocations of three steps are replayed on the C library's heap, and `beside`
    (None: what was measured) is added for what is no tensor.
    """
    trained = sum(step.trained)
    best = 4.0 * trained if keep_best and device == "cpu" and 4 * trained <= HELD_IN_MEMORY else 0.0
    parts = MemoryUse(
        weights=sum(step.weights),
        gradients=step.gradients,
        optimizer=states * trained,
        best_weights=best,
        activations=step.activations - step.logits,
        logits=step.logits,
        moving=step.moving,
    )
    slack = SLACK.get(device, SLACK["cpu"]) * step.moving
    if device == "cpu" and step.events:
        slack = _replayed(step, states, bool(best)) - parts.total + (BESIDE if beside is None else beside)
    return MemoryUse(**{**asdict(parts), "slack": slack})


def _replayed(step: StepCount, states: float, best: bool) -> int:
    """The most that a process holds over three steps; states come into being at the end of the first."""
    heap, first = GnuHeap(), max((block for block, _ in step.events), default=0) + 1
    for number, size in enumerate(step.weights):
        heap.take(-1 - number, size)
    for turn in range(3):
        events = [(block + turn * first, size) for block, size in step.events]
        heap.run(events[: step.closed])
        if turn == 0:
            for number, count in enumerate(step.trained):
                for half in range(2 if states else 0):
                    heap.take(NUMBER_OF_STATES + 2 * number + half, max(1, round(count * states / 2)))
                if best:
                    heap.take(NUMBER_OF_BEST + number, 4 * count)
        heap.run(events[step.closed :])
        heap.settle()
    return heap.peak


def serve_memory(
    shape: ModelShape,
    parameters: int,
    *,
    rows: int = 1,
    length: int = 512,
    prompt_tokens: int | None = None,
    weight_bytes: float = 4,
    device: str = "cpu",
) -> MemoryUse:
    """Peak bytes of answering `rows` prompts at once, each up to `length` tokens with its answer.

    The cache holds a key and a value a token and layer in the format of the weights. `prompt_tokens` (None: all of
    them) are computed at once, with one layer's activations alive at a time and logits for one token a row.
    """
    computed = rows * length if prompt_tokens is None else prompt_tokens
    wide = max(2.0, weight_bytes)  # what is computed is in 16 bits at least
    alive = computed * (6 * shape.hidden + 3 * shape.feed_forward) * wide
    logits, cache = rows * shape.vocabulary * 8.0, float(shape.cache_width) * rows * length * wide
    return MemoryUse(
        weights=parameters * float(weight_bytes),
        activations=alive,
        logits=logits,
        moving=alive + logits,
        cache=cache,
        slack=SLACK.get(device, SLACK["cpu"]) * (alive + cache),
    )
