"""How fast a System reads and writes in the numbers it is held in: medians by the clock, which decide nothing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rung.generate.engine import Engine
from rung.system.bundle import Saved
from rung.system.prompted import Prompted
from rung.task import Task
from rung.types import Sampling, System

SCORED_ROWS, WRITTEN_ROWS, WRITTEN_TOKENS, REPEATS = 32, 8, 32, 3


@dataclass(frozen=True)
class Rates:
    """Tokens a second: `scoring` of prompts and their right answers, what they share computed once; `generating` of
    answers of 32 tokens to 8 prompts at once. None where a System does not do it."""

    scoring: float | None = None
    generating: float | None = None


def rates_of(system: System, task: Task) -> Rates:
    """Medians of three, after one to warm up, on the first validation rows."""
    inner: Any = system.inner if isinstance(system, Saved) else system
    rows = task.validation[:SCORED_ROWS]
    prompts = [task.prompt(row) for row in rows]
    if not isinstance(inner, Prompted):
        tokens = sum(said.prompt_tokens for said in inner.answer(prompts))
        return Rates(_rate(tokens, lambda: _forgotten(inner).answer(prompts)))
    engine, contexts = inner.engine, inner.contexts(prompts)
    answers = [inner.layout.answer(row.target or row.answers[0]) for row in rows]
    pairs = [(ids, said) for ids, said in zip(contexts, answers) if len(ids) + len(said) <= engine.model.window]
    scoring = _rate(sum(len(ids) + len(said) for ids, said in pairs), lambda: engine.loglikelihood(pairs))
    return Rates(scoring, _generating(engine, [ids for ids, _ in pairs[:WRITTEN_ROWS]]))


def _generating(engine: Engine, contexts: Sequence[Sequence[int]]) -> float | None:
    room = engine.model.window - max(map(len, contexts), default=0)
    if room < 1 or not contexts:
        return None
    sampling = Sampling(max_new_tokens=min(WRITTEN_TOKENS, room))
    return _rate(len(contexts) * sampling.max_new_tokens, lambda: engine.generate(contexts, sampling))


def _forgotten(system: Any) -> Any:
    """The same System of an encoder, knowing no text yet."""
    from dataclasses import replace

    return replace(system, embedder=type(system.embedder)(system.embedder.model))


def _rate(tokens: int, run: Callable[[], object]) -> float | None:
    if not tokens:
        return None
    run()
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return tokens / statistics.median(seconds)
