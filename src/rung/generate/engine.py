"""The one door to a base's weights: likelihoods, generation, streaming.

`Engine` sorts requests into batches, computes what they share once, and takes the fast route (`forest`) where the
module was found to honour it, else the plain one. Callers hand in token ids and get numbers, ids or text back in their
own order; how prompts become ids is `model.layout`'s matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from rung.generate import decode, plain
from rung.generate.forest import Forest, Prefix
from rung.generate.trie import build, common_prefix
from rung.model.load import Model
from rung.types import Sampling

BATCH_TOKENS = 4096  # rows × length of one forward pass, unless told otherwise
WORTH_SHARING = 8  # a shorter common prefix costs more in bookkeeping than it saves
Ids = Sequence[int]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Generation:
    """An answer of the model's own: its text, its token ids without the end mark, and whether it came to an end."""

    text: str
    tokens: tuple[int, ...]
    finished: bool


class Engine:
    """Runs one module of a base.

    `module` defaults to the base's own weights; a tuned copy, or a PEFT model for encoder–decoders, can stand in.
    `virtual` (tokens, hidden) are soft-prompt embeddings in front of every context of a decoder. `batch_tokens` bounds
    rows × length of one forward pass. `like` is an engine of the same architecture, whose findings about it are taken
    over instead of probing again.
    """

    def __init__(
        self,
        model: Model,
        *,
        module: Any = None,
        virtual: torch.Tensor | None = None,
        batch_tokens: int = BATCH_TOKENS,
        like: Engine | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = model.tokenizer
        self.module = (model.module if module is None else module).eval()
        self.virtual = virtual
        self.batch_tokens = batch_tokens
        pad = self.tokenizer.pad_token_id
        self.pad = int(pad if pad is not None else (self.tokenizer.eos_token_id or 0))
        self._prefix = Prefix((), None, 0)
        self._previous: tuple[int, ...] = ()
        if like is not None:
            self.__dict__["shares"] = like.shares
            if like.shares:
                self.forest.split_head = like.forest.split_head

    def choose(
        self, contexts: Sequence[Ids], answers: Sequence[Sequence[Ids]], progress: Progress | None = None
    ) -> list[list[float]]:
        """log P(answer | context) in nats, summed over the answer's tokens, for every answer of every context.

        Raises ValueError for a context or an answer without tokens.
        """
        if not all(map(len, contexts)) or not all(answer for options in answers for answer in options):
            raise ValueError("a context or an answer has no tokens")
        if self.model.kind == "encoder-decoder":
            sizes = [len(c) + sum(map(len, a)) for c, a in zip(contexts, answers)]
            return self._batched(
                sizes,
                lambda rows: plain.seq2seq_likelihoods(
                    self.module, [contexts[r] for r in rows], [answers[r] for r in rows], self.pad
                ),
                progress,
            )
        if not contexts:
            return []
        tries = [build(options) for options in answers]
        longest = max(len(c) + max(map(len, a)) for c, a in zip(contexts, answers))
        if not self._forest_serves(longest):
            return self._choose_plain(contexts, answers, progress)
        prefix = self._shared(contexts)
        sizes = [len(c) - len(prefix.ids) + len(t.tokens) for c, t in zip(contexts, tries)]

        def run(rows: list[int]) -> list[list[float]]:
            return self.forest.likelihoods(prefix, [contexts[r] for r in rows], [tries[r] for r in rows])

        return self._batched(sizes, run, progress)

    def loglikelihood(self, pairs: Sequence[tuple[Ids, Ids]], progress: Progress | None = None) -> list[float]:
        """log P(answer | context) in nats, summed over the answer's tokens, one a pair."""
        scores = self.choose([context for context, _ in pairs], [[answer] for _, answer in pairs], progress)
        return [score[0] for score in scores]

    def generate(
        self,
        contexts: Sequence[Ids],
        sampling: Sampling,
        *,
        end: Ids = (),
        stop: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> list[Generation]:
        """One answer a context, ended by an `end` token, a `stop` string or `sampling.max_new_tokens`."""
        if not contexts:
            return []
        longest = max(map(len, contexts)) + sampling.max_new_tokens
        stops = (*stop, *sampling.stop)
        if self.model.kind == "encoder-decoder" or not self._forest_serves(longest):
            return self._generate_plain(contexts, sampling, end, stops, progress)
        prefix = self._shared(contexts)
        sizes = [len(c) - len(prefix.ids) + sampling.max_new_tokens for c in contexts]

        def run(rows: list[int]) -> list[Generation]:
            made: list[list[int]] = [[] for _ in rows]
            batch = [contexts[r] for r in rows]
            for row, token in decode.decode(self.forest, prefix, batch, sampling, self._ends(end, stops)):
                made[row].append(token)
            return [self._finish(tokens, end, stops) for tokens in made]

        return self._batched(sizes, run, progress)

    def stream(self, context: Ids, sampling: Sampling, *, end: Ids = (), stop: Sequence[str] = ()) -> Iterator[str]:
        """The answer's text, piece by piece; joined, the text that `generate` gives."""
        stops = (*stop, *sampling.stop)
        if self.model.kind == "encoder-decoder" or not self._forest_serves(len(context) + sampling.max_new_tokens):
            yield from self._generate_plain([context], sampling, end, stops, None)[0].text.splitlines(keepends=True)
            return
        shown, made = "", []
        ends = self._ends(end, stops)
        for _, token in decode.decode(self.forest, self._shared([context]), [context], sampling, ends):
            made.append(token)
            done = ends(0, made)
            text = self._finish(made, end, stops).text
            # Hold back what a stop string may still cut, and bytes that are not yet a whole character.
            safe = text if done else text[: len(text) - _held(text, stops)]
            if len(safe) > len(shown) and safe.startswith(shown):
                yield safe[len(shown) :]
                shown = safe
        final = self._finish(made, end, stops).text
        if len(final) > len(shown):
            yield final[len(shown) :]

    @cached_property
    def forest(self) -> Forest:
        """The fast route, its head split off where that changes nothing."""
        return Forest(self.module, self.virtual)

    @cached_property
    def shares(self) -> bool:
        """Whether the module honours explicit masks and positions: found by comparing both routes on a small probe."""
        if self.model.kind != "decoder" or not hasattr(self.module, "base_model_prefix"):
            return False
        size = int(self.module.config.get_text_config().vocab_size)
        ids = [(7 * i * i + 3 * i + 1) % size for i in range(24)]
        contexts = [ids[:9] + ids[12:15], ids[:9] + ids[16:21]]
        answers = [[[1 % size, 2 % size, 3 % size], [1 % size, 4 % size]], [[5 % size, 6 % size], [2 % size]]]
        try:
            self.forest.split_head = self.forest.head is not None and _same_logits(self.forest)
            tries = [build(options) for options in answers]
            fast = self.forest.likelihoods(self.forest.prefix(ids[:9]), contexts, tries)
        except (TypeError, ValueError, RuntimeError, AttributeError, NotImplementedError, IndexError):
            return False  # the architecture refuses such inputs: the plain route is made for it
        slow = self._choose_plain(contexts, answers, None)
        limit = 2e-3 if self.module.dtype == torch.float32 else 0.15
        return all(abs(a - b) <= limit * max(1.0, abs(b)) for x, y in zip(fast, slow) for a, b in zip(x, y))

    def _forest_serves(self, longest: int) -> bool:
        config = self.module.config.get_text_config()
        sliding = getattr(config, "sliding_window", None) or getattr(config, "attention_chunk_size", None)
        if sliding and longest >= int(sliding):
            return False
        return self.shares

    def _shared(self, contexts: Sequence[Ids]) -> Prefix:
        """The common prefix of the contexts; for a single one, what it shares with the request before it."""
        peers = contexts if len(contexts) > 1 else [*contexts, self._previous or contexts[0]]
        length = min(common_prefix(peers), min(map(len, contexts)) - 1)
        self._previous = tuple(contexts[-1])
        ids = tuple(contexts[0][:length]) if length >= WORTH_SHARING else ()
        if self._prefix.ids != ids or (self.virtual is not None and self._prefix.cache is None):
            self._prefix = self.forest.prefix(ids)
        return self._prefix

    def _batched(
        self, sizes: Sequence[int], run: Callable[[list[int]], list[Any]], progress: Progress | None
    ) -> list[Any]:
        """Run rows of like size together, longest first, and give the results back in the caller's order."""
        order = sorted(range(len(sizes)), key=lambda row: (-sizes[row], row))
        results: list[Any] = [None] * len(sizes)
        done = 0
        for rows in _cut(order, sizes, self.batch_tokens):
            for row, result in zip(rows, run(rows)):
                results[row] = result
            done += len(rows)
            if progress:
                progress(done, len(sizes))
        return results

    def _choose_plain(
        self, contexts: Sequence[Ids], answers: Sequence[Sequence[Ids]], progress: Progress | None
    ) -> list[list[float]]:
        flat = [(context, answer) for context, options in zip(contexts, answers) for answer in options]
        values = self._batched(
            [len(context) + len(answer) for context, answer in flat],
            lambda rows: plain.decoder_likelihoods(self.module, [flat[r] for r in rows], self.pad, self.virtual),
            progress,
        )
        out, at = [], 0
        for options in answers:
            out.append(values[at : at + len(options)])
            at += len(options)
        return out

    def _generate_plain(
        self, contexts: Sequence[Ids], sampling: Sampling, end: Ids, stops: Sequence[str], progress: Progress | None
    ) -> list[Generation]:
        left = self.model.kind != "encoder-decoder"

        def run(rows: list[int]) -> list[Generation]:
            made = plain.generate(self.module, [contexts[r] for r in rows], sampling, self.pad, end, left=left)
            return [self._finish(tokens, end, stops, limit=sampling.max_new_tokens) for tokens in made]

        return self._batched([len(c) + sampling.max_new_tokens for c in contexts], run, progress)

    def _ends(self, end: Ids, stops: Sequence[str]) -> Callable[[int, list[int]], bool]:
        longest = max(map(len, stops), default=0)

        def finished(_: int, tokens: list[int]) -> bool:
            if tokens[-1] in end:
                return True
            if not longest:
                return False
            # A token is at least one byte, so the last `longest` + a few tokens hold any stop string that just ended.
            tail = self.tokenizer.decode(tokens[-(longest + 4) :], skip_special_tokens=True)
            return any(stop in tail for stop in stops)

        return finished

    def _finish(self, tokens: Ids, end: Ids, stops: Sequence[str], limit: int | None = None) -> Generation:
        closed = bool(tokens) and tokens[-1] in end
        kept = tokens[:-1] if closed else tokens
        text = str(self.tokenizer.decode(list(kept), skip_special_tokens=True))
        cut = min((text.find(stop) for stop in stops if stop in text), default=-1)
        if cut >= 0:
            text = text[:cut]
        ended = closed or cut >= 0 or (limit is not None and len(tokens) < limit)
        return Generation(text, tuple(kept), ended)


def _cut(order: Iterable[int], sizes: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Batches of rows whose padded size stays within the bound; at least one row each."""
    batch: list[int] = []
    for row in order:
        if batch and (len(batch) + 1) * sizes[batch[0]] > batch_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _held(text: str, stops: Sequence[str]) -> int:
    """How many last characters may be the beginning of a stop string or half a character."""
    held = len(text) - len(text.rstrip("\ufffd"))
    for stop in stops:
        for size in range(min(len(stop), len(text)), 0, -1):
            if text.endswith(stop[:size]):
                held = max(held, size)
                break
    return held


@torch.inference_mode()
def _same_logits(forest: Forest) -> bool:
    """Whether head(backbone(x)) gives the module's own logits: not so where a model scales or caps them."""
    ids = torch.arange(1, 9, device=forest.device)[None, :] % int(forest.module.config.get_text_config().vocab_size)
    whole = forest.module(input_ids=ids, use_cache=False).logits
    split = forest.head(forest.backbone(input_ids=ids, use_cache=False)[0])
    return whole.shape == split.shape and bool(torch.allclose(whole, split, rtol=1e-4, atol=1e-4))
