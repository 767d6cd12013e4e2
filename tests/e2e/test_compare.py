"""`rung compare` on a finished climb: kept answers, Systems that answer now, rows that differ, files, refusals."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from tickets import TASK, Command, rows
from tickets import csv as table

SIDES = ("run/rungs/zero-shot", "run/rungs/few-shot-2")


def test_two_rungs_of_a_run_side_by_side(climbed: Path, rung: Command) -> None:
    said = rung("compare", *SIDES, "--out", "files")
    assert said.code == 0 and not said.err
    lines = said.out.splitlines()
    assert lines[0] == "tickets: accuracy on 20 validation rows"
    assert re.fullmatch(r"  run/zero-shot +\d+\.\d %  \(\d+\.\d to \d+\.\d\)  float32", lines[1])
    assert re.fullmatch(r"  run/zero-shot - run/few-shot-2: \S+ points \(.* to .*\), adjusted p .*", lines[3])
    assert re.match(r"they disagree on \d+ of 20 rows", lines[4]) and lines[-1] == "wrote files/comparison.html"
    written = sorted(file.name for file in (climbed / "files").iterdir())
    assert written == [
        "comparison.html", "comparison.json", "comparison.md", "differences.csv", "rows.csv", "scores.csv",
    ]  # fmt: skip


def test_the_numbers_are_those_of_the_report(climbed: Path, rung: Command) -> None:
    found = json.loads(rung("compare", "run/rungs/lora", *SIDES, "--json").out)
    told = {one["name"]: one for one in json.loads((climbed / "run/report.json").read_bytes())["rungs"]}
    for side in found["sides"]:
        reading = told[side["name"].removeprefix("run/")]["validation"]
        assert {key: side[key] for key in reading} == reading
    assert len(found["pairs"]) == 3 and all(pair["adjusted"] >= pair["p"] for pair in found["pairs"])


def test_the_files_hold_every_row(climbed: Path, rung: Command) -> None:
    assert rung("compare", *SIDES, "--out", "files").code == 0
    lines = list(csv.DictReader((climbed / "files/rows.csv").open(encoding="utf-8")))
    assert len(lines) == 20
    apart = sum(line["run/zero-shot: score"] != line["run/few-shot-2: score"] for line in lines)
    assert sum(line["disagree"] == "1" for line in lines) == apart
    assert json.loads((climbed / "files/comparison.json").read_text())["disagreeing"] == apart
    page = (climbed / "files/comparison.html").read_text()
    assert page.startswith("<!doctype html>") and "<script" not in page and page.count("<svg") >= 2
    assert "Where systems disagree" in page or apart == 0
    assert (climbed / "files/comparison.md").read_text().startswith("# tickets: accuracy\n")


def test_a_system_answers_the_same_rows_now(climbed: Path, rung: Command) -> None:
    kept = json.loads(rung("compare", *SIDES, "--json").out)
    places = [f"{side}/system" for side in SIDES]
    now = json.loads(rung("compare", *places, "--task", "task.yaml", "--json").out)
    assert now == kept


def test_a_model_by_its_name_is_a_side(climbed: Path, rung: Command) -> None:
    said = rung("compare", "llama", "run/rungs/zero-shot", "--task", "task.yaml", "--json")
    assert said.code == 0 and not said.err
    assert [side["name"] for side in json.loads(said.out)["sides"]] == ["llama", "run/zero-shot"]


def test_rows_that_differ_are_named_and_the_common_ones_compared_when_asked(climbed: Path, rung: Command) -> None:
    made = rows()
    (climbed / "rows.csv").write_text(table([*made[:50], *rows(10, seed=9)]))
    assert rung("eval", "run", "task.yaml", "--rung", "zero-shot", "--out", "other").code == 0
    said = rung("compare", "run/rungs/zero-shot", "other")
    assert (said.code, said.out) == (2, "")
    assert re.fullmatch(
        r"rung: compare: rows differ \(\d+ of 20 in run/zero-shot, \d+ of 20 in other; first: row \w+ of run/zero-shot, "
        r"'.*'\); compare the common rows with --common, .*\n",
        said.err,
    )
    common = json.loads(rung("compare", "run/rungs/zero-shot", "other", "--common", "--json").out)
    assert 0 < common["rows"] < 20 and common["dropped"] > 0
    assert common["pairs"][0]["difference"] == 0.0 and common["pairs"][0]["p"] == 1.0


def test_test_rows_are_never_shown(climbed: Path, rung: Command) -> None:
    assert rung("eval", "run", "task.yaml", "--test", "--out", "looked").code == 0
    looks = rung("ledger", "show").out
    said = rung("compare", "run", "looked")
    assert said.code == 2 and "looked: holds test rows, and showing them would retire them" in said.err
    assert rung("compare", *SIDES).code == 0 and rung("ledger", "show").out == looks


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("run",), "rung: compare: one side is no comparison; name two or more"),
        (("run", "run"), "rung: run: is named twice; name each side once"),
        (
            ("run", "nowhere"),
            "rung: nowhere: holds no answers, and a System needs rows to answer; name the task with --task",
        ),
        (("run", "run/rungs/lroa"), "rung: run: no rung lroa was built; name one: run/rungs/"),
        ((*SIDES, "--score", "acuracy"), "rung: --score: unknown metric acuracy; did you mean accuracy?"),
        ((*SIDES, "--reasoned"), "rung: --reasoned: there is no judge; name one with --judge"),
        ((*SIDES, "--out", "run"), "rung: run: is there already; name another with --out"),
        ((*SIDES, "--judge", "http://127.0.0.1:1/v1"), "rung: http://127.0.0.1:1/v1: does not say which model; write"),
        ((*SIDES, "--judge", "run/rungs/zero-shot/system", "--judge-prompt", "no.txt"), "rung: no.txt: cannot be read"),
    ],
)
def test_bad_words_are_one_line(climbed: Path, rung: Command, words: tuple[str, ...], line: str) -> None:
    before = sorted(climbed.rglob("*"))
    said = rung("compare", *words)
    assert (said.code, said.out) == (2, "") and said.err.startswith(line) and said.err.count("\n") == 1
    assert sorted(climbed.rglob("*")) == before


def test_another_score_and_other_metrics(climbed: Path, rung: Command) -> None:
    (climbed / "f1.yaml").write_text(TASK.replace("goal: {accuracy: 0.2}", "score: macro_f1"))
    assert rung("eval", "run", "f1.yaml", "--rung", "lora", "--out", "other").code == 0
    said = rung("compare", "run/rungs/zero-shot", "other")
    assert said.code == 2 and "were scored by different metrics (accuracy, macro_f1); choose with --score" in said.err
    scored = rung("compare", "run/rungs/zero-shot", "other", "--score", "macro_f1", "--json")
    found = json.loads(scored.out)
    assert found["metric"] == "macro_f1" and found["sides"][0]["low"] is None  # 20 rows carry no bound of such a score
