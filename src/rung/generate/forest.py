"""The forward passes of one decoder module: rows packed behind a shared prefix, each with its tree of answers.

The keys and values of a prefix are computed once. Behind it several rows share one sequence of the batch; a row sees the
prefix, its own context, and, from a node of its answers, the node's ancestors (a 4D attention mask). Exact: the same
log-likelihoods as a plain pass, up to rounding. For decoders that honour explicit masks and positions, which `Engine`
finds out.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from rung.generate.attention import Part, behind
from rung.generate.prefixes import Prefix
from rung.generate.slots import Behind, Slots
from rung.generate.trie import ROOT, Trie
from rung.model.shapes import COUNT_STEP, LENGTH_STEP, rounded
from rung.model.virtual import Layer, Virtual, places

HEAD_ROWS = 2048  # positions put through the output head at once: bounds the memory of the logits
# Tokens of a packed sequence, where the rows are shorter: little padding and little masked work; and, where a prefix is
# joined to each sequence, few copies of it.
PACK, PACK_JOINED = 64, 256


WIDER, WIDEST = (1.0, 1.5, 2.0, 3.0), 1024
"""Sequences are tried as wide as the longest row, and so many times wider, up to a bound for the mask's sake."""


class Variants(Protocol):
    """Which adapter each row of a pass goes through, and which virtual tokens stand before it."""

    def virtual(self, variant: str) -> Virtual | None:
        """Embeddings (tokens, hidden) before every context, or none."""
        ...

    def active(self, rows: Sequence[str]) -> AbstractContextManager[None]:
        """Within it, row r of the batch goes through the variant `rows[r]`."""
        ...


@dataclass(frozen=True, slots=True)
class Row:
    """Tokens behind a prefix: the rest of a context, then perhaps the nodes of its answers."""

    ids: Sequence[int]
    trie: Trie | None = None

    @property
    def size(self) -> int:
        """Tokens of the row."""
        return len(self.ids) + (len(self.trie.tokens) if self.trie else 0)


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows laid out for one pass: `ids`, `positions` (sequences, width), `mask` (sequences, 1, width, (prefix +) width).

    `places[r]` is (sequence, first position) of row r.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    places: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Filled:
    """Rows taken for a pass: their tokens (`used`) and those of the sequences (`size`), and what is `left`."""

    taken: list[int]
    used: int
    size: int
    left: list[tuple[int, int]]


def _filled(rows: Sequence[tuple[int, int]], width: int, sequences: int) -> Filled:
    """Fill sequences with (size, place) in ascending order: each with the longest rows that still fit."""
    left, taken, used, made = list(rows), list[int](), 0, 0
    while left and made < sequences:
        room, made = width, made + 1
        while (at := bisect_right(left, (room, sys.maxsize)) - 1) >= 0:
            size, place = left.pop(at)
            taken.append(place)
            room -= size
        used += width - room
    return Filled(taken, used, made * width, left)


@dataclass(frozen=True, slots=True)
class Likelihood:
    """log P(answer | context) in nats, summed over its tokens, and whether each was the likeliest in its place."""

    total: float
    greedy: bool


class Forest:
    """The passes of one decoder module with its variants."""

    def __init__(self, module: Any, variants: Variants) -> None:
        self.module = module
        self.variants = variants
        self.backbone = getattr(module, module.base_model_prefix)
        self.head = module.get_output_embeddings()
        self.dtype, self.device = module.dtype, module.device
        # Whether prefixes can be attended to where they lie; else they are joined to each row's own keys.
        self.apart = self.backbone.config._attn_implementation == "sdpa"
        self.split_head = False  # set by the probe: head(backbone(x)) equals the module's own logits

    @torch.inference_mode()
    def start(self, variant: str) -> Prefix:
        """What stands before every context of a variant: nothing, or its virtual tokens."""
        virtual = self.variants.virtual(variant)
        if virtual is None:
            return Prefix(variant=variant)
        if isinstance(virtual, tuple):  # keys and values already
            layers = tuple((k.to(self.device, self.dtype), v.to(self.device, self.dtype)) for k, v in virtual)
            return Prefix(layers, places(virtual), 0, variant)
        embedded = virtual.to(self.device, self.dtype)[None]
        return Prefix(self._stretch(Prefix(variant=variant), inputs_embeds=embedded), len(virtual), 0, variant)

    @torch.inference_mode()
    def extend(self, prefix: Prefix, ids: Sequence[int]) -> Prefix:
        """The prefix with further tokens."""
        layers = self._stretch(prefix, input_ids=torch.tensor([list(ids)], device=self.device))
        if prefix.length:
            layers = tuple(
                (torch.cat([old[0], new[0]], 2), torch.cat([old[1], new[1]], 2))
                for old, new in zip(prefix.layers, layers)
            )
        return Prefix(layers, prefix.length + len(ids), prefix.skip + len(ids), prefix.variant)

    def _stretch(self, prefix: Prefix, **inputs: torch.Tensor) -> tuple[Layer, ...]:
        """Keys and values of one row of tokens, or of embeddings, behind a prefix."""
        ((_, length, *_),) = (tensor.shape for tensor in inputs.values())
        front = 0 if self.apart else prefix.length
        mask = torch.full((length, length), torch.finfo(self.dtype).min, dtype=self.dtype, device=self.device).triu_(1)
        cache = Behind(prefix, self.apart)
        with self._behind([prefix.variant], [(None, prefix)]):
            self.backbone(
                **inputs,
                attention_mask=torch.cat([mask.new_zeros((length, front)), mask], 1)[None, None],
                position_ids=torch.arange(prefix.length, prefix.length + length, device=self.device)[None],
                past_key_values=cache,
                use_cache=True,
            )
        return cache.own

    @contextmanager
    def _behind(self, variants: Sequence[str], parts: Sequence[Part]) -> Iterator[None]:
        """Within it a pass goes through the rows' variants and attends to the prefixes."""
        with self.variants.active(variants):
            if self.apart:
                with behind(self.backbone.config, [(rows, prefix) for rows, prefix in parts if prefix.length]):
                    yield
            else:
                yield

    @property
    def least(self) -> int:
        """The width that sequences of several rows have at least."""
        return PACK if self.apart else PACK_JOINED

    def passes(self, rows: Sequence[Row], tokens: int) -> Iterator[tuple[list[int], int]]:
        """Which rows go through the module together, by their places, and how wide their sequences are.

        A pass has about `tokens` at most, with its padding. The longest rows come first; what they leave free of their
        sequences is filled with shorter ones, in sequences as wide as wastes least.
        """
        left = sorted((row.size, place) for place, row in enumerate(rows))
        hidden = int(self.backbone.config.get_text_config().hidden_size)
        while left:
            longest = max(left[-1][0], self.least)
            widths = {rounded(int(longest * times), LENGTH_STEP) for times in WIDER}
            fits = [
                width for width in sorted(widths) if width <= max(rounded(longest, LENGTH_STEP), min(WIDEST, tokens))
            ]
            tries = [_filled(left, width, max(1, tokens // width)) for width in fits]
            # A token costs about 24 hidden² operations in a layer's products, and 4 hidden × width in its attention.
            costs = [one.size * (6 * hidden + width) / one.used for one, width in zip(tries, fits)]
            best = min(range(len(tries)), key=costs.__getitem__)
            left = tries[best].left
            yield tries[best].taken, fits[best]

    def pack(self, rows: Sequence[Row], base: int, width: int | None = None) -> Packed:
        """Lay rows out in as few sequences as they fill, first come first placed; `base` tokens stand before each.

        `width` is the sequences' (None: that of the longest row, or a little more for several short ones).
        """
        least = max(max(row.size for row in rows), min(self.least, sum(row.size for row in rows)))
        width = rounded(least, LENGTH_STEP) if width is None else width
        places: list[tuple[int, int]] = []
        ends: list[int] = []
        for row in rows:
            bin_ = next((b for b, end in enumerate(ends) if end + row.size <= width), len(ends))
            if bin_ == len(ends):
                ends.append(0)
            places.append((bin_, ends[bin_]))
            ends[bin_] += row.size
        ids = np.zeros((len(ends), width), dtype=np.int64)
        positions = np.zeros((len(ends), width), dtype=np.int64)
        # Padding belongs to rows of its own, so that each sees itself and no row of the softmax is empty.
        owner = np.tile(-1 - np.arange(width), (len(ends), 1))
        for number, (row, (bin_, start)) in enumerate(zip(rows, places)):
            lead, end = start + len(row.ids), start + row.size
            ids[bin_, start:lead] = row.ids
            positions[bin_, start:end] = np.arange(base, base + row.size)
            owner[bin_, start:end] = number
            if row.trie and row.trie.tokens:
                ids[bin_, lead:end] = row.trie.tokens
                positions[bin_, lead:end] = base + len(row.ids) + np.asarray(row.trie.depths)
        seen = (owner[:, :, None] == owner[:, None, :]) & np.tri(width, dtype=bool)
        for row, (bin_, start) in zip(rows, places):
            if row.trie and row.trie.forks:
                lead, end = start + len(row.ids), start + row.size
                seen[bin_, lead:end, lead:end] = row.trie.lineage
        front = 0 if self.apart else base
        mask = torch.zeros((len(ends), 1, width, front + width), dtype=self.dtype)
        mask[:, 0, :, front:].masked_fill_(~torch.from_numpy(seen), torch.finfo(self.dtype).min)
        to = self.device
        return Packed(torch.from_numpy(ids).to(to), torch.from_numpy(positions).to(to), mask.to(to), tuple(places))

    @torch.inference_mode()
    def read(self, prefix: Prefix, packed: Packed) -> tuple[torch.Tensor, tuple[Layer, ...]]:
        """Run a pass: last hidden states (sequences, width, hidden), or logits where the head cannot be split; keys, values."""
        cache = Behind(prefix, self.apart)
        with self._behind([prefix.variant] * len(packed.ids), [(None, prefix)]):
            out = self._runner(
                input_ids=packed.ids,
                position_ids=packed.positions,
                attention_mask=packed.mask,
                past_key_values=cache,
                use_cache=True,
            )
        return out[0], cache.own

    @torch.inference_mode()
    def step(self, slots: Slots, tokens: Sequence[int], variants: Sequence[str]) -> torch.Tensor:
        """One token more for every row of the slots: the float32 logits (rows, vocabulary) behind it."""
        rows, width = slots.begin(self.device)
        mask = torch.zeros((rows, width), dtype=self.dtype, device=self.device)
        empty = torch.arange(width, device=self.device)[None] > slots.at[:, None]
        mask.masked_fill_(empty, torch.finfo(self.dtype).min)
        with self._behind([*variants, *[variants[0]] * slots.idle], slots.parts):
            out = self._runner(
                input_ids=torch.tensor([*tokens, *[0] * slots.idle], device=self.device)[:, None],
                position_ids=slots.positions[:, None],
                attention_mask=mask[:, None, None, :],
                past_key_values=slots,
                use_cache=True,
            )
        slots.end()
        return self.logits(out[0][:, -1])[: len(tokens)]

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Float32 logits (n, vocabulary) of states (n, hidden) as `read` gives them."""
        return (self.head(states) if self.split_head else states).float()

    def likelihoods(self, prefix: Prefix, rows: Sequence[Row], width: int | None = None) -> list[list[Likelihood]]:
        """The likelihood of every answer of every row, in sequences of `width`."""
        packed = self.pack(rows, prefix.length, width)
        states, _ = self.read(prefix, packed)
        where: dict[tuple[int, int], int] = {}
        wanted: list[tuple[int, int]] = []
        for row, (bin_, start) in zip(rows, packed.places):
            lead = start + len(row.ids)
            for path in row.trie.paths if row.trie else ():
                for node, token in path:
                    place = (bin_, lead - 1 if node == ROOT else lead + node)
                    wanted.append((where.setdefault(place, len(where)), token))
        sequences, columns = zip(*where)
        values, best = self._log_probabilities(states[list(sequences), list(columns)], wanted)
        out, at = [], 0
        for row in rows:
            scores = []
            for path in row.trie.paths if row.trie else ():
                span = slice(at, at + len(path))
                scores.append(Likelihood(float(sum(values[span])), all(best[span])))
                at += len(path)
            out.append(scores)
        return out

    @torch.inference_mode()
    def _log_probabilities(
        self, states: torch.Tensor, wanted: Sequence[tuple[int, int]]
    ) -> tuple[list[float], list[bool]]:
        """log P(token) in nats for each (row of `states`, token), and whether none is likelier; the head in bounded slices."""
        index = torch.tensor([i for i, _ in wanted], device=states.device)
        token = torch.tensor([t for _, t in wanted], device=states.device)
        out = torch.empty(len(wanted), dtype=torch.float32, device=states.device)
        best = torch.empty(len(wanted), dtype=torch.bool, device=states.device)
        spare = rounded(states.shape[0], COUNT_STEP) - states.shape[0]
        states = torch.nn.functional.pad(states, (0, 0, 0, spare))
        for start in range(0, states.shape[0], HEAD_ROWS):
            logits = self.logits(states[start : start + HEAD_ROWS])
            norm, top = logits.logsumexp(dim=-1), logits.argmax(dim=-1)
            here = ((index >= start) & (index < start + HEAD_ROWS)).nonzero().squeeze(-1)
            local = index[here] - start
            out[here] = logits[local, token[here]] - norm[local]
            best[here] = top[local] == token[here]
        return [float(value) for value in out.tolist()], best.tolist()

    @property
    def _runner(self) -> Any:
        return self.backbone if self.split_head else self.module
