"""Against forgetting: what holds a model near what it was while it learns a task.

Replay mixes general text among the rows; L2 draws the weights back to where they began; EWC does so the more, the more
a weight matters for general text. A method that moves little (LoRA) is chosen elsewhere; the guards show what helped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rung.errors import RungError
from rung.model.load import Model
from rung.train.settings import TrainExample

KEEPING = ("none", "l2", "ewc", "replay")
STRENGTHS = {"l2": 0.01, "ewc": 100.0, "replay": 0.2}
PIECE = 33  # tokens of a piece of replayed text, the first of which is only read
LISTENED = 64  # pieces of text from which EWC learns what matters


@dataclass(frozen=True)
class Texts:
    """Pieces of general text as examples: those that join the training, and those that EWC listens to."""

    replayed: tuple[TrainExample, ...] = ()
    listened: tuple[TrainExample, ...] = ()


@dataclass(frozen=True)
class Keeping:
    """One way against forgetting, by a name in `KEEPING`.

    `strength` is the factor of half the squared distance (l2, ewc), or the share of replayed tokens among all that
    carry loss (replay); None: 0.01, 100, 0.2. `text` is a file of general text, which ewc and replay need. Raises
    RungError for a missing text or a strength that makes no sense.
    """

    name: str = "none"
    strength: float | None = None
    text: str = ""

    def __post_init__(self) -> None:
        where = "keep"
        if self.name in ("ewc", "replay") and not self.text:
            raise RungError(f"{self.name} needs general text", where=where, mend="name a file with keep_text")
        if self.name in ("ewc", "replay") and not Path(self.text).is_file():
            raise RungError("no such file", where=self.text, mend="name a file of plain text with keep_text")
        if self.strength is not None and self.strength <= 0:
            raise RungError(f"keep_strength is {self.strength}", where=where, mend="give a number above 0")
        if self.name == "replay" and self.factor >= 1:
            raise RungError(f"keep_strength is {self.factor:g}", where=where, mend="give a share below 1")

    @property
    def factor(self) -> float:
        """The strength, or the usual one of this way."""
        return self.strength if self.strength is not None else STRENGTHS.get(self.name, 0.0)

    def texts(self, model: Model, rows: Sequence[TrainExample], seed: int) -> Texts:
        """The pieces of the general text that this way uses, drawn by the seed."""
        if self.name not in ("ewc", "replay"):
            return Texts()
        pieces = _pieces(model, Path(self.text))
        order = np.random.default_rng([seed, 17]).permutation(len(pieces))
        if self.name == "ewc":
            return Texts(listened=tuple(pieces[i] for i in order[:LISTENED]))
        targets = sum(len(row.answer_ids) for row in rows)
        wanted = max(1, round(self.factor / (1 - self.factor) * targets / (PIECE - 1)))
        # A text shorter than its share is read again rather than made up for by a smaller share.
        return Texts(replayed=tuple(pieces[order[i % len(pieces)]] for i in range(wanted)))

    def penalty(self, module: Any, texts: Texts) -> Callable[[Any], torch.Tensor] | None:
        """What joins the loss of each step (a scalar), with the weights as they are now for what they were."""
        if self.name == "l2":
            return _Pull(module, dict.fromkeys(_moving(module), None), self.factor)
        if self.name == "ewc":
            return _Pull(module, importance(module, texts.listened), self.factor)
        return None


def _pieces(model: Model, file: Path) -> list[TrainExample]:
    text = file.read_text(encoding="utf-8", errors="replace")
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    pieces = [ids[at : at + PIECE] for at in range(0, len(ids) - PIECE + 1, PIECE)]
    if not pieces:
        raise RungError(f"holds fewer than {PIECE} tokens", where=str(file), mend="name a longer text with keep_text")
    return [TrainExample.of(piece[:1], piece[1:]) for piece in pieces]


def importance(module: Any, pieces: Sequence[TrainExample]) -> dict[str, torch.Tensor]:
    """The diagonal of the empirical Fisher information of each moving weight (Kirkpatrick et al. 2017).

    The mean over the pieces of the squared gradient of their log-likelihood (nats a token), a tensor of each weight's shape.
    """
    found = {name: torch.zeros_like(weight) for name, weight in _moving(module).items()}
    training = module.training
    module.eval()
    for piece in pieces:
        module.zero_grad(set_to_none=True)
        ids = torch.tensor([[*piece.context_ids, *piece.answer_ids]], device=next(module.parameters()).device)
        logits = module(input_ids=ids, use_cache=False).logits[0, :-1].float()
        torch.nn.functional.cross_entropy(logits, ids[0, 1:]).backward()
        for name, weight in _moving(module).items():
            if weight.grad is not None:
                found[name] += weight.grad.detach() ** 2 / len(pieces)
    module.zero_grad(set_to_none=True)
    module.train(training)
    return found


class _Pull:
    """strength / 2 × Σ importance × (weight − where it began)²."""

    def __init__(self, module: Any, importance: dict[str, torch.Tensor | None], strength: float) -> None:
        self._start = {name: weight.detach().clone() for name, weight in _moving(module).items()}
        self._importance, self._strength = importance, strength

    def __call__(self, module: Any) -> torch.Tensor:
        return self._strength / 2 * torch.stack(list(self._terms(module))).sum()

    def _terms(self, module: Any) -> Iterator[torch.Tensor]:
        for name, weight in module.named_parameters():
            if name in self._start:
                away = (weight - self._start[name]) ** 2
                factor = self._importance[name]
                yield (away if factor is None else factor * away).sum()


def _moving(module: Any) -> dict[str, torch.Tensor]:
    return {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
