"""What the plan says before anything is spent: peak memory and seconds of each rung.

Memory is counted on the configuration alone; seconds are the counted operations over a rate measured here, now, in a
second. Forecasts never decide which rung is recommended; they only skip what the budget has no room for, and stand
beside the measurements in the report.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from rung.generate.engine import BATCH_TOKENS, running_tokens
from rung.ladder.fit import Lengths
from rung.ladder.record import Forecast
from rung.ladder.rung import Rung
from rung.ladder.work import Work
from rung.model import memory
from rung.model.methods import METHODS, Method
from rung.model.outline import Outline
from rung.system.body import Body
from rung.task import Task
from rung.train.answers import MICRO_TOKENS
from rung.train.settings import TrainExample, TrainSettings
from rung.train.surroundings import low_precision

if TYPE_CHECKING:
    import torch

    from rung.model.memory.count import StepCount

PROBE_ROWS, PROBE_TOKENS = 8, 64
TRAINED = {"virtual": "prompt-tuning", "adapter": "lora", "part": "last-layers", "weights": "full"}
"""What rungs train that needs gradients through the base, and a method of each kind."""
STEP_S = 0.012
"""What a step of `transformers.Trainer` takes beside its passes: measured on two cores with small models."""

KERNELS = 300_000_000
"""Bytes that training on a CPU takes beside its tensors: kernels compiled for each shape, their scratch. Three trainings
of a base of 3 million parameters held 290 to 370 MB more than the arithmetic says."""

_COUNTED: dict[tuple[Any, ...], StepCount] = {}
"""Steps counted before in this process; a climb plans once, but tests and notebooks plan often."""


@dataclass(frozen=True)
class Rates:
    """What this machine reached on the base: operations a second forward (`operations`) and forward and back
    (`learning`), and seconds that a single short request takes (`overhead`)."""

    operations: float
    learning: float
    overhead: float

    @classmethod
    def measure(cls, body: Body) -> Rates:
        """Time a batch and a single short row on the base, and a batch with its gradients. No weight gets any."""
        import torch

        module, model = body.model.module, body.model
        size = int(module.config.get_text_config().vocab_size)
        draw = np.random.default_rng(0).integers(1, size, (PROBE_ROWS, min(PROBE_TOKENS, model.window // 2)))
        ids = torch.tensor(draw, device=module.device)
        extra = {"decoder_input_ids": ids[:, :1]} if model.kind == "encoder-decoder" else {}
        single = {name: value[:1] for name, value in extra.items()}
        with torch.inference_mode():
            batch = _shortest(lambda: module(input_ids=ids, **extra), ids.device)
            one = _shortest(lambda: module(input_ids=ids[:1, :4], **single), ids.device)
        learning = _shortest(lambda: _forward_and_back(module, ids, extra), ids.device)
        passed = 2.0 * model.parameters * ids.numel()
        return cls(passed / batch, 2.0 * passed / learning, one)


def _shortest(run: Callable[[], object], device: torch.device, repeats: int = 3) -> float:
    """Seconds of the fastest of some repeats."""
    import torch

    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
    return best


def _forward_and_back(module: Any, ids: torch.Tensor, extra: Mapping[str, torch.Tensor]) -> object:
    """A pass forward and back to the embeddings, in the precision in which Rung trains: 4 operations a weight."""
    import torch

    words = module.get_input_embeddings()(ids).detach().requires_grad_(True)
    with torch.autocast(ids.device.type, torch.bfloat16, enabled=low_precision(TrainSettings(), ids.device)):
        out = module(inputs_embeds=words, **extra)[0]
    return torch.autograd.grad(out.float().logsumexp(-1).sum(), words)


def forecast(rung: Rung, work: Work, body: Body, task: Task, found: Lengths, rates: Rates) -> Forecast:
    """Peak bytes, seconds to adapt and to score validation once, seconds of a single request."""
    if work.request == 0.0:
        return Forecast(0, 0.0, 0.0)
    # The shared beginning of the prompts is computed once, so only the rest of each takes time.
    own = 1.0 - (found.shared + work.shared) / max(1.0, work.prompt_tokens + work.answer_tokens)
    scored = work.adapt - work.learning + work.request * len(task.validation)
    passed = scored / rates.operations + work.learning / rates.learning
    written = task.sampling.max_new_tokens if writes(task, body) else 0
    # Answers are written token by token: a full batch takes as many steps as its longest answer has tokens.
    at_once = running_tokens(_per_token(body))
    batches = -(-scored / work.request * (work.prompt_tokens + written) // at_once)
    seconds = passed * own + work.steps * STEP_S + batches * written * rates.overhead
    latency = work.request / rates.operations + rates.overhead * (1 + written)
    return Forecast(_peak(rung, body, found, written), seconds, latency)


def writes(task: Task, body: Body) -> bool:
    """Whether answers are written token by token, rather than ranked or read off a head."""
    return task.kind in ("generate", "tag") and body.model.kind != "encoder"


def _per_token(body: Body) -> int:
    """Bytes of one token's keys and values."""
    return memory.ModelShape.of(body.model.config).cache_width * int(body.model.module.dtype.itemsize)


def _peak(rung: Rung, body: Body, found: Lengths, written: int) -> int:
    """Bytes in use as things stand, the base among them, and what the rung adds: of the GPU where it computes there."""
    model, shape = body.model, memory.ModelShape.of(body.model.config)
    device = model.device.partition(":")[0]
    trains = getattr(rung, "trains", "nothing")
    length = found.longest + int(found.target)
    stored = int(model.module.dtype.itemsize)
    if trains in TRAINED:
        step = _step(_method(rung), body, length, max(1, int(found.target)))
        beside = KERNELS if device == "cpu" else None
        added = memory.train_memory(step, keep_best=True, device=device, beside=beside).total
    else:
        room = running_tokens(_per_token(body)) if written else BATCH_TOKENS
        length = found.longest + max(int(found.target), written)
        use = memory.serve_memory(
            shape,
            model.parameters,
            rows=max(1, room // length),
            length=length,
            prompt_tokens=max(BATCH_TOKENS, length),
            weight_bytes=stored,
            device=device,
        )
        added = use.total - round(use.weights)  # the base's own are there already
    return _in_use(model.device) + added


def _method(rung: Rung) -> Method:
    """The rung's method at the largest of the settings that it tries."""
    made = getattr(rung, "method", None)
    if made is None:
        return METHODS[TRAINED[getattr(rung, "trains", "weights")]]()
    several = {name: getattr(rung, name) for name in getattr(rung, "several", ())}
    return made({name: max(value) if isinstance(value, tuple) else value for name, value in several.items()})


def _step(method: Method, body: Body, length: int, targets: int) -> StepCount:
    """One step of training by `method` on rows of `length` tokens, counted on the base's outline."""
    from rung.train.size.step import answer_step

    model, device = body.model, body.model.device.partition(":")[0]
    tokens = max(MICRO_TOKENS.get(device, MICRO_TOKENS["cpu"]), length)
    told = json.dumps(dict(model.config), sort_keys=True, default=str)
    key = (told, model.precision, repr(method), length, targets, tokens)
    if key not in _COUNTED:
        outline = Outline.of(model.config, name=model.name, dtype=model.precision)
        example = TrainExample((0,) * max(1, length - targets), (0,) * targets)
        low = low_precision(TrainSettings(), model.module.device)
        rows = [example] * max(1, tokens // len(example))
        _COUNTED[key] = answer_step(outline, method, rows, tokens, low_precision=low)
    return _COUNTED[key]


def _in_use(device: str) -> int:
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.memory_allocated())
    return int(psutil.Process().memory_info().rss)
