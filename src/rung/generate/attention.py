"""Attention behind shared prefixes: the prefix is attended to once for all rows, each row's own tokens apart, and both put together.

softmax over two parts is their outputs weighted by their sums of exponentials, which each part reports as the logarithm
(the merging of FlashAttention, Dao et al. 2022, section 3.1). So keys of a prefix are read once a pass, not once a row,
and never copied. For modules whose attention is `sdpa`; others see prefixes joined to their rows (`slots`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface

from rung.generate.prefixes import Prefix

NAME = "rung_behind_prefixes"
Part = tuple[torch.Tensor | None, Prefix]  # rows of the batch (None: all), and what they stand behind
_parts: list[Sequence[Part]] = []  # of the pass under way


@contextmanager
def behind(config: Any, parts: Sequence[Part]) -> Iterator[None]:
    """Within it, the module of `config` attends to the prefixes of `parts` before what its cache gives."""
    usual = config._attn_implementation
    _parts.append(parts)
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = usual
        _parts.pop()


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """The library's interface: query (rows, heads, length, width) in, (rows, length, heads, width) out."""
    for name in ("softcap", "position_bias", "s_aux"):
        if others.get(name) is not None:
            raise NotImplementedError(f"attention with {name}")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    out, total = _part(query, key, value, attention_mask, scale)
    for rows, prefix in _parts[-1]:
        keys, values = prefix.layers[module.layer_idx]
        if rows is None:
            out, total = _joined(out, total, *_shared(query, keys, values, scale))
        else:
            more = _shared(query[rows], keys, values, scale)
            out[rows], total[rows] = _joined(out[rows], total[rows], *more)
    return out.transpose(1, 2).contiguous(), None


def _shared(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """All rows against one prefix: as one row of many queries."""
    rows, heads, length, width = query.shape
    folded = query.transpose(0, 1).reshape(1, heads, rows * length, width)
    out, total = _part(folded, keys, values, None, scale)
    return (
        out.reshape(heads, rows, length, width).transpose(0, 1),
        total.reshape(heads, rows, length).transpose(0, 1),
    )


def _part(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention to some keys: (rows, heads, length, width), and the log of the sum of exponentials (rows, heads, length)."""
    rows, heads, length, width = query.shape
    kinds = keys.shape[1]
    # Under autocast the queries are of a lower precision than the weights, and so than mask and kept keys may be.
    keys, values = keys.to(query.dtype), values.to(query.dtype)
    mask = None if mask is None else mask.to(query.dtype)
    if kinds != heads:  # grouped queries: those of a group stand one after another before their common keys
        query = query.reshape(rows, kinds, heads // kinds * length, width)
        mask = mask if mask is None or length == 1 else mask.repeat(1, 1, heads // kinds, 1)
    if query.device.type == "cpu" and query.dtype != torch.float16:
        out, total = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, keys, values, 0.0, False, attn_mask=mask, scale=scale
        )
    else:
        scores = (query @ keys.transpose(-1, -2)).float() * scale
        scores = scores if mask is None else scores + mask
        total = scores.logsumexp(dim=-1)
        out = (scores - total[..., None]).exp().to(values.dtype) @ values
    return out.reshape(rows, heads, length, width), total.reshape(rows, heads, length)


def _joined(
    one: torch.Tensor, one_total: torch.Tensor, other: torch.Tensor, other_total: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Two parts of one softmax put together."""
    total = torch.logaddexp(one_total, other_total)
    first, second = (one_total - total).exp()[..., None], (other_total - total).exp()[..., None]
    return (one * first + other * second).to(one.dtype), total


AttentionInterface.register(NAME, attend)
