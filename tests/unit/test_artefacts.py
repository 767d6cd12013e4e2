"""Artefacts: when one counts as the same, that nothing is left of one that does not, weights made whole."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from rung.errors import RungError
from rung.evaluate.evaluation import judge
from rung.ladder.artefacts.check import Check
from rung.ladder.artefacts.made import Wanted, make
from rung.ladder.artefacts.source import source_named
from rung.model import adapters
from rung.model.export.folder import write_folder
from rung.model.load import Model
from rung.model.whole import folded, is_plain, save_whole
from rung.task import Task
from rung.types import Completion

Base = Callable[[str], Path]
COUNT = 120


@pytest.fixture
def task(tmp_path: Path) -> Task:
    words = ["where", "is", "my", "order", "parcel", "never", "came", "lamp", "kettle", "size", "card"]
    rows = [
        {
            "text": f"{words[n % 11]} {words[(n // 11) % 11]} {words[(3 * n) % 11]} {n}",
            "label": ("north", "south")[n % 2],
        }
        for n in range(3 * COUNT)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    split = {"train": COUNT, "validation": COUNT, "test": COUNT}
    data = {"source": "rows.jsonl", "input": "text", "target": "label", "split": split}
    return Task.from_mapping({"name": "t", "kind": "classify", "instruction": "Answer.", "data": data}, tmp_path)


def checked(task: Task, before: Sequence[str], after: Sequence[str], margin: float | None = None) -> Check:
    rows = task.validation
    return Check.of(*(judge(task, rows, [Completion(text) for text in said]) for said in (before, after)), task, margin)


def test_an_artefact_is_the_same_where_its_score_is_shown_not_to_fall(task: Task) -> None:
    right = [str(row.target) for row in task.validation]
    wrong = ["north" if text == "south" else "south" for text in right]

    def said(errors: int, start: int = 0) -> list[str]:
        return [wrong[n] if start <= n < start + errors else right[n] for n in range(COUNT)]

    assert checked(task, wrong, wrong).refusal == ""  # not one answer is another: no rows are needed to tell
    assert checked(task, said(10), said(10, start=5), margin=0.12).refusal == ""
    assert "may be lower by more than 0.02" in checked(task, said(10), said(10, start=5), margin=0.02).refusal
    assert (
        "its score is lower" in checked(task, said(0), said(8), margin=0.5).refusal
    )  # p 0.008, however wide the margin
    assert checked(task, said(8), said(0)).refusal == ""  # a gain is none
    found = checked(task, said(0), said(8))
    assert (found.original, found.changed) == (1.0, 8) and found.difference == pytest.approx(-8 / COUNT)
    assert found.lower == pytest.approx(found.difference, abs=0.06) and found.lower < found.difference
    assert found.margin == task.margin == 0.05


def test_nothing_is_left_of_an_artefact_that_falls_behind(task: Task, base: Base, tmp_path: Path) -> None:
    source = source_named(str(base("llama")), tmp_path / "scratch", task=task)

    def ruin(module: Any) -> Any:
        words = module.get_input_embeddings().weight
        with torch.no_grad():
            words.copy_(torch.randn(words.shape, generator=torch.Generator().manual_seed(0)))
        return module

    def build(own: Any, folder: Path) -> Model:
        return write_folder(own.model, folder, change=ruin)

    before = sorted(tmp_path.iterdir())
    with pytest.raises(RungError, match="not written: its score") as told:
        make(source, Wanted(tmp_path / "out", task, margin=0.01), {}, build)
    assert "--accept" in str(told.value) and sorted(tmp_path.iterdir()) == before
    made = make(source, Wanted(tmp_path / "out", task, margin=0.01, accept=True), {"ruin": 1}, build)
    assert made.lines()[1].endswith("accepted all the same")
    record = json.loads((tmp_path / "out/artefact.json").read_text())
    assert record["check"]["changed"] > 0 and record["made_of"]["identity"] == source.model.digest
    with pytest.raises(RungError, match="is there already"):
        Wanted(tmp_path / "out", task)
    with pytest.raises(RuntimeError, match="halfway"):
        make(source, Wanted(tmp_path / "other", task), {}, lambda own, folder: _fail(folder))
    assert {path.name for path in tmp_path.iterdir()} == {"rows.jsonl", "out"}


def _fail(folder: Path) -> Model:
    (folder / "model.safetensors").write_bytes(b"half")
    raise RuntimeError("halfway")


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_what_was_trained_beside_4_bit_weights_is_folded_into_what_they_stand_for(
    kind: str, base: Base, tmp_path: Path
) -> None:
    if importlib.util.find_spec("bitsandbytes") is None:
        pytest.skip("bitsandbytes is not installed (pip install 'rung[nf4]')")
    model = Model.load(str(base(kind)), dtype="nf4")
    tuned = adapters.lora(model.fresh(), 4, seed=1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    ids = torch.tensor([[5, 6, 7, 8]])
    module = tuned.eval().get_base_model()
    with torch.no_grad():
        wanted, plain = module(input_ids=ids).logits, model.module(input_ids=ids).logits
        whole = folded(module, where="here")
        assert is_plain(whole) and not is_plain(model.module)
        save_whole(whole, model, tmp_path)
        again = Model.load(str(tmp_path))
        assert again.parameters == model.parameters and again.precision in ("bfloat16", "float32")
        found = again.module(input_ids=ids).logits
    moved, off = float((wanted - plain).abs().max()), float((found - wanted).abs().max())
    assert off < 0.1 * moved  # rounded to the numbers of the rest, as every merge is
