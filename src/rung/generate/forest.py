"""One forward pass over many contexts, each with its tree of answers, behind one shared prefix.

The keys and values of the common prefix are computed once; behind them every row holds its own context and the nodes of
its answers, which see the context and their ancestors only (a 4D attention mask). Exact: the same log-likelihoods as a
plain pass, up to rounding. Works for decoders that honour explicit masks and positions, which `Engine` finds out.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rung.generate.trie import ROOT, Trie
from rung.model.shapes import COUNT_STEP, LENGTH_STEP, rounded

HEAD_ROWS = 2048  # positions put through the output head at once: bounds the memory of the logits


@dataclass(frozen=True)
class Prefix:
    """Keys and values of tokens that several rows begin with. `length` counts virtual tokens too."""

    ids: tuple[int, ...]
    cache: Any
    length: int

    def spread(self, rows: int) -> Any:
        """A cache of `rows` rows that begin with this prefix, without copying it."""
        if self.cache is None:
            return None
        cache = copy.copy(self.cache)
        cache.layers = [copy.copy(layer) for layer in self.cache.layers]
        for layer in cache.layers:
            layer.keys = layer.keys.expand(rows, -1, -1, -1)
            layer.values = layer.values.expand(rows, -1, -1, -1)
        return cache


@dataclass(frozen=True)
class Batch:
    """Token ids, positions and additive mask of some rows behind a prefix, and where each part ends.

    `ids`, `positions`: (rows, length). `mask`: (rows, 1, length, prefix + length), in the module's dtype.
    `lengths[r]` counts the context tokens of row r that stand behind the prefix.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    lengths: tuple[int, ...]


class Forest:
    """The forward passes of one decoder module, perhaps with virtual tokens in front."""

    def __init__(self, module: Any, virtual: torch.Tensor | None = None) -> None:
        self.module = module
        self.virtual = virtual  # (tokens, hidden) or None
        self.backbone = getattr(module, module.base_model_prefix)
        self.head = module.get_output_embeddings()
        self.dtype, self.device = module.dtype, module.device
        self.split_head = False  # set by the probe: head(backbone(x)) equals the module's own logits

    @torch.inference_mode()
    def prefix(self, ids: Sequence[int]) -> Prefix:
        """Compute the keys and values of `ids`, behind the virtual tokens where there are some."""
        virtual = 0 if self.virtual is None else int(self.virtual.shape[0])
        if not ids and not virtual:
            return Prefix((), None, 0)
        if self.virtual is not None:
            parts = [self.virtual.to(self.dtype)]
            if ids:
                parts.append(self.module.get_input_embeddings()(torch.tensor(list(ids), device=self.device)))
            inputs = {"inputs_embeds": torch.cat(parts).unsqueeze(0)}
        else:
            inputs = {"input_ids": torch.tensor([list(ids)], device=self.device)}
        out = self.backbone(**inputs, use_cache=True)
        return Prefix(tuple(ids), out.past_key_values, virtual + len(ids))

    def batch(self, prefix: Prefix, contexts: Sequence[Sequence[int]], tries: Sequence[Trie | None]) -> Batch:
        """Lay out the rows: context behind the prefix, then the nodes of the answers, padded on the right."""
        skip, base = len(prefix.ids), prefix.length
        lengths = tuple(len(context) - skip for context in contexts)
        longest = max(length + (len(trie.tokens) if trie else 0) for length, trie in zip(lengths, tries))
        width = rounded(longest, LENGTH_STEP)
        rows = len(contexts)
        ids = torch.zeros((rows, width), dtype=torch.long)
        positions = torch.zeros((rows, width), dtype=torch.long)
        seen = torch.zeros((rows, width, base + width), dtype=torch.bool)
        causal = torch.ones((width, width), dtype=torch.bool).tril_()
        seen[:, :, :base] = True
        # Padding sees itself, so that no row of the softmax is empty.
        seen[:, :, base:] |= torch.eye(width, dtype=torch.bool)
        for row, (context, length, trie) in enumerate(zip(contexts, lengths, tries)):
            ids[row, :length] = torch.tensor(list(context[skip:]), dtype=torch.long)
            positions[row, :length] = torch.arange(base, base + length)
            seen[row, :length, base : base + length] = causal[:length, :length]
            if trie and trie.tokens:
                end = length + len(trie.tokens)
                ids[row, length:end] = torch.tensor(trie.tokens)
                positions[row, length:end] = base + length + torch.tensor(trie.depths)
                seen[row, length:end, base : base + length] = True
                seen[row, length:end, base + length : base + end] |= _lineage(trie)
        mask = torch.zeros(seen.shape, dtype=self.dtype).masked_fill_(~seen, torch.finfo(self.dtype).min)
        to = self.device
        return Batch(ids.to(to), positions.to(to), mask.unsqueeze(1).to(to), lengths)

    @torch.inference_mode()
    def hidden(self, prefix: Prefix, batch: Batch, *, keep: bool = False) -> tuple[torch.Tensor, Any]:
        """Last hidden states (rows, length, hidden), or logits where the head cannot be split; the cache if kept."""
        cache = prefix.spread(batch.ids.shape[0])
        runner = self.backbone if self.split_head else self.module
        out = runner(
            input_ids=batch.ids,
            position_ids=batch.positions,
            attention_mask=batch.mask,
            past_key_values=cache,
            use_cache=keep or cache is not None,
        )
        return out[0], out.past_key_values if keep else None

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Float32 logits (n, vocabulary) of states (n, hidden) as `hidden` gives them."""
        return (self.head(states) if self.split_head else states).float()

    @torch.inference_mode()
    def likelihoods(
        self, prefix: Prefix, contexts: Sequence[Sequence[int]], tries: Sequence[Trie]
    ) -> list[list[float]]:
        """log P of every answer of every row, summed over its tokens, in nats."""
        batch = self.batch(prefix, contexts, tries)
        states, _ = self.hidden(prefix, batch)
        where: dict[tuple[int, int], int] = {}
        wanted: list[tuple[int, int]] = []
        for row, (length, trie) in enumerate(zip(batch.lengths, tries)):
            for path in trie.paths:
                for node, token in path:
                    place = (row, length - 1 if node == ROOT else length + node)
                    wanted.append((where.setdefault(place, len(where)), token))
        rows, columns = zip(*where)
        picked = states[list(rows), list(columns)]
        values = self._log_probabilities(picked, wanted)
        out, at = [], 0
        for trie in tries:
            scores = []
            for path in trie.paths:
                scores.append(float(sum(values[at : at + len(path)])))
                at += len(path)
            out.append(scores)
        return out

    def _log_probabilities(self, states: torch.Tensor, wanted: Sequence[tuple[int, int]]) -> list[float]:
        """log P(token) in nats for each (row of `states`, token), the head run over bounded slices."""
        index = torch.tensor([i for i, _ in wanted], device=states.device)
        token = torch.tensor([t for _, t in wanted], device=states.device)
        out = torch.empty(len(wanted), dtype=torch.float32, device=states.device)
        spare = rounded(states.shape[0], COUNT_STEP) - states.shape[0]
        states = torch.nn.functional.pad(states, (0, 0, 0, spare))
        for start in range(0, states.shape[0], HEAD_ROWS):
            logits = self.logits(states[start : start + HEAD_ROWS])
            norm = logits.logsumexp(dim=-1)
            here = ((index >= start) & (index < start + HEAD_ROWS)).nonzero().squeeze(-1)
            local = index[here] - start
            out[here] = logits[local, token[here]] - norm[local]
        return [float(value) for value in out.tolist()]


def _lineage(trie: Trie) -> torch.Tensor:
    """(nodes, nodes), True where the column's node is the row's node or its ancestor."""
    table = torch.zeros((len(trie.tokens), len(trie.tokens)), dtype=torch.bool)
    for node in range(len(trie.tokens)):
        table[node, trie.ancestors(node)] = True
    return table
