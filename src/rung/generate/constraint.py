"""Output under constraint: JSON of a schema, text of a regular expression, one of a list of texts.

The grammar is compiled and followed by llguidance; here is how the three kinds are written for it, and the guide that the
sampler asks. White space in JSON is bounded, so that an answer cannot go on with blanks until its tokens are spent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from rung.errors import RungError

BLANKS = r"( {1,8}|\n {0,8})"  # what JSON may have between two of its parts: an indented line break at most


@dataclass(frozen=True, slots=True)
class Constraint:
    """What an answer must be, as a grammar of llguidance. Two equal ones are compiled once."""

    grammar: str


def json_schema(schema: Mapping[str, Any]) -> Constraint:
    """JSON that fits the schema, compact or with some blanks. Raises RungError for what the grammar cannot say."""
    bounded = dict(schema) | {"x-guidance": {"whitespace_pattern": BLANKS}}
    return _checked(f"start: %json {json.dumps(bounded, sort_keys=True)}", "the schema")


def regex(pattern: str) -> Constraint:
    """A text that the regular expression matches as a whole. Raises RungError where it cannot be read."""
    from llguidance import LLMatcher

    try:
        return _checked(LLMatcher.grammar_from_regex(pattern), f"the pattern {pattern!r}")
    except ValueError as error:
        raise _refusal(f"the pattern {pattern!r}", str(error)) from error


def one_of(texts: Sequence[str]) -> Constraint:
    """One of the texts, letter by letter. Raises RungError for none, or an empty one."""
    if not texts or not all(texts):
        raise RungError("a choice without letters", where="choices", mend="give one or more texts")
    return _checked("start: " + " | ".join(json.dumps(text, ensure_ascii=False) for text in texts), "the choices")


@lru_cache(maxsize=256)
def _checked(grammar: str, what: str) -> Constraint:
    from llguidance import LLMatcher

    if wrong := LLMatcher.validate_grammar(grammar):
        raise _refusal(what, wrong)
    return Constraint(grammar)


def _refusal(what: str, told: str) -> RungError:
    return RungError(f"{what} makes no grammar: {' '.join(told.split())[:300]}", where="constraint", mend="simplify it")


class Guides:
    """Compiles constraints for one tokenizer; `size` is the model's vocabulary."""

    def __init__(self, tokenizer: Any, size: int) -> None:
        self._tokenizer, self._size = tokenizer, size
        self._compiled: dict[tuple[Constraint, frozenset[int]], Any] = {}
        self._vocabularies: dict[frozenset[int], Any] = {}

    def guide(self, constraint: Constraint, end: frozenset[int]) -> Follower:
        """A fresh guide. `end` are the tokens that may come where the constraint is fulfilled."""
        from llguidance import LLMatcher

        key = (constraint, end)
        if key not in self._compiled:
            self._compiled[key] = LLMatcher(self._vocabulary(end), constraint.grammar)
        return Follower(self._compiled[key].deep_copy(), self._size, end)

    def _vocabulary(self, end: frozenset[int]) -> Any:
        from llguidance.hf import from_tokenizer

        if end not in self._vocabularies:
            ends = sorted(end) or None
            self._vocabularies[end] = from_tokenizer(self._tokenizer, n_vocab=self._size, eos_token=ends)
        return self._vocabularies[end]


class Follower:
    """Follows one answer through its grammar."""

    def __init__(self, matcher: Any, size: int, end: frozenset[int]) -> None:
        self._matcher, self._size, self._end = matcher, size, end

    @property
    def over(self) -> bool:
        """Whether nothing may follow."""
        return bool(self._matcher.is_stopped())

    def forbid(self, logits: torch.Tensor) -> None:
        """Set the logits (vocabulary,) of tokens that may not come next to minus infinity."""
        bits = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        allowed = (bits[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1
        allowed = allowed.flatten()[: logits.shape[-1]].bool()
        logits[: len(allowed)].masked_fill_(~allowed.to(logits.device), float("-inf"))
        logits[len(allowed) :] = float("-inf")

    def accept(self, token: int) -> None:
        """Take note of the token that was chosen. Raises RuntimeError where the grammar does not know it."""
        if not self._matcher.consume_token(token) and token not in self._end:
            raise RuntimeError(f"token {token} does not follow the grammar: {self._matcher.get_error()}")
