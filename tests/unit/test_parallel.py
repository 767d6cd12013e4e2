"""Many processes: the settings, each process's share, and trainings that must equal those of one process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from bases import make
from rung.errors import RungError
from rung.train.parallel.settings import ParallelSettings
from rung.train.parallel.share import shares
from rung.train.parallel.tensor import split_matrices
from team_cases import FOUR, TWO, found, llama, run

TESTS = Path(__file__).parents[1]
CLOSE = 1e-5


def start(folder: Path, world: int, cases: Sequence[str]) -> list[subprocess.Popen[bytes]]:
    """The cases in `world` processes, under the variables that torchrun sets."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world), "PYTHONPATH": path,
              "OMP_NUM_THREADS": "1", "LOCAL_WORLD_SIZE": str(world)}  # fmt: skip
    return [
        subprocess.Popen(
            [sys.executable, "-m", "team_cases", str(folder), *cases],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(world)
    ]


def done(folder: Path, world: int, cases: Sequence[str]) -> dict[str, Any]:
    """What each case found."""
    started = start(folder, world, cases)
    assert [process.wait(400) for process in started] == [0] * world
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in cases}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same training in one process."""
    module = llama()
    result, layout = run(module, tmp_path_factory.mktemp("alone"))
    return found(result, module, layout)


def near(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and all(abs(a - b) <= CLOSE for a, b in zip(one, other))


# Settings and shares


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dta": "ddp"}, "did you mean data"),
        ({"data": "zero4"}, "unknown data 'zero4'; did you mean zero"),
        ({"tensor": 0}, "give a whole number from 1"),
        ({"data": "hybrid"}, "hybrid without groups"),
        ({"shard": 2}, "shard 2 with data ddp"),
        ({"pipeline": 2, "tensor": 2}, "pipeline 2 with tensor 2"),
        ({"pipeline": 2, "data": "zero3"}, "pipeline 2 with data zero3"),
        ({"backend": "deepspeed"}, "zero1, zero2 and zero3 only"),
    ],
)
def test_settings_refuse(given: dict[str, Any], message: str) -> None:
    with pytest.raises(RungError, match=message):
        ParallelSettings.from_mapping(given)


def test_settings_of_a_command_line() -> None:
    assert ParallelSettings.from_words("zero3, tensor=2") == ParallelSettings(data="zero3", tensor=2)
    with pytest.raises(RungError, match="3 processes for tensor 2"):
        ParallelSettings(tensor=2).data_ranks(3)
    with pytest.raises(RungError, match="in groups of 2"):
        ParallelSettings(data="hybrid", shard=2).data_ranks(3)


@pytest.mark.parametrize(("count", "ranks"), [(1, 2), (2, 2), (5, 2), (5, 3), (1, 4)])
def test_every_row_is_computed_once(count: int, ranks: int) -> None:
    micros = [
        {"input_ids": torch.arange(6).reshape(3, 2) + 10 * n, "labels": torch.ones(3, 1).long()} for n in range(count)
    ]
    parts = [shares(micros, rank, ranks) for rank in range(ranks)]
    assert len({len(part) for part in parts}) == 1  # as many collectives in each
    rows = [row for part in parts for batch, factor in part if factor for row in batch["input_ids"].tolist()]
    assert sorted(rows) == sorted(row for batch in micros for row in batch["input_ids"].tolist())


def test_a_part_without_targets_counts_nothing() -> None:
    labels = torch.tensor([[1], [-100]])
    ((batch, factor),) = shares([{"input_ids": torch.ones(2, 2), "labels": labels}], 1, 2)
    assert factor == 0.0 and (batch["labels"] != -100).any()


# Trainings


def same_training(one: dict[str, Any], other: dict[str, Any]) -> bool:
    weights = one["weights"] == pytest.approx(other["weights"], rel=1e-4)
    return near(one["losses"], other["losses"]) and near(one["validation"], other["validation"]) and weights


@pytest.mark.slow
def test_two_processes_equal_one(alone: dict[str, Any], tmp_path: Path) -> None:
    moves = ["zero3-after-ddp", "tensor-after-zero3", "ddp-after-tensor", "zero1-after-zero3"]
    cases = done(tmp_path, 2, [*TWO, "ddp-begun", "zero3-begun", "tensor-begun", *moves])
    for name in [*TWO, *moves]:
        assert same_training(cases[name], alone), name
        assert cases[name]["plain"] and cases[name]["trainable"] == alone["trainable"], name
    sent = {name: cases[name]["bytes"] for name in TWO}
    whole = 4 * alone["parameters"]
    assert sent["ddp"] == sent["zero1"] == cases["ddp"]["theory"] == whole  # 2 Φ (n − 1) / n, n = 2
    assert sent["zero2"] == cases["zero2"]["theory"]
    # What no layer holds (embeddings, the last norm, the head) is put together once a pass, not twice.
    assert 0.8 * cases["zero3"]["theory"] < sent["zero3"] <= cases["zero3"]["theory"] == 1.5 * whole
    module = llama(seed=9)
    result, layout = run(module, tmp_path / "zero3-begun" / "run")  # gone on with in one process
    assert same_training(found(result, module, layout), alone)


@pytest.mark.slow
def test_four_processes_equal_one(alone: dict[str, Any], tmp_path: Path) -> None:
    moves = ["hybrid-after-zero3-tensor", "zero3-tensor-after-hybrid"]
    cases = done(tmp_path, 4, [*FOUR, "hybrid-begun", "zero3-tensor-begun", *moves])
    for name in [*FOUR, *moves]:
        assert same_training(cases[name], alone), name
        assert cases[name]["plain"]


@pytest.mark.parametrize(
    ("kind", "parts", "message"),
    [
        ("gpt2", 2, "gpt2 has no plan of how to split it"),
        ("qwen3", 4, "num_key_value_heads 2 over 4 processes; choose a divisor"),
    ],
)
def test_matrices_that_cannot_be_split(tmp_path: Path, kind: str, parts: int, message: str) -> None:
    module = transformers.AutoModelForCausalLM.from_pretrained(make(kind, tmp_path))

    class Parts:
        def size(self) -> int:
            return parts

    with pytest.raises(RungError, match=message):
        split_matrices(module, Parts())


@pytest.mark.parametrize(
    ("asked", "says"),
    [({"pipeline": 2}, "pipeline stages"), ({"backend": "deepspeed", "data": "zero2"}, "deepspeed is not wired in")],
)
def test_what_is_not_built_is_refused_rather_than_ignored(asked: dict[str, Any], says: str) -> None:
    from rung.train.parallel.choose import layout_of
    from rung.train.parallel.team import Team

    with pytest.raises(RungError, match=says):
        layout_of(ParallelSettings(**asked), Team(world=2))
