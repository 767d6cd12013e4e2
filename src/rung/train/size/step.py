"""One step of tuning on answers, as the loop would run it, counted on a model's outline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from rung.model.memory.count import StepCount, count_step
from rung.model.methods.method import Method
from rung.model.outline import Outline
from rung.train.answers import AnswerLoss, LayoutName, RowLayout, virtual_tokens
from rung.train.checkpointing import checkpointed
from rung.train.settings import TrainExample


def answer_step(
    outline: Outline,
    method: Method,
    examples: Sequence[TrainExample],
    micro_tokens: int,
    *,
    packed: bool = True,
    low_precision: bool = False,
    checkpointing: bool = False,
) -> StepCount:
    """One step on `examples` in pieces of `micro_tokens`, of which only the lengths matter.

    Decoders' rows are packed where `packed`; encoders' give a sum of their vectors, as classification does.
    """
    module = method.prepare(outline)
    if checkpointing:
        checkpointed(module)
    held = outline.packed
    if outline.kind == "encoder":
        ids = torch.zeros(len(examples), max(map(len, examples)), dtype=torch.long)
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        return count_step(module, [batch], _vectors, low_precision=low_precision, packed=held)
    name: LayoutName = "pairs" if outline.kind == "encoder-decoder" else "packed" if packed else "padded"
    row = max(micro_tokens, max(map(len, examples)))
    layout = RowLayout(name, 0, micro_tokens, row, (), virtual_tokens(module))
    return count_step(module, layout.batches(examples), AnswerLoss(layout), low_precision=low_precision, packed=held)


def _vectors(module: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """A sum over the mean vectors of the rows."""
    out = module(**batch)
    return out[0].float().mean(dim=1).sum()
