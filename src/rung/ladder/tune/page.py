"""A tuning as one HTML page: the methods in a table, their scores and learning curves drawn, learnt prompts in words."""

from __future__ import annotations

from statistics import median

from rung.ladder.tune.found import TunedMethod, Tuning
from rung.metrics import METRICS
from rung.page.curves import Series, curves
from rung.page.document import card, document, pairs, row, section, table
from rung.page.intervals import Interval, intervals
from rung.page.markup import Html, join, tag
from rung.page.plots import curve
from rung.page.quantities import Scores


def render(found: Tuning) -> str:
    """The page: self-contained, without scripts."""
    head, cells = found.table()
    trained = [one for one in found.rows if one.moving]
    lead = f"{len(trained)} methods on {found.base}" if len(trained) != 1 else f"{trained[0].label} on {found.base}"
    top = card(
        tag("div", " · ".join((found.task, "validation", found.precision)), class_="eyebrow"),
        tag("h1", lead),
        tag("p", "Scored on validation; the test split was not looked at.", class_="rest"),
    )
    parts: list[tuple[str, str, Html]] = [
        ("methods", "Methods", _methods(found, head, cells)),
        ("curves", "Curves", _curves(found)),
    ]
    if len(trained) > 1:
        parts.insert(1, ("together", "Side by side", _together(found)))
    if any(one.nearest for one in found.rows):
        parts.append(("prompts", "Learnt prompts", _prompts(found)))
    return document(
        f"{found.task} · tuned · Rung",
        top,
        *[part for _, _, part in parts],
        sections={place: words for place, words, _ in parts},
        brand=join("Rung ", tag("span", found.task)),
    )


def _methods(found: Tuning, head: list[str], cells: list[list[str]]) -> Html:
    metric, write = METRICS[found.metric], Scores(METRICS[found.metric].kind)
    drawn = [
        Interval(one.label, one.score, one.low, one.high, write.value(one.score))
        for one in found.rows
        if one.score is not None
    ]
    plot = intervals(drawn, title=found.metric, write=write.tick, ends=(metric.worst, metric.best))
    numbers = list(range(1, len(head)))
    listed = table(
        head,
        [row(*one, numbers=numbers) for one in cells],
        caption="Methods, in order of computed cost",
        numbers=numbers,
    )
    lead = "On disk: what must be kept beside the base. Guards: change against the base, in points."
    return section("methods", "Methods", card(tag("figure", plot)), listed, lead=lead)


def _together(found: Tuning) -> Html:
    """Training loss and score of all methods, by step and by the processor time of training."""
    write = Scores(METRICS[found.metric].kind)
    rows = [one for one in found.rows if len(one.curve) > 1]
    usual = median([one.curve[0][1] for one in rows] or [0.0])
    figures: list[Html] = []
    for words, pick, shown in (("Training loss (nats a target)", 1, _plain), (found.metric, 2, write.tick)):
        for across in ("steps", "processor seconds of training"):
            by_clock = across != "steps"
            drawn = [Series(one.label, _points(one, pick, by_clock)) for one in rows if not by_clock or one.spent]
            drawn = [one for one in drawn if len(one.points) > 1]
            if len(drawn) < 2:
                continue
            plot = curves(
                drawn, title=f"{words} by {across}", across_words=across, write_value=shown, write_step=_plain,
                most=1.5 * usual if pick == 1 else None, size=(1020, 340),
            )  # fmt: skip
            figures.append(card(tag("figure", plot, tag("figcaption", f"{words} by {across}"))))
    lead = "Of each, the best setting found; losses far above the usual are drawn at the upper edge. Processor seconds leave judging out; those of a clock decide nothing."
    return section("together", "Side by side", *figures, lead=lead)


def _points(one: TunedMethod, pick: int, by_clock: bool) -> tuple[tuple[float, float], ...]:
    across = one.spent if by_clock else [float(point[0]) for point in one.curve]
    values = [point[pick] for point in one.curve]
    return tuple((x, float(value)) for x, value in zip(across, values) if value is not None)


def _plain(value: float) -> str:
    return f"{value:.3g}"


def _curves(found: Tuning) -> Html:
    write = Scores(METRICS[found.metric].kind)
    parts = []
    for one in found.rows:
        points = [(float(step), score) for step, _, score in one.curve if score is not None]
        if len(points) > 1:
            plot = curve(points, title=f"{one.label}: {found.metric} by step", write_value=write.tick, write_step=str)
            chosen = {key.replace("_", " "): str(value) for key, value in one.chosen.items() if str(value)}
            parts.append(card(tag("figure", plot, tag("figcaption", one.label)), pairs(chosen)))
    return section("curves", "Curves", *parts, lead="The best setting of each method; its best step is what is kept.")


def _prompts(found: Tuning) -> Html:
    tables = [
        table(
            ["Place", "Nearest tokens by angle"],
            [row(str(place), ", ".join(repr(token) for token in near)) for place, near in enumerate(one.nearest)],
            caption=one.label,
        )
        for one in found.rows
        if one.nearest
    ]
    return section("prompts", "Learnt prompts", *tables, lead="A learnt vector is no word: these are the nearest ones.")
