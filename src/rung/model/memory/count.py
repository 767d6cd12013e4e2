"""One training step run on tensors that have shapes and no numbers, every allocation of it counted.

torch's fake tensors go through the very operations of a real step, so what is kept for the backward pass is known to the
byte for any architecture, method and objective, within a second and without the weights. What operations use inside
themselves (scratch of kernels) is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rung.model.memory.allocator import Event

Batch = Mapping[str, torch.Tensor]
Objective = Callable[[Any, Batch], torch.Tensor]


@dataclass(frozen=True)
class StepCount:
    """What one step of forward and backward passes allocates. Everything in bytes but `trained`.

    `weights` as held, buffers among them; `trained` the sizes of the moving weights one by one, in numbers, and
    `gradients` their gradients'. `activations` are in use beside weights and earlier gradients when a forward pass ends, of which `logits`
    have the vocabulary as their width; `moving` is the most in use at any moment beside the weights. `events` are the
    allocations in order; from `closed` on the gradients are given back.
    """

    weights: tuple[int, ...]
    trained: tuple[int, ...]
    gradients: int
    activations: int
    logits: int
    moving: int
    events: tuple[Event, ...]
    closed: int


class Counter(TorchDispatchMode):
    """Notes every storage that comes into being within it, and when it goes."""

    def __init__(self, known: Sequence[torch.Tensor], wide: int) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.used = self.most = self.logits = 0
        self._wide, self._next = wide, 0
        self._kept = [tensor.untyped_storage() for tensor in known]  # held, so that no number is given twice
        self._seen = {storage._cdata for storage in self._kept}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self._note(leaf)
        return out

    def _note(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._seen or not size:
            return
        self._seen.add(key)
        block, logits = self._next, size if tensor.ndim and tensor.shape[-1] == self._wide else 0
        self._next += 1
        self.events.append((block, size))
        self.used += size
        self.logits += logits
        self.most = max(self.most, self.used)

        def gone() -> None:
            self._seen.discard(key)
            self.events.append((block, 0))
            self.used -= size
            self.logits -= logits

        weakref.finalize(storage, gone).atexit = False


def count_step(
    module: Any, batches: Sequence[Batch], objective: Objective, *, low_precision: bool = False, packed: float = 0.0
) -> StepCount:
    """Run `objective` forward and back over the pieces of one step, as the loop does, and count.

    `module` lies on the meta device and is used up. `batches` hold real tensors, of which only the shapes are read.
    `low_precision` computes products in bfloat16; `packed` is the bytes a weight of frozen linear layers that are held
    in few bits (0: as the module has them).
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)  # some parts of peft hold small tensors that are no buffers
    _fake(module, mode)
    weights = list(module.parameters())
    moving = [weight for weight in weights if weight.requires_grad]
    linear = _linear(module) if packed else set()
    held = [round(one.numel() * packed) if id(one) in linear else one.nbytes for one in weights]
    held += [buffer.nbytes for buffer in module.buffers()]
    pieces = [{name: mode.from_tensor(value) for name, value in batch.items()} for batch in batches]
    known = [*weights, *module.buffers(), *(value for piece in pieces for value in piece.values())]
    counter = Counter(known, int(module.config.get_text_config().vocab_size))
    module.train()
    activations = logits = 0
    with mode, counter:
        for piece in pieces:
            before = counter.used
            with torch.autocast("cpu", torch.bfloat16, enabled=low_precision):
                loss = objective(module, piece) / 2
            activations = max(activations, counter.used - before)
            logits = max(logits, counter.logits)
            loss.backward()
            del loss
        gradients = sum(weight.grad.nbytes for weight in moving if weight.grad is not None)
        closed = len(counter.events)
        for weight in moving:
            weight.grad = None
    unpacked = max((weight.nbytes for weight in weights if not weight.requires_grad), default=0) if packed else 0
    return StepCount(
        weights=tuple(held),
        trained=tuple(weight.numel() for weight in moving),
        gradients=gradients,
        activations=activations,
        logits=logits,
        moving=counter.most + unpacked,
        events=tuple(counter.events),
        closed=closed,
    )


def _fake(module: Any, mode: FakeTensorMode) -> None:
    """Put tensors that claim to lie on a CPU in the place of those on the meta device; shared ones stay shared."""
    made: dict[int, torch.Tensor] = {}
    for part in module.modules():
        for table in (part._parameters, part._buffers):
            for name, tensor in table.items():
                if tensor is not None:
                    table[name] = made.setdefault(id(tensor), _faked(tensor, mode))


def _faked(tensor: torch.Tensor, mode: FakeTensorMode) -> torch.Tensor:
    if tensor.device.type != "meta":
        made = mode.from_tensor(tensor.detach())
    else:
        made = mode.fake_tensor_converter.from_meta_and_device(mode, tensor.detach(), torch.device("cpu"))
    if isinstance(tensor, torch.nn.Parameter):
        return torch.nn.Parameter(made, requires_grad=tensor.requires_grad)
    return made


def _linear(module: Any) -> set[int]:
    """Frozen weights of linear layers, but for the head."""
    head = module.get_output_embeddings() if hasattr(module, "get_output_embeddings") else None
    found = [part.weight for part in module.modules() if isinstance(part, torch.nn.Linear) and part is not head]
    return {id(weight) for weight in found if not weight.requires_grad}
