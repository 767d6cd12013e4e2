"""An evaluation as one HTML page: scores, the seven measures drawn, the rows that changes made worse, grades."""

from __future__ import annotations

from rung.evaluate.judging import Grading
from rung.evaluate.measures import Measures
from rung.evaluate.measures.invariance import Invariance
from rung.ladder.examined import Examined, distance_words, grading_fact, measure_facts
from rung.ladder.kept import Kept
from rung.metrics import METRICS
from rung.page import quantities as q
from rung.page.document import card, document, pairs, row, said, section, table
from rung.page.intervals import Interval, intervals
from rung.page.markup import Html, Part, join, tag
from rung.page.plots import curve
from rung.page.quantities import Scores

SHOWN = 12
"""Rows of a kind that the page lists; `scores.json` has them all."""


def render(found: Examined, kept: Kept) -> str:
    """The page: self-contained, without scripts. Rows are shown of validation only."""
    write = Scores(METRICS[found.metric].kind)
    interval = "" if found.low is None else f" ({write.interval(found.low, found.high)}, 95 %)"
    top = card(
        tag("div", " · ".join(filter(None, (found.task, found.split, kept.name, found.precision))), class_="eyebrow"),
        tag("h1", f"{found.metric} {write.value(found.value)}{interval}"),
        tag(
            "p",
            "; ".join(line.strip() for line in found.lines()[1:]) or f"{found.count:,} rows, all answered.",
            class_="rest",
        ),
    )
    parts: list[tuple[str, str, Html]] = []
    if found.measures is not None:
        parts.append(("measures", "Measures", _measures(found.measures)))
        parts.append(("robustness", "Robustness", _invariance("robustness", "Robustness", found.measures.robustness)))
        parts.append(("fairness", "Fairness", _invariance("fairness", "Fairness", found.measures.fairness)))
        parts.append(("bias", "Bias", _bias(found.measures)))
    if found.grading is not None:
        parts.append(("grades", "Grades", _grades(found.grading, kept)))
    return document(
        f"{found.task} · {kept.name} · Rung",
        top,
        *[part for _, _, part in parts],
        sections={place: words for place, words, _ in parts},
        brand=join("Rung ", tag("span", found.task)),
    )


def _measures(measures: Measures) -> Html:
    facts: dict[str, Part] = dict(measure_facts(measures))
    parts: list[Part] = [card(pairs(facts))]
    if measures.calibration is not None and len(measures.calibration.curve) > 1:
        points = sorted({one.confidence: one.accuracy for one in measures.calibration.curve}.items())
        plot = curve(
            points, title="Reliability: right answers by confidence", write_value=q.percent, write_step=q.percent
        )
        parts.append(card(tag("figure", plot, tag("figcaption", "Share right (up) by confidence (across)."))))
    lead = "HELM's seven (Liang et al. 2022) on validation rows. The worst case counts each item as its worst form."
    return section("measures", "Measures", *parts, lead=lead)


def _invariance(place: str, heading: str, found: Invariance) -> Html:
    metric, write = METRICS[found.worst.metric], Scores(found.worst.kind)
    low, high = found.interval or (None, None)
    drawn = [Interval("as given", found.original.value, None, None, write.value(found.original.value))]
    drawn += [
        Interval(f"{name} ({q.count(found.changed[name])} rows)", one.value, None, None, write.value(one.value))
        for name, one in found.scores.items()
    ]
    drawn.append(Interval("worst case", found.worst.value, low, high, write.value(found.worst.value), "misses"))
    plot = intervals(drawn, title=heading, write=write.tick, ends=(metric.worst, metric.best))
    rows = [
        row(
            one.id, one.perturbation, "; ".join(f"{c.before} → {c.after}" for c in one.changes[:4]), said(one.before, 120),
            said(one.error or one.after, 120),
        )
        for one in found.worsened[:SHOWN]
    ]  # fmt: skip
    count = len(found.worsened)
    told = f"{q.count(count)} changed forms scored worse" + (f"; the first {SHOWN}" if count > SHOWN else "")
    head = ["Row", "Change", "Words", "Answer before", "Answer after"]
    listed = (
        [tag("p", told, class_="label"), table(head, rows, caption=f"{heading}: rows that got worse")] if rows else []
    )
    return section(place, heading, card(tag("figure", plot)), *listed)


def _bias(measures: Measures) -> Html:
    rows = [
        row(name, ", ".join(f"{group} {q.count(n)}" for group, n in one.counts.items()), distance_words(one.distance))
        for name, one in measures.bias.representation.items()
    ]
    rows += [
        row(f"{group} with {target}", f"{q.count(one.words)} words", distance_words(one.distance))
        for (group, target), one in measures.bias.association.items()
    ]
    lead = "Total variation distance of mentions in the answers from equal mention: 0 is even."
    return section("bias", "Bias", table(["Of", "Seen", "Distance"], rows, caption="Bias"), lead=lead)


def _grades(grading: Grading, kept: Kept) -> Html:
    counts = {
        grade: sum(one.grade == grade for one in grading.rows) for grade in range(grading.high, grading.low - 1, -1)
    }
    facts: dict[str, Part] = {f"grade {grade}": q.count(count) for grade, count in counts.items() if count}
    facts["no readable grade"] = q.count(grading.errors) if grading.errors else None
    texts = {item.id: (item.prompt, answer.text) for item, answer in zip(kept.items, kept.completions)}
    worst = sorted((one for one in grading.rows if one.grade is not None), key=lambda one: one.grade or 0)[:SHOWN]
    unread = [one for one in grading.rows if one.grade is None][:SHOWN]
    rows = [
        row(one.id, one.grade if one.grade is not None else one.error, *(said(text, 160) for text in texts[one.id]))
        for one in (*unread, *worst)
    ]
    head = ["Row", "Grade", "Asked", "Answered"]
    parts = [card(tag("p", grading_fact(grading)), pairs(facts)), table(head, rows, caption="The lowest grades")]
    return section("grades", "Grades", *parts, lead="Unreadable judgements are errors of the judge: in no mean.")
