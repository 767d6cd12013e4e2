"""Span corruption: short stretches are cut out and written down in order behind their sentinels (Raffel et al. 2020).

An encoder reads the text with one sentinel for each stretch; a decoder writes sentinel, stretch, sentinel, stretch, and
the end mark. As in the released T5, and unlike the paper's figure, no further sentinel stands before the end. Differs from
T5, where every text ends in a cut stretch, and short ones so lose nothing but their ends: here it lies anywhere but first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from rung.errors import RungError
from rung.model.shapes import LENGTH_STEP, rounded
from rung.train.objectives.attend import earlier, mask_for, same
from rung.train.objectives.objective import Batch, Form, Prepared
from rung.train.objectives.rows import PADDING, Draw, NoiseSettings, Rows, Tokens, scaled


def sentinels_needed(length: int, noise: NoiseSettings) -> int:
    """The most spans that a text of `length` tokens is given."""
    return max(1, round(round(length * noise.share) / noise.mean_span))


def spoilt(length: int, noise: NoiseSettings, rng: np.random.Generator) -> np.ndarray:
    """Shape (length,), bool: which tokens are cut out. Kept and cut stretches take turns, a kept one first.

    How many tokens and stretches there are is fixed by length, share and mean; where they lie is drawn evenly among all
    ways to cut kept and lost tokens into that many parts.
    """
    if length < 2:
        return np.zeros(length, dtype=bool)
    lost = min(max(round(length * noise.share), 1), length - 1)
    count = min(max(round(lost / noise.mean_span), 1), lost, length - lost)
    kept = _parts(length - lost + 1, count + 1, rng)
    kept[-1] -= 1  # the stretch behind the last span may be empty
    sizes = np.empty(2 * count + 1, dtype=np.int64)
    sizes[0::2], sizes[1::2] = kept, _parts(lost, count, rng)
    return np.repeat(np.arange(2 * count + 1) % 2 == 1, sizes)


def _parts(total: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` whole numbers from 1 that sum to `total`, every way equally likely."""
    cuts = np.sort(rng.choice(total - 1, size=count - 1, replace=False)) + 1
    return np.diff([0, *cuts.tolist(), total])


@dataclass
class _Row:
    """One row of either side: token ids, weights, segment numbers."""

    ids: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)

    def add(self, ids: list[int], weights: list[float], segment: int) -> None:
        self.ids += ids
        self.weights += weights
        self.segments += [segment] * len(ids)


def prepare(rows: Rows, tokens: Tokens, noise: NoiseSettings, draw: Draw) -> Prepared:
    """Both sides of each row. A segment of fewer than two tokens is left out; the end mark closes each segment."""
    sources, targets, starts = [], [], []
    for row, rng in enumerate(draw):
        source, target, start = _Row(), _Row(), _Row()
        for number, piece in enumerate(rows.pieces(row)):
            if piece.stop - piece.start < 2:
                continue
            read, write, weights = _cut(rows.ids[row, piece], rows.weights[row, piece], tokens, noise, rng)
            source.add(read, [1.0] * len(read), number)
            target.add(write, weights, number)
            start.add([tokens.start, *write[:-1]], weights, number)
        sources.append(source)
        targets.append(target)
        starts.append(start)
    wanted, weights_, segments = _stacked(targets, tokens.pad)
    counted, count = scaled(weights_)
    read_ids, _, read_segments = _stacked(sources, tokens.pad)
    begun, _, _ = _stacked(starts, tokens.pad)
    made = {"input_ids": read_ids, "decoder_input_ids": begun, "labels": wanted, "weights": counted}
    if rows.apart:
        made |= {"source_segments": read_segments, "segments": segments}
    else:
        seen = read_segments != PADDING
        made["attention_mask"] = (seen | ~seen.any(axis=1, keepdims=True)).astype(np.int64)
    return Prepared({name: torch.from_numpy(part) for name, part in made.items()}, count)


def _cut(
    ids: np.ndarray, given: np.ndarray, tokens: Tokens, noise: NoiseSettings, rng: np.random.Generator
) -> tuple[list[int], list[int], list[float]]:
    """What the encoder reads, what the decoder writes, and the weights of the latter."""
    lost = spoilt(len(ids), noise, rng)
    read: list[int] = []
    write: list[int] = []
    weights: list[float] = []
    span = -1
    for place, (token, gone) in enumerate(zip(ids.tolist(), lost.tolist(), strict=True)):
        if not gone:
            read.append(token)
            continue
        if place == 0 or not lost[place - 1]:
            span += 1
            if span >= len(tokens.sentinels):
                raise RungError(
                    f"a text of {len(ids)} tokens needs more than the tokenizer's {len(tokens.sentinels)} sentinels",
                    where="train",
                    mend="train a tokenizer with more sentinels, or use shorter rows",
                )
            read.append(tokens.sentinels[span])
            write.append(tokens.sentinels[span])
            weights.append(1.0)
        write.append(token)
        weights.append(float(given[place]))
    return [*read, tokens.end], [*write, tokens.end], [*weights, 1.0]


def _stacked(rows: list[_Row], pad: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    length = rounded(max(1, *(len(row.ids) for row in rows)), LENGTH_STEP)
    ids = np.full((len(rows), length), pad, dtype=np.int64)
    weights = np.zeros((len(rows), length), dtype=np.float32)
    segments = np.full((len(rows), length), PADDING, dtype=np.int64)
    for r, row in enumerate(rows):
        ids[r, : len(row.ids)] = row.ids
        weights[r, : len(row.ids)] = row.weights
        segments[r, : len(row.ids)] = row.segments
    return ids, weights, segments


def inputs(module: Any, batch: Batch) -> dict[str, Any]:
    """A plain call; or, documents apart, the encoder's states first, then the decoder on them, each segment for itself."""
    written = {"decoder_input_ids": batch["decoder_input_ids"], "use_cache": False}
    if "segments" not in batch:
        return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"], **written}
    source, target = batch["source_segments"], batch["segments"]
    read = module.get_encoder()(
        input_ids=batch["input_ids"], attention_mask=mask_for(module, same(source, source)), return_dict=True
    )
    return {
        "encoder_outputs": read,
        # Padding of the decoder reads everything: a query without any key has no softmax.
        "attention_mask": mask_for(module, same(target, source) | (target == PADDING)[:, None, :, None]),
        "decoder_attention_mask": mask_for(module, earlier(target)),
        **written,
    }


def body(module: Any) -> Any:
    """What the head of an encoder–decoder reads."""
    return module.get_decoder()


spans = Form(prepare, inputs, body)
