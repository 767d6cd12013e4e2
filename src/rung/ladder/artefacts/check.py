"""Whether an artefact still answers as what it was made of: both on the same validation rows, compared pair by pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rung import stats
from rung.errors import RungError
from rung.evaluate import Evaluation
from rung.ladder.samples import scheme_of
from rung.metrics import METRICS
from rung.page.quantities import Scores
from rung.task import Task

LEVEL = 0.05


@dataclass(frozen=True)
class Check:
    """Scores of the original and of the artefact, their difference with its 95 % interval and p-value, and the one-sided
    95 % lower bound of (artefact − original). `changed` counts rows whose answer is another."""

    metric: str
    rows: int
    original: float
    artefact: float
    difference: float
    low: float
    high: float
    p: float
    lower: float
    changed: int
    margin: float

    @classmethod
    def of(cls, original: Evaluation, artefact: Evaluation, task: Task, margin: float | None = None) -> Check:
        """Compare two evaluations of the same rows; `margin` is the task's own where it is None. Raises RungError where the rows carry no interval."""
        scheme = scheme_of(task, original.examples)
        metric, count = METRICS[task.metric], len(original.score)
        reason = stats.refusal(metric.kind, count, scheme.groups, scheme.least)
        if reason is not None:
            mend = "give more validation rows, or --accept"
            raise RungError(f"cannot be told apart from noise: {reason}", where=task.name, mend=mend)
        found = stats.compare(artefact.score, original.score, scheme)
        before, after = (stats.estimate(one.score, scheme) for one in (original, artefact))
        changed = sum(a.text != b.text for a, b in zip(original.completions, artefact.completions))
        lower = stats.paired_lower(artefact.score, original.score, LEVEL, scheme)
        return cls(
            metric.name,
            count,
            before,
            after,
            found.difference,
            found.low,
            found.high,
            found.p,
            lower,
            changed,
            task.margin if margin is None else margin,
        )

    @property
    def refusal(self) -> str:
        """Why the artefact is not the same within noise; empty where it is.

        It is where every row got the same answer, or where its score is not significantly lower (5 %, two-sided) and the
        lower bound of the difference lies above −margin.
        """
        if not self.changed:
            return ""
        if self.difference < 0 and self.p <= LEVEL:
            return f"its score is lower: {self.told}"
        if self.lower < -self.margin:
            return f"its score may be lower by more than {self.margin:g}: {self.told}"
        return ""

    @property
    def told(self) -> str:
        """The comparison in words."""
        write = Scores(METRICS[self.metric].kind)
        scores = f"{self.metric} {write.value(self.artefact)} instead of {write.value(self.original)}"
        gap = (
            f"difference {write.gap(self.difference)} {write.gap_unit}, 95 %: {write.gap_interval(self.low, self.high)}"
        )
        return f"{scores} on {self.rows:,} rows ({gap}); {self.changed:,} answers changed"

    def to_json(self) -> dict[str, Any]:
        """As plain values, the refusal in words."""
        return {**vars(self), "refusal": self.refusal}
