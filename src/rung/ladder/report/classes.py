"""What a classification confuses: the matrix while it can be read, else the most confused pairs; and every class by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rung.ladder.record import ConfusionRecord, RungEntry
from rung.ladder.report.view import View
from rung.metrics import ClassScore, Confusion
from rung.metrics.confusion import OTHER
from rung.metrics.entities import NOTHING
from rung.page import quantities as q
from rung.page.axes import clipped
from rung.page.document import card, row, section, table
from rung.page.marks import bar, bars
from rung.page.markup import Html, Part, tag
from rung.page.plots import heat_map

READABLE = 20
"""Most classes of a matrix that can still be read on a page."""
PAIRS, WORST = 15, 12
BESIDE = 9
"""Most classes for which matrix and table stand side by side."""


def classes_section(view: View) -> Html | None:
    """Confusions and classes of the rung shown; the other rungs fold away."""
    rung = view.shown
    if rung is None or rung.confusion is None:
        return None
    others = [other for other in view.built if other is not rung and other.confusion is not None]
    parts: list[Part] = _of(rung)
    if others:
        inside = [tag("details", tag("summary", other.name), _of(other), class_="more") for other in others]
        parts.append(tag("details", tag("summary", "The same for the other rungs"), inside, class_="more"))
    lead = f"What {rung.name} takes for what, on validation."
    return section("classes", "Classes", *parts, lead=lead)


def _of(rung: RungEntry) -> list[Part]:
    assert rung.confusion is not None
    found = _confusion(rung.confusion)
    drawn, listed = card(_drawn(found)), _table(found.classes)
    return [tag("div", drawn, listed, class_="beside")] if len(found.labels) <= BESIDE else [drawn, listed]


def _confusion(record: ConfusionRecord) -> Confusion:
    return Confusion(record.labels, np.array(record.matrix(), dtype=int).reshape(len(record.labels), -1))


def _drawn(found: Confusion) -> Html:
    if len(found.labels) <= READABLE:
        stray = bool(found.counts[:, -1].any())
        columns = [*found.labels, OTHER] if stray else list(found.labels)
        counts = found.counts if stray else found.counts[:, :-1]
        drawn = heat_map(found.labels, columns, counts.tolist(), title="Confusion matrix")
        words = "Rows: the right label. Columns: the answer. The shade is the share of the row."
        return tag(
            "figure",
            tag("div", drawn, tabindex=0, role="region", aria_label="Confusion matrix", class_="sideways"),
            tag("figcaption", words),
        )
    pairs = found.most_confused(PAIRS)
    if not pairs:
        return tag("p", f"None of the {len(found.labels)} classes was taken for another.", class_="soft")

    def rows(room: float) -> list[tuple[str, float, str]]:
        return [
            (f"{clipped(asked, room, 13)} → {clipped(answered, room, 13)}", float(n), q.count(n))
            for asked, answered, n in pairs
        ]

    total = int(found.counts.sum() - np.trace(found.counts[:, :-1]))
    words = f"The {len(pairs)} most frequent confusions (right label → answer), {q.count(sum(n for *_, n in pairs))} of {q.count(total)} wrong rows."
    both = [
        tag("div", bars(rows(190), "Most confused pairs", width=900, label=420), class_="wide"),
        tag("div", bars(rows(95), "Most confused pairs", width=330, label=220), class_="narrow"),
    ]
    return tag("figure", both, tag("figcaption", words))


def _table(classes: Sequence[ClassScore]) -> Html:
    seen = [one for one in classes if (one.support or one.answered) and one.label != NOTHING]
    worst = sorted(seen, key=lambda one: (one.f1, one.label))
    if len(seen) <= WORST + 3:
        return _rows(worst, "Every class, the worst first")
    whole = _rows(worst, "Every class, the worst first")
    fold = tag("details", tag("summary", f"All {len(seen)} classes"), whole, class_="more")
    return tag("div", _rows(worst[:WORST], "The classes with the lowest F1"), fold)


def _rows(classes: Sequence[ClassScore], caption: str) -> Html:
    made = [
        row(
            one.label, q.count(one.support), q.count(one.answered), q.fixed(one.precision, 3), q.fixed(one.recall, 3),
            tag("span", bar(one.f1, f"F1 {q.fixed(one.f1, 3)}")), q.fixed(one.f1, 3), numbers=(1, 2, 3, 4, 6),
        )
        for one in classes
    ]  # fmt: skip
    head = ["Class", "Rows", "Answered", "Precision", "Recall", "", "F1"]
    return table(head, made, caption=caption, numbers=(1, 2, 3, 4, 6))
