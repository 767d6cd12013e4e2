"""What the training loop costs beside the training: processor time of a step against a plain loop, on a model of 10 million.

Both take the same batches, the same objective, the same AdamW, clip and schedule, on one thread, in rounds that take turns;
the step's time is the median over all rounds, the first step of each left out. The parent, `transformers.Trainer`, is
timed beside them. Ends in one JSON line; `ratio` is the plain loop's time over ours, `same_result` that both end with the
same losses.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import itertools

import torch
import transformers

from rung.ladder.assemble import hardware
from rung.train.settings import TrainSettings
from rung.train.trainer import train

MODEL = {"vocab_size": 8192, "hidden_size": 320, "intermediate_size": 864, "num_hidden_layers": 6,
         "num_attention_heads": 5, "num_key_value_heads": 5, "tie_word_embeddings": True}  # fmt: skip
RATE, CLIP, LENGTH = 3e-4, 1.0, 256
Times = list[float]


def model() -> Any:
    """A Llama of 10 million parameters, the same each time."""
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(transformers.LlamaConfig(**MODEL))


def batches(count: int, rows: int) -> list[dict[str, torch.Tensor]]:
    """Random ids; the work is that of any text."""
    draw = torch.Generator().manual_seed(1)
    ids = [torch.randint(8192, (rows, LENGTH), generator=draw) for _ in range(count)]
    return [{"input_ids": one} for one in ids]


def causal(module: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Summed cross-entropy (nats) of the next tokens."""
    ids = batch["input_ids"]
    logits = module(input_ids=ids, use_cache=False).logits[:, :-1].float()
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="sum")


def plain(given: list[dict[str, torch.Tensor]]) -> tuple[Times, float]:
    """The loop that one writes by hand."""
    module, spent = model().train(), []
    mover = torch.optim.AdamW(module.parameters(), lr=RATE, fused=True)
    pace = torch.optim.lr_scheduler.LambdaLR(mover, lambda step: 1 - step / len(given))
    for batch in given:
        start = time.process_time()
        with torch.autocast("cpu", torch.bfloat16):
            loss = causal(module, batch) / batch["input_ids"][:, 1:].numel()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), CLIP)
        mover.step()
        pace.step()
        mover.zero_grad()
        last = float(loss.detach())
        spent.append(time.process_time() - start)
    return spent, last


def ours(given: list[dict[str, torch.Tensor]]) -> tuple[Times, float]:
    """The loop of Rung, from step to step."""
    marks: Times = []
    steps = [
        {"micros": [one], "targets": one["input_ids"][:, 1:].numel(), "tokens": one["input_ids"].numel()}
        for one in given
    ]
    settings = TrainSettings(learning_rate=RATE, clip=CLIP, warmup=0.0, precision="bfloat16", checkpoint_seconds=None)
    with tempfile.TemporaryDirectory() as folder:
        result = train(
            model(), steps, causal, settings, folder=Path(folder), eval_every=1,
            progress=lambda done, total: marks.append(time.process_time()),
        )  # fmt: skip
    return [marks[0], *(after - before for before, after in itertools.pairwise(marks))], result.curve[-1].train_loss


def parent(given: list[dict[str, torch.Tensor]]) -> tuple[Times, float]:
    """`transformers.Trainer` with its own loss."""
    marks: Times = []

    class Mark(transformers.TrainerCallback):
        def on_step_end(self, *told: Any, **named: Any) -> None:
            marks.append(time.process_time())

    rows = [{"input_ids": row, "labels": row} for batch in given for row in batch["input_ids"]]
    with tempfile.TemporaryDirectory() as folder:
        args = transformers.TrainingArguments(
            output_dir=folder, per_device_train_batch_size=len(given[0]["input_ids"]), max_steps=len(given),
            learning_rate=RATE, bf16=True, use_cpu=True, report_to="none", disable_tqdm=True, logging_strategy="steps",
            logging_steps=1, save_strategy="no", train_sampling_strategy="sequential", dataloader_pin_memory=False,
        )  # fmt: skip
        loop = transformers.Trainer(model(), args, train_dataset=rows, callbacks=[Mark()])
        loop.remove_callback(transformers.PrinterCallback)
        loop.train()
        last = next(e["loss"] for e in reversed(loop.state.log_history) if "loss" in e)
    return [marks[0], *(after - before for before, after in itertools.pairwise(marks))], last


def main() -> None:
    """Take turns, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    given = batches(5 if quick else 10, 4 if quick else 8)
    loops: dict[str, Callable[[Any], tuple[Times, float]]] = {"plain": plain, "ours": ours, "parent": parent}
    steps: dict[str, Times] = {name: [] for name in loops}
    ends: dict[str, float] = {}
    for turn in range(2 if quick else 5):
        for name, loop in loops.items():
            spent, ends[name] = loop(given)
            steps[name] += spent[1:]
            print(f"round {turn + 1}: {name} {statistics.median(spent[1:]):.3f} s a step", file=sys.stderr, flush=True)
    middle = {name: statistics.median(times) for name, times in steps.items()}
    found = {
        "benchmark": "overhead",
        "ours": 1000 * middle["ours"],
        "peer": 1000 * middle["plain"],
        "peer_name": "a plain loop",
        "unit": "ms of processor time a step",
        "ratio": middle["plain"] / middle["ours"],
        "goal": 0.95,
        "same_result": abs(ends["ours"] - ends["plain"]) <= 1e-3 * ends["plain"],
        "details": {"transformers.Trainer, ms": 1000 * middle["parent"], "losses": ends},
        "hardware": hardware(),
        "date": date.today().isoformat(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
