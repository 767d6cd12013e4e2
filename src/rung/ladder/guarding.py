"""Guards: other tasks on which an adapted base may not lose much. Who answers them, and with what.

Artefact and base answer a guard by that guard's own plainest prompt, so that only the weights differ. A rung that leaves
the weights as they are changes nothing there: it is not asked, and keeps every guard by construction. What a change
means for the decision is in `judge`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rung.errors import RungError
from rung.evaluate import Evaluation, evaluate
from rung.evaluate.evaluation import completions_from_json, completions_to_json, judge
from rung.ladder.fit import set_aside_misfits
from rung.ladder.ledger import item_keys
from rung.ladder.question import GuardScores
from rung.ladder.rung import Phase
from rung.run import Run
from rung.system.body import Body
from rung.system.encoded import Headed, Similar
from rung.system.prompted import Prompted
from rung.task import Task
from rung.types import SplitName, System

GuardTask = tuple[str, Task, float]
"""A guard's name, its task, and the loss it allows."""


def guard_tasks(task: Task, body: Body) -> tuple[GuardTask, ...]:
    """The guards of `task`, loaded. Raises RungError for one that the base cannot answer, for two of one name, and where
    rows of a guard would be trained on."""
    found: list[GuardTask] = []
    trained = item_keys(task.train)
    for one in task.guards:
        guard = Task.load(one.path)
        where = f"guard {guard.name}"
        if body.model.kind == "encoder" and guard.kind != "classify":
            raise RungError(f"an encoder cannot {guard.kind}", where=where, mend="guard with a classify task")
        if guard.name in (name for name, _, _ in found):
            raise RungError("two guards have this name", where=where, mend=f"rename one of them in {one.path}")
        guard = set_aside_misfits(guard, body)
        both = len(trained & item_keys((*guard.validation, *guard.test)))
        if both:
            raise RungError(
                f"{both} of its rows stand in the train split of {task.name}, which would hide a loss",
                where=where,
                mend="take them out of one of the two",
            )
        found.append((guard.name, guard, one.margin))
    return tuple(found)


def guard_scores(
    system: System, guards: Sequence[GuardTask], body: Body, run: Run, split: SplitName, phase: Phase
) -> dict[str, GuardScores | None]:
    """Artefact and base on each guard's rows of `split`; None where both are the same weights.

    Guards without such rows are left out. The base's answers are kept in the run, and asked for once.
    """
    found: dict[str, GuardScores | None] = {}
    for place, (name, guard, _) in enumerate(guards):
        if not guard.split(split):
            continue
        ours = on_guard(system, guard)
        found[name] = None
        if ours is not None:
            own = _evaluate(ours, name, guard, split, phase)
            base = _of_base(f"guards/{place}/base-{split}", name, guard, split, body, run, phase)
            found[name] = GuardScores(own.score, base.score)
    return found


def on_guard(system: System, guard: Task) -> System | None:
    """The weights of `system` answering another task by that task's own plainest prompt; None if they are the base's."""
    instruction = guard.instructions[0] if guard.instructions else ""
    if isinstance(system, Prompted):
        own = system.engine.virtual is not None or system.engine.module is not system.engine.model.module
        return Prompted(system.engine, system.layout, instruction) if own else None
    if isinstance(system, Headed) and system.embedder.trained:
        return Similar(system.embedder, guard.labels, descriptions_of(guard))
    return None


def _of_base(key: str, name: str, guard: Task, split: SplitName, body: Body, run: Run, phase: Phase) -> Evaluation:
    if not run.has(key):
        done = _evaluate(base_on_guard(body, guard), name, guard, split, phase)
        run.write(key, completions_to_json(done.completions))
    return judge(guard, guard.split(split), completions_from_json(run.read(key)))


def _evaluate(system: System, name: str, guard: Task, split: SplitName, phase: Phase) -> Evaluation:
    return evaluate(system, guard, split, progress=lambda done, total: phase(f"guard {name}", done, total))


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
