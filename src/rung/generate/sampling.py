"""From logits to the next token of each row: every row by its own settings, its own past and its own chance.

The order is the one that `Sampling` states: guide (tokens that a constraint forbids) → bias → penalties → the likeliest
where greedy → temperature → min-p → top-k → top-p → one draw. Log-probabilities are reported as the model gives them,
before all of it. Nothing here runs a model or makes text.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from rung.types import Sampling

FORBIDDEN = float("-inf")


class Guide(Protocol):
    """What a constraint allows next. One for each answer: it remembers what was said."""

    @property
    def over(self) -> bool:
        """Whether nothing may follow."""
        ...

    def forbid(self, logits: torch.Tensor) -> None:
        """Set the logits (vocabulary,) of tokens that may not come next to minus infinity, in place."""
        ...

    def accept(self, token: int) -> None:
        """Take note of the token that was chosen."""
        ...


@dataclass(frozen=True, slots=True)
class Pick:
    """A chosen token; where asked for, its log-probability in nats and the likeliest (token, log-probability) pairs."""

    token: int
    logprob: float | None = None
    others: tuple[tuple[int, float], ...] = ()


@dataclass
class Chooser:
    """What one answer asks of its next token. `made` holds its tokens so far, `number` tells answers of one prompt apart."""

    sampling: Sampling
    context: Sequence[int] = ()
    number: int = 0
    guide: Guide | None = None
    made: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(_mixed(self.sampling.seed, self.number, self.context))

    @property
    def shapes(self) -> bool:
        """Whether anything but the model's own logits decides."""
        s = self.sampling
        return bool(
            self.guide
            or s.logit_bias
            or s.repetition_penalty != 1
            or s.frequency_penalty
            or s.presence_penalty
            or s.logprobs is not None
        )

    def take(self, pick: Pick) -> None:
        """Take note of a chosen token."""
        self.made.append(pick.token)
        if self.guide:
            self.guide.accept(pick.token)


@torch.inference_mode()
def choose(logits: torch.Tensor, choosers: Sequence[Chooser]) -> list[Pick]:
    """The next token of each row of logits (rows, vocabulary), float32. Rows do not influence each other."""
    shaped = logits
    if any(chooser.shapes for chooser in choosers):
        shaped = logits.clone()
        for row, chooser in enumerate(choosers):
            _shape(shaped[row], chooser)
    tokens = shaped.argmax(dim=-1).tolist()
    warm = [row for row, chooser in enumerate(choosers) if chooser.sampling.temperature > 0]
    if warm:
        own = [choosers[row] for row in warm]
        weights = filtered(shaped[warm], [chooser.sampling for chooser in own])
        for row, token in zip(warm, _drawn(weights, [chooser.chance.random() for chooser in own])):
            tokens[row] = token
    return [_report(row, int(token), chooser) for row, token, chooser in zip(logits, tokens, choosers)]


def filtered(logits: torch.Tensor, samplings: Sequence[Sampling]) -> torch.Tensor:
    """The weights (rows, vocabulary) to draw from: temperature, then min-p, top-k and top-p; what fell out weighs 0."""
    device = logits.device

    def column(values: Iterable[float]) -> torch.Tensor:
        return torch.tensor(list(values), device=device, dtype=torch.float32)[:, None]

    logits = logits / column(s.temperature for s in samplings)
    if any(s.min_p > 0 for s in samplings):
        # p / max p = exp(logit − max logit): no softmax needed to compare.
        limit = logits.amax(dim=-1, keepdim=True) + column(s.min_p for s in samplings).log()
        logits = logits.masked_fill(logits < limit, FORBIDDEN)
    size = logits.shape[-1]
    most = [s.top_k if 0 < s.top_k < size else size for s in samplings]
    if min(most) < size:
        kept = max(k for k in most if k < size)
        values = logits.topk(kept, dim=-1).values
        place = torch.tensor([[min(k, kept) - 1] for k in most], device=device)
        floor = values.gather(-1, place)
        floor[torch.tensor([k == size for k in most], device=device)] = FORBIDDEN
        logits = logits.masked_fill(logits < floor, FORBIDDEN)
    weights = logits.softmax(dim=-1)
    if any(s.top_p < 1 for s in samplings):
        ordered, order = weights.sort(dim=-1, descending=True)
        # A token stays while the mass before it is below top_p: the first one always does.
        drop = ordered.cumsum(dim=-1) - ordered >= column(s.top_p for s in samplings)
        drop &= column(s.top_p for s in samplings) < 1
        weights = weights.scatter(-1, order, ordered.masked_fill(drop, 0.0))
    return weights


def _drawn(weights: torch.Tensor, uniform: Sequence[float]) -> list[int]:
    """One token a row, by where its uniform number falls in the sum of the row's weights."""
    sums = weights.double().cumsum(dim=-1)
    target = torch.tensor(uniform, device=weights.device, dtype=torch.float64)[:, None] * sums[:, -1:]
    # The first token whose sum exceeds the target has weight of its own.
    places = torch.searchsorted(sums, target, right=True).squeeze(-1)
    last = (weights > 0).long() * torch.arange(weights.shape[-1], device=weights.device)
    return [int(token) for token in torch.minimum(places, last.amax(dim=-1)).tolist()]


def _shape(row: torch.Tensor, chooser: Chooser) -> None:
    """Guide, bias and penalties on one row of logits, in place."""
    sampling = chooser.sampling
    if chooser.guide:
        chooser.guide.forbid(row)
    if sampling.logit_bias:
        ids, values = zip(*sampling.logit_bias)
        row[list(ids)] += torch.tensor(values, dtype=row.dtype, device=row.device)
    if sampling.repetition_penalty != 1:
        # Keskar et al. 2019 (CTRL), with negative logits multiplied, so that a penalty always lowers.
        seen = torch.tensor(sorted({*chooser.context, *chooser.made}), device=row.device)
        old = row[seen]
        row[seen] = torch.where(old > 0, old / sampling.repetition_penalty, old * sampling.repetition_penalty)
    if chooser.made and (sampling.frequency_penalty or sampling.presence_penalty):
        ids_made, counts = torch.tensor(chooser.made, device=row.device).unique(return_counts=True)
        row[ids_made] -= sampling.frequency_penalty * counts + sampling.presence_penalty


def _report(logits: torch.Tensor, token: int, chooser: Chooser) -> Pick:
    count = chooser.sampling.logprobs
    if count is None:
        return Pick(token)
    table = logits.log_softmax(dim=-1)
    best = table.topk(min(count, table.shape[-1]))
    pairs = zip(best.indices.tolist(), best.values.tolist())
    return Pick(token, float(table[token]), tuple((int(i), float(v)) for i, v in pairs))


def _mixed(seed: int, number: int, context: Sequence[int]) -> int:
    """An answer's own seed, by what it answers: a draw does not depend on who else is in the batch."""
    mixed = seed * 1_000_003 + number
    for token in context:
        mixed = (mixed * 1_000_003 + int(token) + 1) % (2**63 - 1)
    return mixed
