"""Systems on an encoder: they classify by sentence embeddings, without writing a word.

Three ways from an embedding to a label: nearness to the labels' descriptions, nearness to labelled examples, and a
linear head. Scores of choices are on the scale of log-probabilities (a softmax over the labels).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from rung.errors import RungError
from rung.system.body import Embedder
from rung.types import Completion, Prompt


@dataclass(frozen=True)
class Similar:
    """Zero-shot: the label whose description is most like the input (cosine)."""

    embedder: Embedder = field(repr=False)
    labels: tuple[str, ...]
    descriptions: tuple[str, ...]

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """The label of the nearest description for each prompt."""

        def scores(inputs: np.ndarray) -> np.ndarray:
            return inputs @ self.embedder.embed(self.descriptions).T

        return _answer(self.embedder, self.labels, prompts, scores)


@dataclass(frozen=True)
class NearestLabelled:
    """The label that the `k` most similar labelled examples vote for, each by its cosine to the power of `sharpness`."""

    embedder: Embedder = field(repr=False)
    labels: tuple[str, ...]
    pool: tuple[tuple[str, str], ...] = field(repr=False)  # (text, label)
    k: int = 8
    sharpness: float = 8.0

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """The label with the largest vote for each prompt."""
        place = {label: column for column, label in enumerate(self.labels)}
        owners = np.array([place[label] for _, label in self.pool])

        def scores(inputs: np.ndarray) -> np.ndarray:
            cosines = inputs @ self.embedder.embed([text for text, _ in self.pool]).T
            nearest = np.argsort(-cosines, axis=1, kind="stable")[:, : self.k]
            votes = np.full((len(inputs), len(self.labels)), 1e-9)
            for row, columns in enumerate(nearest):
                weights = np.clip(cosines[row, columns], 0, None) ** self.sharpness
                np.add.at(votes[row], owners[columns], weights)
            return np.log(votes)

        return _answer(self.embedder, self.labels, prompts, scores)


@dataclass(frozen=True)
class Headed:
    """A linear head over the embedding: `weight` (labels, hidden) and `bias` (labels,)."""

    embedder: Embedder = field(repr=False)
    labels: tuple[str, ...]
    weight: np.ndarray = field(repr=False)
    bias: np.ndarray = field(repr=False)

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """The label with the largest logit for each prompt."""
        return _answer(self.embedder, self.labels, prompts, lambda inputs: inputs @ self.weight.T + self.bias)


def _answer(
    embedder: Embedder, labels: Sequence[str], prompts: Sequence[Prompt], scores: Callable[[np.ndarray], np.ndarray]
) -> list[Completion]:
    started = time.perf_counter()
    lengths = (
        [len(ids) for ids in embedder.model.tokenizer([prompt.text for prompt in prompts])["input_ids"]]
        if prompts
        else []
    )
    window = embedder.model.sentence_window
    fit = [row for row, length in enumerate(lengths) if length <= window]
    out = [Completion("", length, error=f"{length} tokens do not fit the window of {window}") for length in lengths]
    if fit:
        table = np.asarray(scores(embedder.embed([prompts[row].text for row in fit])), dtype=float)
        table = table - np.logaddexp.reduce(table, axis=1, keepdims=True)
        for row, values in zip(fit, table):
            offered = prompts[row].choices or tuple(labels)
            by_choice = dict(zip(labels, map(float, values)))
            if missing := [choice for choice in offered if choice not in by_choice]:
                raise RungError(
                    f"this system knows no label {missing[0]!r}", where="choices", mend="ask for: " + ", ".join(labels)
                )
            best = max(offered, key=lambda choice: by_choice[choice])
            own = {choice: by_choice[choice] for choice in offered}
            out[row] = Completion(best, lengths[row], 0, choice_scores=own)
    share = (time.perf_counter() - started) / max(1, len(prompts))
    return [Completion(c.text, c.prompt_tokens, 0, share, c.choice_scores, c.error) for c in out]
