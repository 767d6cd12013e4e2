"""The climb: from a plan to a decision and a report, resumable at every step.

Builds the rungs in order of computed cost, hands them to the decision one by one, and writes the run. How one rung is
built is in `build`; who is recommended, and when to stop, is decided in `decision`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from rung.errors import RungError, nearest
from rung.ladder.assemble import entry_of, report_of
from rung.ladder.build import Built, BundleExaminer, build, price_in_words
from rung.ladder.choice import Choice
from rung.ladder.decision import decide
from rung.ladder.ledger import Ledger
from rung.ladder.meter import Meter
from rung.ladder.plan import Plan, PlannedRung, plan_task
from rung.ladder.question import Candidate, Planned, Skipped
from rung.ladder.record import Forecast, Report
from rung.ladder.report import write_report
from rung.ladder.screen import Progress, Silent
from rung.ladder.verdict import Decision
from rung.model.load import Model
from rung.run import IDENTITY, Run, write_atomic
from rung.system.bundle import Saved, load
from rung.task import Task
from rung.types import digest

FORECASTS, THREADS = "measured-forecasts", "measured-threads"


@dataclass(frozen=True)
class Climb:
    """A finished climb: its directory, report and decision."""

    path: Path
    report: Report
    decision: Decision

    @property
    def recommended(self) -> str | None:
        """The label of the recommended rung, if there is one."""
        return self.decision.recommended

    @property
    def sentence(self) -> str:
        """The decision in plain English."""
        return self.decision.sentence

    @cached_property
    def system(self) -> Saved:
        """The recommended System. Raises RungError where none is."""
        return recommended_system(self.path)

    def __repr__(self) -> str:
        return f"Climb({str(self.path)!r}, recommended={self.recommended!r})"

    def _repr_html_(self) -> str:
        from rung.ladder.report import summary_html

        return summary_html(self.report)

    @classmethod
    def open(cls, path: str | Path) -> Climb:
        """A finished climb from its directory. Raises RungError where it is not finished."""
        run = Run.read_only(Path(path))
        file = run.path / "report.json"
        if not file.is_file():
            raise RungError("the climb is not finished", where=str(run.path), mend="run the same `rung climb` again")
        try:
            report = Report.from_bytes(file.read_bytes())
            return cls(run.path, report, Decision.from_json(report.decision))
        except (OSError, ValueError, KeyError, TypeError) as error:
            mend = "remove it and run the same `rung climb` again"
            raise RungError(f"damaged: {error}", where=str(file), mend=mend) from error


def climb(
    task: Task | str | Path,
    base: Model | str,
    *,
    out: str | Path | None = None,
    choice: Choice | None = None,
    ledger: Ledger | str | Path | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> Climb:
    """Climb `task` on `base`, or go on with a climb that was stopped.

    `out` is the run directory (default: `runs/` and the task's name, with a number where other runs have it). `ledger`
    counts the looks: one that is open, or its file (default: the user's own). Raises RungError for bad input; nothing is written then.
    """
    task = task if isinstance(task, Task) else Task.load(task)
    model = base if isinstance(base, Model) else Model.load(base)
    plan = plan_task(task, model, choice or Choice())
    return climb_plan(plan, out=out, ledger=ledger, progress=progress, command=command)


def climb_plan(
    plan: Plan,
    *,
    out: str | Path | None = None,
    ledger: Ledger | str | Path | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> Climb:
    """Climb what `plan` says."""
    progress = progress or Silent()
    path = Path(out) if out is not None else default_path(plan)
    Run.check(path, plan.identity)
    plan = _as_begun(plan, path)
    plan.check_buildable()
    book = ledger if isinstance(ledger, Ledger) else Ledger(ledger)
    try:
        if Run.is_free(path):  # a climb under way may hold looks from before, and those stay valid
            book.refuse_shown(plan.question.test.keys, plan.question.guard_keys)
        with Run.open(path, plan.identity) as run:
            _write_data(plan, run)
            _keep_threads(run)
            progress.started(plan, run.path)
            with Meter(plan.body.model.device) as meter:
                climbing = _Climbing(plan, run, progress)
                decision = climbing.decide(book)
            report = climbing.report(decision, book, meter, command)
            write_report(report, run.path)
            progress.finished(report, run.path)
    finally:
        if book is not ledger:
            book.close()
    return Climb(path, report, decision)


def _as_begun(plan: Plan, path: Path) -> Plan:
    """`plan` with the forecasts of the climb's first start, where `path` holds one.

    They rest on the clock and on the memory in use, and a budget skips rungs by them: a climb that goes on must not
    come to others half way.
    """
    if not (path / IDENTITY).is_file() or not (run := Run.read_only(path)).has(FORECASTS):
        return plan
    known = run.read(FORECASTS)
    rungs = [
        replace(one, forecast=Forecast(**known[one.label]["forecast"]), skipped=known[one.label]["skipped"])
        for one in plan.rungs
    ]
    return replace(plan, rungs=tuple(rungs))


def _keep_threads(run: Run) -> None:
    """As many threads as at the climb's first start: sums in another order round otherwise, and the bits must agree."""
    import torch

    if run.has(THREADS):
        torch.set_num_threads(int(run.read(THREADS)))
    else:
        run.write(THREADS, torch.get_num_threads())


def default_path(plan: Plan, folder: Path = Path("runs")) -> Path:
    """`runs/NAME`, or `runs/NAME-2` and so on where other runs have the name; the same run finds its own again."""
    wanted = digest(plan.identity)
    name = re.sub(r"[/\\\0]+", "-", plan.task.name)[:100].strip(" .-") or "task"
    for number in range(1, 10_000):
        path = folder / (name if number == 1 else f"{name}-{number}")
        if not path.is_file() and Run.is_free(path):
            return path
        if (path / IDENTITY).is_file() and Run.read_only(path).digest == wanted:
            return path
    raise RungError("no free name for the run", where=str(folder), mend="name one with --out")


def recommended_system(path: str | Path, rung: str | None = None, *, base: str | None = None) -> Saved:
    """The recommended System of a finished run, or the one of `rung`.

    Raises RungError where nothing is recommended, or the rung was not built.
    """
    run = Run.read_only(Path(path))
    label = rung if rung is not None else Climb.open(path).recommended
    built = sorted(folder.parent.name for folder in (run.path / "rungs").glob("*/system"))
    if label is None:
        raise RungError("no rung is recommended", where=str(path), mend=f"choose one with --rung: {', '.join(built)}")
    if label not in built:
        raise RungError(f"no rung {label} was built", where=str(path), mend=nearest(label, built))
    return load(run.artefact_path(f"rungs/{label}/system"), base=base)


class _Climbing:
    """One climb under way: builds rungs when the decision pulls them, and remembers them for the report."""

    def __init__(self, plan: Plan, run: Run, progress: Progress) -> None:
        self.plan, self.run, self.progress = plan, run, progress
        self.built: dict[str, Built] = {}
        self.started = datetime.now(UTC).isoformat(timespec="seconds")

    def decide(self, ledger: Ledger) -> Decision:
        """Drive the decision."""
        plan = self.plan
        ladder = [
            Planned(one.label, one.work.cost(plan.task.budget), price_in_words(one.work, plan))
            for one in plan.rungs
            if one.label != "floor"
        ]
        floor = next((self.build(one).evaluation.score for one in plan.rungs if one.label == "floor"), None)
        return decide(
            plan.question,
            self.candidates(),
            BundleExaminer(plan, self.run, self.progress.phase),
            ledger,
            everything=plan.choice.everything,
            floor=floor,
            ladder=ladder,
            run=self.run.digest,
        )

    def candidates(self) -> Iterator[Candidate | Skipped]:
        """Build rung after rung above the floor, as they are asked for."""
        for planned in self.plan.rungs:
            if planned.label == "floor":
                continue
            cost = planned.work.cost(self.plan.task.budget)
            price = price_in_words(planned.work, self.plan)
            if planned.skipped:
                self.progress.message(f"{planned.label}: skipped, {planned.skipped}")
                yield Skipped(planned.label, cost, planned.skipped, price)
                continue
            yield self.build(planned).candidate(self.plan)

    def build(self, planned: PlannedRung) -> Built:
        """Build one rung, and remember it."""
        self.progress.rung_started(planned.label)
        built = build(self.plan, planned, self.run, self.progress.phase)
        self.built[planned.label] = built
        self.progress.rung_finished(entry_of(self.plan, planned, built))
        return built

    def report(self, decision: Decision, ledger: Ledger, meter: Meter, command: str) -> Report:
        """The whole climb as a report."""
        ever = ledger.looks(self.plan.question.test.keys)
        return report_of(self.plan, self.built, decision, ever, meter, command, self.started)


def _write_data(plan: Plan, run: Run) -> None:
    """Which row stands in which split, what was forecast, and which rows were set aside or dropped, beside the run."""
    task = plan.task
    if not run.has("splits"):
        ids = {name: [row.id for row in task.split(name)] for name in ("train", "validation", "test")}
        run.write("splits", {"digests": dict(task.split_digests), "rows": ids})
    if not run.has(FORECASTS):
        told = {one.label: {"forecast": asdict(one.forecast), "skipped": one.skipped} for one in plan.rungs}
        run.write(FORECASTS, told)
    if task.set_aside:
        write_atomic(
            run.path / "set-aside.jsonl",
            _lines({"reason": r.reason, "what": r.text, "row": r.row} for r in task.set_aside),
        )
    if plan.leaks:
        write_atomic(run.path / "leaks.jsonl", _lines(leak.__dict__ for leak in plan.leaks))


def _lines(rows: Any) -> str:
    return "".join(json.dumps(dict(row), ensure_ascii=False, default=str) + "\n" for row in rows)
