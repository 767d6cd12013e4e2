"""The dry run: which rungs, in which order, at what computed cost, and what the test split can show.

`plan_task` does everything that comes before the first rung is built: leaks refused, rows that do not fit set aside,
costs counted, memory and time forecast. The climb starts from its result; `rung plan` prints it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rung.errors import RungError
from rung.ladder.choice import Choice
from rung.ladder.fit import Lengths, lengths, set_aside_misfits
from rung.ladder.forecast import Rates, forecast
from rung.ladder.guarding import GuardTask, guard_tasks
from rung.ladder.precision import fitted, not_trained, slow_here
from rung.ladder.question import Guard, Question
from rung.ladder.record import Forecast
from rung.ladder.rung import Rung, seeds_of
from rung.ladder.rungs.table import ladder_of, select
from rung.ladder.samples import sample_of
from rung.ladder.work import Facts, Work
from rung.metrics import METRICS
from rung.model.load import Model
from rung.model.memory import ModelShape
from rung.system.body import Body
from rung.task import Leak, Task, drop_leaks, find_leaks
from rung.types import digest

RECIPE = 4
"""Version of what the rungs do: raised with every change that makes an old run's steps stale."""
OVER = "over the budget"


@dataclass(frozen=True)
class PlannedRung:
    """One rung of the plan, its computed work, and why it is skipped (empty: it will be built)."""

    rung: Rung
    work: Work
    forecast: Forecast
    skipped: str = ""

    @property
    def label(self) -> str:
        """The rung's label."""
        return self.rung.label

    @property
    def why_skipped(self) -> str:
        """The reason with the forecast behind it, which stands apart because it is measured."""
        need = f"about {self.forecast.seconds or 0:.0f} s and {(self.forecast.memory or 0) / 1e9:.1f} GB"
        return f"{self.skipped}: it needs {need}" if self.skipped.startswith(OVER) else self.skipped


@dataclass(frozen=True)
class Plan:
    """Everything decided before anything is spent. `rungs` stand in order of computed cost, the floor first."""

    task: Task
    body: Body
    guards: tuple[GuardTask, ...]
    question: Question
    rungs: tuple[PlannedRung, ...]
    facts: Facts
    lengths: Lengths
    choice: Choice
    leaks: tuple[Leak, ...] = ()
    sample: str = field(default="", repr=False)
    notes: tuple[str, ...] = ()

    @property
    def identity(self) -> dict[str, object]:
        """What is computed: task, base, rungs, seed, recipe; no path and no device."""
        return {
            "task": self.task.digest,
            "splits": dict(self.task.split_digests),
            "guards": [dict(guard.digests) for guard in self.guards],
            "base": self.body.model.digest,
            "dtype": self.body.model.precision,
            "rungs": [[planned.label, digest(_fields(planned.rung))] for planned in self.rungs],
            "everything": self.choice.everything,
            "seed": self.choice.seed,
            "recipe": RECIPE,
        }

    def check_buildable(self) -> None:
        """Raises RungError where every rung is skipped, or none was left by the choice."""
        if all(one.skipped for one in self.rungs if one.label != "floor"):
            reasons = (
                "; ".join(f"{one.label}: {one.why_skipped}" for one in self.rungs if one.skipped) or "none is left"
            )
            raise RungError(
                f"no rung can be built ({reasons})", where=self.task.name, mend="raise the budget or choose other rungs"
            )


def plan_task(task: Task, model: Model, choice: Choice) -> Plan:
    """The plan for a task and a base that are loaded; the base in coarser numbers where the memory budget asks for it."""
    if model.kind == "encoder" and task.kind not in ("classify", "tag"):
        raise RungError(
            f"{model.name} is an encoder and cannot {task.kind}", where="--base", mend="use a decoder for this task"
        )
    model, coarser = fitted(model, task.budget.memory)
    body = Body(model)
    task, leaks = _without_leaks(task, choice)
    task = set_aside_misfits(task, body)
    guards = guard_tasks(task, body)
    facts, found = _facts(task, body)
    rungs = ladder_of(task.rungs, model.kind)
    ordered = sorted(rungs, key=lambda rung: (rung.label != "floor", rung.work(facts).cost(task.budget)))
    wanted = select([rung.label for rung in ordered], only=choice.only, skip=choice.skip, start=choice.start)
    rates = Rates.measure(body)
    planned = [_planned(rung, task, body, facts, found, rates) for rung in ordered if rung.label in wanted]
    planned = _within_budget(planned, task)
    limits = [slow_here(model), *([] if model.kind == "encoder" else body.engine.limits)]
    return Plan(
        task, body, guards, _question(task, guards), tuple(planned), facts, found, choice, leaks, _sample(task, body),
        tuple(note for note in (coarser, *limits) if note),
    )  # fmt: skip


def _without_leaks(task: Task, choice: Choice) -> tuple[Task, tuple[Leak, ...]]:
    leaks = find_leaks(task)
    if not leaks:
        return task, ()
    if not choice.drop_leaks:
        first, count = leaks[0], f"{len(leaks)} rows stand" if len(leaks) > 1 else "1 row stands"
        shown = " ".join(first.text.split())[:50]
        raise RungError(
            f"{count} in two splits (first: {first.split} row {place_of(task, first.split, first.id)} is like "
            f"{first.held_out} row {place_of(task, first.held_out, first.held_out_id)}: {shown!r})",
            where=task.name,
            mend="list them with `rung plan --leaks`, or take them out of train with --drop-leaks",
        )
    return drop_leaks(task, leaks), leaks


def place_of(task: Task, split: str, row: str) -> str:
    """Where a row of a split was read, `rows.csv:12`; its id where that is not known."""
    return str(next((one.meta.get("row", row) for one in task.split(split) if one.id == row), row))


def _facts(task: Task, body: Body) -> tuple[Facts, Lengths]:
    found = lengths(task, body)
    shot = found.prompt - found.shared + found.target + 4
    facts = Facts(
        parameters=body.model.parameters,
        prompt=found.prompt,
        shot=shot,
        answer=found.answer,
        target=found.target,
        train=len(task.train),
        validation=len(task.validation),
        wordings=max(1, len(task.instructions)),
        width=ModelShape.of(body.model.config).hidden,
    )
    return facts, found


def _planned(rung: Rung, task: Task, body: Body, facts: Facts, found: Lengths, rates: Rates) -> PlannedRung:
    work = rung.work(facts)
    skipped = rung.why_not(body, task)
    skipped = skipped or not_trained(body.model.precision, getattr(rung, "trains", ""))
    if skipped:  # what cannot be built cannot be counted either
        return PlannedRung(rung, work, Forecast(0, 0.0, 0.0), skipped)
    expected = forecast(rung, work, body, task, found, rates)
    if expected.seconds is not None:
        expected = replace(expected, seconds=expected.seconds * seeds_of(rung))
    limit = task.budget.memory
    if limit is not None and expected.memory is not None and expected.memory > limit:
        skipped = f"{OVER} of {limit / 1e9:.3g} GB of memory"
    return PlannedRung(rung, work, expected, skipped)


def _within_budget(planned: Sequence[PlannedRung], task: Task) -> list[PlannedRung]:
    """Skip what the time budget has no room for, cheapest rungs first."""
    limit, spent = task.budget.time, 0.0
    kept = []
    for one in planned:
        seconds = one.forecast.seconds or 0.0
        if limit is not None and not one.skipped and spent + seconds > limit:
            one = replace(one, skipped=f"{OVER} of {limit:g} s, of which cheaper rungs need the rest")
        elif not one.skipped:
            spent += seconds
        kept.append(one)
    return kept


def _question(task: Task, guards: Sequence[GuardTask]) -> Question:
    metric = METRICS[task.metric]
    return Question(
        metric=metric.name,
        kind=metric.kind,
        goal=task.goal,
        validation=sample_of(task, "validation"),
        test=sample_of(task, "test"),
        guards={guard.name: Guard(guard.margin, guard.sample("test"), guard.kind, guard.span) for guard in guards},
        margin=task.margin,
        worst=metric.worst,
        best=metric.best,
        noun="questions" if task.kind == "choose" else "examples",
    )


def _sample(task: Task, body: Body) -> str:
    """One prompt as the base reads it, its answer marked off: what carries loss in training."""
    if body.model.kind == "encoder":
        return task.validation[0].text
    row = task.train[0]
    text = body.layout.text(max(task.instructions, key=len, default=""), (), row.prompt)
    return f"{text}⟦{row.target}⟧"


def _fields(rung: Rung) -> dict[str, object]:
    from dataclasses import asdict

    fields: dict[str, object] = asdict(rung)  # type: ignore[call-overload]
    return fields
