"""Whether memory grows with the number of items: 100,000 through a task file of lm-eval, and a tree of prefixes at its bound.

Resident memory is taken behind the first tenth of the items and at the end; the tree is given contexts whose keys and
values are many times its bound, and its bytes are counted after each. Ends in one JSON line: `ratio` is how much smaller
than the bound of 5 % the growth is, 1 or more being within it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import psutil
import torch
import yaml

import bases
from rung.evaluate.harness.reading import read_task
from rung.evaluate.harness.run import HarnessRun
from rung.evaluate.harness.spec import HarnessTask
from rung.generate.engine import Engine
from rung.ladder.assemble import hardware
from rung.model.load import Model
from rung.types import Sampling

ALLOWED = 0.05
BOUND = 4 * 2**20


def write(folder: Path, items: int) -> Path:
    """A task of short questions with two answers, each question another."""
    draw = np.random.default_rng(3)
    with (folder / "test.jsonl").open("w") as lines:
        for number in range(items):
            words = " ".join(map(str, draw.integers(0, 1000, 4)))
            lines.write(
                json.dumps({"question": f"{number} {words}", "choices": ["yes", "no"], "answer": number % 2}) + "\n"
            )
    given = {
        "task": "many", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(folder / "test.jsonl")}},
        "test_split": "test", "output_type": "multiple_choice", "doc_to_text": "Q: {{question}}\nA:",
        "doc_to_choice": "choices", "doc_to_target": "answer", "metric_list": [{"metric": "acc"}],
    }  # fmt: skip
    (folder / "many.yaml").write_text(yaml.safe_dump(given))
    return folder / "many.yaml"


def streamed(model: Model, items: int) -> tuple[list[float], float]:
    """Resident MB behind each tenth of the items, and items a second of processor time."""
    process, seen = psutil.Process(), dict[int, float]()
    with tempfile.TemporaryDirectory() as name, (Path(name) / "rows.jsonl").open("w") as rows:
        task = read_task(write(Path(name), items))
        assert isinstance(task, HarnessTask)
        run = HarnessRun(task, Engine(model))

        def progress(done: int, of: int) -> None:
            tenth = 10 * done // of
            if tenth not in seen:
                seen[tenth] = process.memory_info().rss / 1e6
                print(f"{done:,} of {of:,}: {seen[tenth]:,.0f} MB", file=sys.stderr, flush=True)

        start = time.process_time()
        result = run.run(lambda row: rows.write(json.dumps(row) + "\n") and None, progress)
        seconds = time.process_time() - start
    assert result.items == items and result.errors == 0
    return [seen[tenth] for tenth in range(1, 11)], items / seconds


def fullest(model: Model) -> float:
    """The most bytes that a bounded tree of prefixes held, over its bound."""
    engine, draw, most = Engine(model, kept_bytes=BOUND), np.random.default_rng(4), 0
    size = int(model.module.config.vocab_size)
    for _ in range(60):
        context = [int(one) for one in draw.integers(3, size, 400)]
        for answer in ([5], [6]):
            engine.choose([context], [[answer, [7]]])
            engine.generate([context], Sampling(max_new_tokens=2))
            most = max(most, engine.prefixes.bytes)
    assert most > BOUND / 2, "the tree was never full"
    return most / BOUND


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the items")
    torch.set_num_threads(1)
    items, model = (10_000 if parser.parse_args().quick else 100_000), bases.bundled()
    held, rate = streamed(model, items)
    growth, tree = held[-1] / held[0] - 1.0, fullest(model)
    print(
        json.dumps(
            {
                "benchmark": "memory", "ours": held[-1], "peer": held[0], "peer_name": "itself behind a tenth of the items",
                "unit": "MB", "ratio": ALLOWED / max(growth, 1e-3), "goal": 1.0, "growth": growth, "items": items,
                "items_per_second": rate, "tree_of_its_bound": tree, "same_result": tree <= 1.0,
                "hardware": hardware(), "date": date.today().isoformat(),
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
