"""The good paths of the command line, from data to an answer, and the few lines of Python that do the same."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tickets import TASK, Command, csv, rows

import rung as library

VERBS = (
    "init", "plan", "climb", "report", "ask", "eval", "benchmark", "compare", "look", "submit", "pretrain", "import llama2c", "ledger show", "ledger move",
    "ledger merge", "ledger export",
)  # fmt: skip
RUNGS = ("zero-shot", "few-shot-2", "lora")


@pytest.mark.parametrize("verb", ["", *VERBS, "ledger", "import"])
def test_every_verb_has_help(verb: str, rung: Command) -> None:
    said = rung(*verb.split(), "--help")
    assert said.code == 0 and not said.err
    assert said.out.startswith(f"Usage: rung {verb}".strip())
    assert "--help" in said.out
    silent = re.findall(r"^  (?! )\S+(?: <\w+>)?(?: +\[required\])?$(?!\n {8})", said.out, re.MULTILINE)
    assert not silent, f"without a word of help: {silent}"


@pytest.mark.parametrize("verb", ["", "ledger", "import"])
def test_a_verb_without_words_shows_its_help(verb: str, rung: Command) -> None:
    said = rung(*verb.split())
    assert said.code == 2 and not said.out
    assert said.err == rung(*verb.split(), "--help").out


def test_help_starts_without_the_heavy_libraries() -> None:
    code = (
        "import sys; from rung.cli import main; sys.argv = ['rung', '--help']\ntry: main()\nexcept SystemExit: pass\n"
    )
    heavy = "print([name for name in ('torch', 'transformers', 'scipy', 'datasets', 'sklearn') if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code + heavy], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "[]"


# -- from data to a decision -------------------------------------------------------------------------------------------


def test_init_writes_a_task_that_plans(place: Path, rung: Command) -> None:
    (place / "task.yaml").unlink()
    said = rung("init", "rows.csv")
    assert said.code == 0 and not said.err
    assert said.out.splitlines()[0] == "wrote task.yaml"
    assert said.out.splitlines()[-1] == "next: rung plan task.yaml --base tiny"
    written = yaml.safe_load((place / "task.yaml").read_text())
    assert written["kind"] == "classify" and written["data"]["target"] == "label"
    assert rung("plan", "task.yaml", "--base", "llama").code == 0


def test_the_plan_spends_and_writes_nothing(place: Path, rung: Command) -> None:
    before = sorted(place.rglob("*"))
    said = rung("plan", "task.yaml", "--base", "llama")
    assert said.code == 0 and not said.err
    lines = said.out.splitlines()
    assert lines[0] == "task    tickets (classify): train 20, validation 20, test 20"
    assert lines[1] == "goal    accuracy ≥ 0.2"
    assert lines[2].startswith("base    llama (decoder, ")
    assert {line.split()[0]: len(line.split()) for line in lines[6:10]}.keys() == {"floor", *RUNGS}
    costs = [float(line.split()[-1]) for line in lines[6:10]]
    assert costs == sorted(costs)
    assert "this test split was looked at 0 times" in lines
    assert lines[-1].endswith("⟧") and "⟦" in lines[-1]
    assert sorted(place.rglob("*")) == before


def test_a_climb_to_a_decision(place: Path, rung: Command) -> None:
    said = rung("climb", "task.yaml", "--base", "llama")
    assert said.code == 0
    recommended = json.loads((place / "runs/tickets/report.json").read_bytes())["decision"]["recommended"]
    assert said.out.splitlines()[1].startswith(f"Use {recommended}: on 20 unseen examples it was right ")
    for name in ("report.html", "report.json", "rows.csv", "splits.json", "identity.json"):
        assert (place / "runs/tickets" / name).is_file()
    again = rung("climb", "task.yaml", "--base", "llama")
    assert (again.code, again.out) == (0, said.out)
    assert [one.name for one in (place / "runs").iterdir()] == ["tickets"]
    other = rung("climb", "task.yaml", "--base", "llama", "--seed", "1")
    assert other.code == 0 and (place / "runs/tickets-2/report.json").is_file()


def test_a_climb_that_recommends_nothing_ends_with_1(place: Path, rung: Command) -> None:
    (place / "task.yaml").write_text(TASK.replace("0.2}", "0.999}"))
    said = rung("climb", "task.yaml", "--base", "llama", "--only", "zero-shot")
    assert said.code == 1
    assert said.out.splitlines()[1].startswith("No rung was shown to reach the goal of 99.9 %.")
    ask = rung("ask", "runs/tickets", "hello")
    assert (ask.code, ask.out) == (2, "")
    assert ask.err == "rung: runs/tickets: no rung is recommended; choose one with --rung: floor, zero-shot\n"
    assert rung("ask", "runs/tickets", "hello", "--rung", "zero-shot").code == 0


def test_a_name_that_is_no_file_name_still_names_the_run(place: Path, rung: Command) -> None:
    (place / "task.yaml").write_text(TASK.replace("name: tickets", "name: ../a/b: tickets".replace(": t", " t")))
    assert rung("climb", "task.yaml", "--base", "llama", "--only", "zero-shot").code == 0
    assert (place / "runs" / "a-b tickets" / "report.json").is_file()


def test_only_skip_and_from_choose_the_rungs(place: Path, rung: Command) -> None:
    def planned(*words: str) -> list[str]:
        lines = rung("plan", "task.yaml", "--base", "llama", *words).out.splitlines()
        return [line.split()[0] for line in lines[6 : lines.index("", 5)] if not line.startswith("all of them")]

    floor, *order = planned()
    assert floor == "floor" and sorted(order) == sorted(RUNGS)
    assert planned("--only", "lora") == ["floor", "lora"]
    assert sorted(planned("--only", "few-shot", "--only", "zero-shot")) == ["few-shot-2", "floor", "zero-shot"]
    assert planned("--skip", "zero-shot") == ["floor", *(name for name in order if name != "zero-shot")]
    assert planned("--from", order[1]) == ["floor", *order[1:]]


# -- with a finished climb ---------------------------------------------------------------------------------------------


def test_the_report_is_shown_and_written_anew(climbed: Path, rung: Command) -> None:
    page = (climbed / "run" / "report.html").read_bytes()
    (climbed / "run" / "report.html").unlink()
    said = rung("report", "run")
    assert said.code == 0 and not said.err
    assert sorted(line.split(":")[0] for line in said.out.splitlines()[:4]) == sorted(["floor", *RUNGS])
    assert "report  run/report.html" in said.out.splitlines()
    assert (climbed / "run" / "report.html").read_bytes() == page
    plain = rung("report", "run", "--json")
    assert plain.out == (climbed / "run" / "report.json").read_text()


def test_ask_by_word_file_and_pipe(climbed: Path, rung: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    text, _ = rows()[0]
    said = rung("ask", "run", text)
    assert said.code == 0 and said.out in ("refund\n", "login\n") and not said.err
    (climbed / "ticket.txt").write_text(text + "\n")
    assert rung("ask", "run", "--file", "ticket.txt") == said
    for words in (("-",), ()):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        assert rung("ask", "run", *words) == said
    folder = json.loads((climbed / "run/report.json").read_bytes())["decision"]["recommended"]
    assert rung("ask", f"run/rungs/{folder}/system", text) == said


def test_ask_answers_as_json_and_by_any_rung(climbed: Path, rung: Command) -> None:
    text, _ = rows()[0]
    for name in ("zero-shot", "few-shot-2", "lora", "floor"):
        said = rung("ask", "run", text, "--rung", name, "--json")
        assert said.code == 0 and not said.err
        answer = json.loads(said.out)
        assert set(answer) == {"answer", "error", "scores", "prompt_tokens", "completion_tokens"}
        assert answer["error"] is None and answer["answer"] in ("refund", "login")
        if name != "floor":
            assert max(answer["scores"], key=answer["scores"].get) == answer["answer"]
            assert answer["prompt_tokens"] > 0


def test_ask_without_an_answer_ends_with_1(climbed: Path, rung: Command) -> None:
    said = rung("ask", "run", "never " * 400)
    assert said.code == 1 and not said.err
    assert re.fullmatch(r"no answer: the prompt is \d+ tokens too long for the window of 256\n", said.out)


def test_eval_on_validation_is_free_and_on_test_a_look(climbed: Path, rung: Command) -> None:
    own = ("--ledger", "own.sqlite")
    said = rung("eval", "run", "task.yaml", "--rows", "rows.jsonl", *own)
    assert said.code == 0 and not said.err
    assert re.match(r"tickets, validation: accuracy 0\.\d+ \(95 % interval .*\) on 20 rows, float32\n", said.out)
    assert len((climbed / "rows.jsonl").read_text().splitlines()) == 20
    assert not (climbed / "own.sqlite").exists()
    first = json.loads(rung("eval", "run", "task.yaml", "--test", "--json", *own).out)
    assert (first["look"], first["level"], first["count"]) == (1, 0.025, 20) and first["lower"] < first["value"]
    again = json.loads(rung("eval", "run", "task.yaml", "--test", "--json", *own).out)
    assert again == first  # the same look, free
    other = rung("eval", "run", "task.yaml", "--test", "--rung", "few-shot-2", *own)
    assert "  this was look 2 at this test split: its true score is at least " in other.out
    assert "2 looks; " in rung("ledger", "show", *own).out


def test_the_ledger_is_shown_moved_merged_and_exported(climbed: Path, rung: Command) -> None:
    shown = rung("ledger", "show")
    assert shown.code == 0 and shown.out.splitlines()[-1].startswith("1 looks; ")
    said = rung("ledger", "export", "copy.sqlite")
    assert (said.code, said.out) == (0, "wrote copy.sqlite\n")
    said = rung("ledger", "merge", "copy.sqlite")
    assert (said.code, said.out) == (0, "0 new looks, 1 known, 0 results that differed (ours were kept)\n")
    said = rung("ledger", "merge", "copy.sqlite", "--ledger", "other.sqlite")
    assert (said.code, said.out) == (0, "1 new looks, 0 known, 0 results that differed (ours were kept)\n")
    said = rung("ledger", "move", "moved.sqlite")
    assert (said.code, said.out) == (0, "moved to moved.sqlite\n")
    assert rung("ledger", "show").out == shown.out == rung("ledger", "show", "--ledger", "moved.sqlite").out


def test_no_ledger_yet_is_no_error_and_makes_none(place: Path, rung: Command) -> None:
    said = rung("ledger", "show")
    assert (said.code, said.out) == (0, "no looks at any test split yet\n")
    assert not (place / "home").exists()


def test_a_reader_that_left_is_no_error(climbed: Path) -> None:
    command = f"{sys.executable} -c 'from rung.cli import main; main()' report run --json | head -c 1"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    said = subprocess.run(command, shell=True, capture_output=True, text=True, check=True, env=environment)
    assert (said.stdout, said.stderr) == ("{", "")


def test_a_terminal_without_the_signs_is_no_error(climbed: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-c", "from rung.cli import main; main()", "report", "run"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "report  run/report.html" in said.stdout and "\\u2265" in said.stdout and not said.stderr


# -- Python and notebooks ----------------------------------------------------------------------------------------------


def test_five_lines_of_python(place: Path) -> None:
    climb = library.climb("task.yaml", "llama", out="run", ledger="looks.sqlite")
    assert climb.sentence.startswith(f"Use {climb.recommended}: ")
    answer = climb.system.ask("please send my money back")
    assert answer.text in ("refund", "login")
    folder = climb.path / "rungs" / str(climb.recommended) / "system"
    assert library.load(folder).ask("please send my money back").choice_scores == answer.choice_scores
    assert (place / "looks.sqlite").is_file() and not (place / "home").exists()


def test_what_a_climb_prints_as_python_runs(climbed: Path, rung: Command) -> None:
    lines = rung("report", "run").out.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("python  "))
    code = "\n".join(line[8:] for line in lines[start:])
    done: dict[str, object] = {}
    exec(code, done)  # noqa: S102 - the very lines that the command prints
    assert isinstance(done["system"], library.system.bundle.Saved)
    asked = next(line[8:] for line in lines if line.startswith("ask     "))
    assert asked.startswith("rung ask run '") and rung("ask", "run", asked.split("'")[1]).code == 0


def test_notebooks_show_small_tables(climbed: Path) -> None:
    task, climb = library.Task.load("task.yaml"), library.Climb.open("run")
    model = library.Model.load("llama")
    assert repr(task) == "Task('tickets', classify, 20 / 20 / 20 rows, accuracy >= 0.2)"
    assert repr(climb) == f"Climb('run', recommended={climb.recommended!r})"
    for shown, words in (
        (task, "tickets"),
        (climb, str(climb.recommended)),
        (model, "decoder"),
        (climb.system, "llama"),
    ):
        page = shown._repr_html_()
        assert words in page and "<script" not in page
    named = library.Task.from_mapping(
        {"name": "<b>", "kind": "classify", "data": {"source": "rows.csv", "input": "text", "target": "label"}}
    )
    assert "<b>" not in named._repr_html_().replace("<b>System", "")


def test_rows_of_two_files_and_a_csv_are_one_task(place: Path, rung: Command) -> None:
    """What `init` finds in three files named for the splits is a task that climbs."""
    made = rows(90, seed=3)
    for name, part in (("train", made[:50]), ("dev", made[50:70]), ("test", made[70:])):
        (place / f"{name}.csv").write_text(csv(part))
    assert rung("init", "train.csv", "dev.csv", "test.csv", "--out", "three.yaml", "--name", "three").code == 0
    said = rung("plan", "three.yaml", "--base", "llama", "--only", "zero-shot")
    assert said.code == 0 and "task    three (classify): train 50, validation 20, test 20" in said.out
