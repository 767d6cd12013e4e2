"""What the engine is asked and what it gives back: values only, the same on every route."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rung.generate.constraint import Constraint
from rung.generate.wording import Wording
from rung.types import Sampling, TokenChance

BASE = ""  # the variant that is the base itself


@dataclass(frozen=True, slots=True)
class Generation:
    """An answer of the model's own: its text, its token ids without the end mark, and whether it came to an end.

    `chances` has a member a token where `logprobs` were asked for, `others` the further answers of `n`.
    """

    text: str
    tokens: tuple[int, ...]
    finished: bool
    chances: tuple[TokenChance, ...] = ()
    others: tuple[Generation, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt to answer: its ids, how, under what constraint, by which variant of the base."""

    context: Sequence[int]
    sampling: Sampling
    wording: Wording
    constraint: Constraint | None = None
    variant: str = BASE

    @property
    def size(self) -> int:
        """Tokens of context and answer at their longest."""
        return len(self.context) + self.sampling.max_new_tokens
