"""How fast multiple choice is scored, against lm-eval (hf backend) on the same task files in the same run.

Four works: `letters`, MMLU with five worked examples and one letter to score; `texts`, the same questions with the texts of
their choices; `short`, the 2,000 shortest questions by letter, where writing prompts weighs; `anew`, of which nothing is
promised: short questions with the texts of their choices and worked examples drawn anew for each, so that no two items share
them. MMLU comes
from `RUNG_DATA`; without it questions are made of the bundled `triage`. The peer runs whole, as `simple_evaluate`, at several
batch sizes on a part, and at its best on all. Seconds are processor time. Ends in one JSON line; `ratio` is the least of
the works' ratios over their goals, times the first goal.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TQDM_DISABLE", "1")

import lm_eval
import torch
import yaml
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

import bases
from rung.evaluate.harness.reading import read_task
from rung.evaluate.harness.run import HarnessRun
from rung.evaluate.harness.spec import HarnessTask
from rung.generate.engine import Engine
from rung.ladder.assemble import hardware
from rung.model.load import Model

GOALS = {"letters": 3.5, "texts": 6.0, "short": 5.0, "anew": 1.0}
BATCHES = (1, 2, 4, 16)
ROUNDS = 2


def questions(work: str, count: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Worked examples and questions."""
    data = Path(os.environ.get("RUNG_DATA", "")) / "mmlu"
    if not data.is_dir():
        file = next((Path(__file__).parents[1] / "examples" / "triage").glob("*.jsonl"))
        rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        labels = sorted({row["label"] for row in rows})[:4]
        made = [{"question": row["text"], "choices": labels, "answer": 0} for row in rows]
        return made[:5], (made[5:] * (count // len(made) + 1))[:count]

    def read(part: str) -> list[dict[str, Any]]:
        made = []
        for file in sorted((data / part).glob("*.csv")):
            with file.open(encoding="utf-8", newline="") as lines:
                for row in csv.DictReader(lines):
                    made.append(
                        {
                            "question": row["question"],
                            "choices": [row[f"choice{n}"] for n in range(4)],
                            "answer": int(row["answer"]),
                        }
                    )
        return made

    def size(row: dict[str, Any]) -> int:
        return len(row["question"]) + sum(map(len, row["choices"]))

    # Worked examples of middling length; questions that fit behind them, evenly from all subjects; or the shortest.
    examples, asked = sorted(read("dev"), key=size)[40:45], read("test")
    if work in ("short", "anew"):
        return sorted(read("dev"), key=size)[:40], sorted(asked, key=size)[:count]
    fitting = [row for row in asked if size(row) < 400]
    return examples, fitting[:: max(1, len(fitting) // count)][:count]


def write(folder: Path, rows: int, work: str) -> Path:
    """The task file of one work, with its data."""
    shots, asked = questions(work, rows)
    for name, table in (("dev", shots), ("test", asked)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table))
    options = "".join(f"{letter}. {{{{choices[{n}]}}}}\n" for n, letter in enumerate("ABCD"))
    given = {
        "task": work,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {name: str(folder / f"{name}.jsonl") for name in ("dev", "test")}},
        "test_split": "test",
        "fewshot_split": "dev",
        "fewshot_config": {"sampler": "default" if work == "anew" else "first_n"},
        "output_type": "multiple_choice",
        "num_fewshot": 5,
        "doc_to_target": "answer",
        "metric_list": [{"metric": "acc"}],
    }
    if work in ("letters", "short"):
        given |= {"doc_to_text": "{{question.strip()}}\n" + options + "Answer:", "doc_to_choice": list("ABCD")}
    else:
        given |= {"doc_to_text": "Question: {{question.strip()}}\nAnswer:", "doc_to_choice": "choices"}
    file = folder / f"{work}.yaml"
    file.write_text(yaml.safe_dump(given))
    return file


def ours(model: Model, file: Path, limit: int | None = None) -> tuple[float, list[list[float]]]:
    """Seconds, and every item's log-likelihoods."""
    kept: list[dict[str, Any]] = []
    start = time.process_time()
    task = read_task(file)
    assert isinstance(task, HarnessTask)
    HarnessRun(task, Engine(model), limit=limit).run(kept.append)
    return time.process_time() - start, [[total for total, _ in row["loglikelihoods"]] for row in kept]


def peer(model: Model, file: Path, batch: int, limit: int | None = None) -> tuple[float, list[list[float]]]:
    """The same by lm-eval."""
    wrapped = HFLM(pretrained=model.module, tokenizer=model.tokenizer, batch_size=batch, max_length=model.window)
    manager = TaskManager(include_path=str(file.parent), include_defaults=False)
    start = time.process_time()
    done = lm_eval.simple_evaluate(
        model=wrapped, tasks=[file.stem], task_manager=manager, limit=limit, bootstrap_iters=0
    )
    seconds = time.process_time() - start
    samples = sorted(done["samples"][file.stem], key=lambda one: one["doc_id"])
    return seconds, [[float(response[0][0]) for response in one["resps"]] for one in samples]


def measure(model: Model, work: str, rows: int, rounds: int) -> dict[str, Any]:
    """Both sides on one work."""
    with tempfile.TemporaryDirectory() as name:
        file = write(Path(name), rows, work)
        part = max(8, rows // 8)
        tries = {batch: peer(model, file, batch, part)[0] for batch in BATCHES}
        best = min(tries, key=lambda batch: tries[batch])
        ours(model, file, part)  # both sides have run once before they are timed
        mine, theirs = [], []
        for _ in range(rounds):
            seconds, found = ours(model, file)
            mine.append(seconds)
            seconds, expected = peer(model, file, best)
            theirs.append(seconds)
    apart = max(abs(a - b) for x, y in zip(found, expected) for a, b in zip(x, y))
    picks = sum(x.index(max(x)) == y.index(max(y)) for x, y in zip(found, expected)) / len(found)
    result = {
        "ours": rows / min(mine), "peer": rows / min(theirs), "ratio": min(theirs) / min(mine), "goal": GOALS[work],
        "peer_batch": best, "largest_difference": apart, "same_picks": picks, "items": rows,
    }  # fmt: skip
    print(f"{Path(model.name).name} {work}: {result}", file=sys.stderr, flush=True)
    return result


def main() -> None:
    """Run both sides on both bases and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer items, one round")
    quick = parser.parse_args().quick
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    sizes = {"letters": 200, "texts": 200, "short": 2000, "anew": 200}
    sizes = {work: rows // 8 for work, rows in sizes.items()} if quick else sizes
    rounds, small, larger = 1 if quick else ROUNDS, bases.bundled(), bases.larger()
    works = {
        "bundled": {work: measure(small, work, rows, rounds) for work, rows in sizes.items()},
        # On the larger base a short item is the model's work, not that of templates.
        "larger": {work: measure(larger, work, max(16, sizes[work] // 2), rounds) for work in ("letters", "texts")},
    }
    every = [one for own in works.values() for one in own.values()]
    worst = min(every, key=lambda one: one["ratio"] / one["goal"])
    print(
        json.dumps(
            {
                "benchmark": "few_shot_scoring",
                "ours": worst["ours"],
                "peer": worst["peer"],
                "ratio": worst["ratio"],
                "goal": worst["goal"],
                "peer_name": f"lm-eval {lm_eval.__version__}, hf, batch {worst['peer_batch']}",
                "unit": "items/s of processor time",
                "same_result": all(one["largest_difference"] < 1e-3 and one["same_picks"] > 0.99 for one in every),
                **works,
                "hardware": hardware(),
                "date": date.today().isoformat(),
            },
            ensure_ascii=False,
        )
    )


if __name__ == "__main__":
    main()
