"""A climb that is killed, wherever, and run again ends like one that was not: same report, nothing lost, one look."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tickets import TASK, csv, rows

CLIMB = ["climb", "task.yaml", "--base", "llama", "--out", "run", "--ledger", "looks.sqlite"]
ALL = [*CLIMB, "--all"]
MORE = """\
goal: {accuracy: 0.2}
rungs: [zero-shot, {few-shot: {k: 2}}, {soft-prompt: {epochs: 1}},
  {lora: {rank: [4, 8], learning_rate: 0.005, epochs: 2}}, {full: {learning_rate: [0.001, 0.003], epochs: 2}}]
also: macro_f1
guards: [{task: guard.yaml, margin: 0.5}]
"""
EARLY = MORE.replace("0.2}", "0.38}")  # looks at some rungs, one after the other
REFERENCE = MORE.replace("goal: {accuracy: 0.2}", "margin: 0.4").replace(
    "learning_rate: [0.001, 0.003], epochs: 2",
    "learning_rate: 0.01, epochs: 30",  # without a goal a rung must stand above the floor to be looked at
)
ENCODER = """\
goal: {accuracy: 0.2}
rungs: [zero-shot, nearest, head, {lora: {rank: [4, 8], learning_rate: 0.005, epochs: 2}}, {full: {epochs: 2}}]
also: macro_f1
guards: [{task: guard.yaml, margin: 0.9}]
"""
GUARD = TASK.split("goal")[0].replace("tickets", "others").replace("rows.csv", "others.csv")
RUNG = [sys.executable, "-c", "from rung.cli import main; main()"]


def laid_out(folder: Path, base: Path, asked: str = MORE) -> Path:
    """A task of 60 rows with two wordings and a guard, and the base beside it."""
    folder.mkdir()
    text = TASK[: TASK.index("goal")].replace("Answer refund or login.", "[Answer refund or login., Which is it]")
    (folder / "task.yaml").write_text(text + "budget: {requests: 100}\n" + asked)
    (folder / "rows.csv").write_text(csv(rows()))
    (folder / "guard.yaml").write_text(GUARD)
    (folder / "others.csv").write_text(csv(rows(60, seed=5)))
    (folder / "llama").symlink_to(base)
    return folder


def report(folder: Path) -> str:
    """The report's text without what stands under `measured`."""

    def rest(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: rest(inner) for key, inner in value.items() if key != "measured"}
        return [rest(inner) for inner in value] if isinstance(value, list) else value

    return json.dumps(rest(json.loads((folder / "run" / "report.json").read_bytes())))


def looks(folder: Path) -> list[tuple[int, int]]:
    """The number of each look, and of how many artefacts it has results."""
    with sqlite3.connect(folder / "looks.sqlite") as ledger:
        query = "SELECT number, (SELECT count(*) FROM results WHERE results.key = looks.key) FROM looks"
        return ledger.execute(query).fetchall()


def kept(folder: Path) -> dict[str, str]:
    """The digest of every document and artefact of the run, but for what a clock said and what is drawn from it."""
    run = folder / "run"
    return {
        str(file.relative_to(run)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in run.rglob("*")
        if file.is_file() and file.parent != run and "measured" not in file.name
    }


def ends_alike(folder: Path, undisturbed: Path) -> None:
    """Same report, documents and artefacts byte for byte, the same looks and no more, nothing half written."""
    assert report(folder) == report(undisturbed)
    assert kept(folder) == kept(undisturbed)
    assert looks(folder) == looks(undisturbed)
    assert not [*(folder / "run").rglob("*.part")]
    assert not [*(folder / "run" / "scratch").iterdir()]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, base: Callable[[str], Path]) -> Callable[..., Path]:
    """Climbs of the same task in one go, by a process of their own; made once a session."""
    made: dict[tuple[str, ...], Path] = {}

    def get(kind: str = "llama", asked: str = MORE, words: list[str] = ALL) -> Path:
        key = (kind, asked, *words)
        if key not in made:
            folder = laid_out(tmp_path_factory.mktemp("whole") / "x", base(kind), asked)
            said = subprocess.run([*RUNG, *words], cwd=folder, env=environment(), capture_output=True, text=True)
            assert said.returncode in (0, 1), said
            made[key] = folder
        return made[key]

    return get


def environment() -> dict[str, str]:
    """One thread, and a hash seed of its own for each process."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "random"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "asked", "words", "looked", "mean"),
    [
        ("llama", MORE, ALL, 1, 20),
        ("llama", EARLY, CLIMB, 2, 30),
        ("llama", REFERENCE, CLIMB, 1, 60),
        ("bert", ENCODER, ALL, 1, 15),
        ("t5", MORE, ALL, 1, 40),
    ],
    ids=["all rungs", "early stopping", "no goal", "an encoder", "an encoder-decoder"],
)
def test_killed_between_any_two_changes_to_the_disk(
    kind: str,
    asked: str,
    words: list[str],
    looked: int,
    mean: float,
    tmp_path: Path,
    base: Callable[[str], Path],
    undisturbed: Callable[..., Path],
) -> None:
    folder = laid_out(tmp_path / "x", base(kind), asked)
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), "1", "1000", str(mean), *words]
    said = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert "lost" not in said.stdout and "Traceback" not in said.stderr, said.stdout + said.stderr
    assert re.search(r"^ended [01] after ([5-9]|\d\d+) deaths$", said.stdout, re.MULTILINE), said.stdout + said.stderr
    ends_alike(folder, undisturbed(kind, asked, words))
    assert len(looks(folder)) == looked or (asked is EARLY and len(looks(folder)) > looked)


def start(folder: Path) -> subprocess.Popen[str]:
    """The climb as a process of its own, its progress on a pipe."""
    return subprocess.Popen(
        [*RUNG, *ALL], cwd=folder, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for(climb: subprocess.Popen[str], line: str) -> None:
    """Read its progress until the line comes."""
    assert climb.stderr is not None
    for said in climb.stderr:
        if said.startswith(line):
            return
    raise AssertionError(f"it ended before {line!r}")


@pytest.mark.slow
def test_killed_in_every_phase_and_at_random_times(
    tmp_path: Path, base: Callable[[str], Path], undisturbed: Callable[..., Path]
) -> None:
    folder, chance = laid_out(tmp_path / "x", base("llama")), random.Random(0)
    for line in ("climbing", "zero-shot: started", "lora: started", "full: started", "few-shot-2: started"):
        climb = start(folder)
        wait_for(climb, line)
        time.sleep(chance.uniform(0, 0.5))
        climb.kill()
        assert climb.wait() == -signal.SIGKILL
        climb.communicate()
    climb = start(folder)
    _, said = climb.communicate()
    assert climb.returncode == 0, said
    ends_alike(folder, undisturbed())


@pytest.mark.slow
def test_an_interrupt_says_how_to_go_on(
    tmp_path: Path, base: Callable[[str], Path], undisturbed: Callable[..., Path]
) -> None:
    folder = laid_out(tmp_path / "x", base("llama"))
    climb = start(folder)
    wait_for(climb, "lora: started")
    climb.send_signal(signal.SIGINT)
    out, said = climb.communicate()
    assert climb.returncode == 130 and not out
    command = "rung climb task.yaml --base llama --out run --ledger looks.sqlite --all"
    assert said.splitlines()[-1] == f"stopped; what is finished is kept. Go on with: {command}"
    assert "Traceback" not in said
    subprocess.run([*RUNG, *ALL], cwd=folder, env=environment(), check=True, capture_output=True)
    ends_alike(folder, undisturbed())


@pytest.mark.slow
def test_of_two_climbs_at_once_the_second_is_refused(
    tmp_path: Path, base: Callable[[str], Path], undisturbed: Callable[..., Path]
) -> None:
    folder = laid_out(tmp_path / "x", base("llama"))
    first = start(folder)
    wait_for(first, "zero-shot: started")
    first.send_signal(signal.SIGSTOP)
    second = start(folder)
    out, said = second.communicate()
    assert (second.returncode, out) == (2, "")
    assert said == "rung: run: another climb works in this directory; wait for it, or name another with --out\n"
    first.send_signal(signal.SIGCONT)
    first.communicate()
    assert first.returncode == 0
    ends_alike(folder, undisturbed())
