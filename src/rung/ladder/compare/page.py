"""A comparison as one HTML page: scores and differences drawn with their intervals, verdicts, rows that differ."""

from __future__ import annotations

from rung.ladder.compare.comparison import Comparison
from rung.ladder.record import BaseRecord, Item, Report, Row, RungEntry, TaskRecord
from rung.ladder.report.rows import rows_section
from rung.ladder.report.view import View
from rung.metrics import METRICS
from rung.page import quantities as q
from rung.page.document import card, document, row, section, table
from rung.page.intervals import Interval, intervals
from rung.page.markup import Html, join, tag
from rung.page.quantities import Scores

SHOWN = 0.05
"""The adjusted p-value up to which a difference is called shown."""


def render(comparison: Comparison) -> str:
    """The page: self-contained, without scripts; the same comparison gives the same bytes."""
    sides, write = comparison.sides, Scores(METRICS[comparison.metric].kind)
    parts = {
        "scores": ("Scores", _scores(comparison, write)),
        "differences": ("Differences", _differences(comparison, write)),
        "judged": ("Judged", _judged(comparison)),
        "rows": ("Answers", rows_section(View(_as_report(comparison)), "systems", "in the order named")),
    }
    shown = {place: (words, part) for place, (words, part) in parts.items() if part is not None}
    names = " · ".join(side.name for side in sides)
    top = card(
        tag("div", f"{sides[0].task} · {comparison.metric}", class_="eyebrow"),
        tag("h1", _sentence(comparison, write)),
        tag("p", _about(comparison), class_="rest"),
    )
    return document(
        f"{names} · Rung",
        tag("div", top, class_="below"),
        *[part for _, part in shown.values()],
        sections={place: words for place, (words, _) in shown.items()},
        brand=join("Rung ", tag("span", sides[0].task)),
        end=tag("footer", tag("p", names)),
    )


def _sentence(comparison: Comparison, write: Scores) -> str:
    """What the pairs show, the largest difference first."""
    shown = [pair for pair in comparison.pairs if pair.adjusted <= SHOWN]
    if not shown:
        return "No difference between them is shown."
    pair = max(shown, key=lambda one: abs(one.difference))
    better, worse = (pair.first, pair.second) if pair.difference > 0 else (pair.second, pair.first)
    gap = f"{write.gap(abs(pair.difference)).lstrip('+')} {write.gap_unit}"
    more = f" {len(shown) - 1} further differences are shown." if len(shown) > 1 else ""
    return f"{better} is better than {worse} by {gap} ({q.p_value(pair.adjusted)}).{more}"


def _about(comparison: Comparison) -> str:
    rows, dropped = len(comparison.sides[0].items), comparison.dropped
    left = f"; {q.count(dropped)} rows that not every side has are left out" if dropped else ""
    apart = f"they disagree on {q.count(len(comparison.disagreeing))}"
    return f"{q.count(rows)} validation rows{left}; {apart}. Told on validation, deciding nothing."


def _scores(comparison: Comparison, write: Scores) -> Html:
    metric = METRICS[comparison.metric]
    drawn = [
        Interval(side.name, seen.value, seen.low, seen.high, write.value(seen.value))
        for side, seen in zip(comparison.sides, comparison.readings)
    ]
    rows = [
        row(
            side.name, write.value(seen.value), write.interval(seen.low, seen.high), q.count(side.errors),
            numbers=(1, 2, 3),
        )
        for side, seen in zip(comparison.sides, comparison.readings)
    ]  # fmt: skip
    plot = intervals(
        drawn, title=f"{metric.name} with 95 % intervals", write=write.tick, ends=(metric.worst, metric.best)
    )
    head = ["System", metric.name, "95 % interval", "Errors"]
    return section(
        "scores", "Scores", card(tag("figure", plot, tag("figcaption", f"{metric.name}: {metric.about}"))),
        table(head, rows, caption="Scores", numbers=(1, 2, 3)),
        lead="Each system on the same rows. Overlapping intervals say little about a difference: see below.",
    )  # fmt: skip


def _differences(comparison: Comparison, write: Scores) -> Html:
    metric = METRICS[comparison.metric]
    drawn, rows = [], []
    for pair in comparison.pairs:
        name = f"{pair.first} − {pair.second}"
        colour = "data" if pair.adjusted <= SHOWN else "quiet"
        drawn.append(Interval(name, pair.difference, pair.low, pair.high, write.gap(pair.difference), colour))
        told = (write.gap(pair.difference), write.gap_interval(pair.low, pair.high))
        p = (q.p_value(pair.p).removeprefix("p "), q.p_value(pair.adjusted).removeprefix("p "))
        rows.append(row(name, *told, *p, pair.method, numbers=(1, 2, 3, 4)))
    plot = intervals(
        drawn, title="Paired differences with 95 % intervals", write=lambda value: write.gap(value),
        ends=(-metric.span, metric.span), zero=0.0,
    )  # fmt: skip
    head = ["Pair", f"Difference ({write.gap_unit})", "95 % interval", "p", "Holm's p", "Test"]
    return section(
        "differences", "Differences", card(tag("figure", plot)),
        table(head, rows, caption="Differences", numbers=(1, 2, 3, 4)),
        lead="First minus second, row by row. Coloured where Holm's p over all pairs is at most 0.05.",
    )  # fmt: skip


def _judged(comparison: Comparison) -> Html | None:
    if not comparison.duels:
        return None
    drawn, rows = [], []
    for duel in comparison.duels:
        low, high = duel.interval or (None, None)
        name = f"{duel.first} against {duel.second}"
        drawn.append(Interval(name, duel.score.value, low, high, q.percent(duel.score.value)))
        people = q.NOTHING if duel.agreement is None else str(duel.agreement)
        counts = (q.count(duel.counts[key]) for key in ("first", "second", "tie", "error"))
        rows.append(row(name, *counts, q.p_value(duel.p).removeprefix("p "), people, numbers=(1, 2, 3, 4, 5)))
    plot = intervals(drawn, title="Win rates with 95 % intervals", write=q.percent, ends=(0.0, 1.0), zero=0.5)
    head = ["Pair", "Won", "Lost", "Tied", "No verdict", "p", "Agreement with people"]
    return section(
        "judged", "Judged", card(tag("figure", plot)),
        table(head, rows, caption="Verdicts", numbers=(1, 2, 3, 4, 5)),
        lead="The judge saw each pair twice with positions swapped; a win counts where both orders agree, else it is a "
        "tie. Rows without a readable verdict are counted apart.",
    )  # fmt: skip


def _as_report(comparison: Comparison) -> Report:
    """The rows as the report's own section of answers reads them: each side stands where a rung would."""
    first, metric = comparison.sides[0], METRICS[comparison.metric]
    entries = []
    for side, seen in zip(comparison.sides, comparison.readings):
        rows = tuple(
            Row(item.id, said.text, float(score), said.prompt_tokens, said.completion_tokens, said.error)
            for item, said, score in zip(side.items, side.completions, side.row_scores)
        )
        entries.append(RungEntry(side.name, validation=seen, rows=rows))
    task = TaskRecord(first.task, first.kind, metric.name, metric.kind, worst=metric.worst, best=metric.best)
    items = tuple(Item(item.id, item.prompt, item.target, item.references) for item in first.items)
    return Report(task, BaseRecord(""), rungs=tuple(entries), items=items)
