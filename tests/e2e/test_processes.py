"""`rung pretrain` over two processes from the outside: the same model, one word where a process dies, and going on."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

RUNG = [sys.executable, "-m", "rung"]
WORDS = [
    "the",
    "river",
    "ran",
    "under",
    "an",
    "old",
    "stone",
    "bridge",
    "while",
    "nine",
    "quiet",
    "herons",
    "waited",
    "for",
    "fish",
    "in",
    "cold",
    "light",
]
RECIPE = """
name: small
seed: 3
corpus: {{texts: [a.txt], tokenizer_documents: 60}}
tokenizer: {{vocabulary: 300, window: 64}}
model: {{model_type: llama, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 2,
  num_key_value_heads: 1, tie_word_embeddings: true, max_position_embeddings: 64}}
train: {{stages: [{{length: 32, rows: 4, steps: {steps}}}], warmup: 2, dtype: float32, validation_rows: 2,
  checkpoint_minutes: 0.0, optimiser: {{name: adamw}}{more}}}
"""


def recipe(folder: Path, steps: int, more: str = "") -> Path:
    draw = random.Random(1)
    texts = [" ".join(draw.choice(WORDS) for _ in range(24)) + f" {i}." for i in range(60)]
    (folder / "a.txt").write_text("\n\n".join(texts))
    (folder / "recipe.yaml").write_text(RECIPE.format(steps=steps, more=more))
    return folder / "recipe.yaml"


def start(folder: Path, out: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*RUNG, "pretrain", str(folder / "recipe.yaml"), "--out", str(folder / out), *words],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=os.environ | {"OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error"})  # fmt: skip


def curve(folder: Path) -> list[list[float]]:
    return json.loads((folder / "pretraining.json").read_text())["curve"]


@pytest.mark.slow
def test_a_killed_process_ends_all_and_the_run_goes_on(tmp_path: Path) -> None:
    recipe(tmp_path, steps=200)
    run = start(tmp_path, "model", "--nproc", "2")
    checkpoints = tmp_path / "model.work" / "checkpoints"
    until = time.monotonic() + 240
    while not list(checkpoints.glob("checkpoint-*")):
        assert run.poll() is None and time.monotonic() < until
        time.sleep(0.1)
    members = [p for p in psutil.Process(run.pid).children() if p.environ().get("RANK") == "1"]
    members[0].kill()
    out, err = run.communicate(timeout=60)
    assert run.returncode == 1
    told = [line for line in err.splitlines() if line.startswith("rung:")]
    assert told == [
        "rung: process 1 of 2 was killed by SIGKILL; what is finished is kept; run the same command again to go on"
    ]
    assert "Traceback" not in err
    assert not psutil.Process().children()
    reached = max(int(path.name.rpartition("-")[2]) for path in checkpoints.glob("checkpoint-*"))
    assert 0 < reached < 200
    again = start(tmp_path, "model", "--nproc", "2")
    out, err = again.communicate(timeout=400)
    assert again.returncode == 0, err
    assert f"step {reached // 2 * 2}/200" not in out  # what was finished is not done again
    whole = start(tmp_path, "whole", "--nproc", "2")
    out, err = whole.communicate(timeout=400)
    assert whole.returncode == 0, err
    assert curve(tmp_path / "model") == curve(tmp_path / "whole")
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("model", "whole"))
    assert one == other


@pytest.mark.slow
def test_bad_input_is_one_line(tmp_path: Path) -> None:
    recipe(tmp_path, steps=3, more=", parallel: {tensr: 2}")
    run = start(tmp_path, "model", "--nproc", "2")
    _, err = run.communicate(timeout=120)
    assert run.returncode == 2
    assert [line for line in err.splitlines() if line.startswith("rung:")] == [
        "rung: train.parallel: unknown key 'tensr'; did you mean tensor?"
    ]
    assert not (tmp_path / "model").exists()
