"""Likelihoods and answers by the plain route: whole sequences, padded, no shared work.

For encoder–decoders, and for decoders whose attention does not take explicit masks. Slower, never different.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from rung.types import Sampling


def padded(rows: Sequence[Sequence[int]], pad: int, device: Any, *, left: bool = False) -> tuple[Any, Any]:
    """Token ids and attention mask, both (rows, longest)."""
    width = max(1, max(map(len, rows)))
    ids = torch.full((len(rows), width), pad, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for row, tokens in enumerate(rows):
        part = slice(width - len(tokens), width) if left else slice(0, len(tokens))
        ids[row, part] = torch.tensor(list(tokens), dtype=torch.long)
        mask[row, part] = 1
    return ids.to(device), mask.to(device)


@torch.inference_mode()
def decoder_likelihoods(
    module: Any, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], pad: int, virtual: torch.Tensor | None
) -> list[float]:
    """log P(answer | context) in nats for each pair, by one causal pass over the joined tokens."""
    ids, mask = padded([[*context, *answer] for context, answer in pairs], pad, module.device)
    front = 0
    if virtual is None:
        logits = module(input_ids=ids, attention_mask=mask, use_cache=False).logits
    else:
        front = int(virtual.shape[0])
        embedded = module.get_input_embeddings()(ids)
        head = virtual.to(embedded).unsqueeze(0).expand(len(pairs), -1, -1)
        ones = torch.ones((len(pairs), front), dtype=mask.dtype, device=mask.device)
        logits = module(
            inputs_embeds=torch.cat([head, embedded], 1), attention_mask=torch.cat([ones, mask], 1), use_cache=False
        ).logits
    out = []
    for row, (context, answer) in enumerate(pairs):
        first = front + len(context) - 1
        out.append(_summed(logits[row, first : first + len(answer)], answer))
    return out


@torch.inference_mode()
def seq2seq_likelihoods(
    module: Any, contexts: Sequence[Sequence[int]], answers: Sequence[Sequence[Sequence[int]]], pad: int
) -> list[list[float]]:
    """log P of every answer of every context; the encoder runs once a context."""
    ids, mask = padded(contexts, pad, module.device)
    repeats = torch.tensor([len(options) for options in answers], device=module.device)
    flat = [option for options in answers for option in options]
    labels, label_mask = padded(flat, 0, module.device)
    labels = labels.masked_fill(label_mask == 0, -100)
    if hasattr(module, "peft_config"):  # a soft prompt stands before the encoder: only the whole module knows it
        ids, mask = ids.repeat_interleave(repeats, 0), mask.repeat_interleave(repeats, 0)
        logits = module(input_ids=ids, attention_mask=mask, labels=labels).logits
    else:
        states = module.get_encoder()(input_ids=ids, attention_mask=mask, return_dict=True)
        states.last_hidden_state = states.last_hidden_state.repeat_interleave(repeats, 0)
        mask = mask.repeat_interleave(repeats, 0)
        logits = module(encoder_outputs=states, attention_mask=mask, labels=labels).logits
    values = [_summed(logits[row, : len(option)], option) for row, option in enumerate(flat)]
    out, at = [], 0
    for options in answers:
        out.append(values[at : at + len(options)])
        at += len(options)
    return out


@torch.inference_mode()
def generate(
    module: Any, contexts: Sequence[Sequence[int]], sampling: Sampling, pad: int, end: Sequence[int], *, left: bool
) -> list[list[int]]:
    """New token ids for each context by the library's own loop, without the end mark."""
    ids, mask = padded(contexts, pad, module.device, left=left)
    torch.manual_seed(sampling.seed)
    warm: dict[str, Any] = {"do_sample": False}
    if sampling.temperature > 0:
        warm = {
            "do_sample": True,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
        }
    out = module.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=sampling.max_new_tokens,
        eos_token_id=list(end) or None,
        pad_token_id=pad,
        **warm,
    )
    start = ids.shape[1] if left else 1
    rows = []
    for row in out[:, start:].tolist():
        stops = [position for position, token in enumerate(row) if token in end]
        rows.append(row[: stops[0]] if stops else row)
    return rows


def _summed(logits: torch.Tensor, answer: Sequence[int]) -> float:
    table = logits.float().log_softmax(dim=-1)
    picked = table[torch.arange(len(answer)), torch.tensor(list(answer), device=table.device)]
    return float(picked.sum())
