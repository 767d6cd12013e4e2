"""A comparison of precisions as one HTML page: the table, scores and differences drawn with their intervals."""

from __future__ import annotations

from rung.ladder.quantize.comparison import PRECISIONS, Precisions
from rung.ladder.quantize.lines import HEAD, cells
from rung.metrics import METRICS
from rung.page import quantities as q
from rung.page.document import card, document, row, section, table
from rung.page.intervals import Interval, intervals
from rung.page.markup import Html, join, tag
from rung.page.quantities import Scores

SHOWN = 0.05
"""Holm's p up to which a difference is called shown."""


def render(found: Precisions) -> str:
    """The page: self-contained, without scripts; the same comparison gives the same bytes."""
    top = card(
        tag("div", f"{found.task} · {found.metric} · {found.device}", class_="eyebrow"),
        tag("h1", _sentence(found)),
        tag("p", f"{q.count(found.rows)} validation rows. Told on validation, deciding nothing.", class_="rest"),
    )
    return document(
        f"{found.name} in several numbers · Rung",
        tag("div", top, class_="below"),
        _table(found),
        _scores(found),
        *([_differences(found)] if any(line.difference is not None for line in found.lines) else []),
        sections={"table": "Table", "scores": "Scores", "differences": "Differences"},
        brand=join("Rung ", tag("span", found.name)),
    )


def _sentence(found: Precisions) -> str:
    """The fewest bytes that lose nothing that is shown."""
    same = [
        line
        for line in found.lines
        if line.held.weights is not None and (line.p is None or line.p > SHOWN or (line.difference or 0.0) >= 0)
    ]
    least = min(same, key=lambda line: line.held.weights or 0)
    if least.held.precision == found.reference:
        return f"Every other precision is shown to lose against {found.reference}."
    size = q.memory(least.held.weights)
    return f"{least.held.precision} takes the fewest bytes ({size}) without a loss that is shown."


def _table(found: Precisions) -> Html:
    numbers = tuple(range(1, len(HEAD)))
    head = ["Numbers", "Weights", "Peak", "Read, tokens/s", "Written, tokens/s", found.metric, "95 % interval",
            f"From {found.reference}", "95 % interval", "Holm's p"]  # fmt: skip
    rows = [row(*cells(line, found), numbers=numbers) for line in found.lines if not line.held.reason]
    missing = [
        tag("p", f"{line.held.precision} ({PRECISIONS[line.held.precision]}): {line.held.reason}", class_="label")
        for line in found.lines
        if line.held.reason
    ]
    lead = (
        "Weights as they are held, scales included; peak: what loading and answering added to the process; rates are "
        "medians of three. All of it measured on one machine."
    )
    return section("table", "Table", table(head, rows, caption="Precisions", numbers=numbers), *missing, lead=lead)


def _scores(found: Precisions) -> Html:
    metric, write = METRICS[found.metric], Scores(METRICS[found.metric].kind)
    drawn = [
        Interval(line.held.precision, line.value, line.low, line.high, write.value(line.value))
        for line in found.lines
        if line.value is not None
    ]
    plot = intervals(
        drawn, title=f"{metric.name} with 95 % intervals", write=write.tick, ends=(metric.worst, metric.best)
    )
    return section("scores", "Scores", card(tag("figure", plot, tag("figcaption", f"{metric.name}: {metric.about}"))))


def _differences(found: Precisions) -> Html:
    metric, write = METRICS[found.metric], Scores(METRICS[found.metric].kind)
    drawn = [
        Interval(
            f"{line.held.precision} − {found.reference}", line.difference, line.gap_low, line.gap_high,
            write.gap(line.difference), "data" if line.p is not None and line.p <= SHOWN else "quiet",
        )
        for line in found.lines
        if line.difference is not None
    ]  # fmt: skip
    plot = intervals(
        drawn, title="Paired differences with 95 % intervals", write=lambda value: write.gap(value),
        ends=(-metric.span, metric.span), zero=0.0,
    )  # fmt: skip
    lead = "Row by row. Coloured where Holm's p over all of them is at most 0.05."
    return section("differences", "Differences", card(tag("figure", plot)), lead=lead)
