"""Texts as vectors: an encoder's hidden states, pooled to one vector a text.

Pooling and normalising follow the settings that sentence-transformers keeps beside the weights. What the vectors are
used for (nearest neighbours, a linear head, retrieval) is the matter of others; nothing is cut in silence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rung.errors import RungError
from rung.model.load import Model

BATCH_TOKENS = {"cpu": 1024, "cuda": 32768}  # on a CPU larger batches fall out of its caches: a quarter slower at 4096

PoolingMode = Literal["mean", "cls"]


@dataclass(frozen=True, slots=True)
class Pooling:
    """How the hidden states of a text become one vector: their mean or the first one, scaled to length 1 or not."""

    mode: PoolingMode = "mean"
    normalize: bool = True

    @classmethod
    def of(cls, folder: Path) -> Pooling:
        """What the model folder asks for; the plain mean where it asks for nothing. Raises RungError for other modes."""
        modules, file = folder / "modules.json", folder / "1_Pooling" / "config.json"
        if not file.is_file():
            return cls("mean", True)
        normalize = modules.is_file() and any(part["type"].endswith("Normalize") for part in _read(modules))
        config = _read(file)
        asked = {key.removeprefix("pooling_mode_").removesuffix("_token") for key, on in config.items() if on is True}
        asked |= {config["pooling_mode"]} if isinstance(config.get("pooling_mode"), str) else set()
        asked -= {"include_prompt"}
        if asked == {"cls"}:
            return cls("cls", normalize)
        if asked <= {"mean_tokens", "mean"}:
            return cls("mean", normalize)
        raise RungError(
            f"pooling by {', '.join(sorted(asked))} is not supported", where=str(file), mend="use mean or cls pooling"
        )

    def __call__(self, hidden: Any, mask: Any) -> Any:
        """Vectors (n, d) of hidden states (n, length, d) under a mask (n, length) of 0 and 1; both are torch tensors."""
        import torch

        if self.mode == "cls":
            pooled = hidden[:, 0]
        else:
            kept = mask[..., None].to(hidden.dtype)
            pooled = (hidden * kept).sum(1) / kept.sum(1).clamp(min=1)
        return torch.nn.functional.normalize(pooled.float(), dim=-1) if self.normalize else pooled.float()


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise RungError(f"not valid JSON: {error}", where=str(file), mend="fetch the model again") from error


def text_ids(model: Model, texts: Sequence[str], *, truncate: bool = False) -> list[list[int]]:
    """Token ids of each text, special tokens included.

    Raises RungError for a text longer than `model.sentence_window`, unless told to `truncate`.
    """
    if not texts:
        return []
    window = model.sentence_window
    if truncate:
        rows = model.tokenizer(list(texts), truncation=True, max_length=window)["input_ids"]
    else:
        rows = model.tokenizer(list(texts), truncation=False, padding=False, verbose=False)["input_ids"]
    for number, row in enumerate(rows):
        if len(row) > window:
            raise RungError(
                f"text {number} has {len(row)} tokens and {model.name} reads {window}",
                where="embedding",
                mend="shorten it, or allow cutting",
            )
    return [list(map(int, row)) for row in rows]


def padded(rows: Sequence[Sequence[int]], pad_id: int, device: Any) -> tuple[Any, Any]:
    """Ids and mask, two tensors of shape (n, longest), padded on the right."""
    import torch

    length = max(1, max(map(len, rows)))
    ids = torch.full((len(rows), length), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), length), dtype=torch.long)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[number, : len(row)] = 1
    return ids.to(device), mask.to(device)


def by_length(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Groups of similar length, longest first, each of at most `batch_tokens` tokens with its padding."""
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if groups and (len(groups[-1]) + 1) * lengths[groups[-1][0]] <= batch_tokens:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def hidden_states(module: Any, ids: Any, mask: Any) -> Any:
    """The last hidden states (n, length, d) of any text model: an encoder, or the body of a generating one."""
    body = module
    if getattr(module.config, "is_encoder_decoder", False):
        body = module.get_encoder()
    elif module.get_output_embeddings() is not None:
        body = module.base_model
    return body(input_ids=ids, attention_mask=mask).last_hidden_state


def embed(
    model: Model,
    texts: Sequence[str],
    *,
    batch_tokens: int | None = None,
    normalize: bool | None = None,
    truncate: bool = False,
    low_precision: bool = False,
    module: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """One vector a text, float32 (n, d), in the order of the texts.

    `batch_tokens` bounds a batch with its padding (None: what is fast on the device). `normalize` scales vectors to length 1 (None: as the model folder says). `low_precision` computes products in
    bfloat16. `module` stands in for the model's own weights. `progress` gets (texts done, texts in all). Raises RungError for a text that does not fit
    `model.sentence_window`, unless told to `truncate`.
    """
    import torch

    pooling = Pooling.of(model.folder)
    if normalize is not None:
        pooling = Pooling(pooling.mode, normalize)
    rows = text_ids(model, texts, truncate=truncate)
    pad = model.tokenizer.pad_token_id or 0
    module = model.module if module is None else module.eval()
    vectors: np.ndarray | None = None
    done = 0
    limit = batch_tokens or BATCH_TOKENS.get(module.device.type, BATCH_TOKENS["cpu"])
    for group in by_length([len(row) for row in rows], limit):
        ids, mask = padded([rows[i] for i in group], pad, module.device)
        with torch.inference_mode(), torch.autocast(module.device.type, torch.bfloat16, enabled=low_precision):
            found = pooling(hidden_states(module, ids, mask), mask).cpu().numpy()
        if vectors is None:
            vectors = np.zeros((len(rows), found.shape[1]), np.float32)
        vectors[group] = found
        done += len(group)
        if progress:
            progress(done, len(rows))
    return np.zeros((0, module.config.hidden_size), np.float32) if vectors is None else vectors
