"""How fast free answers to few-shot prompts are written, against the library's `generate` with left padding.

Prompts are questions behind worked examples: GSM8K's where `RUNG_DATA` has them, else the bundled `extract`. The peer runs
at several batch sizes, longest prompts together, and its best one counts; answers are greedy, and the texts are compared.
Seconds are processor time. Ends in one JSON line; `ratio` is of the bundled base, `larger` of a Llama of 30 million
parameters.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

import bases
from rung.generate.engine import Engine
from rung.ladder.assemble import hardware
from rung.model.load import Model
from rung.types import Sampling

ROUNDS = 3
BATCHES = (4, 8, 16, 32)
NEW_TOKENS = 48
GOAL = 2.0


def prompts(model: Model, rows: int, shots: int) -> tuple[list[list[int]], str]:
    """Token ids of the few-shot prompts that leave room for an answer, and where they come from."""
    data = Path(os.environ.get("RUNG_DATA", "")) / "gsm8k"
    if (data / "test.jsonl").is_file():
        file, question, answer, source = data / "test.jsonl", "question", "answer", "gsm8k"
    else:
        file = next((Path(__file__).parents[1] / "examples" / "extract").glob("*.jsonl"))
        question, answer, source = "message", "fields", "extract"
    table = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    worked = "".join(f"Question: {row[question]}\nAnswer: {row[answer]}\n\n" for row in table[:shots])
    ids = [model.tokenizer(f"{worked}Question: {row[question]}\nAnswer:").input_ids for row in table[shots:]]
    return [one for one in ids if len(one) + NEW_TOKENS <= model.window][:rows], source


def ours(model: Model, contexts: list[list[int]]) -> list[str]:
    """Rung's answers; what an engine finds out about its module is part of the time."""
    made = Engine(model).generate(contexts, Sampling(max_new_tokens=NEW_TOKENS), end=[model.tokenizer.eos_token_id])
    return [answer.text for answer in made]


def peer(model: Model, contexts: list[list[int]], batch: int) -> list[str]:
    """The library's, `batch` prompts at a time."""
    tokenizer: Any = model.tokenizer
    tokenizer.padding_side = "left"
    order = sorted(range(len(contexts)), key=lambda row: -len(contexts[row]))
    texts = [""] * len(contexts)
    for at in range(0, len(order), batch):
        rows = order[at : at + batch]
        inputs = tokenizer.pad({"input_ids": [contexts[row] for row in rows]}, return_tensors="pt")
        with torch.inference_mode():
            made = model.module.generate(
                **inputs, max_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=tokenizer.pad_token_id
            )
        width = inputs["input_ids"].shape[1]
        texts_made = tokenizer.batch_decode(made[:, width:], skip_special_tokens=True)
        for row, text in zip(rows, texts_made):
            texts[row] = text
    return texts


def timed(run: Any, rounds: int) -> tuple[float, list[str]]:
    """Median seconds of processor time, and what the last round gave."""
    spent, found = [], []
    for _ in range(rounds):
        start = time.process_time()
        found = run()
        spent.append(time.process_time() - start)
    return statistics.median(spent), found


def measure(model: Model, rows: int, shots: int, rounds: int) -> dict[str, Any]:
    """Both sides on one base."""
    contexts, source = prompts(model, rows, shots)
    mine, texts = timed(lambda: ours(model, contexts), rounds)
    tries = {batch: timed(lambda b=batch: peer(model, contexts, b), 1)[0] for batch in BATCHES if batch <= rows}
    best = min(tries, key=lambda batch: tries[batch])
    theirs, expected = timed(lambda: peer(model, contexts, best), rounds)
    same = sum(a == b for a, b in zip(texts, expected)) / len(texts)
    print(f"{model.name}: {mine:.2f} s, generate {tries} s, same {same:.3f}", file=sys.stderr, flush=True)
    return {
        "ours": len(contexts) / mine,
        "peer": len(contexts) / theirs,
        "ratio": theirs / mine,
        "peer_batch": best,
        "same_share": same,
        "prompts": len(contexts),
        "prompt_tokens": sum(map(len, contexts)) / len(contexts),
        "source": source,
    }


def main() -> None:
    """Run both sides on both bases and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer prompts, one round")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    rows, rounds = (16, 1) if quick else (64, ROUNDS)
    first = measure(bases.bundled(), rows, 3, rounds)
    second = measure(bases.larger(), rows, 5, rounds)
    print(
        json.dumps(
            {
                "benchmark": "few_shot_generation",
                **{key: first[key] for key in ("ours", "peer", "ratio")},
                "peer_name": f"transformers generate, left padding, batch {first['peer_batch']}",
                "unit": "answers/s of processor time",
                "goal": GOAL,
                # Two best logits may lie closer than rounding: then a text may part where both are right.
                "same_result": min(first["same_share"], second["same_share"]) > 0.97,
                "bundled": first,
                "larger": second,
                "hardware": hardware(),
                "date": date.today().isoformat(),
            },
            ensure_ascii=False,
        )
    )


if __name__ == "__main__":
    main()
