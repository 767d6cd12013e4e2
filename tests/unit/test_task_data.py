"""Real data sets, each read as it is. They lie in the folder that RUNG_DATA names; without it these tests are skipped."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from rung.task import Task, find_leaks

DATA = Path(os.environ.get("RUNG_DATA") or Path(__file__).parents[2].parent / "shared" / "data")


def load(needs: str, kind: str, **data: Any) -> Task:
    if not (DATA / needs).exists():
        pytest.skip(f"no {needs} in {DATA}")
    return Task.from_mapping({"name": needs, "kind": kind, "data": data}, DATA)


def sizes(task: Task) -> tuple[int, int, int]:
    return len(task.train), len(task.validation), len(task.test)


def test_clinc150_with_its_own_splits() -> None:
    start = time.perf_counter()
    names = {"train": "train", "validation": "val", "test": "test"}
    source = {split: f"clinc150/data_full.json#{member}" for split, member in names.items()}
    task = load("clinc150", "classify", source=source, input=0, target=1)
    leaks = find_leaks(task)
    assert time.perf_counter() - start < 8  # some 2 seconds alone on one core
    assert sizes(task) == (15_000, 3_000, 4_500) and len(task.labels) == 150
    assert 300 < len(leaks) < 1000  # the set is known for near duplicates across its splits


def test_clinc150_pooled_and_split_by_rung() -> None:
    start = time.perf_counter()
    members = ("train", "val", "test", "oos_train", "oos_val", "oos_test")
    source = [f"clinc150/data_full.json#{member}" for member in members]
    task = load("clinc150", "classify", source=source, input=0, target=1)
    assert time.perf_counter() - start < 10
    assert sum(sizes(task)) == 23_700 and len(task.labels) == 151
    assert find_leaks(task) == ()


def test_sms_spam() -> None:
    task = load(
        "sms_spam", "classify", source="sms_spam/SMSSpamCollection", delimiter="\t", input="SMS", target="Label"
    )
    assert sum(sizes(task)) == 5_574 and task.labels == ("ham", "spam")
    assert find_leaks(task) == ()  # although some 400 messages are there more than once


def test_sst2() -> None:
    names = {"train": "train", "validation": "dev", "test": "test"}
    source = {split: f"fewshot_bundle/sst2/stsa.binary.{name}" for split, name in names.items()}
    columns = ["label", "text"]
    task = load(
        "fewshot_bundle", "classify", source=source, delimiter=" ", columns=columns, input="text", target="label"
    )
    assert sizes(task) == (6_920, 872, 1_821) and task.labels == ("0", "1")
    assert any(row.text == "one long string of cliches ." and row.target == "0" for row in task.validation)


def test_cola_has_no_header() -> None:
    task = load("cola", "classify", source="cola/in_domain_train.tsv", header=False, input=3, target=1)
    assert sum(sizes(task)) == 8_551 and task.labels == ("0", "1")


def test_dialogsum_has_three_references_in_test() -> None:
    source = {"train": "dialogsum/dialogsum.dev.jsonl", "test": "dialogsum/dialogsum.test.jsonl"}
    target = ["summary", "summary1", "summary2", "summary3"]
    task = load("dialogsum", "generate", source=source, input="dialogue", target=target)
    assert sizes(task) == (425, 75, 500)
    assert sum(len(row.answers) for row in task.test) > 1_450 and all(not row.references for row in task.train)


def test_gsm8k_by_its_shape() -> None:
    task = load("gsm8k", "generate", source={"train": "gsm8k/train.jsonl", "test": "gsm8k/test.jsonl"})
    assert sizes(task) == (6_352, 1_121, 1_319)
    assert all("####" in str(row.target) for row in task.test)


@pytest.mark.parametrize("name", ["alpaca_en_demo.json", "alpaca_zh_demo.json", "v1_sft_demo.jsonl", "identity.json"])
def test_llamafactory_shapes(name: str) -> None:
    task = load("llamafactory_demo", "generate", source=f"llamafactory_demo/{name}")
    assert min(sizes(task)) > 10 and not task.set_aside


def test_mmlu_by_columns_and_index() -> None:
    columns = ["choice0", "choice1", "choice2", "choice3"]
    source = {"train": "mmlu/dev/*.csv", "test": "mmlu/test/*.csv"}
    task = load("mmlu", "choose", source=source, input="question", choices=columns, target="answer")
    assert len(task.test) > 14_000 and all(row.target in row.choices for row in task.test)
    assert set(task.set_aside_counts) == {"two choices are the same"}


def test_openbookqa_nested_choices() -> None:
    task = load(
        "truthfulqa", "choose", source="truthfulqa/openbookqa.jsonl", input="question.stem", choices="question.choices",
        target="answerKey", id="id",
    )  # fmt: skip
    row = next(row for row in (*task.train, *task.validation, *task.test) if row.id == "8-343")
    assert row.choices[1] == "quit eating lunch out" == row.target
