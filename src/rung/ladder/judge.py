"""Judging one rung: its reading on validation, its look on test and guards, and the state that follows.

Each function takes one rung and knows nothing of the others; the order in which rungs are looked at, on which the
promise rests as much as on these bounds, is in `decision`.
"""

from __future__ import annotations

from dataclasses import replace

from rung import stats
from rung.ladder.figures import Figures, sure
from rung.ladder.ledger import Look
from rung.ladder.question import ERRORS_ALLOWED, Candidate, GuardScores, LookResult, Question
from rung.ladder.verdict import Gap, GuardReading, LookReading, State, ValidationReading, Verdict
from rung.types import Score

MISSED = 0.05
"""The one-sided level at which a rung is said to miss."""


def read_validation(question: Question, candidate: Candidate) -> ValidationReading:
    """A rung's score on validation with its standard error, and its bounds where the split can carry them."""
    score, scheme = candidate.validation, question.validation.scheme
    _check_fits(question, score, question.validation.count, f"rung {candidate.name} on validation")
    low = high = upper = None
    if stats.refusal(score.kind, len(score), scheme.groups, scheme.least) is None:
        low, high = stats.interval(score, scheme)
        upper = stats.upper(score, MISSED, scheme)
    value, error = stats.estimate(score, scheme), stats.standard_error(score, scheme)
    return ValidationReading(value, error, low, high, upper, len(score), candidate.errors)


def against_floor(question: Question, reading: ValidationReading, score: Score, floor: Score) -> ValidationReading:
    """`reading` with how far the rung's validation score stands above the floor's, item by item."""
    scheme = question.validation.scheme
    _check_fits(question, floor, question.validation.count, "the floor on validation")
    upper = None
    if stats.refusal(score.kind, len(score), scheme.groups, scheme.least) is None:
        upper = stats.paired_upper(score, floor, MISSED, scheme)
    return replace(
        reading,
        floor_gap=reading.value - stats.estimate(floor, scheme),
        floor_error=stats.difference_error(score, floor, scheme),
        floor_upper=upper,
    )


def clears_floor(reading: ValidationReading) -> bool:
    """Whether a rung may be recommended where no goal is given: floor + 1 standard error of the difference."""
    if reading.floor_gap is None or reading.floor_error is None:
        return True  # there is no floor
    return reading.floor_gap > 0.0 and reading.floor_gap >= reading.floor_error


def is_finalist(question: Question, reading: ValidationReading) -> bool:
    """Whether a rung may take a look: goal + 1 standard error on validation, and few enough errors."""
    assert question.goal is not None
    return reading.errors <= ERRORS_ALLOWED and reading.value >= question.goal + reading.error


def can_pass(question: Question, level: float) -> bool:
    """Whether a test split without a single mistake would pass at `level`. If not, a look would be wasted."""
    assert question.goal is not None
    sample = question.test
    exact = question.kind == "binary" and sample.scheme.groups is None
    size = stats.group_size(sample.scheme)
    scatter = stats.Spread(None if exact else 0.0, question.worst, question.best, size)
    return stats.ceiling(sample.count, level, scatter) >= question.goal


def read_look(
    question: Question, look: Look, artefact: str, result: LookResult, reference: Score | None = None
) -> LookReading:
    """One artefact's look: bounds, guards, and whether it passed.

    With a goal it passes if the lower bound reaches the goal. Without, if the lower bound of (artefact - reference) lies
    above -margin; `reference` None means that the artefact is the reference itself. Guards and errors apply to all.
    """
    score, scheme = result.score, question.test.scheme
    _check_fits(question, score, question.test.count, "test")
    if set(result.guards) != set(question.guards):
        raise ValueError(f"guards {sorted(question.guards)} were asked for, {sorted(result.guards)} came back")
    lower, upper = stats.lower(score, look.level, scheme), stats.upper(score, MISSED, scheme)
    guards = tuple(_read_guard(question, look, name, result.guards[name]) for name in question.guards)
    gap = None
    good = question.goal is None or lower >= question.goal
    if reference is not None:
        gap = _gap(score, reference, look.level, scheme)
        good = gap.lower > -question.margin
    passed = good and result.errors <= ERRORS_ALLOWED and all(guard.kept for guard in guards)
    low, high = stats.interval(score, scheme)
    return LookReading(
        number=look.number,
        level=look.level,
        artefact=artefact,
        value=stats.estimate(score, scheme),
        lower=lower,
        upper=upper,
        low=low,
        high=high,
        count=len(score),
        errors=result.errors,
        guards=guards,
        reference=gap,
        passed=passed,
    )


def _read_guard(question: Question, look: Look, name: str, pair: GuardScores | None) -> GuardReading:
    guard = question.guards[name]
    if pair is None:
        gap = Gap(0.0, 0.0, 0.0, 0.0)
    else:
        span = pair.artefact.best - pair.artefact.worst
        if (pair.artefact.kind, len(pair.artefact), span) != (guard.kind, guard.sample.count, guard.span):
            raise ValueError(f"guard {name}: {len(pair.artefact)} {pair.artefact.kind} items do not fit the question")
        gap = _gap(pair.artefact, pair.base, look.guard_level, guard.sample.scheme)
    return GuardReading(
        name=name,
        kind=guard.kind,
        margin=guard.margin,
        level=look.guard_level,
        count=guard.sample.count,
        span=guard.span,
        gap=gap,
        kept=gap.lower > -guard.margin,
        broken=gap.upper < -guard.margin,
    )


def _gap(first: Score, second: Score, level: float, scheme: stats.Scheme) -> Gap:
    return Gap(
        value=stats.estimate(first, scheme) - stats.estimate(second, scheme),
        error=stats.difference_error(first, second, scheme),
        lower=stats.paired_lower(first, second, level, scheme),
        upper=stats.paired_upper(first, second, MISSED, scheme),
    )


def _check_fits(question: Question, score: Score, count: int, where: str) -> None:
    """A score that is not the question's own is a defect of the caller."""
    same = (score.metric, score.kind, score.worst, score.best) == (
        question.metric,
        question.kind,
        question.worst,
        question.best,
    )
    if not same or len(score) != count:
        raise ValueError(
            f"{where}: {len(score)} items of {score.metric} ({score.kind}) do not fit the question, "
            f"{count} items of {question.metric} ({question.kind})"
        )


# -- states ------------------------------------------------------------------------------------------------------------


def judged_by_look(question: Question, look: LookReading) -> tuple[State, str]:
    """State and reason of a rung that had its look."""
    if look.passed:
        return "meets", _why_met(question, look)
    broken = [guard.name for guard in look.guards if guard.broken]
    if broken:
        return "misses", f"it breaks the guard {', '.join(broken)} ({sure(MISSED)})"
    figures = Figures.of(question)
    goal = question.goal
    if goal is not None and look.upper < goal:
        bound = figures.at_most(look.upper, goal)
        return "misses", f"on test its true score is at most {bound} ({sure(MISSED)})"
    if look.reference is not None and look.reference.upper < -question.margin:
        return "misses", f"on test it lies more than {figures.points(question.margin)} below the reference"
    return "cannot tell", _why_open(question, look)


def _why_met(question: Question, look: LookReading) -> str:
    figures = Figures.of(question)
    if question.goal is not None:
        return f"its true score is at least {figures.at_least(look.lower, question.goal)} ({sure(look.level)})"
    if look.reference is None:
        return "it is the best on validation, the reference for the others"
    behind = figures.points(min(look.reference.lower, 0.0))
    return f"it lies at most {behind} below the reference ({sure(look.level)})"


def _why_open(question: Question, look: LookReading) -> str:
    """Every reason that kept a rung from passing."""
    figures = Figures.of(question)
    reasons = []
    if look.errors > ERRORS_ALLOWED:
        reasons.append(too_many_errors(look.errors))
    if question.goal is not None and look.lower < question.goal:
        bound = figures.at_least(look.lower)
        reasons.append(f"its true score is at least {bound} ({sure(look.level)}), which does not reach the goal")
    if look.reference is not None and look.reference.lower <= -question.margin:
        behind = figures.points(look.reference.lower)
        reasons.append(f"it may lie {behind} below the reference ({sure(look.level)})")
    for guard in look.guards:
        if not guard.kept:
            reasons.append(f"it was not shown to keep the guard {guard.name}")
    return "; ".join(reasons)


def judged_by_validation(question: Question, reading: ValidationReading) -> tuple[State, str]:
    """State and reason of a rung that was built and had no look, where validation says enough; else "not tested"."""
    figures = Figures.of(question)
    goal = question.goal
    if goal is not None and reading.upper is not None and reading.upper < goal:
        bound = figures.at_most(reading.upper, goal)
        return "misses", f"on validation its true score is at most {bound} ({sure(MISSED)})"
    if not clears_floor(reading):
        if reading.floor_upper is not None and reading.floor_upper < 0.0:
            return "misses", f"on validation it lies below the floor ({sure(MISSED)})"
        return "cannot tell", f"{figures.value(reading.value)} on validation does not stand out from the floor"
    if reading.gap_upper is not None and reading.gap_upper < -question.margin:
        return "misses", f"on validation it lies more than {figures.points(question.margin)} below the reference"
    if reading.errors > ERRORS_ALLOWED:
        return "cannot tell", too_many_errors(reading.errors)
    if goal is not None and not is_finalist(question, reading):
        needed = figures.value(goal + reading.error)
        return (
            "cannot tell",
            f"{figures.value(reading.value)} on validation does not reach the {needed} that earn a look",
        )
    return "not tested", ""


def too_many_errors(share: float) -> str:
    """Why a rung whose calls fail is not recommended."""
    return f"{100 * share:.1f} % of its calls returned nothing (at most {100 * ERRORS_ALLOWED:g} % may)"


def verdict(
    candidate: Candidate,
    state: State,
    reason: str,
    reading: ValidationReading,
    look: LookReading | None = None,
    *,
    finalist: bool = False,
) -> Verdict:
    """The verdict on a rung that was built."""
    return Verdict(candidate.name, candidate.cost, candidate.price, state, reason, finalist, reading, look)
