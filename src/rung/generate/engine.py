"""The one door to a base's weights: likelihoods, generation, streaming.

`Engine` finds what requests share, and takes the fast route (`forest`, `running`) where the module was found to honour
it, else the plain one. Callers hand in token ids and get numbers, ids or text back in their own order; how prompts become
ids is `model.layout`'s matter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from rung.errors import RungError
from rung.generate import plain
from rung.generate.constraint import Constraint, Guides
from rung.generate.forest import Forest, Likelihood, Row
from rung.generate.prefixes import KEPT_BYTES, Prefixes, groups
from rung.generate.request import BASE, Generation, Request
from rung.generate.running import Job, Runner, Shared
from rung.generate.sampling import Chooser, Guide, Pick
from rung.generate.trie import build
from rung.generate.variants import Adapters
from rung.generate.wording import Wording
from rung.model.load import Model
from rung.model.memory import ModelShape
from rung.model.virtual import Virtual
from rung.types import Sampling, TokenChance

BATCH_TOKENS = 4096  # tokens of one forward pass, unless told otherwise
RUNNING_TOKENS = 16384  # rows × longest row of the answers that are being written,
RUNNING_BYTES = 2**30  # unless their keys and values need more memory than this
TURN_TOKENS = 512  # of a waiting prompt, read between two tokens of a streamed answer
RECENT = 8  # contexts of calls before, whose beginnings are worth keeping
Ids = Sequence[int]
Progress = Callable[[int, int], None]


class Engine:
    """Runs one module of a base.

    `module` defaults to the base's own weights; a tuned copy, or a PEFT model for encoder–decoders, can stand in.
    `virtual` stands in front of every context of a decoder: embeddings (tokens, hidden), or keys and values a layer.
    `batch_tokens` bounds the tokens of one forward pass, `kept_bytes` the keys and values kept between calls. `like` is an engine of the same
    architecture, whose findings about it are taken over instead of probing again.
    """

    def __init__(
        self,
        model: Model,
        *,
        module: Any = None,
        virtual: Virtual | None = None,
        batch_tokens: int = BATCH_TOKENS,
        kept_bytes: int = KEPT_BYTES,
        like: Engine | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = model.tokenizer
        self.module = (model.module if module is None else module).eval()
        self.virtual = virtual
        self.adapters = Adapters(self.module, virtual)
        self.batch_tokens, self._kept_bytes = batch_tokens, kept_bytes
        pad = self.tokenizer.pad_token_id
        self.pad = int(pad if pad is not None else (self.tokenizer.eos_token_id or 0))
        self._recent: deque[tuple[int, ...]] = deque(maxlen=RECENT)
        if like is not None:
            self.__dict__["shares"] = like.shares
            if like.shares:
                self.forest.split_head = like.forest.split_head

    # -- likelihoods ---------------------------------------------------------------------------------------------------

    def choose(
        self,
        contexts: Sequence[Ids],
        answers: Sequence[Sequence[Ids]],
        progress: Progress | None = None,
        *,
        variant: str = BASE,
    ) -> list[list[float]]:
        """log P(answer | context) in nats, summed over the answer's tokens, for every answer of every context.

        Raises ValueError for a context or an answer without tokens.
        """
        found = self.likelihoods(contexts, answers, progress, variant=variant)
        return [[likelihood.total for likelihood in row] for row in found]

    def likelihoods(
        self,
        contexts: Sequence[Ids],
        answers: Sequence[Sequence[Ids]],
        progress: Progress | None = None,
        *,
        variant: str = BASE,
    ) -> list[list[Likelihood]]:
        """As `choose`, with each answer's likelihood and whether greedy decoding would give it."""
        if not all(map(len, contexts)) or not all(answer for options in answers for answer in options):
            raise ValueError("a context or an answer has no tokens")
        self.adapters.check(variant)
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
        longest = max(len(c) + max(map(len, a), default=0) for c, a in zip(contexts, answers))
        if not self._forest_serves(longest):
            self._plain_serves(variant)
            return self._plain_likelihoods(contexts, answers, progress)
        return self._shared_likelihoods(contexts, answers, progress, variant)

    def loglikelihood(self, pairs: Sequence[tuple[Ids, Ids]], progress: Progress | None = None) -> list[float]:
        """log P(answer | context) in nats, summed over the answer's tokens, one a pair."""
        scores = self.choose([context for context, _ in pairs], [[answer] for _, answer in pairs], progress)
        return [score[0] for score in scores]

    def rolling(
        self, texts: Sequence[Ids], *, first: int, window: int | None = None, stride: int | None = None
    ) -> list[float]:
        """log P(text) in nats of token ids of any length, every token scored once.

        `first` stands before a text (a beginning-of-text token). Windows of `window` tokens (default: one more than the
        model's, as the last is only predicted) move on by `stride` (default: all of it but one), so that a token has at least window − stride before it. Raises
        ValueError for a text without tokens, or a stride that is not between 1 and window − 1.
        """
        span = window or self.model.window + 1
        step = stride or span - 1
        if not 1 <= step < span or not all(map(len, texts)):
            raise ValueError("a text has no tokens, or the stride is not between 1 and window - 1")
        pairs: list[tuple[Ids, Ids]] = []
        owner: list[int] = []
        for number, text in enumerate(texts):
            whole = [first, *text]
            for context, answer in windows(len(whole), span, step):
                pairs.append((whole[context], whole[answer]))
                owner.append(number)
        totals = [0.0] * len(texts)
        for number, value in zip(owner, self.loglikelihood(pairs)):
            totals[number] += value
        return totals

    # -- answers of its own --------------------------------------------------------------------------------------------

    def generate(
        self,
        contexts: Sequence[Ids],
        sampling: Sampling | Sequence[Sampling],
        *,
        end: Ids = (),
        stop: Sequence[str] = (),
        constraints: Sequence[Constraint | None] | None = None,
        variants: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> list[Generation]:
        """One answer a context, ended by an `end` token, a `stop` string or `max_new_tokens`.

        `sampling` is one for all, or one a context; so are `constraints` and `variants`, where given.
        """
        each = [sampling] * len(contexts) if isinstance(sampling, Sampling) else sampling
        requests = [
            self._request(context, own, end, stop, constraint, variant)
            for context, own, constraint, variant in zip(
                contexts, each, constraints or [None] * len(contexts), variants or [BASE] * len(contexts)
            )
        ]
        results: dict[int, Generation] = {}
        fast = [row for row, request in enumerate(requests) if self._runs(request)]
        slow = [row for row in range(len(requests)) if row not in set(fast)]
        done = 0

        def told(row: int, generation: Generation) -> None:
            nonlocal done
            results[row], done = generation, done + 1
            if progress:
                progress(done, len(requests))

        self._run([(row, requests[row]) for row in fast], told)
        for rows in self._plain_batches(requests, slow):
            for row, generation in zip(rows, self._plain_generate([requests[r] for r in rows])):
                told(row, generation)
        return [results[row] for row in range(len(requests))]

    def stream(
        self,
        context: Ids,
        sampling: Sampling,
        *,
        end: Ids = (),
        stop: Sequence[str] = (),
        constraint: Constraint | None = None,
        variant: str = BASE,
    ) -> Iterator[str]:
        """The answer's text, piece by piece; joined, the text that `generate` gives. Closing it ends the work."""
        request = self._request(context, replace(sampling, n=1), end, stop, constraint, variant)
        if not self._runs(request):
            yield self._plain_generate([request])[0].text
            return
        (job,) = self._jobs([request])[0]
        runner = self._runner(TURN_TOKENS)
        runner.add([job])
        shown = ""
        for said in runner.turns():
            for _ in said:
                safe = request.wording.shown(job.chooser.made)
                if len(safe) > len(shown) and safe.startswith(shown):
                    yield safe[len(shown) :]
                    shown = safe
        text, _, _ = request.wording.read(job.chooser.made)
        if len(text) > len(shown):
            yield text[len(shown) :]

    # -- variants ------------------------------------------------------------------------------------------------------

    def load(self, name: str, folder: Path) -> None:
        """Take in a plain LoRA adapter or a soft prompt as variant `name`; see `Adapters.load`."""
        if self.model.kind == "encoder-decoder" or not self.shares:
            self._plain_serves(name)
        self.adapters.load(name, folder)

    def drop(self, name: str) -> None:
        """Let go of a variant and of what was kept for it."""
        self.adapters.drop(name)
        self.prefixes.forget(name)

    # -- what the module can do ----------------------------------------------------------------------------------------

    @cached_property
    def forest(self) -> Forest:
        """The fast route, its head split off where that changes nothing."""
        return Forest(self.module, self.adapters)

    @cached_property
    def prefixes(self) -> Prefixes:
        """Keys and values of what contexts begin with."""
        return Prefixes(self.forest.start, self.forest.extend, self._kept_bytes)

    @cached_property
    def guides(self) -> Guides:
        """Constraints compiled for this tokenizer."""
        return Guides(self.tokenizer, int(self.module.config.get_text_config().vocab_size))

    @property
    def limits(self) -> list[str]:
        """What this base cannot do of all that the engine can, in words."""
        if self.model.kind == "encoder-decoder":
            return ["an encoder–decoder reads each prompt whole: nothing of it is shared, and adapters run alone"]
        if not self.shares:
            return [
                "this architecture takes no masks of ours: prompts are read one by one where they share a beginning, "
                "answers are written in batches of equal start, and adapters run alone"
            ]
        sliding = self._sliding()
        if sliding and sliding < self.model.window:
            return [f"prompts and answers of {sliding:,} tokens or more, its sliding window, share nothing"]
        return []

    @cached_property
    def shares(self) -> bool:
        """Whether the module honours explicit masks and positions: both routes are compared on a small probe."""
        if self.model.kind != "decoder" or not hasattr(self.module, "base_model_prefix"):
            return False
        size = int(self.module.config.get_text_config().vocab_size)
        ids = [(7 * i * i + 3 * i + 1) % size for i in range(24)]
        contexts = [ids[:9] + ids[12:15], ids[:9] + ids[16:21]]
        answers = [[[1 % size, 2 % size, 3 % size], [1 % size, 4 % size]], [[5 % size, 6 % size], [2 % size]]]
        try:
            self.forest.split_head = self.forest.head is not None and _same_logits(self.forest)
            prefix = self.forest.extend(self.forest.start(BASE), ids[:9])
            rows = [Row(context[9:], build(options)) for context, options in zip(contexts, answers)]
            fast = [*self.forest.likelihoods(prefix, rows), self._stepped(ids)]
        except (TypeError, ValueError, RuntimeError, AttributeError, NotImplementedError, IndexError, KeyError):
            return False  # the architecture refuses such inputs: the plain route is made for it
        slow = self._plain_likelihoods([*contexts, ids[:12]], [*answers, [ids[12:13]]], None)
        limit = 2e-3 if self.module.dtype == torch.float32 else 0.15
        return all(
            abs(a.total - b.total) <= limit * max(1.0, abs(b.total)) for x, y in zip(fast, slow) for a, b in zip(x, y)
        )

    @torch.inference_mode()
    def _stepped(self, ids: Ids) -> list[Likelihood]:
        """log P(ids[12] | ids[:12]) by slots: 9 tokens before, 2 read, one a step."""
        from rung.generate.slots import Slots

        prefix = self.forest.extend(self.forest.start(BASE), ids[:9])
        packed = self.forest.pack([Row(ids[9:11])], prefix.length)
        slots = Slots(self.forest.apart)
        slots.join(prefix, self.forest.read(prefix, packed)[1], [(0, 0, 2)])
        logits = self.forest.step(slots, [ids[11]], [BASE])[0]
        return [Likelihood(float(logits.log_softmax(-1)[ids[12]]), False)]

    def _forest_serves(self, longest: int) -> bool:
        sliding = self._sliding()
        return self.shares and not (sliding and longest >= sliding)

    def _sliding(self) -> int | None:
        """Tokens of the module's sliding window; None where it sees everything."""
        config = self.module.config.get_text_config()
        sliding = getattr(config, "sliding_window", None) or getattr(config, "attention_chunk_size", None)
        return int(sliding) if sliding else None

    def _runs(self, request: Request) -> bool:
        """Whether a request goes through the running batch; raises RungError for a variant that cannot be had."""
        self.adapters.check(request.variant)
        fast = self.model.kind == "decoder" and request.sampling.beams == 1 and self._forest_serves(request.size)
        if not fast:
            self._plain_serves(request.variant)
        return fast

    def _plain_serves(self, variant: str) -> None:
        if variant != BASE:
            raise RungError(
                "beams, long sliding windows and this architecture know no variants",
                where=f"variant {variant!r}",
                mend="run the adapter alone",
            )

    # -- the work ------------------------------------------------------------------------------------------------------

    def _shared_likelihoods(
        self, contexts: Sequence[Ids], answers: Sequence[Sequence[Ids]], progress: Progress | None, variant: str
    ) -> list[list[Likelihood]]:
        results: list[list[Likelihood]] = [[] for _ in contexts]
        done = 0
        for group in self._grouped(contexts):
            prefix = self.prefixes.get(contexts[group.rows[0]][: group.length], variant)
            rows = [Row(contexts[r][group.length :], build(answers[r])) for r in group.rows]
            for batch, width in self.forest.passes(rows, self.batch_tokens):
                for place, scores in zip(batch, self.forest.likelihoods(prefix, [rows[p] for p in batch], width)):
                    results[group.rows[place]] = scores
                done += len(batch)
                if progress:
                    progress(done, len(contexts))
        return results

    def _grouped(self, contexts: Sequence[Ids]) -> list[Any]:
        # Several contexts are grouped by themselves alone, so that what came before does not change a digit.
        found = groups(contexts, self._recent if len(contexts) == 1 and self._kept_bytes else ())
        self._recent.extend(tuple(context) for context in contexts[-RECENT:])
        return found

    def _request(
        self,
        context: Ids,
        sampling: Sampling,
        end: Ids,
        stop: Sequence[str],
        constraint: Constraint | None,
        variant: str,
    ) -> Request:
        if not len(context):
            raise ValueError("a context has no tokens")
        wording = Wording(self.tokenizer, frozenset((*end, *sampling.stop_tokens)), (*stop, *sampling.stop))
        return Request(context, sampling, wording, constraint, variant)

    def _jobs(self, requests: Sequence[Request]) -> list[list[Job]]:
        """The jobs of each request, `n` of them."""
        out: list[list[Job]] = [[] for _ in requests]
        for variant in dict.fromkeys(request.variant for request in requests):
            mine = [
                row
                for row, request in enumerate(requests)
                for _ in range(request.sampling.n)
                if request.variant == variant
            ]
            for group in self._grouped([requests[row].context for row in mine]):
                shared = Shared(requests[mine[group.rows[0]]].context[: group.length], variant)
                for row in (mine[place] for place in group.rows):
                    request = requests[row]
                    chooser = self._chooser(request, len(out[row]))
                    out[row].append(Job(request.context, chooser, _ending(request.wording, chooser.guide), shared))
        return out

    def _runner(self, turn_tokens: int) -> Runner:
        per_token = ModelShape.of(self.model.config).cache_width * self.module.dtype.itemsize
        return Runner(self.forest, self.prefixes.get, room=running_tokens(per_token), turn_tokens=turn_tokens)

    def _run(self, requests: Sequence[tuple[int, Request]], told: Callable[[int, Generation], None]) -> None:
        """Answer requests in a running batch, longest first, telling each as its answers are done."""
        if not requests:
            return
        jobs = self._jobs([request for _, request in requests])
        owner = {id(job): number for number, own in enumerate(jobs) for job in own}
        left = [len(own) for own in jobs]
        picks: dict[int, list[Pick]] = {id(job): [] for own in jobs for job in own}
        runner = self._runner(self.batch_tokens)
        waiting = [job for own in jobs for job in own]
        tallest = {id(job.shared): 0 for job in waiting}
        for job in waiting:
            tallest[id(job.shared)] = max(tallest[id(job.shared)], job.size)
        runner.add(sorted(waiting, key=lambda job: (-tallest[id(job.shared)], id(job.shared), -job.size)))
        for said in runner.turns():
            for job, pick, over in said:
                picks[id(job)].append(pick)
                if not over:
                    continue
                number = owner[id(job)]
                left[number] -= 1
                if not left[number]:
                    row, request = requests[number]
                    first, *others = [self._told(request, picks[id(own)], own.chooser) for own in jobs[number]]
                    told(row, replace(first, others=tuple(others)))

    def _told(self, request: Request, picks: Sequence[Pick], chooser: Chooser) -> Generation:
        text, tokens, finished = request.wording.read([pick.token for pick in picks])
        finished = finished or bool(chooser.guide and chooser.guide.over)
        chances = tuple(self._chance(pick) for pick in picks[: len(tokens)] if pick.logprob is not None)
        return Generation(text, tokens, finished, chances)

    def _chance(self, pick: Pick) -> TokenChance:
        def word(token: int) -> str:
            return str(self.tokenizer.decode([token]))

        others = tuple((word(token), value) for token, value in pick.others)
        return TokenChance(word(pick.token), float(pick.logprob or 0.0), others)

    def _plain_batches(self, requests: Sequence[Request], rows: Sequence[int]) -> Iterator[list[int]]:
        """Batches for the library's own loop: equal sampling, and equal length where a module reads padding too."""
        kinds: dict[object, list[int]] = {}
        for row in rows:
            sampling = requests[row].sampling
            length = 0 if self.model.kind == "encoder-decoder" else len(requests[row].context)
            kinds.setdefault((sampling.max_new_tokens, sampling.beams, sampling.n, length), []).append(row)
        for own in kinds.values():
            sizes = {row: requests[row].size * requests[row].sampling.beams for row in own}
            yield from _cut(sorted(own, key=lambda row: -sizes[row]), sizes, self.batch_tokens)

    def _plain_generate(self, requests: Sequence[Request]) -> list[Generation]:
        if isinstance(self.virtual, tuple):
            raise RungError(
                "beams, long sliding windows and this architecture take no trained prefix of keys and values",
                where="prefix-tuning",
                mend="take prompt-tuning",
            )
        choosers = [[self._chooser(request, n) for n in range(request.sampling.n)] for request in requests]
        flat = [chooser for own in choosers for chooser in own]
        made = iter(plain.generate(self.module, requests, flat, self.pad, self.virtual))
        out = []
        for request, own in zip(requests, choosers):
            first, *others = [self._told(request, next(made), chooser) for chooser in own]
            out.append(replace(first, others=tuple(others)))
        return out

    def _chooser(self, request: Request, number: int) -> Chooser:
        guide = self.guides.guide(request.constraint, request.wording.end) if request.constraint else None
        return Chooser(request.sampling, request.context, number, guide)

    def _plain_likelihoods(
        self, contexts: Sequence[Ids], answers: Sequence[Sequence[Ids]], progress: Progress | None
    ) -> list[list[Likelihood]]:
        flat = [(context, answer) for context, options in zip(contexts, answers) for answer in options]
        values = iter(
            self._batched(
                [len(context) + len(answer) for context, answer in flat],
                lambda rows: plain.decoder_likelihoods(self.module, [flat[r] for r in rows], self.pad, self.virtual),
                progress,
            )
        )
        return [[next(values) for _ in options] for options in answers]

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


def running_tokens(bytes_per_token: int) -> int:
    """How many tokens, rows × longest row, answers that are being written may hold together."""
    return max(BATCH_TOKENS, min(RUNNING_TOKENS, RUNNING_BYTES // max(1, bytes_per_token)))


def windows(length: int, window: int, stride: int) -> Iterator[tuple[slice, slice]]:
    """(context, answer) of each window over `length` tokens of which the first is only read; answers tile the rest.

    >>> [(c.start, a.start, a.stop) for c, a in windows(10, 5, 2)]
    [(0, 1, 5), (2, 5, 7), (4, 7, 9), (5, 9, 10)]
    """
    at = 1
    while at < length:
        # The first window scores all it holds: its tokens have nothing further before them.
        end = min(length, window if at == 1 else at + stride)
        yield slice(max(0, end - window), at), slice(at, end)
        at = end


def _ending(wording: Wording, guide: Guide | None) -> Callable[[list[int]], bool]:
    if guide is None:
        return wording.ended
    return lambda tokens: wording.ended(tokens) or guide.over


def _cut(order: Iterable[int], sizes: Any, batch_tokens: int) -> Iterator[list[int]]:
    """Batches of rows whose padded size stays within the bound; at least one row each."""
    batch: list[int] = []
    for row in order:
        if batch and (len(batch) + 1) * sizes[batch[0]] > batch_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


@torch.inference_mode()
def _same_logits(forest: Forest) -> bool:
    """Whether head(backbone(x)) gives the module's own logits: not so where a model scales or caps them."""
    ids = torch.arange(1, 9, device=forest.device)[None, :] % int(forest.module.config.get_text_config().vocab_size)
    whole = forest.module(input_ids=ids, use_cache=False).logits
    split = forest.head(forest.backbone(input_ids=ids, use_cache=False)[0])
    return whole.shape == split.shape and bool(torch.allclose(whole, split, rtol=1e-4, atol=1e-4))
