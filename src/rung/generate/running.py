"""Continuous batching: answers join a running batch as there is room, grow token by token, and leave when they end.

A `Runner` holds jobs that wait and jobs that run. Every turn reads a bounded number of waiting tokens (so a long prompt
does not hold up the others) and then gives each running answer one token. What a token means as text is the caller's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from rung.generate.forest import Forest, Row
from rung.generate.prefixes import Prefix
from rung.generate.sampling import Chooser, Pick, choose
from rung.generate.slots import Slots


@dataclass(eq=False)
class Shared:
    """The first tokens of several contexts. Their keys and values are fetched when the first of the jobs is read."""

    ids: Sequence[int] = ()
    variant: str = ""
    prefix: Prefix | None = field(default=None, repr=False)


@dataclass(eq=False)
class Job:
    """One answer to write. `ended(tokens)` says after each token whether it was the last."""

    context: Sequence[int]
    chooser: Chooser
    ended: Callable[[list[int]], bool]
    shared: Shared = field(default_factory=Shared)
    read: Prefix | None = field(default=None, repr=False)  # of a long context: what was read in turns before

    @property
    def size(self) -> int:
        """Tokens of its own, context and answer at their longest."""
        return len(self.context) - len(self.shared.ids) + self.chooser.sampling.max_new_tokens


class Runner:
    """Runs jobs behind `prefix(ids, variant)`. `room` bounds rows × longest row; `turn_tokens` what a turn reads."""

    def __init__(
        self, forest: Forest, prefix: Callable[[Sequence[int], str], Prefix], *, room: int, turn_tokens: int
    ) -> None:
        self.forest, self._prefix = forest, prefix
        self.room, self.turn_tokens = room, turn_tokens
        self.waiting: deque[Job] = deque()
        self.running: list[Job] = []
        self._slots: Slots | None = None
        self._width = 0  # of the longest job that runs

    def add(self, jobs: Sequence[Job]) -> None:
        """Let jobs wait for their turn, in this order."""
        self.waiting.extend(jobs)

    def cancel(self, job: Job) -> None:
        """Take a job out, wherever it stands; the others go on as if it had never been there."""
        if job in self.waiting:
            self.waiting.remove(job)
        elif job in self.running:
            self._remove(self.running.index(job))

    def turns(self) -> Iterator[list[tuple[Job, Pick, bool]]]:
        """Turn by turn until nothing waits or runs: the tokens that came, each with whether its answer is done."""
        while self.waiting or self.running:
            yield self._admit() + self._advance()

    def _admit(self) -> list[tuple[Job, Pick, bool]]:
        """Read what a turn allows of the contexts that wait; the jobs read to their end say their first token."""
        batch: list[Job] = []
        behind: Prefix | None = None
        left = self.turn_tokens
        while self.waiting and self._fits(self.waiting[0], len(batch)):
            job = self.waiting[0]
            prefix = self._behind(job)
            rest = len(job.context) - prefix.skip
            if behind is not None and (prefix is not behind or rest > left):
                break
            if rest > self.turn_tokens:  # too long for one turn: a stretch of it now, and the others' tokens between
                ids = job.context[prefix.skip : prefix.skip + self.turn_tokens]
                job.read = self.forest.extend(prefix, ids)
                return []
            behind, left = prefix, left - rest
            batch.append(self.waiting.popleft())
        return self._read(batch, behind) if behind is not None else []

    def _behind(self, job: Job) -> Prefix:
        """What has been computed of a job's context."""
        if job.read is not None:
            return job.read
        if job.shared.prefix is None:
            job.shared.prefix = self._prefix(job.shared.ids, job.shared.variant)
        return job.shared.prefix

    def _fits(self, job: Job, joining: int) -> bool:
        width = max(self._width, self._size(job))
        return (not self.running and not joining) or (len(self.running) + joining + 1) * width <= self.room

    def _read(self, batch: list[Job], prefix: Prefix) -> list[tuple[Job, Pick, bool]]:
        rows = [Row(job.context[prefix.skip :]) for job in batch]
        packed = self.forest.pack(rows, prefix.length)
        states, own = self.forest.read(prefix, packed)
        last = torch.tensor([start + row.size - 1 for row, (_, start) in zip(rows, packed.places)])
        logits = self.forest.logits(states[torch.tensor([at for at, _ in packed.places]), last])
        with torch.inference_mode():
            self._slots = self._slots or self._room([*batch, *self.waiting])
            self._slots.join(prefix, own, [(*place, row.size) for row, place in zip(rows, packed.places)])
        for job in batch:
            job.read = None
        self.running += batch
        self._width = max(map(self._size, self.running))
        return self._say(batch, logits)

    def _room(self, jobs: Sequence[Job]) -> Slots:
        """The slots, as large as they will be where the room lasts for it."""
        width = max(map(self._size, jobs))
        return Slots(self.forest.apart, min(len(jobs), max(1, self.room // width)), width)

    def _size(self, job: Job) -> int:
        """Tokens that a job's slot holds in the end."""
        return job.size + (0 if self.forest.apart else len(job.shared.ids))

    def _advance(self) -> list[tuple[Job, Pick, bool]]:
        if not self.running or self._slots is None:
            return []
        jobs = list(self.running)
        logits = self.forest.step(
            self._slots, [job.chooser.made[-1] for job in jobs], [job.shared.variant for job in jobs]
        )
        return self._say(jobs, logits)

    def _say(self, jobs: list[Job], logits: torch.Tensor) -> list[tuple[Job, Pick, bool]]:
        """Choose each job's next token; those that end leave their slots."""
        said = []
        for job, pick in zip(jobs, choose(logits, [job.chooser for job in jobs])):
            job.chooser.take(pick)
            made = job.chooser.made
            said.append((job, pick, len(made) >= job.chooser.sampling.max_new_tokens or job.ended(made)))
        done = {id(job) for job, _, over in said if over}
        for row in range(len(self.running) - 1, -1, -1):
            if id(self.running[row]) in done:
                self._remove(row)
        return said

    @torch.inference_mode()
    def _remove(self, row: int) -> None:
        assert self._slots is not None
        last = self._slots.leave(row)
        self.running[row] = self.running[last]
        self.running.pop()
        self._width = max(map(self._size, self.running), default=0)
