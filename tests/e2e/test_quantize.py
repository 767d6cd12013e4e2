"""Artefacts from the command line: precisions side by side, one written, adapters merged, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tickets import Command, tree

pytest.importorskip("torchao", reason="torchao is not installed (pip install 'rung[int8]')")
pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed (pip install 'rung[nf4]')")

LORA = ("run", "--rung", "lora", "--task", "task.yaml")


def test_precisions_side_by_side(climbed: Path, rung: Command) -> None:
    said = rung("quantize", *LORA, "--compare", "--out", "precisions")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == "lora on tickets: accuracy, 20 validation rows, cpu"
    assert [line.split()[0] for line in lines[1:7]] == ["numbers", "float32", "float16", "bfloat16", "int8", "nf4"]
    assert lines[7].startswith("int4: not on this machine: torchao packs int4 for CUDA only")
    found = json.loads((climbed / "precisions/comparison.json").read_text())
    told = {one["precision"]: one for one in found["precisions"]}
    weights = {name: one["measured"]["weights"] for name, one in told.items()}
    assert weights["bfloat16"] == weights["float16"] == pytest.approx(weights["float32"] / 2, rel=0.01)
    assert weights["nf4"] < weights["int8"] < weights["float32"] and weights["int4"] is None
    assert told["float32"]["difference"] is None and told["int8"]["gap_low"] <= told["int8"]["difference"]
    assert all(one["measured"]["scoring"] > 0 for name, one in told.items() if name != "int4")
    page = (climbed / "precisions/report.html").read_text()
    assert page.startswith("<!doctype html>") and "<script" not in page and page.count("<svg") == 2
    # What was measured is kept: the same command says the same, clock and all.
    assert rung("quantize", *LORA, "--compare", "--out", "precisions").out == said.out


def test_the_reference_is_the_score_of_the_run(climbed: Path, rung: Command) -> None:
    found = json.loads(rung("quantize", *LORA, "--compare", "--only", "float32", "--json").out)
    entry = next(e for e in json.loads((climbed / "run/report.json").read_bytes())["rungs"] if e["name"] == "lora")
    assert found["precisions"][0]["value"] == entry["validation"]["value"]


@pytest.mark.parametrize("numbers", ["int8", "nf4", "bfloat16"])
def test_one_precision_written_answers_wherever_it_lies(numbers: str, climbed: Path, rung: Command) -> None:
    said = rung("quantize", *LORA, "--to", numbers, "--out", f"as-{numbers}", "--margin", "0.99")
    assert said.code == 0, said.err
    (climbed / f"as-{numbers}").rename(climbed / f"moved-{numbers}")
    record = json.loads((climbed / f"moved-{numbers}/artefact.json").read_text())
    assert record["how"] == {"quantize": numbers} and record["check"]["refusal"] == ""
    scored = rung("eval", f"moved-{numbers}", "task.yaml").out
    assert f"accuracy {record['check']['artefact']:.3f}" in scored and scored.strip().endswith(numbers)


def test_a_merged_adapter_answers_as_the_run_did(climbed: Path, rung: Command) -> None:
    said = rung("merge", *LORA, "--out", "merged")
    assert said.code == 0 and "0 answers changed" in said.out, said.err
    assert {"model.safetensors", "system.json", "tokenizer.json", "artefact.json"} <= set(tree(climbed / "merged"))
    beside = rung("merge", "llama", "--adapter", "run/rungs/lora/system/adapter", "--task", "task.yaml", "--out", "again")  # fmt: skip
    assert beside.code == 0 and "0 answers changed" in beside.out, beside.err
    weights = [(climbed / place / "model.safetensors").read_bytes() for place in ("merged", "again")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("quantize", "run", "--to", "int8", "--out", "x"), "--task: no task to score the artefact on; name one"),
        (("quantize", *LORA, "--out", "x"), "quantize: either --compare or --to; say one of them"),
        (("quantize", *LORA, "--to", "int9", "--out", "x"), "--to: unknown numbers 'int9'; did you mean int8"),
        (("quantize", *LORA, "--to", "int8", "--out", "run"), "run: is there already; name a new folder with --out"),
        (("quantize", *LORA, "--compare", "--only", "fp4"), "--only: no precision 'fp4'"),
        (("quantize", *LORA, "--to", "int8", "--out", "x", "--margin", "2"), "--margin: is 2; choose a share"),
        (("merge", "http://localhost#m", "--out", "x", "--accept"), "an endpoint gives no weights"),
        (("merge", "run", "--rung", "floor", "--task", "task.yaml", "--out", "x"), "a constant system has no weights"),
        (("merge", "minilm", "--adapter", "run/rungs/lora/system/adapter", "--task", "task.yaml", "--out", "x"),
         r"was trained on .*, not on minilm; name its own base"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(words: tuple[str, ...], told: str, climbed: Path, rung: Command) -> None:
    before = tree(climbed)
    said = rung(*words)
    assert said.code == 2 and re.search(told, said.err), said.err
    assert len(said.err.strip().splitlines()) == 1 and tree(climbed) == before
