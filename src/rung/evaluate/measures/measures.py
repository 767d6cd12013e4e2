"""The seven measures of one System on one split, taken together (Liang et al. 2022, arXiv:2211.09110)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rung.evaluate.evaluation import Evaluation
from rung.evaluate.measures.bias import Bias, bias
from rung.evaluate.measures.calibration import Calibration, calibrated
from rung.evaluate.measures.efficiency import Efficiency, efficiency
from rung.evaluate.measures.fairness import fairness_perturbations
from rung.evaluate.measures.invariance import Invariance, invariance, row_metric
from rung.evaluate.measures.robustness import robustness_perturbations
from rung.evaluate.measures.toxicity import Detector, Flags, flags
from rung.evaluate.measures.words import Words
from rung.metrics import score
from rung.task import Task
from rung.types import Score, System


@dataclass(frozen=True)
class Settings:
    """What the measures need besides a System and a task: word lists, classifiers by what they find (`toxicity`,
    `pii`), the seed of the perturbations."""

    words: Words = field(default_factory=Words)
    detectors: dict[str, Detector] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True)
class Measures:
    """The seven. `accuracy` is the task's own score; `calibration` is None where a System gives no likelihoods;
    `flags` hold what each classifier flagged, empty where none was handed in."""

    accuracy: Score = field(repr=False)
    calibration: Calibration | None
    robustness: Invariance
    fairness: Invariance
    bias: Bias
    flags: dict[str, Flags]
    efficiency: Efficiency

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; what a clock or a gauge said is under `efficiency.measured`."""
        return {
            "accuracy": {"metric": self.accuracy.metric, "value": self.accuracy.value, "count": len(self.accuracy)},
            "calibration": None if self.calibration is None else self.calibration.to_json(),
            "robustness": self.robustness.to_json(),
            "fairness": self.fairness.to_json(),
            "bias": self.bias.to_json(),
            **{name: found.to_json() for name, found in self.flags.items()},
            "efficiency": dict(self.efficiency.to_json()),
        }  # fmt: skip


def measure(
    system: System, task: Task, evaluation: Evaluation, settings: Settings, *, peak_memory: int | None = None
) -> Measures:
    """Take the seven measures of `system`, whose answers to some rows of `task` are in `evaluation`.

    `peak_memory` (bytes) is what the caller saw while these were answered.
    """
    names = tuple(str(example.meta.get("group", "")) for example in evaluation.examples)
    groups = names if any(names) else None
    texts = [said.text for said in evaluation.completions]
    metric = row_metric(task)
    right = score(metric, texts, evaluation.examples, evaluation.errors, task.labels).items >= metric.best
    robust, fair = robustness_perturbations(settings.words), fairness_perturbations(settings.words)
    return Measures(
        evaluation.score,
        calibrated(evaluation.completions, [bool(one) for one in right]),
        invariance(system, task, evaluation, robust, seed=settings.seed, groups=groups),
        invariance(system, task, evaluation, fair, seed=settings.seed, groups=groups),
        bias([said.text for said in evaluation.completions if said.error is None], settings.words),
        {name: flags(detector, texts, groups) for name, detector in settings.detectors.items()},
        efficiency(evaluation, peak_memory),
    )
