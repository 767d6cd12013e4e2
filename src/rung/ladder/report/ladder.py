"""The top of the report: the decision, the ladder drawn, score against cost. The table of rungs is in `report.table`."""

from __future__ import annotations

import re

from rung.ladder.record import RungEntry
from rung.ladder.report.view import STATES, View
from rung.page import quantities as q
from rung.page.axes import clipped
from rung.page.document import card, section
from rung.page.marks import drawing, rule, shape, text
from rung.page.markup import Html, Part, join, tag
from rung.page.plots import Line, Point, against_cost

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
        sure = f"≥ {view.scores.at_least(rung.test.lower)} ({q.percent(1 - rung.test.level, 3)} sure)"
        facts.append((f"{view.report.task.metric} on test", view.scores.value(rung.test.value), sure))
    elif rung.validation is not None:
        seen = rung.validation
        interval = view.scores.interval(seen.low, seen.high)
        note = "" if interval == q.NOTHING else f"{interval} (95 %)"
        facts.append((f"{view.report.task.metric}, validation", view.scores.value(seen.value), note))
    measured, cost = rung.measured, rung.cost
    if cost is not None and cost.prompt_tokens is not None:
        made = "" if cost.completion_tokens is None else f"and {q.count(cost.completion_tokens)} written"
        facts.append(("tokens read a request", q.count(cost.prompt_tokens), made))
    if measured is not None and measured.latency_s is not None:
        facts.append(("answering", q.seconds(measured.latency_s), "a request, measured"))
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
        words = f"{view.floor_words} {view.scores.value(view.floor.validation.value)}"
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
        lines.append(Line(value, f"{view.floor_words} {view.scores.tick(value)}", "floor", needed=False))
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
