"""`rung eval` beyond the score: the seven measures, classifiers, a judge behind an endpoint, folders that compare reads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tickets import Command

from endpoint import chat, endpoint

EVAL = ("eval", "run", "task.yaml", "--rung", "zero-shot")
SEVEN = ("accuracy", "calibration", "robustness", "fairness", "bias", "toxicity", "efficiency")


def test_the_seven_measures(climbed: Path, rung: Command) -> None:
    said = rung(*EVAL, "--measures", "--toxicity", "run/rungs/lora/system@refund", "--out", "measured")
    assert said.code == 0 and not said.err
    lines = said.out.splitlines()
    assert [line.split()[0] for line in lines[1:8]] == list(SEVEN)
    assert re.search(
        r"flagged; classifier: accuracy 0\.\d+ on 20 \w+ rows.*; on validation it misses \d+ of \d+", lines[6]
    )
    assert lines[-1] == "wrote measured/report.html"
    told = json.loads((climbed / "measured/scores.json").read_text())["measures"]
    assert list(told["robustness"]["perturbations"]) == ["case", "contractions", "spacing", "typos"]
    assert told["robustness"]["worst"] <= told["accuracy"]["value"] == told["robustness"]["original"]
    page = (climbed / "measured/report.html").read_text()
    assert "Robustness" in page and page.count("<svg") >= 2 and "<script" not in page
    again = json.loads(rung(*EVAL, "--measures", "--json").out)["measures"]
    assert again["robustness"] == told["robustness"] and again["fairness"] == told["fairness"]  # seeded


def test_a_judge_behind_an_endpoint_grades(climbed: Path, rung: Command) -> None:
    def reply(content: dict[str, Any], place: int) -> tuple[int, Any]:
        return 200, chat("no idea" if place == 3 else "Grade: 4")

    with endpoint(reply) as served:
        said = rung(*EVAL, "--judge", f"{served.url}#big", "--out", "graded")
    assert said.code == 0 and not said.err
    assert "  judged       grade 4.00 of 1 to 5 " in said.out and "; 1 judgements could not be read" in said.out
    assert {one["model"] for one in served.requests} == {"big"} and len(served.requests) == 20
    told = json.loads((climbed / "graded/scores.json").read_text())["grading"]
    assert (told["errors"], told["count"]) == (1, 19)
    assert sum(row["grade"] is None for row in told["rows"]) == 1
    assert "Unreadable judgements" in (climbed / "graded/report.html").read_text()


def test_a_judge_compares_two_runs(climbed: Path, rung: Command) -> None:
    sides = ("run/rungs/floor", "run/rungs/lora")

    def wins(content: dict[str, Any], _: int) -> tuple[int, Any]:
        return 200, chat("A" if "Answer A:\nrefund" in str(content["messages"][-1]["content"]) else "B")

    ids = [json.loads(line)["id"] for line in _rows(climbed, rung)]
    (climbed / "people.csv").write_text("id,label\n" + "".join(f"{row},tie\n" for row in ids))
    with endpoint(wins) as served:
        said = rung("compare", *sides, "--judge", f"{served.url}#big", "--people", "people.csv", "--out", "files")
    assert said.code == 0 and not said.err
    assert re.search(r"  judged run/floor against run/lora: win rate \d+\.\d % .*; with people: ", said.out)
    (duel,) = json.loads((climbed / "files/comparison.json").read_text())["judged"]
    assert duel["wins"] + duel["losses"] + duel["ties"] == 20 and duel["errors"] == 0
    assert len(served.requests) == 2 * json.loads((climbed / "files/comparison.json").read_text())["disagreeing"]
    assert "Judged" in (climbed / "files/comparison.html").read_text()


def _rows(folder: Path, rung: Command) -> list[str]:
    assert rung(*EVAL, "--out", "kept").code == 0
    return (folder / "kept/rows.jsonl").read_text().splitlines()


def test_an_endpoint_is_scored_like_any_system(climbed: Path, rung: Command) -> None:
    with endpoint(lambda content, place: (500, "down") if place == 5 else (200, chat("Refund."))) as served:
        said = rung("eval", f"{served.url}#big", "task.yaml", "--json")
    assert said.code == 0 and not said.err
    told = json.loads(said.out)
    assert told["count"] == 20 and told["errors"] == 0 and 0.3 < told["value"] < 0.7  # the lost call was asked again
    system = served.requests[0]["messages"][0]
    assert system["role"] == "system" and system["content"].startswith("Answer refund or login.")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            (*EVAL, "--measures", "--test"),
            "--measures: is for validation rows: more than one look covers; leave out --test",
        ),
        (
            (*EVAL, "--judge", "run", "--test"),
            "--judge: is for validation rows: more than one look covers; leave out --test",
        ),
        ((*EVAL, "--toxicity", "run"), "--toxicity: belongs to the measures; add --measures"),
        ((*EVAL, "--measures", "--toxicity", "run"), "run: has no label toxic; write run@LABEL: login, refund"),
        ((*EVAL, "--measures", "--toxicity", "run@bad"), "run: has no label bad; write run@LABEL: login, refund"),
        ((*EVAL, "--measures", "--misspellings", "rows.csv"), "rows.csv: is not JSON: "),
        ((*EVAL, "--out", "run"), "run: is there already; name another with --out"),
        ((*EVAL, "--judge", "run"), "choices: this system knows no label '1'; "),
        (
            (*EVAL, "--judge", "run", "--judge-prompt", "task.yaml"),
            "task.yaml: it names no scale; write {scale 1-5} once",
        ),
        (("eval", "http://127.0.0.1:9/v1", "task.yaml"), "http://127.0.0.1:9/v1: does not say which model; write "),
        (("eval", "home", "task.yaml"), "home: holds no System; name a run, or a folder with system.json"),
    ],
)
def test_bad_words_are_one_line(climbed: Path, rung: Command, words: tuple[str, ...], line: str) -> None:
    before = sorted(climbed.rglob("*"))
    said = rung(*words)
    assert (said.code, said.out) == (2, "") and said.err.startswith(f"rung: {line}"), said
    assert said.err.count("\n") == 1 and sorted(climbed.rglob("*")) == before


def test_a_judge_that_answers_nonsense_is_one_line_and_nothing_is_written(climbed: Path, rung: Command) -> None:
    with endpoint(lambda *_: (200, chat("purple"))) as served:
        said = rung(*EVAL, "--judge", f"{served.url}#big", "--out", "graded")
    assert (said.code, said.out) == (2, "") and said.err.count("\n") == 1
    assert said.err.startswith(
        "rung: --judge: none of its 20 judgements could be read (no grade in 'purple'); take a judge"
    )
    assert not (climbed / "graded").exists()
