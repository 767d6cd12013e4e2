"""Likelihoods and answers by the plain route: whole sequences, padded, no shared work; beams.

For encoder–decoders, and for decoders whose attention does not take explicit masks. Slower, never different. The loop is
the library's; what comes next is chosen as everywhere, by `sampling`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from rung.generate.forest import Likelihood
from rung.generate.request import Request
from rung.generate.sampling import Chooser, Pick, choose
from rung.model.virtual import Layer, Virtual, places


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
    module: Any, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], pad: int, virtual: Virtual | None
) -> list[Likelihood]:
    """log P(answer | context) in nats for each pair, by one causal pass over the joined tokens."""
    ids, mask = padded([[*context, *answer] for context, answer in pairs], pad, module.device)
    front = 0
    if virtual is None:
        logits = module(input_ids=ids, attention_mask=mask, use_cache=False).logits
    elif isinstance(virtual, tuple):
        ones = torch.ones((len(pairs), places(virtual)), dtype=mask.dtype, device=mask.device)
        logits = module(
            input_ids=ids,
            attention_mask=torch.cat([ones, mask], 1),
            past_key_values=cached(module, virtual, len(pairs)),
        ).logits
    else:
        front = places(virtual)
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


def cached(module: Any, layers: Sequence[Layer], rows: int) -> Any:
    """The library's cache, holding the same keys and values before every row."""
    from transformers import DynamicCache

    cache = DynamicCache(config=module.config)
    for number, (keys, values) in enumerate(layers):
        wide = [part.to(module.device, module.dtype).expand(rows, -1, -1, -1) for part in (keys, values)]
        cache.update(*wide, number)
    return cache


@torch.inference_mode()
def seq2seq_likelihoods(
    module: Any, contexts: Sequence[Sequence[int]], answers: Sequence[Sequence[Sequence[int]]], pad: int
) -> list[list[Likelihood]]:
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
    module: Any, requests: Sequence[Request], choosers: Sequence[Chooser], pad: int, virtual: torch.Tensor | None
) -> list[list[Pick]]:
    """The tokens of each answer, end mark included: `n` answers a request, one after another.

    The requests have `max_new_tokens`, `n` and `beams` in common, and decoders' contexts one length. With beams
    the choosers are not asked, and there are no log-probabilities.
    """
    first = requests[0].sampling
    ids, mask = padded([request.context for request in requests], pad, module.device)
    settings: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
    start = 1 if module.config.is_encoder_decoder else ids.shape[1]
    if virtual is not None:  # the library then gives back the new tokens only
        embedded = module.get_input_embeddings()(ids)
        front = virtual.to(embedded).expand(len(requests), -1, -1)
        ones = torch.ones(front.shape[:2], dtype=mask.dtype, device=mask.device)
        settings = {"inputs_embeds": torch.cat([front, embedded], 1), "attention_mask": torch.cat([ones, mask], 1)}
        start = 0
    ends = sorted(frozenset.union(*(request.wording.end for request in requests)))
    beams = first.beams
    if beams > 1:
        settings |= {"num_beams": beams, "num_return_sequences": first.n, "eos_token_id": ends or None}
        settings["stopping_criteria"] = [_stopped(requests, start)]
    else:
        if first.n > 1:
            settings = {key: value.repeat_interleave(first.n, 0) for key, value in settings.items()}
        each = [request for request in requests for _ in range(first.n)]
        loop = _Loop(choosers, each)
        settings |= {"logits_processor": [loop.choose], "stopping_criteria": [loop.ended], "eos_token_id": None}
    out = module.generate(
        **settings, do_sample=False, pad_token_id=pad, max_new_tokens=first.max_new_tokens, use_cache=True
    )
    if beams == 1:
        return loop.picks
    return [
        [Pick(token) for token in _until(row, requests[number // first.n].wording.end, pad)]
        for number, row in enumerate(out[:, start:].tolist())
    ]


def _until(row: Sequence[int], end: frozenset[int], pad: int) -> Sequence[int]:
    """The tokens up to the end mark; the library fills shorter answers up with padding."""
    for place, token in enumerate(row):
        if token in end:
            return row[: place + 1]
    last = len(row)
    while last and row[last - 1] == pad:
        last -= 1
    return row[:last]


def _stopped(requests: Sequence[Request], start: int) -> Callable[[Any, Any], Any]:
    """A stopping criterion: which beams have come upon their request's end."""

    def criterion(ids: Any, _: Any) -> Any:
        beams = len(ids) // len(requests)  # the library asks about more candidates than it keeps
        made = ids[:, start:].tolist()
        ended = [requests[row // beams].wording.ended(own) for row, own in enumerate(made)]
        return torch.tensor(ended, device=ids.device)

    return criterion


class _Loop:
    """Chooses each row's next token inside the library's loop, and says which rows have ended."""

    def __init__(self, choosers: Sequence[Chooser], requests: Sequence[Request]) -> None:
        self.choosers = choosers
        self.requests = requests
        self.picks: list[list[Pick]] = [[] for _ in choosers]
        self._done = [False] * len(choosers)

    def choose(self, _: Any, scores: Any) -> Any:
        """A logits processor: all but the chosen token of each row are shut out."""
        live = [row for row, done in enumerate(self._done) if not done]
        forced = torch.full_like(scores, float("-inf"))
        tokens = [0] * len(self.choosers)
        for row, pick in zip(live, choose(scores[live].float(), [self.choosers[row] for row in live])):
            chooser = self.choosers[row]
            chooser.take(pick)
            self.picks[row].append(pick)
            tokens[row] = pick.token
            over = bool(chooser.guide and chooser.guide.over)
            self._done[row] = over or self.requests[row].wording.ended(chooser.made)
        forced[torch.arange(len(tokens)), tokens] = 0.0
        return forced

    def ended(self, ids: Any, _: Any) -> Any:
        """A stopping criterion."""
        return torch.tensor(self._done, device=ids.device)


def _summed(logits: torch.Tensor, answer: Sequence[int]) -> Likelihood:
    table = logits.float().log_softmax(dim=-1)
    tokens = torch.tensor(list(answer), device=table.device)
    picked = table[torch.arange(len(answer)), tokens]
    return Likelihood(float(picked.sum()), bool((table.argmax(dim=-1) == tokens).all()))
