"""Who sees whom in a row, and the scores of chosen places only: what all objectives ask of a module.

Masks are boolean, (rows, 1, queries, keys); `eager` attention gets them as numbers. Padding sees padding, so that no
query is left without a key.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from rung.errors import RungError
from rung.model.shapes import COUNT_STEP, rounded
from rung.train.pack import for_attention


def same(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """True where query and key have the same segment number; both of shape (rows, length)."""
    return (queries[:, :, None] == keys[:, None, :])[:, None]


def earlier(segments: torch.Tensor, prefix: torch.Tensor | None = None) -> torch.Tensor:
    """Each token sees what stands before it in its segment, and all of the segment's `prefix` (bool, (rows, length))."""
    length = segments.shape[1]
    before = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    seen = before if prefix is None else before | prefix[:, None, None, :]
    return same(segments, segments) & seen


def positions(segments: torch.Tensor) -> torch.Tensor:
    """Each token's place in its segment, from 0; shape (rows, length)."""
    count = torch.arange(segments.shape[1], device=segments.device).expand_as(segments)
    begins = torch.ones_like(segments, dtype=torch.bool)
    begins[:, 1:] = segments[:, 1:] != segments[:, :-1]
    return count - torch.where(begins, count, 0).cummax(dim=1).values


def mask_for(module: Any, mask: torch.Tensor) -> torch.Tensor:
    """`mask` in the form that the module's attention takes."""
    dtype = next(module.parameters()).dtype
    return for_attention(mask, module.config._attn_implementation, dtype)


def attend_by(module: Any, attention: str) -> None:
    """Let `module` attend by `attention`, where it has it; a module without attention stays as it is."""
    if attention != "sdpa" or getattr(module, "_supports_sdpa", False):
        module.set_attn_implementation(attention)


def scores(module: Any, body: Any, picked: torch.Tensor, inputs: dict[str, Any]) -> torch.Tensor:
    """Logits (picked, vocabulary) in float32 of the chosen places of the flattened rows.

    The head of `module` runs on these places only. It is the module's own head, with whatever it does to scores. Raises
    RungError where no place is chosen.
    """
    if picked.numel() == 0:
        raise RungError("no token of the batch carries loss", where="train", mend="give answers or text a weight")
    with _only(body, picked):
        logits: torch.Tensor = module(**inputs).logits
    return logits[0, : len(picked)].float()


@contextmanager
def _only(body: Any, picked: torch.Tensor) -> Iterator[None]:
    """While open, `body` hands on the chosen places of its last hidden state as one row, padded to a rounded length."""
    spare = rounded(len(picked), COUNT_STEP) - len(picked)

    def pick(_module: Any, _inputs: Any, output: Any) -> Any:
        hidden = output.last_hidden_state
        chosen = hidden.reshape(-1, hidden.shape[-1])[picked]
        output["last_hidden_state"] = torch.nn.functional.pad(chosen, (0, 0, 0, spare))[None]
        return output

    handle = body.register_forward_hook(pick)
    try:
        yield
    finally:
        handle.remove()
