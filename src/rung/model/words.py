"""Texts as words with a vector each: where words lie in a text and in its tokens, and the hidden state that stands for one.

A word is what the tokenizer splits before it looks pieces up (for BERT: letters, or one sign); its first token stands
for it. One vector for a whole text is `embed`'s matter. Nothing is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rung.errors import RungError
from rung.model.embed import BATCH_TOKENS, by_length, hidden_states, padded
from rung.model.load import Model


@dataclass(frozen=True, slots=True)
class WordIds:
    """A text as token ids, special ones included. Word w has its first token at `firsts[w]` and is the characters
    `starts[w]` to `ends[w]` (not included) of the text."""

    ids: tuple[int, ...]
    firsts: tuple[int, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.firsts)


def word_ids(model: Model, texts: Sequence[str]) -> list[WordIds]:
    """The words of each text. Raises RungError for a tokenizer that does not tell where its tokens lie."""
    if not texts:
        return []
    if not model.tokenizer.is_fast:
        raise RungError(
            f"the tokenizer of {model.name} does not tell where its tokens lie", where="words", mend="take another base"
        )
    found = model.tokenizer(list(texts), return_offsets_mapping=True, truncation=False, padding=False, verbose=False)
    return [
        _words(text, found["input_ids"][n], found.word_ids(n), found["offset_mapping"][n])
        for n, text in enumerate(texts)
    ]


def _words(text: str, ids: Sequence[int], owners: Sequence[int | None], offsets: Sequence[tuple[int, int]]) -> WordIds:
    firsts: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    before: int | None = None
    for place, (owner, (start, end)) in enumerate(zip(owners, offsets)):
        while start < end and text[start].isspace():  # byte-level tokens hold the blank before them
            start += 1
        if owner is None or start == end:
            continue
        if owner == before:
            ends[-1] = max(ends[-1], end)
            continue
        before = owner
        firsts.append(place)
        starts.append(start)
        ends.append(end)
    return WordIds(tuple(map(int, ids)), tuple(firsts), tuple(starts), tuple(ends))


def word_vectors(
    model: Model,
    texts: Sequence[WordIds],
    *,
    module: object = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[np.ndarray]:
    """Hidden states of the first token of every word: for each text float32 (words, d).

    `module` stands in for the model's own weights. Raises RungError for a text beyond `model.sentence_window`.
    """
    import torch

    over = next((text for text in texts if len(text.ids) > model.sentence_window), None)
    if over is not None:
        what = f"a text has {len(over.ids)} tokens and {model.name} reads {model.sentence_window}"
        raise RungError(what, where="words", mend="shorten it")
    body = model.module if module is None else module.eval()  # type: ignore[attr-defined]
    found: list[np.ndarray] = [np.zeros((0, 0), np.float32)] * len(texts)
    done, limit = 0, BATCH_TOKENS.get(body.device.type, BATCH_TOKENS["cpu"])
    for group in by_length([len(text.ids) for text in texts], limit):
        ids, mask = padded([texts[i].ids for i in group], model.tokenizer.pad_token_id or 0, body.device)
        with torch.inference_mode():
            states = hidden_states(body, ids, mask).float().cpu().numpy()
        for row, index in enumerate(group):
            found[index] = states[row, list(texts[index].firsts)]
        done += len(group)
        if progress:
            progress(done, len(texts))
    return found
