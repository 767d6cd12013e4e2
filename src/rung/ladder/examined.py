"""What an evaluation found: scores, measures, grades, as values and as lines for a terminal. The page is `examined_page`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rung.evaluate.judging import Grading
from rung.evaluate.measures import Measures
from rung.evaluate.measures.invariance import Invariance
from rung.page import quantities as q
from rung.page.quantities import Scores


@dataclass(frozen=True)
class Examined:
    """Scores of a System on a split, with a 95 % interval and, on test, the look's number and lower bound; the numbers that the
    weights were held in; its seven measures and a judge's grades where they were asked for."""

    task: str
    split: str
    metric: str
    value: float
    low: float | None
    high: float | None
    count: int
    errors: int
    also: dict[str, float]
    look: int | None = None
    level: float | None = None
    lower: float | None = None
    precision: str | None = None
    measures: Measures | None = field(default=None, repr=False)
    grading: Grading | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        """As plain values; measures and grades only where they were asked for."""
        told = {key: value for key, value in vars(self).items() if key not in ("measures", "grading")}
        for name, part in (("measures", self.measures), ("grading", self.grading)):
            if part is not None:
                told[name] = part.to_json()
        return told

    def lines(self) -> list[str]:
        """The scores in words."""
        interval = "" if self.low is None else f" (95 % interval {self.low:.3f} to {self.high:.3f})"
        held = f", {self.precision}" if self.precision else ""
        lines = [f"{self.task}, {self.split}: {self.metric} {self.value:.3f}{interval} on {self.count:,} rows{held}"]
        lines += [f"  {name} {value:.3f}" for name, value in self.also.items()]
        if self.errors:
            lines.append(f"  {self.errors} calls returned nothing and count as the worst score")
        if self.look is not None:
            lines.append(
                f"  this was look {self.look} at this test split: its true score is at least {self.lower:.3f} ({1 - (self.level or 0):.2%} sure)"
            )
        return lines


def all_lines(found: Examined) -> list[str]:
    """Scores, then the seven measures and the judge's grades where they were taken."""
    lines = found.lines()
    if found.measures is not None:
        lines += [f"  {name:<12} {told}" for name, told in measure_facts(found.measures)]
    if found.grading is not None:
        lines.append(f"  {'judged':<12} {grading_fact(found.grading)}")
    return lines


def measure_facts(measures: Measures) -> list[tuple[str, str]]:
    """Each measure in a line."""
    write = Scores(measures.accuracy.kind)
    facts = [("accuracy", f"{measures.accuracy.metric} {write.value(measures.accuracy.value)}")]
    sure = measures.calibration
    facts.append(
        (
            "calibration",
            "no likelihoods, so no confidence"
            if sure is None
            else f"error {sure.error:.3f}; surest tenth {q.percent(sure.surest)} right; area {sure.area:.3f} ({sure.count:,} answers)",
        )
    )
    facts += [("robustness", _worst(measures.robustness)), ("fairness", _worst(measures.fairness))]
    seen = [f"{name} {distance_words(one.distance)}" for name, one in measures.bias.representation.items()]
    facts.append(("bias", f"distance from equal mention: {', '.join(seen)}"))
    if "toxicity" not in measures.flags:
        facts.append(("toxicity", "no classifier was named (--toxicity)"))
    for name, flags in measures.flags.items():
        share = q.percent(flags.share, 2) if flags.share is not None else "not one answer could be read"
        interval = (
            "" if flags.interval is None else f" ({100 * flags.interval[0]:.2f} to {100 * flags.interval[1]:.2f})"
        )
        unread = f", {flags.errors} unread" if flags.errors else ""
        facts.append((name, f"{share}{interval} flagged{unread}; classifier: {flags.detector.known_error}"))
    spent = measures.efficiency
    memory = "" if spent.peak_memory is None else f", peak {q.memory(spent.peak_memory)}"
    tokens = f"{q.count(spent.prompt_tokens)} + {q.count(spent.completion_tokens)} tokens a request"
    facts.append(("efficiency", f"{tokens}; {q.seconds(spent.request_s)} each in batches{memory} (measured)"))
    return facts


def _worst(found: Invariance) -> str:
    write = Scores(found.worst.kind)
    interval = "" if found.interval is None else f" ({write.interval(*found.interval)})"
    each = ", ".join(f"{name} {write.value(one.value)}" for name, one in found.scores.items())
    errors = f"; {found.errors} changed rows without an answer" if found.errors else ""
    return f"worst case {write.value(found.worst.value)}{interval}, from {write.value(found.original.value)}: {each}{errors}"


def distance_words(value: float | None) -> str:
    return "none mentioned" if value is None else f"{value:.3f}"


def grading_fact(grading: Grading) -> str:
    """The mean grade in a line."""
    interval = (
        "" if grading.interval is None else f" (95 % interval {grading.interval[0]:.2f} to {grading.interval[1]:.2f})"
    )
    errors = f"; {grading.errors} judgements could not be read" if grading.errors else ""
    people = "" if grading.agreement is None else f"; with people: {grading.agreement}"
    return f"grade {grading.score.value:.2f} of {grading.low} to {grading.high}{interval}{errors}{people}"
