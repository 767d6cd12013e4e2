"""What a suite is: tasks with their rows, and how it finds its folder. Which suites there are is in `table`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rung.errors import RungError, nearest
from rung.evaluate.harness.spec import HarnessTask, Metric

Row = Mapping[str, Any]
CHOICES = (Metric("acc"), Metric("acc_norm"))


@dataclass(frozen=True)
class Prepared:
    """A task with its rows: those that are scored, and `pool()`, those that worked examples are drawn from.

    The pool is read only where examples are asked for. `groups` are further names under which its scores are averaged, beside its suite's.
    """

    task: HarnessTask
    rows: Sequence[Row] = field(repr=False)
    pool: Callable[[], Sequence[Row]] = field(repr=False, default=tuple)
    groups: tuple[str, ...] = ()
    runs_code: bool = False


Build = Callable[[Path, str | None], Iterator[Prepared]]


@dataclass(frozen=True)
class Suite:
    """A benchmark.

    `needs` says in words which files `build` looks for below the folder that it is given. `build(folder, only)` yields the
    tasks, or the one called `only`; it raises RungError naming what is missing. A suite's score is the mean of its tasks',
    each alike or, `by_size`, weighed by their items.
    """

    name: str
    title: str
    needs: str
    build: Build
    by_size: bool = False


def made(name: str, folder: Path, kind: str, **settings: Any) -> HarnessTask:
    """A task of a suite; its items stand under the split `test`."""
    settings = {"metrics": CHOICES if kind == "multiple_choice" else (Metric("exact_match"),), **settings}
    return HarnessTask(name, folder, output_type=kind, test_split="test", **settings)


def home(folder: Path, names: Sequence[str]) -> Path:
    """The suite's own folder below the one that was named, or that one itself."""
    return next((folder / name for name in names if (folder / name).is_dir()), folder)


def whole(suite: str, wanted: Collection[str], there: Collection[str], where: Path) -> None:
    """Refuse half a benchmark: every one of its tasks must be there, or be asked for by name.

    Raises RungError naming what is missing.
    """
    lacking = [name for name in wanted if name not in there]
    if len(lacking) == len(wanted):
        raise RungError("the data is not there", where=suite, mend=f"put it in {where}, or name its folder with --data")
    if lacking:
        some = f"{', '.join(lacking[:5])}{', …' if len(lacking) > 5 else ''}"
        one = next(name for name in wanted if name in there)
        raise RungError(
            f"{len(lacking)} of its {len(wanted)} tasks are missing in {where}: {some}", where=suite,
            mend=f"add them, or name single tasks, such as {suite}_{one}",
        )  # fmt: skip


def chosen(suite: str, known: Sequence[str], only: str | None) -> Sequence[str]:
    """The tasks to build: all, or the one asked for. Raises RungError for a name that is none."""
    if only is None:
        return known
    if only not in known:
        if not known:
            raise RungError("has no tasks of its own", where=suite, mend=f"name it {suite}")
        raise RungError(f"has no task {only!r}", where=suite, mend=nearest(only, known))
    return [only]
