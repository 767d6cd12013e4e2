"""What stops a training: a broken loss with its batch kept, memory that runs out, a checkpoint of another model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from test_train import SETTINGS, examples, llama

from rung.errors import RungError
from rung.train.breaks import OutOfMemory, keep_batch, memory_told
from rung.train.loop import fit
from rung.train.settings import Diverged, TrainSettings


def test_the_batch_that_breaks_the_loss_is_kept(tmp_path: Path) -> None:
    module = llama()
    with torch.no_grad():
        module.get_input_embeddings().weight[22] = float("nan")  # a token of some examples only
    settings = TrainSettings(learning_rate=1e-2, max_steps=8, batch_size=1, precision="float32", batching="padded")
    rows = examples(8)
    with pytest.raises(Diverged, match="its batch is kept in") as caught:
        fit(module, rows, settings, folder=tmp_path)
    kept = caught.value.batch
    assert kept is not None and kept.parent == tmp_path and str(kept) in str(caught.value)
    with safe_open(kept, "pt") as opened:
        about = json.loads(opened.metadata()["about"])
        ids = opened.get_tensor("micros.0.input_ids")
        told = json.loads(opened.metadata()["values"])
    assert about == {"step": caught.value.step, "learning_rate": about["learning_rate"], "loss": "nan"}
    assert 0 < about["learning_rate"] <= 1e-2 and told["targets"] > 0
    assert 22 in ids[0].tolist()
    assert not list(tmp_path.glob("*.part"))


def test_a_kept_batch_holds_what_was_in_it(tmp_path: Path) -> None:
    whole = torch.arange(6).reshape(2, 3)
    batch = {"ids": whole, "again": whole, "deep": [{"part": whole[:, :2]}], "name": "a", "odd": {1: object()}}
    with safe_open(keep_batch(batch, tmp_path / "new" / "b.safetensors", {"step": 1}), "pt") as opened:
        assert sorted(opened.keys()) == ["again", "deep.0.part", "ids"]
        assert torch.equal(opened.get_tensor("deep.0.part"), whole[:, :2])
        assert json.loads(opened.metadata()["values"])["name"] == "a"


def test_memory_that_runs_out_is_one_line(tmp_path: Path) -> None:
    module = llama()

    def greedy() -> float:
        torch.empty(1 << 60)  # the real refusal of the real allocator
        return 0.0

    with pytest.raises(OutOfMemory, match="training, after step 2: out of memory") as caught:
        fit(module, examples(), TrainSettings(max_steps=4, batch_size=4, eval_every=2), folder=tmp_path, score=greedy)
    line = str(caught.value)
    assert "\n" not in line and all(word in line for word in ("micro_tokens", "checkpointing", "bfloat16", "lora"))


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")])
def test_every_kind_of_refusal_is_told(error: Exception) -> None:
    with pytest.raises(OutOfMemory, match="here"), memory_told(lambda: "here"):
        raise error


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes"), memory_told(lambda: "here"):
        raise RuntimeError("shapes differ")


def test_a_checkpoint_of_another_training_is_named(tmp_path: Path) -> None:
    fit(llama(), examples(), SETTINGS, folder=tmp_path, until=2)
    with pytest.raises(RungError, match="another training") as caught:
        fit(llama(), examples(9), SETTINGS, folder=tmp_path)
    assert str(tmp_path) in str(caught.value)
