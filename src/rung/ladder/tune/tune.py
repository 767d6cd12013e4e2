"""Training by chosen methods on one task, scored on validation: no look at test, no decision.

Each method is a rung of the ladder, planned, built and kept like one; so a tuning that was stopped goes on, and its
bundles are the ones that a climb would test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rung import stats
from rung.errors import RungError, nearest
from rung.ladder.build import Built, build
from rung.ladder.choice import Choice
from rung.ladder.plan import Plan, PlannedRung, plan_task
from rung.ladder.rung import Phase, quiet
from rung.ladder.rungs.table import RUNGS
from rung.ladder.rungs.trained import Trained
from rung.ladder.samples import scheme_of
from rung.ladder.tune.found import TunedMethod, Tuning
from rung.ladder.tune.page import render
from rung.model.load import Model
from rung.model.tuned import FRONTS, MODULES
from rung.run import Run, dump_json, write_atomic
from rung.task import RungRequest, Task
from rung.train.optimisers.table import optimiser
from rung.train.search import Search, read_space
from rung.train.search.page import render as render_search

TRAINED = {name: kind for name, kind in RUNGS.items() if hasattr(kind, "trains")}
"""The rungs that train something."""
BEFORE = "zero-shot"
"""What the methods are compared with: the base as it is."""


@dataclass(frozen=True)
class Asked:
    """Which methods, with which fields, each by all of `optimisers` (none: as the fields say).

    A field goes to every method that has it; raises RungError where none has, or for an unknown name.
    """

    methods: tuple[str, ...] = ("lora",)
    fields: Mapping[str, Any] = field(default_factory=dict)
    optimisers: tuple[str, ...] = ()
    seed: int = 0
    drop_leaks: bool = False

    def __post_init__(self) -> None:
        for name in self.methods:
            if name not in (*TRAINED, "all"):
                raise RungError(f"unknown method {name}", where="--method", mend=nearest(name, [*TRAINED, "all"]))
        for name in self.optimisers:
            optimiser(name)
        if self.optimisers and "optimiser" in self.fields:
            raise RungError("optimiser is given twice", where="--set", mend="name it once")
        idle = next(
            (key for key in ("trials", "prune", "space") if key in self.fields and "search" not in self.fields), None
        )
        if idle:
            raise RungError(f"{idle} without a search", where=f"--{idle}", mend="say --search tpe, or random, grid, gp")
        known = {part for name in self.names for part in TRAINED[name].__dataclass_fields__}
        for key in self.fields:
            if key not in known:
                raise RungError(f"no field {key} of {', '.join(self.names)}", where="--set", mend=nearest(key, known))

    @property
    def names(self) -> tuple[str, ...]:
        """The methods by name, each once."""
        wanted = tuple(TRAINED) if "all" in self.methods else self.methods
        return tuple(dict.fromkeys(wanted))

    def requests(self) -> tuple[RungRequest, ...]:
        """As a task file would ask for them, after the base as it is."""
        own = [
            RungRequest(name, {**self._fields(name), **mover}, "--set")
            for name in self.names
            for mover in ([{"optimiser": one} for one in dict.fromkeys(self.optimisers)] or [{}])
        ]
        return (RungRequest(BEFORE), *own)

    def _fields(self, name: str) -> dict[str, Any]:
        return {key: value for key, value in self.fields.items() if key in TRAINED[name].__dataclass_fields__}


def tune(
    task: Task | Path, base: Model | str, asked: Asked, *, out: Path | None = None, phase: Phase | None = None
) -> tuple[Tuning, Path]:
    """Train by each method and score it on validation; the run directory (default `runs/tune-NAME`) is gone on with.

    Raises RungError for bad input; nothing is written then.
    """
    task = task if isinstance(task, Task) else Task.load(task)
    model = base if isinstance(base, Model) else Model.load(base)
    choice = Choice(everything=True, seed=asked.seed, drop_leaks=asked.drop_leaks)
    plan = plan_task(replace(task, rungs=asked.requests()), model, choice)
    reasons = {one.label: one.why_skipped for one in plan.rungs if one.why_skipped}
    if len(asked.names) == 1 and (why := reasons.get(plan.rungs[-1].label)):
        raise RungError(f"{asked.names[0]} cannot be built: {why}", where=task.name, mend="choose another method")
    path = out or Path("runs") / f"tune-{task.name}"
    with Run.open(path, {"tune": plan.identity}) as run:
        rows = [_row(plan, planned, run, phase or quiet) for planned in plan.rungs if planned.label != "floor"]
        found = Tuning(task.name, model.name, plan.task.metric, plan.body.model.precision, tuple(rows))
        write_atomic(run.path / "tune.json", dump_json(found.to_json()))
        write_atomic(run.path / "tune.html", render(found))
    return found, path


def _row(plan: Plan, planned: PlannedRung, run: Run, phase: Phase) -> TunedMethod:
    if planned.skipped:
        return TunedMethod(planned.label, None, None, None, skipped=planned.why_skipped)
    label = planned.label
    built = build(plan, planned, run, lambda name, done, total: phase(f"{label}: {name}", done, total))
    scheme, score = scheme_of(plan.task, built.evaluation.examples), built.evaluation.score
    low, high = stats.shown(score, scheme) or (None, None)
    bundle = run.artefact_path(f"rungs/{planned.label}/system")
    moving = built.notes.get("moving", {})
    return TunedMethod(
        planned.label,
        stats.estimate(score, scheme),
        low,
        high,
        int(moving.get("weights", 0)),
        float(moving.get("share", 0.0)),
        disk_bytes(bundle) if isinstance(planned.rung, Trained) else 0,
        str(bundle) if hasattr(planned.rung, "trains") else "",
        chosen=built.notes.get("chosen", {}),
        curve=tuple((p["step"], p["loss"], p["score"]) for p in built.notes.get("curve", ())),
        guards=_guards(built),
        nearest=tuple(tuple(one["token"] for one in row) for row in built.notes.get("nearest", ())),
        spent=tuple(run.read(f"rungs/{label}/measured-curve")) if run.has(f"rungs/{label}/measured-curve") else (),
        note=built.notes.get("note", ""),
        searched=_searched(built, label, plan.task.metric, run),
        measured=built.measured["adapt"],
    )


def _searched(built: Built, label: str, metric: str, run: Run) -> str:
    """Draws the search that a method was found by, if optuna was asked, and gives the name of its page."""
    told = built.notes.get("search")
    if told is None:
        return ""
    found, space = Search.from_json(told["found"]), read_space(told["space"])
    file = run.path / f"search-{label}.html"
    write_atomic(file, render_search(found, space, title=f"{label} by {told['method']}", score=metric))
    return file.name


def _guards(built: Built) -> dict[str, float]:
    """Each guard's score minus the base's, where weights moved."""
    return {name: one.artefact.value - one.base.value for name, one in built.guards.items() if one is not None}


def disk_bytes(bundle: Path) -> int:
    """Bytes of what a bundle keeps beside the base."""
    files = [file for name in (*FRONTS, *MODULES) for file in (bundle / name).rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
