"""From documents to the rows that training reads: tokenised, packed without splitting, kept on disk.

A corpus is laid out once, step by step, before training begins; so a run that resumes reads the very same rows. What
documents say, and what the weights are for, is decided elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rung.data.mixture import Document
from rung.errors import RungError

POOL = 96  # documents at hand when a row is filled


@dataclass(frozen=True)
class Stage:
    """A stretch of the run: `steps` steps of `rows` rows, each `length` tokens long."""

    length: int
    rows: int
    steps: int

    def __post_init__(self) -> None:
        for name in ("length", "rows", "steps"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise RungError(f"{name} is {value!r}", where="train.stages", mend="give a whole number from 1")

    @property
    def tokens(self) -> int:
        """Tokens of the stage, padding included."""
        return self.length * self.rows * self.steps


class Corpus:
    """Rows of token ids and loss weights on disk; item i is step i, as `trainer.train` reads it.

    The weights of a step are scaled to sum to its targets (the tokens with any weight), so that the loss of a step is
    the weighted mean over them.
    """

    def __init__(self, folder: Path, stages: Sequence[Stage]) -> None:
        self.card: dict[str, Any] = json.loads((folder / "corpus.json").read_text())
        self._ids = np.load(folder / "ids.npy", mmap_mode="r")
        self._weights = np.load(folder / "weights.npy", mmap_mode="r")
        self._shapes = [(stage.rows, stage.length) for stage in stages for _ in range(stage.steps)]
        self._starts = np.cumsum([0] + [rows * length for rows, length in self._shapes])

    def __len__(self) -> int:
        return len(self._shapes)

    def rows(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Token ids (int64) and weights as written (float32) of a step, both of shape (rows, length)."""
        part = slice(int(self._starts[step]), int(self._starts[step + 1]))
        shape = self._shapes[step]
        return self._ids[part].reshape(shape).astype(np.int64), self._weights[part].reshape(shape).astype(np.float32)

    def __getitem__(self, step: int) -> dict[str, Any]:
        ids, weights = self.rows(step)
        weights[:, 0] = 0.0  # nothing stands before the first token of a row to predict it from
        targets = int((weights > 0).sum())
        weights *= targets / max(float(weights.sum()), 1e-9)
        batch = {"input_ids": torch.from_numpy(ids), "weights": torch.from_numpy(weights)}
        return {"micros": [batch], "targets": targets, "tokens": int(ids.size)}


class Counted:
    """Documents as they pass: how many, their characters, and the SHA-256 of texts and weights."""

    def __init__(self, documents: Iterator[Document]) -> None:
        self._documents = documents
        self._hash = hashlib.sha256()
        self.documents = self.characters = 0

    def __iter__(self) -> Iterator[Document]:
        for document in self._documents:
            self.documents += 1
            self.characters += sum(len(text) for text, _ in document)
            self._hash.update(json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass"))
            yield document

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of all that passed."""
        return self._hash.hexdigest()


def write_corpus(documents: Iterator[Document], tokenizer: Any, stages: Sequence[Stage], folder: Path) -> None:
    """Lay out the corpus of all stages in `folder` (`ids.npy`, `weights.npy`, `corpus.json`).

    A document longer than its row is cut at the end; how many tokens fell away and how many places are padding is
    told in `corpus.json`. Raises RungError where the vocabulary needs more than 32 bits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total = sum(stage.tokens for stage in stages)
    kind = np.uint16 if len(tokenizer) <= 2**16 else np.uint32
    ids = np.full(total, tokenizer.pad_token_id, dtype=kind)
    weights = np.zeros(total, dtype=np.float16)
    counted = Counted(documents)
    pool = _Pool(iter(counted), tokenizer.backend_tokenizer)
    at = 0
    for stage in stages:
        for _ in range(stage.rows * stage.steps):
            start = at
            for row_ids, row_weights in pool.row(stage.length):
                ids[start : start + len(row_ids)] = row_ids
                weights[start : start + len(row_ids)] = row_weights
                start += len(row_ids)
            at += stage.length
    np.save(folder / "ids.npy", ids)
    np.save(folder / "weights.npy", weights)
    card = {
        "documents": counted.documents,
        "characters": counted.characters,
        "digest": counted.digest,
        "places": total,
        "padding": int((ids == tokenizer.pad_token_id).sum()),
        "cut_tokens": pool.cut,
        "tokens_with_loss": int((weights > 0).sum()),
        "tokens_of_answers": int((weights >= 1).sum()),
    }
    (folder / "corpus.json").write_text(json.dumps(card, indent=1))


class _Pool:
    """Tokenised documents at hand; a row takes those that fit, the oldest first."""

    def __init__(self, documents: Iterator[Document], tokenizer: Any) -> None:
        self._documents = documents
        self._tokenizer = tokenizer
        self._held: list[tuple[list[int], list[float]]] = []
        self.cut = 0

    def row(self, length: int) -> list[tuple[list[int], list[float]]]:
        """Documents that fill a row of `length` tokens, the space left over being too small for any at hand."""
        taken: list[tuple[list[int], list[float]]] = []
        room = length
        while True:
            self._fill()
            found = next((i for i, (ids, _) in enumerate(self._held) if len(ids) <= room), None)
            if found is None and not taken:  # all at hand are longer than a whole row
                ids, weights = self._held.pop(0)
                self.cut += len(ids) - room
                return [(ids[:room], weights[:room])]
            if found is None:
                return taken
            if len(self._held[0][0]) > length:  # the oldest is too long for any row of this stage: cut it
                ids, weights = self._held[0]
                self.cut += len(ids) - length
                self._held[0] = ids[:length], weights[:length]
            taken.append(self._held.pop(found))
            room -= len(taken[-1][0])

    def _fill(self) -> None:
        missing = POOL - len(self._held)
        if missing <= 0:
            return
        documents = [document for _, document in zip(range(missing), self._documents, strict=False)]
        texts = [text for document in documents for text, _ in document]
        encoded = iter(self._tokenizer.encode_batch(texts, add_special_tokens=False))
        for document in documents:
            ids: list[int] = []
            weights: list[float] = []
            for _, weight in document:
                piece = next(encoded).ids
                ids += piece
                weights += [weight] * len(piece)
            self._held.append((ids, weights))
