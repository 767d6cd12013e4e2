"""`rung tune` that looks for settings through optuna, and that puts optimisers side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rung.cli.main import app
from rung.errors import RungError
from rung.ladder.rungs.moving import Lora
from rung.ladder.tune.tune import Asked

TASK = """
name: colours
kind: classify
data:
  source: rows.jsonl
  input: text
  target: label
instruction: Which one?
"""


@pytest.fixture
def task(tmp_path: Path) -> Path:
    words = {"red": "where is my order", "blue": "send money back", "green": "the lamp broke"}
    labels = list(words)
    rows = [{"text": f"{words[labels[n % 3]]} number {n}", "label": labels[n % 3]} for n in range(90)]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (tmp_path / "task.yaml").write_text(TASK)
    return tmp_path / "task.yaml"


def rung(*words: Any) -> Any:
    return CliRunner().invoke(app, ["tune", *map(str, words)])


def test_a_search_is_run_kept_and_drawn(task: Path, base: Callable[[str], Path], tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    out = tmp_path / "run"
    words = (task, "--base", base("llama"), "--search", "tpe", "--trials", 4, "--space", "learning_rate=1e-4..1e-1:log",
             "--space", "rank=2,4", "--set", "epochs=1", "--out", out)  # fmt: skip
    told = rung(*words)
    assert told.exit_code == 0, told.output
    kept = json.loads((out / "tune.json").read_text())["rows"][-1]
    assert kept["label"] == "lora-tpe" and kept["chosen"]["rank"] in (2, 4)
    assert 1e-4 <= kept["chosen"]["learning_rate"] <= 1e-1
    page = (out / kept["searched"]).read_text()
    assert (
        "The best so far" in page
        and "learning_rate" in page
        and str(out / kept["searched"]) in told.output.replace("\n", "")
    )
    again = rung(*words)  # everything is kept: the same table, nothing trained anew
    assert again.exit_code == 0 and json.loads((out / "tune.json").read_text())["rows"][-1] == kept


def test_optimisers_side_by_side(task: Path, base: Callable[[str], Path], tmp_path: Path) -> None:
    out = tmp_path / "run"
    told = rung(task, "--base", base("llama"), "--method", "full", "--optimiser", "adamw", "--optimiser", "lion",
                "--optimiser", "gradient-descent", "--set", "epochs=2", "--out", out)  # fmt: skip
    assert told.exit_code == 0, told.output
    rows = json.loads((out / "tune.json").read_text())["rows"][1:]
    assert {row["label"] for row in rows} == {"full", "full-lion", "full-gradient-descent"}
    steps = {row["label"]: row["curve"][-1][0] for row in rows}
    assert steps["full-gradient-descent"] == 2 < steps["full"] == steps["full-lion"]
    assert all(len(row["spent"]) == len(row["curve"]) and row["spent"][-1] > 0 for row in rows)
    page = (out / "tune.html").read_text()
    assert "Training loss (nats a target) by processor seconds of training" in page and "full-lion" in page


def test_pages_that_a_processor_does_not_have_are_told(task: Path, base: Callable[[str], Path], tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    told = rung(
        task, "--base", base("llama"), "--optimiser", "paged-adamw", "--set", "epochs=1", "--out", tmp_path / "run"
    )
    assert told.exit_code == 0, told.output
    assert "its states stay in ordinary memory" in " ".join(told.output.split())


def test_every_optimiser_is_asked_for_by_one_flag() -> None:
    from rung.train.optimisers.table import OPTIMISERS

    requests = Asked(("lora",), {"epochs": 1}, tuple(OPTIMISERS)).requests()[1:]
    assert [request.fields["optimiser"] for request in requests] == list(OPTIMISERS)
    labels = {Lora(optimiser=name).label for name in OPTIMISERS}
    assert len(labels) == len(OPTIMISERS)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"search": "tbe"}, "did you mean tpe"),
        ({"search": "tpe", "space": ("rnak=2,4",)}, "did you mean rank"),
        ({"search": "tpe", "space": ("rank=8..2",)}, "no range"),
        ({"space": ("rank=2,4",)}, "say search: tpe"),
        ({"search": "tpe", "trials": 0}, "1 or more"),
    ],
)
def test_wrong_searches_are_one_line(fields: dict[str, Any], line: str) -> None:
    with pytest.raises(RungError, match=line):
        Lora(**fields)


def test_what_belongs_to_a_search_wants_one() -> None:
    with pytest.raises(RungError, match="trials without a search"):
        Asked(("lora",), {"trials": 4})
    with pytest.raises(RungError, match="did you mean lion"):
        Asked(("lora",), {}, ("loin",))
    with pytest.raises(RungError, match="given twice"):
        Asked(("lora",), {"optimiser": "sgd"}, ("lion",))
