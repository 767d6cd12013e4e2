"""How one training lies over its processes: the interface that the loop speaks to, and the plainest layout, one process.

A layout is placed on a module, computes steps, and gives whole weights and states back, so that checkpoints are the
same files whatever the layout was. The others are in `replicated` and `sharded`; `choose` picks one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch.distributed.tensor import DTensor

from rung.train.hooks import Hooks
from rung.train.keep import Weights, load_weights, trainable_weights
from rung.train.parallel.team import Team
from rung.train.surroundings import device_of

T = TypeVar("T")
Batch = Mapping[str, torch.Tensor]
LossOf = Callable[[Any, Batch], torch.Tensor]
Backward = Callable[[torch.Tensor], None]


class Layout:
    """One process with everything: what the loop asks, answered as a plain training does.

    `trainable` counts the weights that move where this process does not see all of them.
    """

    name = "one process"
    trainable: int | None = None

    def __init__(self, team: Team | None = None) -> None:
        self.team = team or Team()

    @contextlib.contextmanager
    def placed(self, module: Any) -> Iterator[None]:
        """`module` laid out within the block, whole and plain behind it, with the weights it has come to."""
        yield

    def step(
        self, module: Any, micros: Sequence[Batch], loss_of: LossOf, backward: Backward, moment: tuple[int, int]
    ) -> torch.Tensor:
        """Forward and backward of a whole step, known by (seed, number): its gradients in place, its loss returned."""
        total = torch.zeros((), device=device_of(module))
        for batch in micros:
            loss = loss_of(module, batch)
            backward(loss)
            total += loss.detach()
        return total

    def check_hooks(self, hooks: Hooks) -> None:
        """Raises RungError where this layout cannot have them."""

    def told(self) -> str:
        """One line of how the training lay over its processes; empty for one."""
        return ""

    def judge(self, look: Callable[[], T]) -> T:
        """What `look` finds, which may call the module as if it were whole; every process takes part."""
        return look()

    def clip(self, weights: Iterable[torch.Tensor], most: float) -> torch.Tensor:
        """Scale the gradients of all weights down to a Euclidean norm of at most `most`. Returns the norm before."""
        return torch.nn.utils.clip_grad_norm_(weights, most)

    def weights(self, module: Any) -> Weights:
        """The trainable weights, whole, in the first process; nothing in the others. All must call it."""
        return trainable_weights(module)

    def load(self, module: Any, weights: Weights) -> None:
        """Put whole weights, which only the first process need have, where they belong. All must call it."""
        load_weights(module, weights)

    def gather(self, named: Mapping[str, torch.Tensor]) -> Weights:
        """Tensors laid out like the module's weights, whole, in the first process. All must call it."""
        return {name: tensor.detach().cpu().contiguous() for name, tensor in named.items()}

    def gather_json(self, rest: dict[str, Any]) -> dict[str, Any]:
        """What an optimiser remembers besides tensors, of all weights, in the first process. All must call it."""
        return rest

    def hand_out(self, whole: Weights, likes: Mapping[str, torch.Tensor]) -> Weights:
        """Whole tensors of the first process, each laid out as the one of the same name in `likes`, if it has the
        same shape; tensors without a like of the name stay away. All must call it."""
        return {name: tensor for name, tensor in whole.items() if name in likes}


def local(tensor: torch.Tensor) -> torch.Tensor:
    """What of a tensor lies in this process."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
