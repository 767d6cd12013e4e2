"""From documents to the rows that training reads: tokenised, packed, kept on disk.

A corpus is laid out once, step by step, before training begins; so a run that resumes reads the very same rows. What
documents say, and what the weights are for, is decided elsewhere, and so is what an objective makes of a row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

from rung.data.mixture import Document
from rung.errors import RungError
from rung.train.objectives.objective import Objective
from rung.train.objectives.rows import PADDING, NoiseSettings, Rows, Tokens

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
    """Rows of token ids, loss weights and document numbers on disk, by step. Nothing is held in memory."""

    def __init__(self, folder: Path, stages: Sequence[Stage], *, apart: bool = False) -> None:
        self.card: dict[str, Any] = json.loads((folder / "corpus.json").read_text())
        self._parts = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("ids", "weights", "documents")]
        shapes = [(stage.rows, stage.length) for stage in stages for _ in range(stage.steps)]
        self._starts = np.cumsum([0] + [rows * length for rows, length in shapes])
        whole = int(np.searchsorted(self._starts, self.card["laid_out"], side="right")) - 1
        self._shapes = shapes[:whole]
        self._apart = apart

    def __len__(self) -> int:
        return len(self._shapes)

    def rows(self, step: int) -> Rows:
        """The rows of a step, as written."""
        part = slice(int(self._starts[step]), int(self._starts[step + 1]))
        ids, weights, documents = (kept[part].reshape(self._shapes[step]) for kept in self._parts)
        return Rows(ids.astype(np.int64), weights.astype(np.float32), documents.astype(np.int64), self._apart)


@dataclass(frozen=True)
class Steps:
    """A corpus as `trainer.train` reads it: item i is step i, its rows made ready for the objective.

    What is drawn for a row depends on the seed, the step and the row alone. The weights of a step are scaled to sum to
    its targets, so that the loss of a step is the weighted mean over them.
    """

    corpus: Corpus
    objective: Objective
    tokens: Tokens
    noise: NoiseSettings
    seed: int

    def __len__(self) -> int:
        return len(self.corpus)

    def __getitem__(self, step: int) -> dict[str, Any]:
        rows = self.corpus.rows(step)
        draw = [np.random.default_rng([self.seed, step, row]) for row in range(len(rows.ids))]
        made = self.objective.prepare(rows, self.tokens, self.noise, draw)
        return {"micros": [made.batch], "targets": made.targets, "tokens": int(rows.ids.size)}


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


def write_corpus(
    documents: Iterator[Document],
    tokenizer: Any,
    stages: Sequence[Stage],
    folder: Path,
    *,
    split_long: bool = False,
    marks_in_text: bool = True,
) -> None:
    """Lay out the corpus of all stages in `folder` (`ids.npy`, `weights.npy`, `documents.npy`, `corpus.json`).

    A document longer than its row goes on in a row of its own with `split_long`, else it is cut at the end; how many
    tokens fell away and how many places are padding is told in `corpus.json`. Where the documents end before the stages
    do, `laid_out` says how many places were filled. Without `marks_in_text`, a special token is only read where it is a
    whole piece of a document.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total = sum(stage.tokens for stage in stages)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    kind = np.uint16 if len(tokenizer) <= 2**16 else np.uint32
    ids = open_memmap(folder / "ids.npy", mode="w+", dtype=kind, shape=(total,))
    weights = open_memmap(folder / "weights.npy", mode="w+", dtype=np.float16, shape=(total,))
    numbers = open_memmap(folder / "documents.npy", mode="w+", dtype=np.int16, shape=(total,))
    counted = Counted(documents)
    pool = _Pool(iter(counted), tokenizer, split_long, marks_in_text)
    at = padding = with_loss = of_answers = 0
    for length in (stage.length for stage in stages for _ in range(stage.rows * stage.steps)):
        taken = pool.row(length)
        if not taken:
            break
        start = at
        for number, (row_ids, row_weights) in enumerate(taken):
            end = start + len(row_ids)
            ids[start:end], weights[start:end], numbers[start:end] = row_ids, row_weights, number
            start = end
        at += length
        ids[start:at], weights[start:at], numbers[start:at] = pad, 0.0, PADDING
        padding += at - start
        written = weights[at - length : at]
        with_loss += int((written > 0).sum())
        of_answers += int((written >= 1).sum())
    for kept in (ids, weights, numbers):
        kept.flush()
    card = {
        "documents": counted.documents, "characters": counted.characters, "digest": counted.digest, "places": total,
        "laid_out": at, "padding": padding, "cut_tokens": pool.cut, "tokens_with_loss": with_loss,
        "tokens_of_answers": of_answers,
    }  # fmt: skip
    (folder / "corpus.json").write_text(json.dumps(card, indent=1))


Piece = tuple[list[int], list[float]]


class _Pool:
    """Tokenised documents at hand; a row takes those that fit, the oldest first (best-fit packing, Ding et al. 2024)."""

    def __init__(self, documents: Iterator[Document], tokenizer: Any, split_long: bool, marks_in_text: bool) -> None:
        self._documents = documents
        self._tokenizer = tokenizer.backend_tokenizer
        self._marks = {} if marks_in_text else dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids))
        self._marks_in_text = marks_in_text
        self._split = split_long
        self._held: list[Piece] = []
        self.cut = 0

    def row(self, length: int) -> list[Piece]:
        """Documents that fill a row of `length` tokens, the space left over being too small for any at hand."""
        taken: list[Piece] = []
        room = length
        while True:
            self._fill()
            found = next((i for i, (ids, _) in enumerate(self._held) if len(ids) <= room), None)
            if not self._held or (found is None and taken):
                return taken
            if len(self._held[0][0]) > length:  # the oldest is too long for any row of this stage
                found = self._shorten(length, found)
            taken.append(self._held.pop(found or 0))
            room -= len(taken[-1][0])

    def _shorten(self, length: int, found: int | None) -> int:
        """Cut the oldest to a row; where the rest goes on, it stands behind it. Returns the place of what was found."""
        ids, weights = self._held[0]
        self._held[0] = ids[:length], weights[:length]
        if self._split:
            self._held.insert(1, (ids[length:], weights[length:]))
            return found + 1 if found else 0
        self.cut += len(ids) - length
        return found or 0

    def _fill(self) -> None:
        missing = POOL - len(self._held)
        if missing <= 0:
            return
        documents = [document for _, document in zip(range(missing), self._documents, strict=False)]
        texts = [text for document in documents for text, _ in document if text not in self._marks]
        self._tokenizer.encode_special_tokens = not self._marks_in_text
        encoded = iter(self._tokenizer.encode_batch(texts, add_special_tokens=False))
        self._tokenizer.encode_special_tokens = False
        for document in documents:
            ids: list[int] = []
            weights: list[float] = []
            for text, weight in document:
                piece = [self._marks[text]] if text in self._marks else next(encoded).ids
                ids += piece
                weights += [weight] * len(piece)
            if ids:
                self._held.append((ids, weights))
