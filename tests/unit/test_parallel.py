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

from rung.errors import RungError
from rung.train.parallel.settings import ParallelSettings
from rung.train.parallel.share import shares
from team_cases import STEPS, found, llama, run

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


def test_two_processes_equal_one(alone: dict[str, Any], tmp_path: Path) -> None:
    cases = done(tmp_path, 2, ["ddp", "ddp-begun"])
    ddp = cases["ddp"]
    assert near(ddp["losses"], alone["losses"]) and near(ddp["validation"], alone["validation"])
    assert ddp["weights"] == pytest.approx(alone["weights"], rel=1e-4)
    assert ddp["bytes"] == 4 * ddp["parameters"]  # 2 Φ (n − 1) / n bytes of four for Φ weights in two processes
    module = llama(seed=9)
    result, _ = run(module, tmp_path / "ddp-begun" / "run")  # begun in two processes, gone on with in one
    assert near([point.train_loss for point in result.curve], alone["losses"]) and len(result.curve) == STEPS
