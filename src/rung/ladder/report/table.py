"""The table of all rungs: where each ended, its scores, what it costs. Columns that nothing fills are left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rung.ladder.record import GuardChange, GuardSeen, RungEntry, Versus
from rung.ladder.report.text import seed_lines
from rung.ladder.report.view import STATES, View, settings, state
from rung.metrics import METRICS
from rung.page import quantities as q
from rung.page.document import row, section, table, tip
from rung.page.marks import strip
from rung.page.markup import Html, Part, join, tag
from rung.page.plots import value_range


@dataclass(frozen=True)
class Column:
    """One column: its head with a hint, its cell for a rung, and which rungs fill it."""

    head: str
    hint: str
    cell: Callable[[View, RungEntry], Part]
    filled: Callable[[RungEntry], bool]
    number: bool = True


def rung_table(view: View) -> Html | None:
    """Every rung with its scores, costs, and where it ended."""
    if not view.report.rungs:
        return None
    columns = [column for column in COLUMNS if any(column.filled(rung) for rung in view.report.rungs)]
    numbers = [n + 1 for n, column in enumerate(columns) if column.number]
    heads = ["Rung", *(tip(column.head.format(metric=view.report.task.metric), column.hint) for column in columns)]
    rows = [
        row(
            _name(view, rung),
            *(column.cell(view, rung) for column in columns),
            numbers=numbers,
            class_=_class(view, rung),
        )
        for rung in view.report.rungs
    ]
    unit = "; differences are in points" if view.scores.percent else ""
    lead = f"From the cheapest to the dearest. Intervals are 95 %{unit}."
    return section(
        "rungs", "The rungs", table(heads, rows, caption="All rungs", numbers=numbers), _also(view), lead=lead
    )


def _class(view: View, rung: RungEntry) -> str | None:
    return "chosen" if rung is view.chosen else "dim" if rung.state == "skipped" else None


def _name(view: View, rung: RungEntry) -> Part:
    badge = tag("span", "recommended", class_="badge meets") if rung is view.chosen else None
    fields = settings(rung.settings or rung.fields)
    return join(rung.name, " ", badge, tag("small", fields, class_="said") if fields else None)


def _state(view: View, rung: RungEntry) -> Part:
    return join(state(rung), tag("small", rung.reason, class_="why") if rung.reason else None)


def _scale(view: View) -> tuple[float, float]:
    """The common scale of the strips: that of the rungs, where there are any, and the goal."""
    task = view.report.task
    readings = [rung.validation for rung in view.built or view.report.rungs if rung.validation]
    values = [number for seen in readings for number in (seen.value, seen.low, seen.high) if number is not None]
    values += [task.goal] if task.goal is not None else []
    return value_range(values, (task.worst, task.best)) if values else (task.worst, task.best)


def _validation(view: View, rung: RungEntry) -> Part:
    seen = rung.validation
    if seen is None:
        return tag("span", q.NOTHING, class_="faint")
    value, interval = view.scores.value(seen.value), view.scores.interval(seen.low, seen.high)
    drawn = strip(seen.value, seen.low, seen.high, _scale(view), f"{value}, {interval}", view.report.task.goal)
    lost = f"{q.count(rung.errors)} call{'' if rung.errors == 1 else 's'} returned nothing" if rung.errors else ""
    return join(
        tag("span", value, class_="nowrap"),
        tag("div", drawn, class_="floor" if rung.floor else STATES.get(rung.state, "data")),
        tag("small", interval, class_="nowrap") if interval != q.NOTHING else None,
        [tag("small", line) for line in seed_lines(view, rung)],
        tag("small", lost, class_="misses") if lost else None,
    )


def _versus(view: View, rung: RungEntry) -> Part:
    versus: Versus | None = rung.versus
    if versus is None:
        return tag("span", q.NOTHING, class_="faint")
    interval = view.scores.gap_interval(versus.low, versus.high)
    return join(
        view.scores.gap(versus.difference),
        tag("small", interval) if interval != q.NOTHING else None,
        tag("small", q.p_value(versus.p)) if versus.p is not None else None,
    )


def _test(view: View, rung: RungEntry) -> Part:
    if rung.test is None:
        return tag("span", q.NOTHING, class_="faint")
    return join(
        view.scores.value(rung.test.value),
        tag("small", f"≥ {view.scores.at_least(rung.test.lower)}"),
        tag("small", f"look {rung.test.look}"),
    )


def _adapting(view: View, rung: RungEntry) -> Part:
    measured = rung.measured
    if measured is None:
        return tag("span", q.NOTHING, class_="faint")
    peak = tag("small", q.memory(measured.peak_memory)) if measured.peak_memory is not None else None
    return join(q.seconds(measured.train_seconds), peak)


def _request(view: View, rung: RungEntry) -> Part:
    cost, measured = rung.cost, rung.measured
    if cost is None or not (cost.prompt_tokens or cost.completion_tokens):
        return tag("span", q.NOTHING, class_="faint")
    written = "" if cost.completion_tokens is None else f" + {q.count(cost.completion_tokens)}"
    latency = measured.latency_s if measured else None
    tokens = f"{q.count(cost.prompt_tokens)}{written} tokens"
    return join(tokens, tag("small", q.seconds(latency)) if latency is not None else None)


def _guards(view: View, rung: RungEntry) -> Part:
    if not (rung.guards or rung.guards_seen):
        return tag("span", q.NOTHING, class_="faint")
    tested = {guard.name: guard for guard in rung.guards}
    seen = {guard.name: guard for guard in rung.guards_seen}
    return join([_guard(seen.get(name), tested.get(name), name) for name in dict.fromkeys([*seen, *tested])])


def _guard(seen: GuardSeen | None, tested: GuardChange | None, name: str) -> Html:
    """One guard: its change on validation rows with the interval, and what the look said of its test rows."""
    parts: list[Part] = [tag("small", name, class_="said")]
    if seen is not None and seen.unchanged:
        parts.append(tag("small", "the base's own weights"))
    elif seen is not None:
        parts.insert(0, tag("span", q.signed(seen.difference, 3)))
        if seen.low is not None and seen.high is not None:
            parts.append(tag("small", f"{q.signed(seen.low, 3)} to {q.signed(seen.high, 3)}"))
    if tested is not None and not (seen is not None and seen.unchanged):
        colour = "meets" if tested.kept else "misses"
        change = f"test {q.signed(tested.difference, 3)}, ≥ {q.signed(tested.lower, 3)}"
        parts.append(tag("small", f"{change}, {'kept' if tested.kept else 'not kept'}", class_=colour))
    return tag("div", parts)


def _also(view: View) -> Html | None:
    """The other scores, a column each."""
    names = list(dict.fromkeys(name for rung in view.report.rungs for name in rung.also))
    if not names:
        return None
    rows = []
    for rung in view.report.rungs:
        if not rung.also:
            continue
        cells: list[Part] = [rung.name]
        for name in names:
            seen = rung.also.get(name)
            written = q.Scores(METRICS[name].kind if name in METRICS else "graded")
            interval = written.interval(seen.low, seen.high) if seen else q.NOTHING
            note = tag("small", interval) if interval != q.NOTHING else None
            cells.append(join(written.value(seen.value if seen else None), note))
        rows.append(row(*cells, numbers=range(1, len(names) + 1), class_="chosen" if rung is view.chosen else None))
    shown = table(["Rung", *names], rows, caption="Other scores on validation", numbers=range(1, len(names) + 1))
    return tag("details", tag("summary", "Other scores on validation"), shown, class_="more")


COLUMNS = (
    Column(
        "State", "meets: shown on test to reach the goal. misses: its upper bound lies below it. Otherwise the evidence decides neither.",
        _state, lambda rung: bool(rung.state or rung.floor), number=False,
    ),
    Column(
        "{metric}, validation", "The score on validation rows, with its 95 % interval. The fine line is the goal.",
        _validation, lambda rung: rung.validation is not None, number=False,
    ),
    Column(
        "vs the rung below", "This rung minus the next cheaper one on the same rows; p is adjusted for all comparisons (Holm).",
        _versus, lambda rung: rung.versus is not None,
    ),
    Column(
        "Test", "Scored only for finalists; every look at the test split is counted and paid for in certainty.",
        _test, lambda rung: rung.test is not None,
    ),
    Column(
        "Adapting", "Time to adapt once, and the highest memory of the process on the way, with all that earlier rungs made it load: measured.",
        _adapting, lambda rung: rung.measured is not None,
    ),
    Column(
        "A request", "Tokens read and written, computed; and the time of an answer, measured.",
        _request, lambda rung: rung.cost is not None and rung.cost.prompt_tokens is not None,
    ),
    Column(
        "Guards", "How each guard's score changes from base to artefact: on validation rows, with its 95 % interval; once tested, on test rows, with the lower bound that decides.",
        _guards, lambda rung: bool(rung.guards or rung.guards_seen),
    ),
)  # fmt: skip
