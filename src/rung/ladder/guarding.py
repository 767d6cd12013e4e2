"""Guards: other tasks and benchmarks on which an adapted base may not lose much. Who answers them, and with what.

Artefact and base answer a guard by that guard's own plainest prompt, so that only the weights differ. A rung that leaves
the weights as they are changes nothing there: it is not asked, and keeps every guard by construction. What a change
means for the decision is in `judge`; guards that are benchmarks are in `guard_suites`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rung.errors import RungError
from rung.evaluate import evaluate
from rung.ladder.fit import set_aside_misfits
from rung.ladder.guard_suites import benchmark_guard
from rung.ladder.ledger import item_keys
from rung.ladder.question import GuardScores, Sample, score_from_json, score_to_json
from rung.ladder.rung import Phase
from rung.ladder.samples import sample_of
from rung.metrics import METRICS
from rung.run import Run
from rung.system.body import Body
from rung.system.encoded import Headed, Similar
from rung.system.prompted import Prompted
from rung.system.tagging import Tagger
from rung.task import Task
from rung.types import Example, Score, ScoreKind, SplitName, System


class GuardTask(Protocol):
    """What a guard is made of. `margin` is the loss it allows, in units of a score whose scale is `span` long."""

    @property
    def name(self) -> str: ...

    @property
    def margin(self) -> float: ...

    @property
    def kind(self) -> ScoreKind: ...

    @property
    def span(self) -> float: ...

    @property
    def digests(self) -> Mapping[str, str]:
        """What its rows and prompts are, as digests."""
        ...

    def sample(self, split: SplitName) -> Sample:
        """The rows of a split, with keys for the ledger of test rows."""
        ...

    def trained_on(self, train: Sequence[Example]) -> int:
        """How many of its rows stand among these."""
        ...

    def score(self, body: Body, system: System | None, split: SplitName, phase: Phase) -> Score:
        """The score of the weights of `system`, or of the untouched base."""
        ...


@dataclass(frozen=True)
class TaskGuard:
    """A guard that is a task of its own."""

    task: Task
    margin: float

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task.name

    @property
    def kind(self) -> ScoreKind:
        """Of the task's metric."""
        return METRICS[self.task.metric].kind

    @property
    def span(self) -> float:
        """The length of the metric's scale."""
        return METRICS[self.task.metric].span

    @property
    def digests(self) -> Mapping[str, str]:
        """Of its splits."""
        return dict(self.task.split_digests)

    def sample(self, split: SplitName) -> Sample:
        """The rows of a split."""
        return sample_of(self.task, split, scope=self.name)

    def trained_on(self, train: Sequence[Example]) -> int:
        """How many of its rows stand among these, whatever their answers."""
        return len(item_keys(train) & item_keys((*self.task.validation, *self.task.test)))

    def score(self, body: Body, system: System | None, split: SplitName, phase: Phase) -> Score:
        """The score on a split, by the task's first instruction and no examples."""
        asked = base_on_guard(body, self.task) if system is None else on_guard(system, self.task)
        done = evaluate(asked, self.task, split, progress=lambda n, total: phase(f"guard {self.name}", n, total))
        return done.score


def guard_tasks(task: Task, body: Body) -> tuple[GuardTask, ...]:
    """The guards of `task`, loaded. Raises RungError for one that the base cannot answer, for two of one name, and where
    rows of a guard would be trained on."""
    found: list[GuardTask] = []
    for one in task.guards:
        guard: GuardTask
        if one.benchmark is not None:
            guard = benchmark_guard(one, body)
        else:
            assert one.path is not None
            guard = TaskGuard(_answerable(Task.load(one.path), body), one.margin)
        where = f"guard {guard.name}"
        if guard.name in (other.name for other in found):
            raise RungError("two guards have this name", where=where, mend="rename one of them, or leave it out")
        if both := guard.trained_on(task.train):
            raise RungError(
                f"{both} of its rows stand in the train split of {task.name}, which would hide a loss",
                where=where,
                mend="take them out of one of the two",
            )
        found.append(guard)
    return tuple(found)


def _answerable(guard: Task, body: Body) -> Task:
    if body.model.kind == "encoder" and guard.kind != "classify":
        where = f"guard {guard.name}"
        raise RungError(f"an encoder cannot {guard.kind}", where=where, mend="guard with a classify task")
    return set_aside_misfits(guard, body)


def guard_scores(
    system: System, guards: Sequence[GuardTask], body: Body, run: Run, split: SplitName, phase: Phase
) -> dict[str, GuardScores | None]:
    """Artefact and base on each guard's rows of `split`; None where both are the same weights.

    Guards without such rows are left out. The base's score is kept in the run, and asked for once.
    """
    moved = moves_weights(system)
    found: dict[str, GuardScores | None] = {}
    for place, guard in enumerate(guards):
        if not guard.sample(split).count:
            continue
        found[guard.name] = None
        if moved:
            key = f"guards/{place}/base-{split}"
            if not run.has(key):
                run.write(key, score_to_json(guard.score(body, None, split, phase)))
            found[guard.name] = GuardScores(guard.score(body, system, split, phase), score_from_json(run.read(key)))
    return found


def moves_weights(system: System) -> bool:
    """Whether an artefact has other weights than the base."""
    if isinstance(system, Prompted):
        return system.engine.virtual is not None or system.engine.module is not system.engine.model.module
    return isinstance(system, Headed | Tagger) and system.embedder.trained


def on_guard(system: System, guard: Task) -> System:
    """The weights of `system` answering another task by that task's own plainest prompt."""
    if isinstance(system, Prompted):
        return Prompted(system.engine, system.layout, guard.instructions[0] if guard.instructions else "")
    assert isinstance(system, Headed | Tagger)
    return Similar(system.embedder, guard.labels, descriptions_of(guard))


def base_on_guard(body: Body, guard: Task) -> System:
    """The untouched base on a guard."""
    if body.model.kind == "encoder":
        return Similar(body.embedder, guard.labels, descriptions_of(guard))
    return Prompted(body.engine, body.layout, guard.instructions[0] if guard.instructions else "")


def descriptions_of(task: Task) -> tuple[str, ...]:
    """What each label means, in the order of the labels: its description, else its own words."""
    return tuple(task.label_descriptions.get(label, label.replace("_", " ")) for label in task.labels)


def scores_to_json(scores: Mapping[str, GuardScores | None]) -> dict[str, object]:
    """JSON-ready; every number comes back bit for bit."""
    return {name: None if pair is None else pair.to_json() for name, pair in scores.items()}


def scores_from_json(value: Mapping[str, object]) -> dict[str, GuardScores | None]:
    """The inverse of `scores_to_json`."""
    return {name: None if pair is None else GuardScores.from_json(pair) for name, pair in value.items()}
