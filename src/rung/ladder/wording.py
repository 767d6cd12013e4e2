"""The words of the decision: one sentence a manager can read, and advice where the evidence does not suffice.

Only words: every number comes from the verdicts or, for advice, from the power functions of `stats`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rung import stats
from rung.ladder.figures import Figures, about, plain, sure
from rung.ladder.judge import clears_floor
from rung.ladder.ledger import look_level
from rung.ladder.question import Guard, Question
from rung.ladder.verdict import Decision, Gap, GuardReading, LookReading, Verdict

POWER = 0.8
CHANGED = 0.1
"""The share of a guard's answers that an adaptation plausibly changes, where nothing is measured yet: as many to the
better as to the worse. A graded answer that changes is taken to move by half of the scale."""


# -- the sentence ------------------------------------------------------------------------------------------------------


def sentence(question: Question, decision: Decision) -> str:
    """The decision in plain English. It names the cheaper rungs that were not shown to miss."""
    if decision.recommended is None:
        parts = _nothing(question, decision)
    else:
        verdict = decision.verdict(decision.recommended)
        assert verdict.look is not None
        parts = [_use(question, decision, verdict, verdict.look)]
        parts += [_guards_kept(verdict.look.guards)] if verdict.look.guards else []
        parts += [f"It costs {verdict.price}."] if verdict.price else []
        parts += _cheaper(question, decision)
    return " ".join(parts + _low_goal(question, decision))


def _use(question: Question, decision: Decision, verdict: Verdict, look: LookReading) -> str:
    figures = Figures.of(question)
    told = f"on {look.count:,} unseen {question.noun} it {figures.got(look.value, question.metric)}"
    if question.goal is not None:
        bound = figures.at_least(look.lower, question.goal)
        return (
            f"Use {verdict.name}: {told}, and its true score is at least {bound} ({sure(look.level)}), "
            f"which reaches the goal of {figures.exactly(question.goal)}."
        )
    margin = figures.points(question.margin)
    if look.reference is None:
        bound = figures.at_least(look.lower)
        return (
            f"Use {verdict.name}, the best rung on validation; no cheaper one was shown to come within {margin} of it. "
            f"In figures: {told}, and its true score is at least {bound} ({sure(look.level)})."
        )
    behind = figures.points(min(look.reference.lower, 0.0))
    return (
        f"Use {verdict.name}: {told}, at most {behind} below the best rung, {decision.reference} "
        f"({sure(look.level)}; the margin is {margin})."
    )


def _guards_kept(guards: Sequence[GuardReading]) -> str:
    told = []
    for guard in guards:
        figures = Figures(guard.kind, guard.span)
        if guard.gap.lower >= 0.0:
            told.append(f"{guard.name} (no worse than the base)")
        else:
            behind, margin = figures.points(guard.gap.lower), figures.points(guard.margin)
            told.append(f"{guard.name} (at most {behind} below the base; the margin is {margin})")
    return f"It keeps the guard{'s' if len(told) > 1 else ''} {_listed(told)}."


def _low_goal(question: Question, decision: Decision) -> list[str]:
    """A goal that needs no model is worth a word, whatever came out."""
    if question.goal is None or decision.floor is None or decision.floor < question.goal:
        return []
    floor = Figures.of(question).value(decision.floor)
    return [f"The floor, had without a model, reaches this goal on validation ({floor}): a higher goal would say more."]


def _cheaper(question: Question, decision: Decision) -> list[str]:
    """Cheaper rungs that were not shown to miss, and those that were skipped."""
    names = [verdict.name for verdict in decision.rungs]
    before = decision.rungs[: names.index(decision.recommended or "")]
    open_ = [verdict.name for verdict in before if verdict.state in ("cannot tell", "not tested")]
    skipped = [f"{verdict.name} ({verdict.reason})" for verdict in before if verdict.state == "skipped"]
    what = "miss the goal" if question.goal is not None else "fall further behind than the margin"
    parts = [f"The cheaper {_listed(open_)} {_was(open_)} not shown to {what}."] if open_ else []
    return parts + ([f"Skipped: {_listed(skipped)}."] if skipped else [])


def _nothing(question: Question, decision: Decision) -> list[str]:
    """No rung is recommended: the closest one, and what is known of each."""
    figures = Figures.of(question)
    if question.goal is not None:
        parts = [f"No rung was shown to reach the goal of {figures.exactly(question.goal)}."]
    else:
        parts = ["No rung can be recommended."]
        if decision.floor is not None and not any(
            verdict.validation and clears_floor(verdict.validation) for verdict in decision.rungs
        ):
            floor = figures.value(decision.floor)
            parts = [f"No rung can be recommended: none was shown to beat the floor of {floor}, had without a model."]
    tested = [verdict for verdict in decision.rungs if verdict.look is not None]
    built = [verdict for verdict in decision.rungs if verdict.validation is not None]
    if tested:
        best = max(tested, key=lambda verdict: verdict.look.value if verdict.look else -math.inf)
        assert best.look is not None
        got = figures.got(best.look.value, question.metric)
        parts.append(
            f"The best on test was {best.name}: on {best.look.count:,} unseen {question.noun} it {got}; {best.reason}."
        )
    elif built:
        best = max(built, key=lambda verdict: verdict.validation.value if verdict.validation else -math.inf)
        parts.append(f"The best was {best.name}: {best.reason}.")
    missed = [verdict.name for verdict in decision.rungs if verdict.state == "misses"]
    unclear = [verdict.name for verdict in decision.rungs if verdict.state in ("cannot tell", "not tested")]
    skipped = [f"{verdict.name} ({verdict.reason})" for verdict in decision.rungs if verdict.state == "skipped"]
    out = "Shown to miss" if question.goal is not None else "Ruled out"
    parts += [f"{out}: {_listed(missed)}."] if missed else []
    parts += [f"Not settled: {_listed(unclear)}."] if unclear else []
    parts += [f"Skipped: {_listed(skipped)}."] if skipped else []
    return parts


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _was(names: Sequence[str]) -> str:
    return "was" if len(names) == 1 else "were"


# -- what more items would show ----------------------------------------------------------------------------------------


def foresee(question: Question, number: int = 1, scatter: stats.Spread | None = None) -> tuple[str, ...]:
    """What the test split and the guards can show at look `number`, for the plan: before anything is spent.

    `scatter` tells how far items scatter. Without it a score that is not right or wrong is taken to scatter over a
    quarter of its scale.
    """
    level = look_level(number)
    terms = f"look {number}, {sure(level)}, {plain(100 * POWER, 0)} % power"
    show = _goal_foreseen if question.goal is not None else _margin_foreseen
    lines = [f"{show(question, level, scatter)} ({terms})"]
    lines += [f"guard {name}: {_guard_foreseen(guard, level)} ({terms})" for name, guard in question.guards.items()]
    return tuple(lines)


def _guard_foreseen(guard: Guard, level: float) -> str:
    """What a guard's items can show of a model that is as good as the base, and how many a plausible change takes."""
    figures, size, scheme = Figures(guard.kind, guard.span), stats.group_size(guard.sample.scheme), guard.sample.scheme
    kind = guard.kind if scheme.groups is None else "graded"
    count, units = guard.sample.count, max(1, math.floor(guard.sample.count / size))
    scatter = CHANGED if kind == "binary" else math.sqrt(CHANGED) * guard.span / (1 if guard.kind == "binary" else 2)
    needed = stats.guard_items(guard.margin, level, scatter, POWER, kind, guard.span, scheme.least)
    takes = f"where {100 * CHANGED:g} % of the answers change it takes {about(math.ceil(needed * size))}"
    margin = figures.points(guard.margin)
    if units < stats.items_for_no_change(guard.margin, level, kind, guard.span, scheme.least):
        return f"{count:,} items cannot show even a model that answers alike to stay within {margin}; {takes}"
    most = stats.bearable_scatter(units, guard.margin, level, POWER, kind, guard.span)
    told = (
        f"{100 * most * most:.0f} % of the answers change"
        if kind == "binary"
        else f"changes scatter by {plain(most, 3)}"
    )
    return f"{count:,} items show a model as good as the base to stay within {margin} if at most {told}; {takes}"


def _goal_foreseen(question: Question, level: float, scatter: stats.Spread | None) -> str:
    assert question.goal is not None
    figures, count = Figures.of(question), question.test.count
    least = stats.detectable(count, question.goal, level, POWER, scatter or _default_scatter(question))
    goal = figures.exactly(question.goal)
    if least is None:
        return f"{count:,} test items cannot show any score to be above {goal}"
    return f"{count:,} test items can show a true {figures.at_most(least)} to be above {goal}"


def _margin_foreseen(question: Question, level: float, scatter: stats.Spread | None) -> str:
    """Without a goal: how much two equally good rungs may differ item by item. Grouped items count as their groups."""
    figures, span = Figures.of(question), question.best - question.worst
    size = stats.group_size(question.test.scheme)
    units = max(1, math.floor(question.test.count / size))
    kind = question.kind if size == 1.0 else "graded"
    most = stats.bearable_scatter(units, question.margin, level, POWER, kind, span)
    margin = figures.points(question.margin)
    if most <= 0.0:
        return f"{question.test.count:,} test items cannot show any rung to come within {margin} of another"
    what = f"{question.test.count:,} test items can show equally good rungs to lie within {margin} of each other"
    if kind == "binary":
        return f"{what} if they disagree on at most {100 * most * most:.0f} % of the items"
    return f"{what} if the differences between them scatter by at most {plain(most, 3)}"


def _default_scatter(question: Question) -> stats.Spread:
    groups = question.test.scheme.groups
    size = stats.group_size(question.test.scheme)
    if question.kind == "binary" and groups is None:
        return stats.BINARY
    span = question.best - question.worst
    # Whole groups that agree scatter like single right-or-wrong items of half the span at most.
    deviation = span / 2 * math.sqrt(size) if question.kind == "binary" else span / 4 * math.sqrt(size)
    return stats.Spread(deviation, question.worst, question.best, size)


def advice(question: Question, decision: Decision, upcoming: int) -> tuple[str, ...]:
    """One line a rung that "cannot tell": how many test items the next look (number `upcoming`) would need."""
    lines = []
    for verdict in decision.rungs:
        if verdict.state != "cannot tell" or verdict.validation is None:
            continue
        if question.goal is not None:
            lines += _goal_advice(question, verdict, upcoming)
        elif verdict.look is not None and verdict.look.reference is not None:
            lines += _gap_advice(question, verdict, verdict.look, upcoming)
        lines += _guard_advice(verdict, upcoming)
    return tuple(lines)


def _goal_advice(question: Question, verdict: Verdict, upcoming: int) -> list[str]:
    reading, validation, goal = verdict.look or verdict.validation, verdict.validation, question.goal
    assert reading is not None and validation is not None and goal is not None
    if verdict.look is not None and verdict.look.lower >= goal:
        return []  # the goal is not what it failed on
    level, figures = look_level(upcoming), Figures.of(question)
    if reading.value <= goal:
        shown = figures.value(reading.value)
        return [f"{verdict.name}: its estimate of {shown} is not above the goal: more examples will probably not help."]
    scatter = _scatter(question, verdict)

    def needed(truth: float) -> str:
        return about(stats.items_needed(truth, goal, level, POWER, scatter))

    span = question.best - question.worst
    above = [goal + points * span for points in (0.02, 0.05) if goal + points * span < question.best]
    at = [f"{needed(truth)} if its true score is {figures.value(truth)}" for truth in above]
    own = f"{needed(reading.value)} if its estimate of {figures.value(reading.value)} is true"
    if reading.low is not None and reading.high is not None:
        own += f" (from {needed(reading.high)} to {needed(reading.low)} over its 95 % interval)"
    return [f"{verdict.name}: {_to_show('it', upcoming)} test items: {'; '.join([*at, own])}."]


def _scatter(question: Question, verdict: Verdict) -> stats.Spread:
    """How the rung's items scatter, as far as validation showed it."""
    groups = question.test.scheme.groups
    if question.kind == "binary" and groups is None:
        return stats.Spread(None, question.worst, question.best)
    assert verdict.validation is not None
    size = stats.group_size(question.test.scheme)
    deviation = verdict.validation.error * math.sqrt(verdict.validation.count)
    return stats.Spread(deviation, question.worst, question.best, size)


def _gap_advice(question: Question, verdict: Verdict, look: LookReading, upcoming: int) -> list[str]:
    gap, figures = look.reference, Figures.of(question)
    assert gap is not None
    if gap.lower > -question.margin:
        return []
    if gap.value <= -question.margin:
        behind = figures.points(gap.value)
        return [f"{verdict.name}: it came out {behind} below the reference: more examples will probably not help."]
    scatter = _gap_scatter(gap, look.count, question.best - question.worst)
    level = look_level(upcoming)
    equal = about(stats.items_needed(0.0, -question.margin, level, POWER, scatter))
    own = about(stats.items_needed(gap.value, -question.margin, level, POWER, scatter))
    task = _to_show(f"that it comes within {figures.points(question.margin)} of the reference", upcoming)
    return [f"{verdict.name}: {task} test items: {equal} if both are equally good; {own} if its estimate is true."]


def _guard_advice(verdict: Verdict, upcoming: int) -> list[str]:
    if verdict.look is None:
        return []
    lines = []
    for guard in verdict.look.guards:
        if guard.kept:
            continue
        if guard.gap.value <= -guard.margin:
            lines.append(f"{verdict.name}: more examples of the guard {guard.name} will probably not help.")
            continue
        scatter = _gap_scatter(guard.gap, guard.count, guard.span)
        level = min(look_level(upcoming), guard.level / 2)
        own = about(stats.items_needed(guard.gap.value, -guard.margin, level, POWER, scatter))
        task = _to_show(f"that it keeps the guard {guard.name}", upcoming)
        lines.append(f"{verdict.name}: {task} guard items: {own} if its estimate is true.")
    return lines


def _to_show(what: str, upcoming: int) -> str:
    terms = f"look {upcoming}, {sure(look_level(upcoming))}"
    return f"showing {what} at the next look ({terms}) with {plain(100 * POWER, 0)} % power takes about this many"


def _gap_scatter(gap: Gap, count: int, span: float) -> stats.Spread:
    """How far paired differences scatter, as far as the look showed it."""
    return stats.Spread(gap.error * math.sqrt(count), -span, span)
