"""What the plan says before anything is spent: peak memory and seconds of each rung.

Memory is arithmetic on the configuration; seconds are the counted operations over a rate measured here, now, in a
second. Forecasts never decide which rung is recommended; they only skip what the budget has no room for, and stand
beside the measurements in the report.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import psutil

from rung.ladder.fit import Lengths
from rung.ladder.record import Forecast
from rung.ladder.rung import Rung
from rung.ladder.work import Work
from rung.model import memory
from rung.system.body import Body
from rung.task import Task
from rung.train.answers import MICRO_TOKENS

PROBE_ROWS, PROBE_TOKENS = 8, 64


@dataclass(frozen=True)
class Rates:
    """Operations a second that this machine reached in a forward pass, and seconds of one request's overhead."""

    operations: float
    overhead: float

    @classmethod
    def measure(cls, body: Body) -> Rates:
        """Time a batch and a single short row on the base."""
        import torch

        module, model = body.model.module, body.model
        size = int(module.config.get_text_config().vocab_size)
        draw = np.random.default_rng(0).integers(1, size, (PROBE_ROWS, min(PROBE_TOKENS, model.window // 2)))
        ids = torch.tensor(draw, device=module.device)
        extra = {"decoder_input_ids": ids[:, :1]} if model.kind == "encoder-decoder" else {}
        single = {name: value[:1] for name, value in extra.items()}

        def seconds(inputs: torch.Tensor, more: dict[str, torch.Tensor], repeats: int) -> float:
            best = float("inf")
            with torch.inference_mode():
                for _ in range(repeats):
                    started = time.perf_counter()
                    module(input_ids=inputs, **more)
                    best = min(best, time.perf_counter() - started)
            return best

        batch, one = seconds(ids, extra, 3), seconds(ids[:1, :4], single, 3)
        return cls(2.0 * model.parameters * ids.numel() / batch, one)


def forecast(rung: Rung, work: Work, body: Body, task: Task, found: Lengths, rates: Rates) -> Forecast:
    """Peak bytes, seconds to adapt and to score validation once, seconds of a single request."""
    if work.request == 0.0:
        return Forecast(0, 0.0, 0.0)
    # The shared beginning of the prompts is computed once, so only the rest of each takes time.
    own = 1.0 - found.shared / max(1.0, work.prompt_tokens + work.answer_tokens)
    validation = work.request * len(task.validation)
    seconds = (work.adapt + validation) * own / rates.operations
    written = 0 if task.labels or task.kind == "choose" else task.sampling.max_new_tokens
    latency = work.request / rates.operations + rates.overhead * (1 + written)
    return Forecast(_peak(rung, body, found), seconds, latency)


def _peak(rung: Rung, body: Body, found: Lengths) -> int:
    """Bytes of the process: the libraries as they stand loaded, the base, and what the rung adds."""
    model, shape = body.model, memory.ModelShape.of(body.model.config)
    trains = getattr(rung, "trains", "nothing")
    loaded = psutil.Process().memory_info().rss
    length = found.longest + int(found.target)
    if trains in ("virtual", "adapter", "weights"):
        width = 2 if model.module.dtype.itemsize == 2 and trains != "weights" else 4
        share = {"virtual": 0.001, "adapter": 0.05, "weights": 1.0}[trains]
        trainable = max(1, int(model.parameters * share))
        tokens = max(MICRO_TOKENS["cuda" if model.device.startswith("cuda") else "cpu"], length)
        return (
            loaded
            + memory.train_memory(shape, model.parameters, trainable, tokens, length=length, weight_bytes=width).total
        )
    width = int(model.module.dtype.itemsize)
    rows = max(1, 4096 // max(1, length))
    return loaded + memory.serve_memory(shape, model.parameters, rows=rows, length=length, weight_bytes=width).total
