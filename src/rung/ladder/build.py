"""Building one rung in a run: adapt, save the bundle, score it on validation. Each step is done once, and kept.

Also the examiner, which scores finished bundles on test and guards when the decision asks for a look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rung.evaluate import Evaluation, evaluate, latency
from rung.evaluate.evaluation import completions_from_json, completions_to_json, judge
from rung.ladder.guarding import guard_scores, scores_from_json, scores_to_json
from rung.ladder.meter import Meter
from rung.ladder.plan import Plan, PlannedRung
from rung.ladder.question import Candidate, GuardScores, LookResult
from rung.ladder.rung import Desk, Phase, seeds_of
from rung.ladder.work import Work, priced
from rung.run import Run
from rung.system.bundle import Defaults, bundle_digest, load, save
from rung.task import Task
from rung.types import Completion, Example, Score

LATENCY_SAMPLES = 8
NEXT_SEED = 7919
"""How far apart the seeds of one rung's trainings lie, so that `--seed 1` shares none with `--seed 0`."""


@dataclass(frozen=True)
class Built:
    """A rung that was built: its place in the plan, its answers on validation, its notes and measurements, what it
    made of the guards' validation rows, and the validation scores of trainings with further seeds."""

    planned: PlannedRung
    evaluation: Evaluation
    notes: Mapping[str, Any]
    measured: Mapping[str, Any]
    guards: Mapping[str, GuardScores | None] = field(default_factory=dict)
    again: tuple[Score, ...] = ()

    def candidate(self, plan: Plan) -> Candidate:
        """What the decision needs to know of it."""
        budget, work = plan.task.budget, self.planned.work
        return Candidate(
            self.planned.label,
            work.cost(budget),
            self.evaluation.score,
            self.evaluation.error_share,
            price_in_words(work, plan),
        )


def price_in_words(work: Work, plan: Plan) -> str:
    """Adapting once plus the declared traffic, in money by computation."""
    budget = plan.task.budget
    return f"{priced(work.price(budget), budget)} for adapting and {budget.requests:,} requests"


def build(plan: Plan, planned: PlannedRung, run: Run, phase: Phase) -> Built:
    """Do what is still missing of this rung: adapt and save, then score on validation."""
    desk = Desk(run, planned.label, plan.choice.seed, phase)
    task, body = plan.task.without_test(), plan.body
    if not run.has_artefact(desk.key("system")):
        # The bundle takes its name last, so that with it everything is there, and without it nothing counts.
        with run.artefact(desk.key("system")) as folder:
            with Meter(body.model.device) as meter:
                save(planned.rung.adapt(body, task, desk), folder, body=body, defaults=defaults_of(task))
            desk.write("measured-adapt", meter.to_json())
            desk.write("built", desk.notes)
    run.drop_scratch(planned.label)
    if not desk.has("validation"):
        with Meter(body.model.device) as meter:
            saved = load(run.artefact_path(desk.key("system")), body=body)
            phase("validation", 0, len(task.validation))
            done = desk.validation or evaluate(saved, task, progress=lambda n, total: phase("validation", n, total))
        alone = latency(saved, [task.prompt(row) for row in task.validation[:LATENCY_SAMPLES]])
        share = [round(seconds, 6) for seconds in done.latencies()]
        desk.write("measured-validation", {**meter.to_json(), "latency_s": alone.median, "latencies_s": share})
        desk.write("validation", completions_to_json(done.completions))
    evaluation = judge(task, task.validation, completions_from_json(desk.read("validation")))
    measured = {"adapt": desk.read("measured-adapt"), "validation": desk.read("measured-validation")}
    return Built(
        planned,
        evaluation,
        desk.read("built"),
        measured,
        _guards(plan, desk, run, phase),
        _again(plan, planned, run, phase),
    )


def _again(plan: Plan, planned: PlannedRung, run: Run, phase: Phase) -> tuple[Score, ...]:
    """Validation scores of the same rung trained with further seeds, search and all; of each only the answers are kept."""
    task, body, scores = plan.task.without_test(), plan.body, []
    home = Desk(run, planned.label)
    for number in range(1, seeds_of(planned.rung)):
        name = f"again-{number}"
        if not home.has(name):
            desk = Desk(run, f"{planned.label}/{name}", plan.choice.seed + NEXT_SEED * number, phase)
            folder = desk.scratch("system")
            save(planned.rung.adapt(body, task, desk), folder, body=body, defaults=defaults_of(task))
            done = evaluate(load(folder, body=body), task, progress=lambda n, total: phase("validation", n, total))
            home.write(name, completions_to_json(done.completions))
            run.drop_scratch(planned.label)
        scores.append(judge(task, task.validation, completions_from_json(home.read(name))).score)
    return tuple(scores)


def _guards(plan: Plan, desk: Desk, run: Run, phase: Phase) -> dict[str, GuardScores | None]:
    """What the rung changes on the guards' validation rows, for the table; the floor has no weights to change."""
    if not plan.guards or desk.label == "floor":
        return {}
    if not desk.has("guards"):
        saved = load(run.artefact_path(desk.key("system")), body=plan.body)
        seen = guard_scores(saved.inner, plan.guards, plan.body, run, "validation", phase)
        desk.write("guards", scores_to_json(seen))
    return scores_from_json(desk.read("guards"))


def defaults_of(task: Task) -> Defaults:
    """What a bundle of this task answers when a prompt leaves it open."""
    return Defaults(task.labels if task.kind == "classify" else (), task.schema, task.sampling)


class BundleExaminer:
    """Scores the bundles of a run on test and guards: the exact files that would ship."""

    def __init__(self, plan: Plan, run: Run, phase: Phase) -> None:
        self.plan, self.run, self.phase = plan, run, phase

    def artefact(self, rung: str) -> str:
        """The digest of the rung's bundle."""
        return bundle_digest(self.run.artefact_path(f"rungs/{rung}/system"))

    def examine(self, rung: str) -> LookResult:
        """Score the bundle on test and guards, and keep its rows in the run."""
        saved = load(self.run.artefact_path(f"rungs/{rung}/system"), body=self.plan.body)
        task = self.plan.task
        done = evaluate(saved, task, "test", progress=lambda n, total: self.phase("test", n, total))
        self.run.write(
            f"rungs/{rung}/test", [_test_row(row, said) for row, said in zip(done.examples, done.completions)]
        )
        guards = guard_scores(saved.inner, self.plan.guards, self.plan.body, self.run, "test", self.phase)
        return LookResult(done.score, done.error_share, guards)


def _test_row(example: Example, said: Completion) -> dict[str, Any]:
    row = completions_to_json([said])[0]
    return {"id": example.id, "prompt": example.text, "target": example.target, **row}
