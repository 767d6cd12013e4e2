"""Tagging words with an encoder: a linear head on frozen vectors, then encoder and head trained together.

The counterpart of `encode` for a tag a word; losses, steps and the loop are the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rung.errors import RungError
from rung.model.embed import BATCH_TOKENS, by_length, hidden_states, padded
from rung.model.words import WordIds
from rung.train.classes import ClassLoss
from rung.train.encode import PLAIN, LinearHead, fit_rows
from rung.train.keeper import Judgement, Progress
from rung.train.linear import fit_linear
from rung.train.losses import row_loss, step_weights
from rung.train.settings import FitResult, TrainSettings
from rung.train.surroundings import low_precision

STRENGTHS = (30.0, 300.0)
MOST_STEPS = 100  # of each strength: enough for the score, whatever the last digits of the loss
IGNORED = -100


@dataclass(frozen=True, slots=True)
class TaggedIds:
    """A text as words, with the number of each word's tag."""

    words: WordIds
    tags: tuple[int, ...]


class EncoderTagger(torch.nn.Module):
    """An encoder and a linear head on every token; `forward` gives logits (n, length, tags)."""

    def __init__(self, body: Any, tags: Sequence[str], weight: np.ndarray, bias: np.ndarray) -> None:
        super().__init__()
        self.body, self.tags = body, tuple(tags)
        self.head = torch.nn.Linear(weight.shape[1], len(self.tags))
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(weight))
            self.head.bias.copy_(torch.from_numpy(bias))
        self.head.to(next(body.parameters()).device)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Logits (n, length, tags), float32."""
        logits: torch.Tensor = self.head(hidden_states(self.body, input_ids, attention_mask).float())
        return logits.float()


@dataclass(frozen=True)
class TagRows:
    """Tagged texts as padded tensors, in pieces of at most `micro_tokens` tokens. Only first tokens of words carry loss."""

    pad_id: int
    micro_tokens: int
    class_weights: np.ndarray | None = None

    def batches(self, examples: Sequence[TaggedIds]) -> list[dict[str, torch.Tensor]]:
        """`input_ids`, `attention_mask`, `labels` and `weights`, all (n, length)."""
        tags = [tag for example in examples for tag in example.tags]
        weights = torch.tensor(step_weights(tags, self.class_weights)).float()
        begins = np.cumsum([0, *(len(example.tags) for example in examples)])
        found = []
        for group in by_length([len(example.words.ids) for example in examples], self.micro_tokens):
            ids, mask = padded([examples[i].words.ids for i in group], self.pad_id, "cpu")
            labels, own = torch.full_like(ids, IGNORED), torch.zeros(ids.shape)
            for row, index in enumerate(group):
                firsts = list(examples[index].words.firsts)
                labels[row, firsts] = torch.tensor(examples[index].tags, dtype=torch.long)
                own[row, firsts] = weights[begins[index] : begins[index + 1]]
            found.append({"input_ids": ids, "attention_mask": mask, "labels": labels, "weights": own})
        return found


ScoreLogits = Callable[[Sequence[np.ndarray]], float]
"""Judges the logits of the validation texts, each (words, tags)."""


def fit_tag_head(
    vectors: np.ndarray,
    codes: np.ndarray,
    tags: Sequence[str],
    *,
    score: Callable[[LinearHead], float] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    loss: ClassLoss = PLAIN,
) -> LinearHead:
    """The regression of tag numbers `codes` (n,) on word vectors (n, d); its strength does best by `score`.

    Words are scaled by the spread of each dimension while fitting, which is then part of the weights, so that one
    strength suits all bases. Every tag must be among the codes. Raises RungError for a single tag.
    """
    if len(set(codes.tolist())) < 2:
        raise RungError("the training rows have a single tag", where="tag", mend="give rows with something marked")
    if loss.resample != "none":
        raise RungError("rows are not drawn by label where every word has one", where="resample", mend="use weights")
    middle, spread = vectors.mean(0), np.maximum(vectors.std(0), 1e-6)
    scaled = ((vectors - middle) / spread).astype(np.float32)
    own = loss.class_weights(codes, tags)
    weights = None if own is None else own[codes] / own[codes].mean()
    best: LinearHead | None = None
    start: tuple[np.ndarray, np.ndarray] | None = None
    for strength in sorted(strengths) if score is not None else (strengths[0],):
        start = fit_linear(
            scaled, codes, len(tags), row_loss(loss, tags), strength / scaled.shape[1], weights=weights, start=start,
            most_steps=MOST_STEPS,
        )  # fmt: skip
        weight = (start[0] / spread).astype(np.float32)
        head = LinearHead(tuple(tags), weight, (start[1] - weight @ middle).astype(np.float32), strength)
        value = score(head) if score is not None else 0.0
        if best is None or value > (best.score or 0.0):
            best = LinearHead(head.labels, head.weight, head.bias, strength, value)
    assert best is not None
    return best


def fit_tagger(
    tagger: EncoderTagger,
    examples: Sequence[TaggedIds],
    settings: TrainSettings,
    *,
    folder: Path,
    pad_id: int = 0,
    validation: Sequence[WordIds] = (),
    score: ScoreLogits | None = None,
    loss: ClassLoss = PLAIN,
    until: int | None = None,
    progress: Progress | None = None,
) -> FitResult:
    """Train the head and whatever of the body is trainable, and leave the best weights in `tagger`.

    `score` judges the logits of the `validation` texts and decides which weights are best. For the rest see
    `rung.train.loop.fit`.
    """
    device = tagger.head.weight.device
    codes = [tag for example in examples for tag in example.tags]
    micro = settings.micro_tokens or BATCH_TOKENS.get(device.type, BATCH_TOKENS["cpu"])
    rows = TagRows(pad_id, micro, loss.class_weights(codes, tagger.tags))

    def evaluate() -> Judgement:
        assert score is not None
        return Judgement(float(score(word_logits(tagger, validation, pad_id, fast=low_precision(settings, device)))))

    texts = hashlib.sha256(json.dumps([[e.words.ids, e.words.firsts, e.tags] for e in examples]).encode()).hexdigest()
    return fit_rows(
        tagger, examples, rows, settings, row_loss(loss, tagger.tags), folder=folder, epochs=None,
        evaluate=evaluate if score is not None else None, identity=[texts, list(tagger.tags), asdict(loss)], until=until,
        progress=progress,
    )  # fmt: skip


def word_logits(
    tagger: EncoderTagger,
    texts: Sequence[WordIds],
    pad_id: int = 0,
    *,
    batch_tokens: int = 1024,
    fast: bool = False,
) -> list[np.ndarray]:
    """Logits of every word, for each text float32 (words, tags). `fast` computes products in bfloat16."""
    tagger.eval()
    device = tagger.head.weight.device
    found: list[np.ndarray] = [np.zeros((0, len(tagger.tags)), np.float32)] * len(texts)
    for group in by_length([len(text.ids) for text in texts], batch_tokens):
        ids, mask = padded([texts[i].ids for i in group], pad_id, device)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=fast):
            logits = tagger(ids, mask).cpu().numpy()
        for row, index in enumerate(group):
            found[index] = logits[row, list(texts[index].firsts)]
    return found
