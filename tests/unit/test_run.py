"""The run directory: identity, atomic steps, the lock."""

from __future__ import annotations

from pathlib import Path

import pytest

from rung.errors import RungError
from rung.run import Run


def test_an_artefact_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with Run.open(tmp_path / "r", {"task": "a"}) as run:
        with pytest.raises(ValueError, match="half way"), run.artefact("rungs/x/system") as folder:
            (folder / "file").write_text("half")
            raise ValueError("half way")
        assert not run.has_artefact("rungs/x/system")
        with run.artefact("rungs/x/system") as folder:
            assert not list(folder.iterdir())
            (folder / "file").write_text("whole")
        assert (run.artefact_path("rungs/x/system") / "file").read_text() == "whole"


def test_another_identity_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    with Run.open(tmp_path, {"task": "a", "base": "b"}) as run:
        run.write("step", {"x": 1})
    with pytest.raises(RungError, match="another run \\(other task\\)"):
        Run.open(tmp_path, {"task": "other", "base": "b"})
    assert Run.read_only(tmp_path).read("step") == {"x": 1}


def test_a_second_climb_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    first = Run.open(tmp_path, {"task": "a"})
    with pytest.raises(RungError, match="another climb"):
        Run.open(tmp_path, {"task": "a"})
    first.close()
    Run.open(tmp_path, {"task": "a"}).close()


def test_foreign_folders_and_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("dear reader")
    with pytest.raises(RungError, match="other files"):
        Run.open(tmp_path, {"task": "a"})
    with pytest.raises(RungError, match="is a file"):
        Run.open(tmp_path / "thesis.txt", {"task": "a"})
    with pytest.raises(RungError, match="no run here"):
        Run.read_only(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_damaged_documents_name_themselves(tmp_path: Path) -> None:
    with Run.open(tmp_path, {"task": "a"}) as run:
        (tmp_path / "step.json").write_text("{")
        with pytest.raises(RungError, match=r"step\.json: damaged"):
            run.read("step")
