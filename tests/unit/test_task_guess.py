"""`rung init`: what is guessed from data, what is said to be unsure, and that the written file loads."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from rung.errors import RungError
from rung.task import Task
from rung.task.guess import Guess, guess_task

DATA = Path(os.environ.get("RUNG_DATA") or Path(__file__).parents[2].parent / "shared" / "data")


def guessed(folder: Path, *sources: Path) -> tuple[Guess, Task]:
    guess = guess_task([str(source) for source in sources], folder)
    path = folder / "guessed.yaml"
    path.write_text(guess.text)
    return guess, Task.load(path)


def jsonl(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(record) for record in records))
    return path


def tickets(count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": n, "customer": f"c{n % 15}", "body": f"order {n} of {n * 7} came late and I want it sorted out",
            "intent": ("refund", "no", "other")[n % 3],
        }
        for n in range(count)
    ]  # fmt: skip


def test_a_classification_with_ids_and_groups(tmp_path: Path) -> None:
    guess, task = guessed(tmp_path, jsonl(tmp_path / "Support Tickets.jsonl", tickets(120)))
    assert (task.name, task.kind, task.metric) == ("support-tickets", "classify", "accuracy")
    assert task.labels == ("no", "other", "refund") and '"no"' in guess.text  # quoted: elsewhere it would be false
    assert task.instructions == ("Give the label of the text.",)
    row = task.train[0]
    assert row.text.startswith("order ") and row.id.isdigit() and row.meta["group"].startswith("c")
    assert any("the group" in doubt for doubt in guess.unsure) and "# Unsure: the group" in guess.text


def test_uneven_labels_are_scored_by_macro_f1(tmp_path: Path) -> None:
    records = [{"text": f"mail {n} says {n * 3}", "label": "spam" if n % 8 == 0 else "ham"} for n in range(160)]
    guess, task = guessed(tmp_path, jsonl(tmp_path / "mail.jsonl", records))
    assert task.metric == "macro_f1" and "88% of the rows are ham" in guess.text


def test_json_targets_get_a_schema(tmp_path: Path) -> None:
    records = [
        {
            "text": f"{n} apples at {n * 2} for Ann{n}",
            "output": {"count": n, "name": f"Ann{n}", **({"x": None} if n % 2 else {})},
        }
        for n in range(40)
    ]
    _, task = guessed(tmp_path, jsonl(tmp_path / "orders.jsonl", records))
    assert (task.kind, task.metric) == ("generate", "field_f1")
    assert task.schema is not None and task.schema["required"] == ["count", "name"]
    assert task.schema["properties"] == {"count": {"type": "number"}, "name": {"type": "string"}, "x": {"type": "null"}}


def test_a_pair_of_inputs_becomes_a_template(tmp_path: Path) -> None:
    records = [
        {"premise": f"a man rides {n} horses", "hypothesis": f"{n * 3} horses run", "label": n % 3} for n in range(60)
    ]
    guess, task = guessed(tmp_path, jsonl(tmp_path / "nli.jsonl", records))
    assert task.train[0].text.startswith("Premise: a man rides") and "\nHypothesis: " in task.train[0].text
    assert any("are numbers" in doubt for doubt in guess.unsure)


def test_choices_of_letters(tmp_path: Path) -> None:
    lines = ["question,A,B,C,answer"] + [f"what is {n} plus {n * 5},a{n},b{n},c{n},{'ABC'[n % 3]}" for n in range(30)]
    (tmp_path / "quiz.csv").write_text("\n".join(lines))
    _, task = guessed(tmp_path, tmp_path / "quiz.csv")
    assert task.kind == "choose" and len(task.train[0].choices) == 3


def test_files_named_as_splits(tmp_path: Path) -> None:
    paths = [jsonl(tmp_path / f"{name}.jsonl", tickets(60)) for name in ("train", "dev", "test")]
    guess, task = guessed(tmp_path, *paths)
    assert "source: {train: train.jsonl, validation: dev.jsonl, test: test.jsonl}" in guess.text
    assert "split:" not in guess.text and task.name == tmp_path.name.replace("_", "-").lower()


def test_rows_that_cannot_be_used_are_allowed_and_told(tmp_path: Path) -> None:
    records = [*tickets(90), *({"id": 1000 + n, "customer": "c1", "body": "", "intent": "no"} for n in range(4))]
    guess, task = guessed(tmp_path, jsonl(tmp_path / "tickets.jsonl", records))
    assert "allow_set_aside: 0.05" in guess.text and len(task.set_aside) == 4
    assert any("4 of 94 rows cannot be used" in doubt for doubt in guess.unsure)


def test_columns_without_telling_names_are_doubted(tmp_path: Path) -> None:
    lines = [f"{n % 2};note {n} on the {n * 3} machines of hall {n * 5}" for n in range(60)]
    (tmp_path / "log.txt").write_text("\n".join(lines))
    guess, task = guessed(tmp_path, tmp_path / "log.txt")
    assert 'delimiter: ";"' in guess.text and "header: false" in guess.text
    assert task.kind == "classify" and task.train[0].text.startswith("note")
    assert sum(doubt.startswith(("the target", "the input")) for doubt in guess.unsure) == 2


def test_data_without_two_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RungError, match="one column with text"):
        guess_task([str(jsonl(tmp_path / "a.jsonl", [{"text": f"t{n}"} for n in range(9)]))], tmp_path)
    with pytest.raises(RungError, match="there is no such file"):
        guess_task([str(tmp_path / "none.csv")], tmp_path)


REAL = [
    (["sms_spam/SMSSpamCollection"], "classify", "macro_f1", "SMS"),
    ([f"fewshot_bundle/sst2/stsa.binary.{name}" for name in ("train", "dev", "test")], "classify", "accuracy", "text"),
    (["clinc150/data_small.json"], "classify", "accuracy", '"0"'),
    (["cola/in_domain_train.tsv"], "classify", "macro_f1", '"3"'),
    (["toxicity_surge/toxicity_en_half.csv"], "classify", "accuracy", "text"),
    (["dialogsum/dialogsum.dev.jsonl", "dialogsum/dialogsum.test.jsonl"], "generate", "rougeL", "dialogue"),
    (["gsm8k/train.jsonl", "gsm8k/test.jsonl"], "generate", "rougeL", None),
    (["llamafactory_demo/alpaca_en_demo.json"], "generate", "rougeL", None),
    (["truthfulqa/openbookqa.jsonl"], "choose", "accuracy", "question.stem"),
    (["mmlu/dev"], "choose", "accuracy", "question"),
]


@pytest.mark.parametrize(("sources", "kind", "metric", "column"), REAL, ids=[case[0][0].split("/")[0] for case in REAL])
def test_real_data_are_guessed(tmp_path: Path, sources: list[str], kind: str, metric: str, column: str | None) -> None:
    if not all((DATA / source).exists() for source in sources):
        pytest.skip(f"no {sources[0]} in {DATA}")
    guess, task = guessed(tmp_path, *(DATA / source for source in sources))
    assert (task.kind, task.metric) == (kind, metric)
    assert (f"  input: {column}" in guess.text) if column else ("  input:" not in guess.text)


@pytest.mark.parametrize(
    "content",
    [b"\x00\xff\r\x9c,\r", b"\xd0\xcf\x11\xe0\ra\tb\rc", b'"\r\r"\r,"', b"\x1f\x8b\r\n\xff,\r;"],
)
def test_a_file_that_is_not_text_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.csv").write_bytes(content)
    with pytest.raises(RungError, match=r"data\.csv"):
        guess_task([str(tmp_path / "data.csv")], tmp_path)


def test_lines_may_end_in_a_bare_carriage_return(tmp_path: Path) -> None:
    lines = ["text;label"] + [f"message number {n};{'yes' if n % 2 else 'no'}" for n in range(60)]
    (tmp_path / "old.txt").write_bytes("\r".join(lines).encode())
    guess, task = guessed(tmp_path, tmp_path / "old.txt")
    assert 'delimiter: ";"' in guess.text and len(task.train) > 30
