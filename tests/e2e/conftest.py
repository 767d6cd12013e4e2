"""What the tests of the command line share: `rung` in this process, a folder to work in, one finished climb a session."""

from __future__ import annotations

import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from tickets import TASK, Command, Said, csv, rows

from rung.cli.main import main


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """`rung("climb", "task.yaml", ...)` as on the command line, in this process."""

    def run(*words: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["rung", *map(str, words)])
        capfd.readouterr()
        with warnings.catch_warnings(record=True) as told, pytest.raises(SystemExit) as left:
            main()
        out, err = capfd.readouterr()
        # Python keeps these from the eye of whoever types the command; pytest would swallow the others too.
        quiet = (DeprecationWarning, PendingDeprecationWarning, ResourceWarning, ImportWarning)
        err += "".join(
            f"{one.category.__name__}: {one.message}\n" for one in told if not issubclass(one.category, quiet)
        )
        return Said(int(left.value.code or 0), out, err)

    return run


@pytest.fixture
def place(tmp_path: Path, base: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `task.yaml`, `rows.csv` and the base `llama`, as working directory; the user's own ledger too."""
    return _furnish(tmp_path, base("llama"), monkeypatch)


def _furnish(folder: Path, llama: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (folder / "task.yaml").write_text(TASK)
    (folder / "rows.csv").write_text(csv(rows()))
    (folder / "llama").symlink_to(llama)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "home"))
    monkeypatch.delenv("RUNG_LEDGER", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, base: Callable[[str], Path]) -> Path:
    """A folder like `place` in which `rung climb task.yaml --base llama --out run --all` was run."""
    from rung import Choice, climb

    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        _furnish(folder, base("llama"), patch)
        climb("task.yaml", "llama", out="run", choice=Choice(everything=True))
    return folder


@pytest.fixture
def climbed(place: Path, finished: Path) -> Path:
    """`place` with a copy of the finished run in `run`, and its ledger."""
    shutil.copytree(finished / "run", place / "run")
    shutil.copytree(finished / "home", place / "home")
    return place
