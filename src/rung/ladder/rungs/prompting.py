"""The rungs that leave the weights alone: zero-, one- and few-shot prompts.

What they choose (the wording, the normalisation of choices) they choose on validation. The base's answers to each
wording are computed once in a run and serve every rung that needs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from rung.errors import RungError
from rung.evaluate import Evaluation, evaluate
from rung.evaluate.evaluation import completions_to_json, judge, reranked
from rung.ladder.rung import Desk
from rung.ladder.rungs import encoding
from rung.ladder.work import Facts, Work, prompting
from rung.model.layout import Shot
from rung.system.body import Body
from rung.system.prompted import Normalise, Prompted, byte_length
from rung.system.shots import FixedShots, NearestShots, Shots
from rung.task import Task
from rung.types import Completion, Example, System

MOST_SHOTS = 6


@dataclass(frozen=True)
class ZeroShot:
    """The instruction and the input; the best of the task's wordings."""

    name: ClassVar[str] = "zero-shot"

    @property
    def label(self) -> str:
        """`zero-shot`."""
        return self.name

    def why_not(self, body: Body, task: Task) -> str:
        """Every base can be asked; an encoder compares whole texts."""
        return encoding.one_label(task) if body.model.kind == "encoder" else ""

    def work(self, facts: Facts) -> Work:
        """One pass over validation for every wording."""
        return prompting(facts, trials=facts.wordings)

    def adapt(self, body: Body, task: Task, desk: Desk) -> System:
        """Compare the wordings on validation, and keep the best. Encoders compare with the labels instead."""
        if body.model.kind == "encoder":
            return encoding.similar(body, task, desk)
        wording = best_wording(body, task, desk)
        system, evaluation, weighed = weigh(Prompted(body.engine, body.layout, wording), task, desk)
        _keep(desk, system, evaluation, weighed)
        return system


@dataclass(frozen=True)
class FewShot:
    """`k` training rows shown before the input: at random, or those nearest to it."""

    name: ClassVar[str] = "few-shot"
    k: int = 4
    pick: Literal["random", "nearest"] = "random"

    def __post_init__(self) -> None:
        if not 1 <= self.k <= MOST_SHOTS:
            raise RungError(f"k is {self.k}", where=self.name, mend=f"choose 1 to {MOST_SHOTS}")
        if self.pick not in ("random", "nearest"):
            raise RungError(f"pick is {self.pick!r}", where=self.name, mend="choose random or nearest")

    @property
    def label(self) -> str:
        """`few-shot-4`, `few-shot-4-nearest`; `one-shot` for k = 1."""
        stem = "one-shot" if self.k == 1 else f"few-shot-{self.k}"
        return stem if self.pick == "random" else f"{stem}-nearest"

    def why_not(self, body: Body, task: Task) -> str:
        """Shots must exist, and fit the window with every prompt."""
        if reason := _needs_decoder(body):
            return reason
        if len(task.train) < self.k:
            return f"the training split has {len(task.train)} rows"
        system = Prompted(body.engine, body.layout, longest_wording(task), self._shots(task, 0))
        rows = [*task.validation, *task.splits.test] if task.splits.test is not None else list(task.validation)
        over = [excess for excess in system.overflows([task.prompt(row) for row in rows]) if excess]
        if over:
            return (
                f"{len(over)} of {len(rows)} prompts do not fit the window of {body.model.window} with {self.k} shots"
            )
        return ""

    def work(self, facts: Facts) -> Work:
        """One pass over validation."""
        return prompting(facts, shots=self.k, fixed=self.pick == "random")

    def adapt(self, body: Body, task: Task, desk: Desk) -> System:
        """Draw the shots, and choose the normalisation on validation."""
        wording = best_wording(body, task, desk)
        system, evaluation, weighed = weigh(
            Prompted(body.engine, body.layout, wording, self._shots(task, desk.seed)), task, desk
        )
        _keep(desk, system, evaluation, weighed)
        if isinstance(system.shots, FixedShots):
            desk.note(shots=[{"prompt": inputs[-1].content, "answer": answer} for inputs, answer in system.shots.shots])
        return system

    def _shots(self, task: Task, seed: int) -> Shots:
        pool = [shot(row) for row in task.train]
        if self.pick == "nearest":
            return NearestShots(tuple(pool), self.k)
        drawn = np.random.default_rng([seed, self.k]).choice(len(pool), size=self.k, replace=False)
        return FixedShots(tuple(pool[index] for index in drawn.tolist()))


@dataclass(frozen=True)
class OneShot:
    """One training row, drawn at random, shown before the input."""

    name: ClassVar[str] = "one-shot"

    @property
    def label(self) -> str:
        """`one-shot`."""
        return self.name

    def why_not(self, body: Body, task: Task) -> str:
        """As few-shot with k = 1."""
        return FewShot(1).why_not(body, task)

    def work(self, facts: Facts) -> Work:
        """As few-shot with k = 1."""
        return FewShot(1).work(facts)

    def adapt(self, body: Body, task: Task, desk: Desk) -> System:
        """As few-shot with k = 1."""
        return FewShot(1).adapt(body, task, desk)


def shot(row: Example) -> Shot:
    """A training row as an example in a prompt."""
    return row.prompt, row.target or ""


def longest_wording(task: Task) -> str:
    """The wording with the most characters: what fits with it fits with all."""
    return max(task.instructions, key=len, default="")


def best_wording(body: Body, task: Task, desk: Desk) -> str:
    """The wording with the best zero-shot score on validation; the first of equals. One pass each in a run."""
    wordings = task.instructions or ("",)
    if len(wordings) == 1:
        return wordings[0]
    scores = []
    for number, wording in enumerate(wordings):
        system = Prompted(body.engine, body.layout, wording)
        desk.phase(f"wording {number + 1} of {len(wordings)}", number, len(wordings))
        _, evaluation, _ = weigh(system, task, desk)
        scores.append(evaluation.score.value)
    desk.note(wordings=[{"instruction": w, "score": s} for w, s in zip(wordings, scores)])
    return wordings[scores.index(max(scores))]


def weigh(system: Prompted, task: Task, desk: Desk) -> tuple[Prompted, Evaluation, dict[str, float]]:
    """Score `system` on validation, with the likelihoods of choices as they are and by bytes; keep the better."""
    plain = _answers(system, task, desk)
    if plain.completions[0].choice_scores is None:
        return system, plain, {}
    by_bytes = reranked(task, plain, byte_length)
    weighed = {"none": plain.score.value, "bytes": by_bytes.score.value}
    normalise: Normalise = "bytes" if weighed["bytes"] > weighed["none"] else "none"
    chosen = Prompted(system.engine, system.layout, system.instruction, system.shots, normalise)
    return chosen, by_bytes if normalise == "bytes" else plain, weighed


def _keep(desk: Desk, system: Prompted, evaluation: Evaluation, weighed: Mapping[str, float]) -> None:
    """What `weigh` found, for the report. Written answers have no likelihoods to normalise."""
    desk.validation = evaluation
    chosen = {"instruction": system.instruction} | ({"normalise": system.normalise} if weighed else {})
    desk.note(chosen=chosen, normalise=weighed)


def _answers(system: Prompted, task: Task, desk: Desk) -> Evaluation:
    """The System's answers on validation, from the run where it has them: a wording is asked once, whoever needs it."""
    shared = isinstance(system.shots, FixedShots) and not system.shots.shots and system.instruction in task.instructions
    key = f"shared/wording-{task.instructions.index(system.instruction)}" if shared else ""
    if key and desk.run.has(key):
        clock = desk.run.read(f"{key}-measured")
        said = [Completion(**row, latency_s=seconds) for row, seconds in zip(desk.run.read(key), clock)]
        return judge(task, task.validation, said)
    done = evaluate(system, task, progress=lambda n, total: desk.phase("validation", n, total))
    if key:
        desk.run.write(f"{key}-measured", done.latencies())
        desk.run.write(key, completions_to_json(done.completions))
    return done


def _needs_decoder(body: Body) -> str:
    return "an encoder reads no prompts" if body.model.kind == "encoder" else ""
