"""The decoding loop of decoders: one token a step for every unfinished row, behind a shared prefix.

Greedy and sampled decoding with temperature, top-k and top-p. Rows that end leave the batch. What text a token makes,
and where a stop string ends it, is decided by the caller's `finished`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from rung.generate.forest import Forest, Prefix
from rung.types import Sampling


def decode(
    forest: Forest,
    prefix: Prefix,
    contexts: Sequence[Sequence[int]],
    sampling: Sampling,
    finished: Callable[[int, list[int]], bool],
) -> Iterator[tuple[int, int]]:
    """Yield (row, token) as tokens come. `finished(row, tokens so far)` says after each token whether the row ends."""
    batch = forest.batch(prefix, contexts, [None] * len(contexts))
    with torch.inference_mode():
        states, cache = forest.hidden(prefix, batch, keep=True)
        lengths = torch.tensor(batch.lengths, device=forest.device)
        last = states[torch.arange(len(contexts), device=forest.device), lengths - 1]
        width = batch.ids.shape[1]
        # Behind the prefix a row's own context is followed by padding, which its later tokens must not see.
        gap = torch.arange(width, device=forest.device)[None, :] >= lengths[:, None]
        seen = torch.cat([gap.new_zeros((len(contexts), prefix.length)), gap], 1)
        position = lengths + prefix.length
    rows = list(range(len(contexts)))
    made: dict[int, list[int]] = {row: [] for row in rows}
    chance = [torch.Generator().manual_seed(_seed(sampling.seed, made_from)) for made_from in contexts]
    while rows:
        with torch.inference_mode():
            tokens = pick(forest.logits(last), sampling, [chance[row] for row in rows])
        alive = []
        for place, (row, token) in enumerate(zip(rows, tokens)):
            made[row].append(token)
            yield row, token
            if len(made[row]) < sampling.max_new_tokens and not finished(row, made[row]):
                alive.append(place)
        if not alive:
            return
        with torch.inference_mode():
            if len(alive) < len(rows):
                index = torch.tensor(alive, device=forest.device)
                cache.batch_select_indices(index)
                seen, position = seen[index], position[index]
                rows, tokens = [rows[a] for a in alive], [tokens[a] for a in alive]
            seen = torch.cat([seen, seen.new_zeros((len(rows), 1))], 1)
            last, cache = _step(forest, tokens, position, seen, cache)
            position = position + 1


def _step(
    forest: Forest, tokens: list[int], position: torch.Tensor, hidden: torch.Tensor, cache: object
) -> tuple[torch.Tensor, object]:
    mask = torch.zeros(hidden.shape, dtype=forest.dtype, device=forest.device)
    mask.masked_fill_(hidden, torch.finfo(forest.dtype).min)
    runner = forest.backbone if forest.split_head else forest.module
    out = runner(
        input_ids=torch.tensor(tokens, device=forest.device)[:, None],
        position_ids=position[:, None],
        attention_mask=mask[:, None, None, :],
        past_key_values=cache,
        use_cache=True,
    )
    return out[0][:, -1], out.past_key_values


def pick(logits: torch.Tensor, sampling: Sampling, chance: Sequence[torch.Generator]) -> list[int]:
    """The next token of each row of logits (rows, vocabulary); each row draws from its own generator."""
    if sampling.temperature <= 0:
        return [int(token) for token in logits.argmax(dim=-1).tolist()]
    logits = logits / sampling.temperature
    if 0 < sampling.top_k < logits.shape[-1]:
        floor = logits.topk(sampling.top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < floor, float("-inf"))
    weights = logits.softmax(dim=-1)
    if sampling.top_p < 1:
        ordered, order = weights.sort(dim=-1, descending=True)
        # A token stays while the mass before it is below top_p: the first one always does.
        drop = ordered.cumsum(dim=-1) - ordered >= sampling.top_p
        weights = weights.scatter(-1, order, ordered.masked_fill(drop, 0.0))
    return [int(torch.multinomial(row.cpu(), 1, generator=own)) for row, own in zip(weights, chance)]


def _seed(seed: int, context: Sequence[int]) -> int:
    """A row's own seed: by its context, so that a draw does not depend on who else is in the batch."""
    mixed = seed
    for token in context:
        mixed = (mixed * 1_000_003 + int(token) + 1) % (2**63 - 1)
    return mixed
