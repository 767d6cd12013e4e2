"""The top of the report: the decision, the ladder drawn, score against cost, and the table of all rungs."""

from __future__ import annotations

import re

from rung.ladder.record import RungEntry, Versus
from rung.ladder.report_view import STATES, View, settings, state
from rung.metrics import METRICS
from rung.page import quantities as q
from rung.page.axes import clipped
from rung.page.document import card, row, section, table, tip
from rung.page.marks import drawing, rule, shape, strip, text
from rung.page.markup import Html, Part, join, tag
from rung.page.plots import Line, Point, against_cost, value_range

# -- the decision ------------------------------------------------------------------------------------------------------


def hero(view: View) -> Html:
    """The decision in its own words, the numbers behind it, and the ladder."""
    report = view.report
    first, rest = _split_sentence(str(report.decision.get("sentence", "")) or "No decision was made.")
    advice = [str(line) for line in report.decision.get("advice", ())]
    told = tag(
        "div",
        tag("div", f"{report.task.name} · {report.task.kind} · {report.base.name}", class_="eyebrow"),
        tag("h1", _named(first, report.recommended)),
        tag("p", rest, class_="rest") if rest else None,
        _facts(view),
        tag("ul", [tag("li", line) for line in advice], class_="advice") if advice else None,
    )
    return card(told, _drawn_ladder(view), class_="hero")


def _split_sentence(sentence: str) -> tuple[str, str]:
    """The first sentence, and what follows it."""
    parts = re.split(r"(?<=[.!?])\s+(?=[A-Z])", sentence.strip(), maxsplit=1)
    return parts[0], parts[1] if len(parts) > 1 else ""


def _named(sentence: str, name: str | None) -> Html:
    """The sentence with the recommended rung's name picked out where it is first said."""
    if not name or name not in sentence:
        return join(sentence)
    before, after = sentence.split(name, 1)
    return join(before, tag("em", name), after)


def _facts(view: View) -> Html | None:
    rung = view.chosen or view.shown
    if rung is None:
        return None
    facts: list[tuple[str, str, str]] = []
    if rung.test is not None:
        sure = f"at least {view.scores.value(rung.test.lower)}, {q.percent(1 - rung.test.level, 3)} sure"
        facts.append((f"{view.report.task.metric} on test", view.scores.value(rung.test.value), sure))
    elif rung.validation is not None:
        seen = rung.validation
        interval = view.scores.interval(seen.low, seen.high)
        note = "" if interval == q.NOTHING else f"{interval} (95 %)"
        facts.append((f"best {view.report.task.metric} on validation", view.scores.value(seen.value), note))
    measured, cost = rung.measured, rung.cost
    if cost is not None and cost.prompt_tokens is not None:
        made = "" if cost.completion_tokens is None else f"and {q.count(cost.completion_tokens)} written"
        facts.append(("tokens read a request", q.count(cost.prompt_tokens), made))
    if measured is not None and measured.latency_s is not None:
        facts.append(("answer", q.seconds(measured.latency_s), "a request, measured"))
    if measured is not None and measured.train_seconds is not None:
        peak = "" if measured.peak_memory is None else f"peak {q.memory(measured.peak_memory)}"
        facts.append(("adapting once", q.seconds(measured.train_seconds), peak))
    shown = [
        tag("div", tag("dt", name), tag("dd", value, tag("small", note) if note else None))
        for name, value, note in facts
    ]
    return tag("dl", shown, class_="facts")


def _drawn_ladder(view: View) -> Html | None:
    """The rungs between two rails, the cheapest at the bottom; what was not built is dotted."""
    rungs = view.rungs
    if not rungs:
        return None
    step = 46.0 if len(rungs) <= 9 else 32.0
    left, right, width, top = 10.0, 78.0, 300.0, 16.0
    foot = top + step * len(rungs)
    ground = 34.0 if view.floor else 12.0
    parts: list[Part] = [rule(x, 6, x, foot + 6, "rail") for x in (left, right)]
    for n, rung in enumerate(reversed(rungs)):
        y = top + step * n + step / 2
        parts.append(_spoke(view, rung, left, right, y, width - right - 20, step > 40))
    if view.floor is not None and view.floor.validation is not None:
        words = f"floor: {view.floor.name} {view.scores.value(view.floor.validation.value)}"
        parts += [rule(0, foot + 12, width, foot + 12, "floor"), text(0, foot + 28, clipped(words, width, 11), "tiny")]
    about = "; ".join(f"{rung.name}: {rung.state or 'built'}" for rung in rungs)
    return tag(
        "div",
        drawing(width, foot + ground, "The ladder, cheapest rung at the bottom", *parts, about=about),
        class_="ladder",
    )


def _spoke(view: View, rung: RungEntry, left: float, right: float, y: float, room: float, tall: bool) -> Html:
    chosen = rung is view.chosen
    line = rule(left + 6, y, right - 6, y, "spoke" if rung.validation else "spoke faded")
    value = view.scores.value(rung.validation.value) if rung.validation else ""
    second = " · ".join(part for part in (rung.state or "built", value) if part)
    name = clipped(rung.name, room, 13)
    words: list[Part] = [text(right + 18, y - 2 if tall else y + 4, name, "strong meets" if chosen else "strong")]
    if tall:
        words.append(text(right + 18, y + 13, second, "tiny"))
    ring = tag("circle", cx=(left + right) / 2, cy=y, r=11, class_="halo") if chosen else None
    plate = tag("circle", cx=(left + right) / 2, cy=y, r=8.5, class_="plate")
    mark = shape(rung.state or "built", (left + right) / 2, y, 5)
    return tag(
        "g",
        tag("title", f"{rung.name}: {second}"),
        line,
        plate,
        ring,
        mark,
        words,
        class_=STATES.get(rung.state, "data"),
    )


# -- score against cost ------------------------------------------------------------------------------------------------


def against(view: View) -> Html | None:
    """The plot of score against computed cost, with its key."""
    points = [_point(view, rung) for rung in view.built if rung.cost is not None]
    if not points:
        return None
    task, lines = view.report.task, _lines(view)
    unit = next((rung.cost.unit for rung in view.built if rung.cost), "FLOPs")
    where = f" for {q.count(task.requests)} requests" if task.requests else ""

    def drawn(width: float, height: float) -> Html:
        return against_cost(
            points, lines, title=f"{task.metric} on validation against cost", ends=(task.worst, task.best), size=(width, height),
            cost_words=f"computed cost{where}, {unit} (logarithmic) →" if width > 500 else f"cost, {unit} (log) →",
            write_cost=lambda cost: q.scaled(cost), write_value=view.scores.tick,
        )  # fmt: skip

    figure = tag(
        "figure",
        tag("div", drawn(1020, 430), class_="wide"),
        tag("div", drawn(340, 330), class_="narrow"),
        _key(view, any(point.test for point in points)),
    )
    lead = (
        "Each mark is a rung's score on validation, the band its 95 % interval. The grey stairs are the best score to be "
        "had for a cost. Cost is computed from tokens and parameters, never from a clock."
    )
    return section("cost", "Score against cost", card(figure), lead=lead)


def _point(view: View, rung: RungEntry) -> Point:
    assert rung.validation is not None and rung.cost is not None
    seen = rung.validation
    return Point(
        rung.name, rung.cost.order, seen.value, seen.low, seen.high, rung.state, STATES.get(rung.state, "data"),
        f"{view.scores.value(seen.value)}{' · recommended' if rung is view.chosen else ''}", rung is view.chosen,
        (rung.test.value, rung.test.lower) if rung.test else None,
    )  # fmt: skip


def _lines(view: View) -> list[Line]:
    lines = []
    if view.report.task.goal is not None:
        lines.append(Line(view.report.task.goal, f"goal {view.scores.tick(view.report.task.goal)}", "goal"))
    if view.floor is not None and view.floor.validation is not None:
        value = view.floor.validation.value
        lines.append(Line(value, f"floor: {view.floor.name}, {view.scores.tick(value)}", "floor"))
    return lines


def _key(view: View, tested: bool) -> Html:
    states = list(dict.fromkeys(rung.state for rung in view.built if rung.state))
    items = [
        tag("li", tag("span", drawing(22, 14, name, shape(name, 11, 7, 4.6)), class_=STATES.get(name, "quiet")), name)
        for name in states
    ]
    if tested:
        parts = [rule(11, 4, 11, 13, "stroke"), tag("path", d="M11 0.5l4 4l-4 4l-4 -4z", class_="hollow")]
        items.append(
            tag("li", tag("span", drawing(22, 14, "test", *parts), class_="soft"), "on test, down to its lower bound")
        )
    return tag("ul", items, class_="key")


# -- the table ---------------------------------------------------------------------------------------------------------


def rung_table(view: View) -> Html | None:
    """Every rung with its scores, costs, and where it ended."""
    if not view.report.rungs:
        return None
    scale = _scale(view)
    columns, numbers = _columns(view), (3, 4, 5, 6, 7)
    rows = [_row(view, rung, scale, numbers) for rung in view.report.rungs]
    lead = f"From the cheapest to the dearest. Differences are in {view.scores.gap_unit}; intervals are 95 %."
    return section(
        "rungs", "The rungs", table(columns, rows, caption="All rungs", numbers=numbers), _also(view), lead=lead
    )


def _columns(view: View) -> list[Part]:
    task = view.report.task
    guards = "The change of each guard's score from base to artefact, and its lower bound" if task.guards else ""
    return [
        "Rung",
        tip("State", "meets: shown on test to reach the goal. misses: its upper bound lies below. Otherwise the evidence decides neither."),
        tip(f"{task.metric}, validation", "The score on validation rows, with its 95 % interval. The fine line is the goal."),
        tip("vs the rung below", "This rung minus the next cheaper one on the same rows; p is adjusted for all comparisons (Holm)."),
        tip("Test", "Scored only for finalists; every look at the test split is counted and paid for in certainty."),
        tip("Adapting", "Time to adapt once, and the highest memory on the way: measured."),
        tip("A request", "Tokens read and written, computed; and the time of an answer, measured."),
        tip("Guards", guards) if guards else "Guards",
    ]  # fmt: skip


def _scale(view: View) -> tuple[float, float]:
    task = view.report.task
    values = [number for rung in view.report.rungs if rung.validation for number in (rung.validation.value, rung.validation.low, rung.validation.high) if number is not None]  # fmt: skip
    values += [task.goal] if task.goal is not None else []
    return value_range(values, (task.worst, task.best)) if values else (task.worst, task.best)


def _row(view: View, rung: RungEntry, scale: tuple[float, float], numbers: tuple[int, ...]) -> Html:
    chosen = rung is view.chosen
    badge = tag("span", "recommended", class_="badge meets") if chosen else None
    fields = settings(rung.settings or rung.fields)
    name = join(rung.name, " ", badge, tag("small", fields, class_="said") if fields else None)
    ended = join(state(rung), tag("small", rung.reason, class_="why") if rung.reason else None)
    return row(
        name, ended, _validation(view, rung, scale), _versus(view, rung.versus), _test(view, rung), _adapting(rung),
        _request(rung), _guards(view, rung), numbers=numbers,
        class_="chosen" if chosen else "dim" if rung.state == "skipped" else None,
    )  # fmt: skip


def _validation(view: View, rung: RungEntry, scale: tuple[float, float]) -> Part:
    seen = rung.validation
    if seen is None:
        return tag("span", q.NOTHING, class_="faint")
    value, interval = view.scores.value(seen.value), view.scores.interval(seen.low, seen.high)
    drawn = strip(seen.value, seen.low, seen.high, scale, f"{value}, {interval}", view.report.task.goal)
    lost = f"{q.count(rung.errors)} call{'' if rung.errors == 1 else 's'} returned nothing" if rung.errors else ""
    spread = ""
    if rung.seed_values:
        low, high = min(rung.seed_values), max(rung.seed_values)
        spread = f"{len(rung.seed_values)} seeds: {view.scores.interval(low, high)}"
    return join(
        tag("span", value, class_="nowrap"),
        tag("div", drawn, class_="floor" if rung.floor else STATES.get(rung.state, "data")),
        [tag("small", note, class_="nowrap") for note in (interval if interval != q.NOTHING else "", spread) if note],
        tag("small", lost, class_="misses") if lost else None,
    )


def _versus(view: View, versus: Versus | None) -> Part:
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
        tag("small", f"≥ {view.scores.value(rung.test.lower)}"),
        tag("small", f"look {rung.test.look}"),
    )


def _adapting(rung: RungEntry) -> Part:
    measured = rung.measured
    if measured is None:
        return tag("span", q.NOTHING, class_="faint")
    peak = tag("small", q.memory(measured.peak_memory)) if measured.peak_memory is not None else None
    return join(q.seconds(measured.train_seconds), peak)


def _request(rung: RungEntry) -> Part:
    cost, measured = rung.cost, rung.measured
    if cost is None or cost.prompt_tokens is None:
        tokens = q.NOTHING
    else:
        written = "" if cost.completion_tokens is None else f" + {q.count(cost.completion_tokens)}"
        tokens = f"{q.count(cost.prompt_tokens)}{written} tokens"
    latency = measured.latency_s if measured else None
    return join(tokens, tag("small", q.seconds(latency)) if latency is not None else None)


def _guards(view: View, rung: RungEntry) -> Part:
    if not rung.guards:
        return tag("span", q.NOTHING, class_="faint")
    told = []
    for guard in rung.guards:
        colour = "meets" if guard.kept else "misses"
        told.append(
            tag(
                "div",
                tag("span", f"{q.signed(guard.difference, 3)}", class_=colour),
                tag("small", f"{guard.name}: ≥ {q.fixed(guard.lower, 3)}, {'kept' if guard.kept else 'not kept'}"),
            )
        )
    return join(told)


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
    return tag("details", tag("summary", "Other scores on validation"), tag("p"), shown, class_="more")
