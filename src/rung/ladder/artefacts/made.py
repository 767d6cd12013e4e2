"""Making an artefact: built under a temporary name, read back, scored beside its source, and only then named."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rung.errors import RungError
from rung.evaluate import evaluate
from rung.ladder.artefacts.check import Check
from rung.ladder.artefacts.source import Source
from rung.model.load import Model
from rung.model.tuned import FRONTS
from rung.run import cannot_write, dump_json, write_atomic, writing
from rung.system.body import Body
from rung.system.bundle import save
from rung.task import Task

RECORD = "artefact.json"
Build = Callable[[Source, Path], Model]
"""Writes an artefact of the source's weights into a folder, and reads it back."""


@dataclass(frozen=True)
class Wanted:
    """Where an artefact goes, the task it is scored on (None: it is not, which `accept` must allow), how far its score may
    fall (None: as far as the task's margin), and whether it is written all the same."""

    out: Path
    task: Task | None = field(default=None, repr=False)
    accept: bool = False
    margin: float | None = None

    def __post_init__(self) -> None:
        if self.margin is not None and not 0.0 < self.margin < 1.0:
            raise RungError(f"is {self.margin:g}", where="--margin", mend="choose a share between 0 and 1")
        if self.out.exists():
            raise RungError("is there already", where=str(self.out), mend="name a new folder with --out")
        if not self.out.absolute().parent.is_dir():
            raise RungError(
                "there is no such folder", where=str(self.out.absolute().parent), mend="make it, or name another"
            )
        if self.task is None and not self.accept:
            raise RungError(
                "no task to score the artefact on", where="--task", mend="name one, or write it unscored with --accept"
            )
        if self.task is not None and not self.task.validation:
            raise RungError("the task has no validation rows", where=self.task.name, mend="give a validation split")


@dataclass(frozen=True)
class Made:
    """A finished artefact: where it is, its bytes on disk, and how it compares; `check` is None where it was not scored."""

    out: Path
    size: int
    check: Check | None

    def lines(self) -> list[str]:
        """What was made, in words."""
        told = "not scored: no task was named" if self.check is None else self.check.told
        refused = self.check.refusal if self.check is not None else ""
        return [f"wrote {self.out} ({self.size / 1e6:,.1f} MB)", told + ("; accepted all the same" if refused else "")]


@contextmanager
def building(out: Path) -> Iterator[Path]:
    """An empty folder beside `out` that takes its name when the block ends without error, and is gone otherwise."""
    folder = out.absolute().with_name(f".{out.name}.part")
    try:
        with writing(out):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            yield folder
            if out.exists():
                raise RungError("came while the artefact was built", where=str(out), mend="name a new one with --out")
            folder.replace(out)
    except OSError as error:
        raise cannot_write(out, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make(source: Source, wanted: Wanted, how: Mapping[str, Any], build: Build) -> Made:
    """Build an artefact of `source`, score both on the task, and put it where it is wanted.

    `how` is what `artefact.json` says of its making. A saved System stays one: its folder answers `rung ask`. Raises
    RungError where it falls behind its source beyond noise and that was not accepted; nothing is left then.
    """
    with building(wanted.out) as folder:
        model = build(source, folder)
        check = None if wanted.task is None else _checked(source, model, wanted)
        record = {
            "format": 1,
            "made_of": {"name": source.name, "identity": source.identity},
            "how": dict(how),
            "task": None if wanted.task is None else {"name": wanted.task.name, "digest": wanted.task.digest},
            "check": None if check is None else check.to_json(),
        }
        if source.saved is not None and model.folder == folder.resolve():
            _keep_asking(source, model, folder)
        write_atomic(folder / RECORD, dump_json(record))
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Made(wanted.out, size, check)


def _checked(source: Source, model: Model, wanted: Wanted) -> Check:
    task = wanted.task
    assert task is not None
    check = Check.of(evaluate(source.system, task), evaluate(source.asked(model), task), task, wanted.margin)
    if check.refusal and not wanted.accept:
        mend = "take a gentler setting, more rows, or --accept it"
        raise RungError(f"not written: {check.refusal}", where=str(wanted.out), mend=mend)
    return check


def _keep_asking(source: Source, model: Model, folder: Path) -> None:
    """The System's wording, shots or head beside the weights, with these as its base."""
    saved = source.saved
    assert saved is not None
    for front in FRONTS:
        if (saved.folder / front).is_dir():
            shutil.copytree(saved.folder / front, folder / front)
    system: Any = source.asked(model)
    save(system.inner, folder, body=Body(replace(model, dtype="auto")), defaults=saved.defaults)
