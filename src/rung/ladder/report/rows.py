"""The rows worth reading: where rungs disagree, and where all do badly. Validation only: test rows are never shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rung.ladder.record import Item, Row, RungEntry
from rung.ladder.report.view import View
from rung.page import quantities as q
from rung.page.document import card, said, section, shortened
from rung.page.marks import tick
from rung.page.markup import Html, Part, tag

DISAGREEING, HARDEST, AT_ONCE = 30, 15, 10
"""How many rows of each sort the page shows, and how many before folding; `rows.csv` has them all."""


@dataclass(frozen=True)
class Answers:
    """One item with what each rung answered, cheapest first; `latencies` in seconds, where measured."""

    item: Item
    rungs: tuple[tuple[RungEntry, Row], ...]
    latencies: Mapping[str, float]

    @property
    def scores(self) -> list[float]:
        """The scores there are."""
        return [row.score for _, row in self.rungs if row.score is not None]

    @property
    def spread(self) -> float:
        """How much the rungs disagree: the range of their scores, or, without scores, whether answers differ."""
        if self.scores:
            return max(self.scores) - min(self.scores)
        return float(len({row.answer for _, row in self.rungs}) > 1)

    @property
    def split(self) -> float:
        """How evenly they disagree: the variance of the scores, or the share of different answers."""
        if not self.scores:
            return len({row.answer for _, row in self.rungs}) / len(self.rungs)
        mean = sum(self.scores) / len(self.scores)
        return sum((score - mean) ** 2 for score in self.scores) / len(self.scores)

    @property
    def mean(self) -> float:
        """The mean score over rungs."""
        return sum(self.scores) / len(self.scores) if self.scores else 0.0


def gather(view: View) -> list[Answers]:
    """Every item that some rung answered, in the order of the items."""
    answered: dict[str, list[tuple[RungEntry, Row]]] = {}
    latencies: dict[str, dict[str, float]] = {}
    for rung in view.built:
        times = rung.measured.latencies_s if rung.measured else ()
        for place, row in enumerate(rung.rows):
            answered.setdefault(row.id, []).append((rung, row))
            if len(times) == len(rung.rows):
                latencies.setdefault(row.id, {})[rung.name] = times[place]
    return [
        Answers(item, tuple(answered[item.id]), latencies.get(item.id, {}))
        for item in view.report.items
        if item.id in answered
    ]


def rows_section(view: View, whose: str = "rungs", way: str = "from cheap to dear") -> Html | None:
    """Where rungs disagree, then the rows where even the best of them did badly; `whose` answers they are, and in which
    way their marks stand."""
    every = gather(view)
    if not every:
        return None
    several = [one for one in every if len(one.rungs) > 1 and one.spread > 0]
    order = {id(one): n for n, one in enumerate(every)}
    several.sort(key=lambda one: (-one.spread, -one.split, order[id(one)]))
    bad = [
        one
        for one in every
        if one.scores and max(one.scores) < view.report.task.best and one not in several[:DISAGREEING]
    ]
    bad.sort(key=lambda one: (max(one.scores), one.mean, order[id(one)]))
    parts: list[Part] = []
    if several:
        parts += [_heading(f"Where {whose} disagree", len(several), min(DISAGREEING, len(several)), len(every))]
        parts += [_list(view, several[:DISAGREEING])]
    if bad:
        parts += [_heading("Where none does well", len(bad), min(HARDEST, len(bad)), len(every))]
        parts += [_list(view, bad[:HARDEST])]
    if not parts:
        parts.append(
            card(tag("p", f"All {whose} answered all {q.count(len(every))} rows alike, and well.", class_="soft"))
        )
    lead = f"Rows of the validation split only; the marks stand for the {whose} {way}. Open a row to read the answers."
    return section("rows", "Answers", *parts, lead=lead)


def _heading(words: str, found: int, shown: int, rows: int) -> Html:
    told = f"{q.count(found)} of {q.count(rows)} rows" + (f", the first {shown}" if shown < found else "")
    return tag("p", tag("strong", words), " ", tag("span", told, class_="soft"), class_="label")


def _list(view: View, rows: Sequence[Answers]) -> Html:
    first, rest = rows[:AT_ONCE], rows[AT_ONCE:]
    shown = tag("div", [_row(view, one) for one in first], class_="rows")
    if not rest:
        return shown
    more = tag("div", [_row(view, one) for one in rest], class_="rows")
    return tag("div", shown, tag("details", tag("summary", f"{len(rest)} more"), more, class_="more"))


def _row(view: View, one: Answers) -> Html:
    summary = tag("summary", tag("span", shortened(one.item.prompt), class_="said"), _marks(view, one))
    return tag("details", summary, tag("div", _texts(view, one), class_="body"))


def _marks(view: View, one: Answers) -> Html:
    if view.scores.percent:
        return tag(
            "span",
            [tick(None if row.error else (row.score or 0) >= 1, rung.name) for rung, row in one.rungs],
            class_="marks",
        )
    if not one.scores:
        return tag("span", class_="marks")
    low, high = min(one.scores), max(one.scores)
    words = view.scores.value(low) if low == high else f"{view.scores.value(low)} – {view.scores.value(high)}"
    return tag("span", words, class_="marks small soft nowrap")


def _texts(view: View, one: Answers) -> Html:
    parts: list[Part] = [tag("dt", "Prompt"), tag("dd", said(one.item.prompt))]
    rights = (one.item.target, *one.item.references)
    parts += [tag("dt", "Right answer" if len(rights) == 1 else "Right answers")]
    parts += [tag("dd", [tag("div", said(right)) for right in rights])]
    parts.append(tag("div", class_="rule"))
    for alike in _grouped(one):
        parts += [tag("dt", [_by(view, one, rung, row) for rung, row in alike])]
        row = alike[0][1]
        parts += [
            tag("dd", tag("span", f"error: {row.error}", class_="misses said") if row.error else said(row.answer))
        ]
    return tag("dl", *parts, class_="texts")


def _grouped(one: Answers) -> list[list[tuple[RungEntry, Row]]]:
    """Rungs that said the same stand together, in the order of the cheapest of them."""
    groups: dict[tuple[str, str | None], list[tuple[RungEntry, Row]]] = {}
    for rung, row in one.rungs:
        groups.setdefault((row.answer, row.error), []).append((rung, row))
    return list(groups.values())


def _by(view: View, one: Answers, rung: RungEntry, row: Row) -> Html:
    facts = []
    if row.score is not None and not view.scores.percent:
        facts.append(view.scores.value(row.score))
    if row.prompt_tokens or row.completion_tokens:
        facts.append(f"{q.count(row.prompt_tokens)} + {q.count(row.completion_tokens)} tokens")
    if rung.name in one.latencies:
        facts.append(q.seconds(one.latencies[rung.name]))
    mark: Part = (
        tick(None if row.error else (row.score or 0) >= 1) if view.scores.percent and row.score is not None else None
    )
    name = tag("span", mark, rung.name, class_="state")
    return tag("div", name, tag("small", " · ".join(facts)) if facts else None, class_=None if mark is None else "ink")
