"""The report in few words: a table for the terminal, plain lines without one, a small table for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rung.ladder.record import GuardSeen, Report, RungEntry
from rung.ladder.report.view import View
from rung.page import quantities as q
from rung.page.markup import Html, tag

if TYPE_CHECKING:
    from rich.table import Table

HEAD = ("rung", "state", "score", "95 %", "vs below", "test", "guards", "adapting", "peak", "tokens", "answer")
COLOURS = {
    "meets": "green",
    "misses": "red",
    "cannot tell": "yellow",
    "skipped": "bright_black",
    "not tested": "bright_black",
}
MARKS = {"meets": "●", "misses": "×", "cannot tell": "◐", "not tested": "○", "skipped": "–"}


def cells(view: View, rung: RungEntry) -> tuple[str, ...]:
    """One rung as texts, in the order of `HEAD`."""
    seen, test, measured, cost, versus = rung.validation, rung.test, rung.measured, rung.cost, rung.versus
    state = "floor" if rung.floor else f"{MARKS.get(rung.state, '')} {rung.state}".strip()
    tokens = (
        ""
        if cost is None or cost.prompt_tokens is None
        else q.count(cost.prompt_tokens + (cost.completion_tokens or 0))
    )
    return (
        rung.name,
        state,
        view.scores.value(seen.value) if seen else "",
        view.scores.interval(seen.low, seen.high) if seen and seen.low is not None else "",
        view.scores.gap(versus.difference) if versus else "",
        f"{view.scores.value(test.value)} (≥ {view.scores.at_least(test.lower)})" if test else "",
        ", ".join(_guard(seen) for seen in rung.guards_seen),
        q.seconds(measured.train_seconds) if measured and measured.train_seconds is not None else "",
        q.memory(measured.peak_memory) if measured and measured.peak_memory is not None else "",
        tokens,
        q.seconds(measured.latency_s) if measured and measured.latency_s is not None else "",
    )


def seed_lines(view: View, rung: RungEntry) -> list[str]:
    """How much the training seed matters: the spread, and from 5 seeds on the variance of seeds and of rows apart."""
    if not rung.seed_values:
        return []
    low, high = min(rung.seed_values), max(rung.seed_values)
    told = [f"{len(rung.seed_values)} seeds: {view.scores.interval(low, high)}"]
    if rung.again is not None:
        again, unit = rung.again, " points" if view.scores.percent else ""
        seeds, items = (view.scores.gap(value).lstrip("+") for value in (again.seeds, again.items))
        mean = view.scores.value(again.mean)
        told.append(f"mean {mean}; seeds scatter by {seeds}, the choice of rows by {items}{unit}")
        told.append(f"one more training: at least {view.scores.value(again.lower)} (95 % sure)")
    return told


def _guard(seen: GuardSeen) -> str:
    if seen.unchanged:
        return f"{seen.name} ±0"
    interval = (
        f" ({q.signed(seen.low, 3)} to {q.signed(seen.high, 3)})"
        if seen.low is not None and seen.high is not None
        else ""
    )
    return f"{seen.name} {q.signed(seen.difference, 3)}{interval}"


def terminal_table(report: Report) -> Table:
    """The rungs as a `rich` table; columns that would be empty are left out."""
    from rich.table import Table
    from rich.text import Text

    view = View(report)
    rows = [cells(view, rung) for rung in report.rungs]
    kept = [n for n in range(len(HEAD)) if n < 2 or any(row[n] for row in rows)]
    table = Table(box=None, pad_edge=False, header_style="bright_black", padding=(0, 2, 0, 0))
    for n in kept:
        word = report.task.metric if HEAD[n] == "score" else HEAD[n]
        table.add_column(word, justify="left" if n < 2 else "right", no_wrap=n != 0)
    for rung, row in zip(report.rungs, rows):
        style = "bold" if rung is view.chosen else "bright_black" if rung.state == "skipped" or rung.floor else ""
        colour = COLOURS.get(rung.state, "")
        table.add_row(*(Text(row[n], style=colour if n == 1 else "") for n in kept), style=style)
    return table


def lines(report: Report) -> list[str]:
    """The same as plain lines, for logs and pipes: one a rung, then the decision and what it advises."""
    view = View(report)
    told = []
    for rung in report.rungs:
        words = [
            f"{name} {cell}" for name, cell in zip(HEAD, cells(view, rung)) if cell and name not in ("rung", "state")
        ]
        state = "floor" if rung.floor else rung.state or "built"
        told.append(f"{rung.name}: {state}" + (f"; {', '.join(words)}" if words else "") + _why(rung))
        told += [f"{rung.name}: {line}" for line in seed_lines(view, rung)]
    told.append(str(report.decision.get("sentence", "")))
    told += [f"advice: {line}" for line in report.decision.get("advice", ())]
    return [line for line in told if line]


def _why(rung: RungEntry) -> str:
    return f" ({rung.reason})" if rung.reason else ""


def summary_html(report: Report) -> str:
    """The decision and a small table, for a notebook cell: markup without styles of its own, everything escaped."""
    view = View(report)
    shown = (0, 1, 2, 3, 5)
    head = tag("tr", [tag("th", report.task.metric if HEAD[n] == "score" else HEAD[n]) for n in shown])
    body: list[Html] = []
    for rung in report.rungs:
        row = cells(view, rung)
        body.append(tag("tr", [tag("td", tag("b", row[n]) if rung is view.chosen else row[n]) for n in shown]))
    sentence = str(report.decision.get("sentence", "")) or "No decision was made."
    return tag("div", tag("p", sentence), tag("table", tag("thead", head), tag("tbody", body)))
