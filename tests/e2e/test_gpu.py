"""What changes with a GPU: the same answers as the CPU's, and whole climbs on it. Skipped where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rung.generate.engine import Engine
from rung.model.load import Model
from rung.types import Sampling

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use"),
]


@pytest.mark.parametrize("kind", ["llama", "gpt2", "t5"])
def test_a_gpu_gives_the_cpus_numbers(kind: str, base: Callable[[str], Path]) -> None:
    chance = torch.Generator().manual_seed(5)
    draw = lambda size: torch.randint(10, 400, (size,), generator=chance).tolist()  # noqa: E731
    head = draw(12)
    contexts = [head + draw(2 + row) for row in range(9)]
    answers = [[draw(1), draw(2), draw(3)] for _ in contexts]
    scores, texts = [], []
    for device in ("cpu", "cuda"):
        engine = Engine(Model.load(str(base(kind)), device=device, dtype="float32"))
        scores.append(engine.choose(contexts, answers))
        texts.append([made.tokens for made in engine.generate(contexts, Sampling(max_new_tokens=8))])
    for ours, theirs in zip(*scores):
        assert ours == pytest.approx(theirs, abs=1e-3)
    assert texts[0] == texts[1]


@pytest.mark.parametrize("kind", ["llama", "t5", "bert"])
def test_every_rung_climbs_on_a_gpu(kind: str, base: Callable[[str], Path], tmp_path: Path) -> None:
    from test_climb import go, task

    quick = {"learning_rate": [0.01], "epochs": 1}
    own = ["zero-shot", "nearest", "head", {"lora": {"rank": [4], **quick}}, {"full": quick}]
    made = task(rungs=own) if kind == "bert" else task()
    done = go(made, base(kind), tmp_path / "run")
    built = [entry for entry in done.report.rungs if entry.validation is not None]
    assert len(built) == len(done.report.rungs)
    for entry in built[1:]:
        assert entry.errors == 0
        assert entry.measured is not None and entry.measured.peak_memory > 0
        assert entry.forecast is not None and entry.forecast.memory > 0
