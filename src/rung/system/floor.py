"""Systems without a model: the floor that every rung must stand above, and Echo for trying things out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rung.types import Completion, Prompt


@dataclass(frozen=True)
class Constant:
    """The same answer to everything, such as the most frequent label."""

    text: str

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """The constant text, once a prompt."""
        return [Completion(self.text) for _ in prompts]


@dataclass(frozen=True)
class Position:
    """Always the choice at one place of the list (for multiple choice)."""

    place: int

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """The choice at `place`, or the last one where the list is shorter."""
        return [Completion(prompt.choices[min(self.place, len(prompt.choices) - 1)]) for prompt in prompts]


@dataclass(frozen=True)
class Lead:
    """The first sentences of the input: the classic floor of summarising."""

    sentences: int = 1

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """The first `sentences` sentences of each input."""
        return [Completion(_lead(prompt.text, self.sentences)) for prompt in prompts]


@dataclass(frozen=True)
class Echo:
    """The input itself."""

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Each prompt's own text."""
        return [Completion(prompt.text) for prompt in prompts]


def _lead(text: str, sentences: int) -> str:
    parts = re.split(r"(?<=[.!?])\s+|\n+", text.strip())
    return " ".join(parts[:sentences])
