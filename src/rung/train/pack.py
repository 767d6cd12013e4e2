"""Laying out examples for speed without changing a gradient: shared-prefix packed rows, or padded rows.

A packed row holds the tokens that all examples begin with once, then each example's own tokens, which see that prefix
and themselves only. This module plans rows, builds their tensors and masks, and probes whether a module honours them;
the loss and the loop are elsewhere.

Differs from packing by position reset: the prefix is computed once a row instead of once an example. Its keys and
values are a function of the prefix alone, so the gradients are those of separate rows, summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rung.model.shapes import LENGTH_STEP, rounded
from rung.train.settings import TrainExample

if TYPE_CHECKING:
    import torch

IGNORED = -100  # the label that cross-entropy leaves out, as everywhere in transformers
ROW_LENGTHS = (128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
PREFIX_SEGMENT, PADDING_SEGMENT = 0, -1
TARGET_STEP = 8  # target tokens of a row are rounded up to a multiple: fewer shapes of the head's product


def common_prefix(contexts: Sequence[tuple[int, ...]]) -> int:
    """How many tokens all contexts begin with, leaving each at least one of its own.

    That last token predicts the answer's first one, which differs between examples, so it is never shared.
    """
    if not contexts:
        return 0
    first, last = min(contexts), max(contexts)
    shortest = min(len(context) for context in contexts)
    shared = 0
    while shared < shortest - 1 and first[shared] == last[shared]:
        shared += 1
    return shared


def plan_rows(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Put pieces of `lengths` tokens into few rows of `room` tokens: longest first, each into the emptiest row.

    A piece longer than `room` gets a row of its own. Rows come back as indices, longest row first.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    rows: list[list[int]] = [[] for _ in range(max(1, -(-sum(lengths) // max(1, room))))]
    filled = [0] * len(rows)
    for index in order:
        row = min(range(len(rows)), key=lambda r: (filled[r], r))
        if filled[row] and filled[row] + lengths[index] > room:
            rows.append([])
            filled.append(0)
            row = len(rows) - 1
        rows[row].append(index)
        filled[row] += lengths[index]
    kept = [r for r in range(len(rows)) if rows[r]]
    return [rows[r] for r in sorted(kept, key=lambda r: (-filled[r], r))]


def best_row_length(tokens: int, prefix: int, weights: int, layers: int, hidden: int) -> int:
    """The row length that costs least for `tokens` tokens of a step, behind a shared prefix in each row.

    Operations of a row of n tokens: n × weights (outside the embeddings) for the products, and 2 × n² × hidden × layers
    for attention scores and their use. Longer rows share the prefix among more examples; shorter ones spend less on
    attention between tokens that may not see each other.
    """

    def cost(length: int) -> float:
        rows = -(-tokens // (length - prefix))
        filled = prefix + tokens / rows
        return rows * filled * (weights + 2 * filled * hidden * layers)

    fitting = [length for length in ROW_LENGTHS if length > prefix] or [2 * prefix]
    return min(fitting, key=lambda length: (cost(length), length))


@dataclass(frozen=True)
class PackedRow:
    """One row before it becomes tensors.

    `ids`, `positions` and `segments` have one entry a token; the last `len(labels)` tokens are those that predict a
    target, and `labels` are these targets.
    """

    ids: list[int]
    positions: list[int]
    segments: list[int]
    labels: list[int]


def pack_row(examples: Sequence[TrainExample], prefix: Sequence[int], virtual: int = 0) -> PackedRow:
    """Lay out one row: the prefix, what each example adds, and last all tokens that predict a target.

    With an explicit mask and explicit positions the order within a row means nothing to attention; having the
    predicting tokens last lets the head run on them alone. An answer's last token predicts nothing and is left out.
    `virtual` trained embeddings stand before the prefix and take the first positions.
    """
    shared = len(prefix)
    front = (list(prefix), list(range(virtual, virtual + shared)), [PREFIX_SEGMENT] * shared)
    back: tuple[list[int], list[int], list[int]] = ([], [], [])
    labels: list[int] = []
    for segment, example in enumerate(examples, start=1):
        own = [*example.context_ids[shared:], *example.answer_ids[:-1]]
        positions = range(virtual + shared, virtual + shared + len(own))
        split = len(own) - len(example.answer_ids)
        for part, ids, places in ((front, own[:split], positions[:split]), (back, own[split:], positions[split:])):
            part[0].extend(ids)
            part[1].extend(places)
            part[2].extend([segment] * len(ids))
        labels.extend(example.answer_ids)
    return PackedRow(front[0] + back[0], front[1] + back[1], front[2] + back[2], labels)


def packed_tensors(rows: Sequence[PackedRow], pad_id: int) -> dict[str, torch.Tensor]:
    """Rows as `input_ids`, `position_ids`, `segments` of shape (rows, length) and `labels` of (rows, targets).

    Shorter rows get padding between their front and their predicting tokens, in a segment of its own. Both sizes are
    rounded up: padding has position 0, so the window is never left.
    """
    import torch

    length = rounded(max(len(row.ids) for row in rows), LENGTH_STEP)
    targets = rounded(max(len(row.labels) for row in rows), TARGET_STEP)
    length = max(length, targets)  # an answer may be nearly all of its row
    shape = (len(rows), length)
    ids = torch.full(shape, pad_id, dtype=torch.long)
    positions = torch.zeros(shape, dtype=torch.long)
    segments = torch.full(shape, PADDING_SEGMENT, dtype=torch.long)
    labels = torch.full((len(rows), targets), IGNORED, dtype=torch.long)
    for r, row in enumerate(rows):
        split = len(row.ids) - len(row.labels)
        for into, values in ((ids, row.ids), (positions, row.positions), (segments, row.segments)):
            into[r, :split] = torch.tensor(values[:split], dtype=torch.long)
            into[r, length - len(row.labels) :] = torch.tensor(values[split:], dtype=torch.long)
        labels[r, targets - len(row.labels) :] = torch.tensor(row.labels, dtype=torch.long)
    return {"input_ids": ids, "position_ids": positions, "segments": segments, "labels": labels}


def row_mask(segments: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Who sees whom, shape (rows, 1, queries, keys), bool: earlier tokens of the same segment, and the prefix."""
    same = segments[:, :, None] == segments[:, None, :]
    shared = segments[:, None, :] == PREFIX_SEGMENT
    earlier = positions[:, None, :] <= positions[:, :, None]
    return ((same | shared) & earlier)[:, None]


def for_attention(mask: torch.Tensor, implementation: str, dtype: torch.dtype) -> torch.Tensor:
    """The mask as the attention code takes it: `sdpa` a bool one, `eager` one that is added to the scores."""
    import torch

    if implementation != "eager":
        return mask
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)


def padded_tensors(examples: Sequence[TrainExample], pad_id: int) -> dict[str, torch.Tensor]:
    """Decoder rows padded on the right: `input_ids` and `attention_mask` (rows, length), `labels` (rows, last places).

    `labels` stand where they are predicted, one place before their token; the columns before the first of them are
    cut off, so that the head need not run there.
    """
    import torch

    rows = [[*example.context_ids, *example.answer_ids[:-1]] for example in examples]
    length = max(map(len, rows))
    ids = torch.full((len(rows), length), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), length), dtype=torch.long)
    labels = torch.full((len(rows), length), IGNORED, dtype=torch.long)
    for r, (row, example) in enumerate(zip(rows, examples, strict=True)):
        ids[r, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[r, : len(row)] = 1
        labels[r, len(row) - len(example.answer_ids) : len(row)] = torch.tensor(example.answer_ids, dtype=torch.long)
    keep = length - min(len(example.context_ids) - 1 for example in examples)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels[:, length - keep :].contiguous()}


def sequence_pair_tensors(examples: Sequence[TrainExample], pad_id: int) -> dict[str, torch.Tensor]:
    """Encoder–decoder rows: `input_ids` and `attention_mask` (rows, source), `labels` (rows, target)."""
    import torch

    source = max(len(example.context_ids) for example in examples)
    target = max(len(example.answer_ids) for example in examples)
    ids = torch.full((len(examples), source), pad_id, dtype=torch.long)
    mask = torch.zeros((len(examples), source), dtype=torch.long)
    labels = torch.full((len(examples), target), IGNORED, dtype=torch.long)
    for r, example in enumerate(examples):
        ids[r, : len(example.context_ids)] = torch.tensor(example.context_ids, dtype=torch.long)
        mask[r, : len(example.context_ids)] = 1
        labels[r, : len(example.answer_ids)] = torch.tensor(example.answer_ids, dtype=torch.long)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def window_of(config: Any) -> int | None:
    """The shortest span that some layer attends over, or None where every layer sees the whole row."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    spans = [
        getattr(text, key, None)
        for key in ("sliding_window", "attention_chunk_size", "attention_window", "window_size")
    ]
    known = [span for span in spans if isinstance(span, int) and span > 0]
    return min(known) if known else None
