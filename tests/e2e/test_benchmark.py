"""`rung benchmark`: a task file of lm-eval from the command line, its bad input in one line, its resumption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tickets import Command

GIVEN: dict[str, Any] = {
    "task": "colours", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "test.jsonl"}},
    "test_split": "test", "output_type": "multiple_choice", "doc_to_text": "{{question}}", "doc_to_choice": "choices",
    "doc_to_target": "answer",
}  # fmt: skip
ROWS = [{"question": f"order {n}", "choices": ["red", "blue"], "answer": n % 2} for n in range(40)]


def write(place: Path, rows: list[dict[str, Any]] | None = None, **changes: Any) -> None:
    (place / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows or ROWS))
    given = {key: value for key, value in (GIVEN | changes).items() if value is not None}
    (place / "colours.yaml").write_text(yaml.safe_dump(given))


def tree(place: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in sorted(place.rglob("*")) if file.is_file()}


def test_a_task_file_is_scored_and_kept(place: Path, rung: Command) -> None:
    write(place)
    words = ("benchmark", "colours.yaml", "--base", "llama", "--out", "scores")
    said = rung(*words)
    assert said.code == 0 and said.err.splitlines()[-1] == "colours: 40 of 40"
    head, acc, *_ = said.out.splitlines()
    assert head.split() == ["task", "score", "value", "±", "s.e.", "95", "%", "interval", "items", "shots"]
    assert acc.split()[:2] == ["colours", "acc"] and " to " in acc and said.out.splitlines()[-2].endswith("as float32")
    rows = [json.loads(line) for line in (place / "scores/rows/colours/rows.jsonl").read_text().splitlines()]
    assert len(rows) == 40 and len(rows[0]["loglikelihoods"]) == 2
    assert said.out.splitlines()[-1] == "wrote scores/report.html"
    page = (place / "scores/report.html").read_text()
    assert "<svg" in page and "<script" not in page and "order 1" in page
    again = rung(*words)
    assert (again.code, again.out, again.err) == (0, said.out, "")  # nothing is scored twice
    assert json.loads(rung(*words, "--json").out)[0]["precision"] == "float32"
    other = rung(*words, "--limit", "5")
    assert other.code == 2 and other.err.startswith("rung: scores: ") and other.err.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "rows", "line"),
    [
        ({"include": "colours.yaml"}, None, "colours.yaml: includes itself; break the circle of include"),
        ({}, [{**ROWS[0], "choices": ["red"]}], "colours, item 0: a list of one choice; give two or more"),
        ({"target_delimiter": ""}, [{**ROWS[0], "choices": ["", ""]}], "colours, item 0: an empty continuation; give it text"),
        ({"doc_to_text": "{{qestion}}"}, None, "colours: doc_to_text names what the row lacks: 'qestion' is undefined; did you mean question?"),
        ({"metric_list": [{"metric": "word_perplexity"}]}, None, "colours.yaml: metric 'word_perplexity' of multiple_choice is not supported; "),
        ({"process_docs": "x"}, None, "colours.yaml: process_docs is not supported"),
        ({"dataset_kwargs": {"data_files": {"test": "none.jsonl"}}}, None, "data of colours: does not load: "),
    ],
)  # fmt: skip
def test_a_bad_task_file_is_one_line_and_nothing_is_kept(
    changes: dict[str, Any], rows: list[dict[str, Any]] | None, line: str, place: Path, rung: Command
) -> None:
    write(place, rows, **changes)
    said = rung("benchmark", "colours.yaml", "--base", "llama", "--out", "scores")
    assert (said.code, said.out) == (2, "") and said.err.count("\n") == 1 and said.err.startswith(f"rung: {line}"), said
    assert not list(place.glob("scores/tasks*")) and not list(place.glob("scores/rows/*"))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("benchmark", "benchmark: nothing to score; name suites (see --list) or task files"),
        ("benchmark mmul", "benchmark: no suite 'mmul'; task files end in .yaml; did you mean mmlu?"),
        ("benchmark mmlu --data home", "mmlu: the data is not there; put it in home, or name its folder with --data"),
        ("benchmark humaneval --data data", "humaneval: runs the code that the model writes; allow it with --run-code"),
        ("benchmark blimp blimp --data data", "benchmark: two tasks are called blimp_one; name one of them anew"),
    ],
)
def test_bad_words_are_one_line(words: str, line: str, place: Path, rung: Command) -> None:
    (place / "data/blimp").mkdir(parents=True)
    (place / "data/blimp/one.jsonl").write_text(json.dumps({"sentence_good": "a", "sentence_bad": "b"}))
    program = {"prompt": "def one():", "test": "", "entry_point": "one"}
    (place / "data/HumanEval.jsonl").write_text(json.dumps(program))
    before = tree(place)
    said = rung(*words.split(), "--base", "llama", "--out", "scores")
    assert (said.code, said.out, said.err) == (2, "", f"rung: {line}\n")
    assert tree(place) == before


def test_the_list_says_what_each_suite_needs(rung: Command) -> None:
    said = rung("benchmark", "--list")
    assert (
        said.code == 0 and "mmlu" in said.out and all("looks in --data for" in line for line in said.out.splitlines())
    )
