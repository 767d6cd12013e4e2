"""A benchmark's scores as one HTML page: drawn with their intervals, in a table, and some items that went wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from rung.evaluate.harness.bench import Line
from rung.evaluate.harness.report import HEAD, cells, remarks
from rung.page import quantities as q
from rung.page.document import card, document, row, said, section, table
from rung.page.intervals import Interval, intervals
from rung.page.markup import Html, tag

WRONG = 3
"""Items of a task that are shown, of those that scored nothing."""
TASKS = 20
"""Tasks that items are shown of."""


def render(lines: Sequence[Line], out: Path, base: str) -> str:
    """The page: self-contained, without scripts. `out` holds the rows."""
    tasks = list(dict.fromkeys(line.task for line in lines if line.tasks is None))
    top = card(
        tag("div", f"benchmark · {base} · {lines[0].precision}", class_="eyebrow"),
        tag("h1", _title(lines)),
        *[tag("p", told, class_="rest") for told in remarks(lines)],
    )
    numbers = tuple(range(2, len(HEAD)))
    rows = [row(*cells(line), numbers=numbers) for line in _ordered(lines)]
    scores = section("scores", "Scores", *_drawn(lines), table(HEAD, rows, caption="Scores", numbers=numbers))
    shown = [one for task in tasks[:TASKS] for one in _wrong(out / "rows" / task / "rows.jsonl", task)]
    wrong = section(
        "items", "Items that scored nothing",
        table(["Item", "Asked", "Right", "Answered"], shown, caption="Items that scored nothing"),
        lead=f"The first {WRONG} of each task; rows/ holds them all.",
    )  # fmt: skip
    parts = {"scores": "Scores", **({"items": "Items"} if shown else {})}
    return document(f"benchmark · {base} · Rung", top, scores, wrong if shown else None, sections=parts, brand="Rung")


def _ordered(lines: Sequence[Line]) -> list[Line]:
    """Groups first."""
    return sorted(lines, key=lambda line: line.tasks is None)


def _title(lines: Sequence[Line]) -> str:
    first = _ordered(lines)[0]
    value = "no value" if first.total.value is None else f"{first.total.value:.4f}"
    return f"{first.task}: {first.metric} {value}"


def _drawn(lines: Sequence[Line]) -> Iterator[Html]:
    """A plot a score that has intervals: only what is on one scale stands together."""
    for metric in dict.fromkeys(line.metric for line in lines):
        own = [line for line in _ordered(lines) if line.metric == metric and line.total.low is not None]
        if own:
            rows = [
                Interval(
                    line.task if line.filter == "none" else f"{line.task}, {line.filter}", line.total.value or 0.0,
                    line.total.low, line.total.high, f"{line.total.value or 0.0:.3f}", "meets" if line.tasks else "data",
                )
                for line in own
            ]  # fmt: skip
            plot = intervals(rows, title=metric, write=lambda value: q.fixed(value, 2), ends=(0.0, 1.0))
            yield card(tag("figure", plot, tag("figcaption", f"{metric}, with 95 % intervals.")))


def _wrong(file: Path, task: str) -> Iterator[Html]:
    """Some items whose every value is 0, or that could not be asked."""
    with file.open(encoding="utf-8") as lines:
        found = (one for one in map(json.loads, lines) if one["error"] or _nothing(one["values"]))
        for one in islice(found, WRONG):
            told = one["error"] or (one["answers"][0] if "answers" in one else _likeliest(one))
            asked = one["prompt"][0] if one["prompt"] else ""
            yield row(f"{task}, {one['item']}", said(asked, 300), said(_target(one), 120), said(str(told), 120))


def _nothing(values: Mapping[str, Mapping[str, Any]]) -> bool:
    return all(value == 0 for own in values.values() for value in own.values())


def _target(one: Mapping[str, Any]) -> str:
    gold, choices = one["target"], one["choices"]
    return str(choices[gold]) if isinstance(gold, int) and gold < len(choices) else str(gold)


def _likeliest(one: Mapping[str, Any]) -> str:
    totals = [total for total, _ in one["loglikelihoods"]]
    best = totals.index(max(totals)) if totals else 0
    return str(one["choices"][best]) if best < len(one["choices"]) else ""
