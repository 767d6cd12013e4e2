"""What is compared: answers kept in runs and evaluations, or those a System gives now, brought to the same rows.

Test rows are never read here: showing them would retire them, and scoring them is a look.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rung.errors import RungError, nearest
from rung.evaluate import evaluate
from rung.ladder.assemble import item_of
from rung.ladder.kept import Kept, is_kept, read_kept
from rung.ladder.named import is_endpoint, precision_of, system_named
from rung.metrics import METRICS
from rung.system.bundle import MANIFEST
from rung.task import Task

Key = tuple[str, tuple[str, ...], int]


def read_sides(
    places: Sequence[str],
    task: Task | None = None,
    *,
    score: str | None = None,
    base: str | None = None,
) -> list[Kept]:
    """One side for each of `places`: a run, RUN/rungs/RUNG, a folder of `rung eval --out`, or a System.

    A System (a saved one's folder, a model, an endpoint) answers the validation rows of `task` now. `score` replaces
    the metric that the first side was scored by. Raises RungError for fewer than two, for one named twice, for a System
    without a task, for test rows, and for an unknown metric.
    """
    if len(places) < 2:
        raise RungError("one side is no comparison", where="compare", mend="name two or more")
    twice = next((place for place, count in Counter(places).items() if count > 1), None)
    if twice is not None:
        raise RungError("is named twice", where=twice, mend="name each side once")
    if score is not None and score not in METRICS:
        raise RungError(f"unknown metric {score}", where="--score", mend=nearest(score, METRICS))
    unfit = [place for place in places if not _kept(place)]
    if task is None and unfit:
        raise RungError(
            "holds no answers, and a System needs rows to answer", where=unfit[0], mend="name the task with --task"
        )
    sides = [read_kept(Path(place)) if _kept(place) else _answered(place, task, base) for place in places]
    for place, side in zip(places, sides):
        if side.split != "validation":
            raise RungError(
                f"holds {side.split} rows, and showing them would retire them", where=place,
                mend="compare on validation: `rung eval` without --test",
            )  # fmt: skip
    return _named([replace(side, metric=score or _metric(sides, task)) for side in sides], places)


def _kept(place: str) -> bool:
    return not is_endpoint(place) and not (Path(place) / MANIFEST).is_file() and is_kept(Path(place))


def _metric(sides: Sequence[Kept], task: Task | None) -> str:
    metrics = list(dict.fromkeys([side.metric for side in sides] if task is None else [task.metric]))
    if len(metrics) > 1:
        raise RungError(
            f"were scored by different metrics ({', '.join(metrics)})", where="the sides", mend="choose with --score"
        )
    return metrics[0]


def _answered(place: str, task: Task | None, base: str | None) -> Kept:
    assert task is not None
    if not task.validation:
        raise RungError("the task has no validation rows", where=task.name, mend="give a validation split")
    system = system_named(place, instruction=task.instructions[0] if task.instructions else "", base=base)
    done = evaluate(system, task)
    items = tuple(item_of(row) for row in done.examples)
    held = precision_of(system)
    return Kept(
        _name(place), task.name, task.kind, task.metric, "validation", task.labels, items, done.completions, held
    )


def _name(place: str) -> str:
    """`RUN/RUNG` for a System in a run; the model of an endpoint; else the last part of the path."""
    if is_endpoint(place):
        return place.rpartition("#")[2]
    folder = Path(place).absolute()
    return f"{folder.parents[2].name}/{folder.parent.name}" if folder.parent.parent.name == "rungs" else folder.name


def _named(sides: Sequence[Kept], places: Sequence[str]) -> list[Kept]:
    """Sides of the same name are called by their places."""
    counts = Counter(side.name for side in sides)
    return [side if counts[side.name] == 1 else replace(side, name=place) for side, place in zip(sides, places)]


def aligned(sides: Sequence[Kept], *, common: bool = False) -> list[Kept]:
    """The sides on the same rows in the same order, that of the first.

    A row is known by its text and its right answers. Where rows differ, only the common ones are kept if `common`.
    Raises RungError that names a row that differs, or where nothing is common.
    """
    keys = [_keys(side) for side in sides]
    places = [{key: place for place, key in enumerate(own)} for own in keys]
    shared = [key for key in keys[0] if all(key in own for own in places)]
    if not common:
        _refuse_difference(sides, keys, set(shared))
    if not shared:
        raise RungError("have no row in common", where=" and ".join(side.name for side in sides), mend="check the task")
    return [side.chosen([own[key] for key in shared]) for side, own in zip(sides, places)]


def _keys(side: Kept) -> list[Key]:
    """What each row is known by; copies of a row are told apart by their order."""
    seen: Counter[tuple[str, tuple[str, ...]]] = Counter()
    keys = []
    for item in side.items:
        content = (item.prompt, (item.target, *item.references))
        keys.append((*content, seen[content]))
        seen[content] += 1
    return keys


def _refuse_difference(sides: Sequence[Kept], keys: Sequence[Sequence[Key]], shared: set[Key]) -> None:
    alone = [[place for place, key in enumerate(own) if key not in shared] for own in keys]
    count = sum(len(places) for places in alone)
    if not count:
        return
    side, place = next((side, places[0]) for side, places in zip(sides, alone) if places)
    item = side.items[place]
    words = " ".join(item.prompt.split())[:50]
    told = ", ".join(f"{len(places)} of {len(own)} in {one.name}" for one, places, own in zip(sides, alone, keys))
    raise RungError(
        f"rows differ ({told}; first: row {item.id} of {side.name}, {words!r})",
        where="compare",
        mend="compare the common rows with --common, or let Systems answer the same rows with --task",
    )
