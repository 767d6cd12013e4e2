"""`rung tune` from the outside: every method on a tiny base, resumed, refused; what is kept answers as it was scored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_climb import rows

from rung.cli.main import app
from rung.errors import RungError
from rung.ladder.tune.tune import TRAINED, Asked, tune
from rung.system.bundle import load
from rung.task import Task

Base = Callable[[str], Path]


def small(folder: Path, **more: Any) -> Path:
    """A task file on rows of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows())))
    data = {"source": "rows.jsonl", "input": "text", "target": "label",
            "split": {"train": 24, "validation": 24, "test": 24, "seed": 3}}  # fmt: skip
    (folder / "task.yaml").write_text(json.dumps({"name": "small", "kind": "classify", "data": data, **more}))
    return folder / "task.yaml"


@pytest.mark.slow
def test_every_method_is_told_kept_and_answers_as_it_was_scored(base: Base, tmp_path: Path) -> None:
    task = Task.load(small(tmp_path))
    fields = {"epochs": 1, "learning_rate": 0.01, "rank": 4, "width": 4, "k": 1}
    found, path = tune(task, str(base("llama")), Asked(("all",), fields), out=tmp_path / "run")
    told = {one.label: one for one in found.rows}
    assert {"zero-shot", *TRAINED, "components-attention"} >= told.keys()
    assert told["head"].skipped and told["biases"].skipped == "a llama has no such weights"
    for label, one in told.items():
        if one.skipped or label == "zero-shot":
            continue
        assert one.moving > 0 and one.disk > 0 and one.curve, label
        saved = load(one.folder)
        right = [saved.ask(row.text).text == row.target for row in task.validation]
        assert sum(right) / len(right) == pytest.approx(one.score), label
    assert told["full"].share == 1 > told["last-layers"].share > told["ia3"].share > 0
    assert told["full"].disk > told["last-layers"].disk > told["soft-prompt"].disk
    assert all(len(near) == 3 for near in told["soft-prompt"].nearest) and len(told["soft-prompt"].nearest) == 20
    again, _ = tune(task, str(base("llama")), Asked(("all",), fields), out=tmp_path / "run")
    assert again == found
    page = (path / "tune.html").read_text()
    assert "<script" not in page and all(label in page for label in told)


def test_an_encoder_is_tuned_by_what_it_has(base: Base, tmp_path: Path) -> None:
    task = Task.load(small(tmp_path))
    methods = ("head", "bottleneck", "last-layers", "biases", "ia3", "soft-prompt")
    asked = Asked(methods, {"epochs": 1, "learning_rate": 0.01, "k": 1})
    found, _ = tune(task, str(base("bert")), asked, out=tmp_path / "run")
    told = {one.label: one for one in found.rows}
    assert told["soft-prompt"].skipped == "an encoder reads no prompts"
    for label in ("head", "bottleneck", "last-layers", "biases", "ia3"):
        saved = load(told[label].folder)
        right = [saved.ask(row.text).text == row.target for row in task.validation]
        assert sum(right) / len(right) == pytest.approx(told[label].score), label


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--method", "lroa"], "did you mean lora"),
        (["--set", "rnak=8"], "did you mean rank"),
        (["--set", "rank"], "no key=value"),
        (["--set", "rank=0"], "rank is 0"),
        (["--set", "rank=many"], "rank of lora is"),
        (["--set", "rank=8", "--set", "rank=4"], "given twice"),
        (["--set", "target=quux"], "no layer is called quux"),
        (["--method", "biases"], "a llama has no such weights"),
        (["--method", "soft-prompt", "--set", "tokens=300"], "tokens is 300"),
        (["--set", "keep=ewc"], "ewc needs general text"),
        (["--set", "keep=ecw"], "did you mean ewc"),
        (["--set", "keep=replay", "--set", "keep_text=nowhere.txt"], "no such file"),
        (["--set", "optimiser=adamx"], "unknown optimiser"),
    ],
)
def test_bad_input_is_one_line(base: Base, tmp_path: Path, words: list[str], says: str) -> None:
    task, out = small(tmp_path), tmp_path / "run"
    with pytest.raises(RungError, match=says) as told:
        app(["tune", str(task), "--base", str(base("llama")), "--out", str(out), *words], standalone_mode=False)
    assert "\n" not in str(told.value)
    assert not out.exists()


def test_an_encoder_is_not_said_to_train_by_another_optimiser(base: Base, tmp_path: Path) -> None:
    with pytest.raises(RungError, match="lion is for bases that answer in words"):
        tune(
            Task.load(small(tmp_path)), str(base("bert")), Asked(("full",), {"optimiser": "lion"}), out=tmp_path / "run"
        )
