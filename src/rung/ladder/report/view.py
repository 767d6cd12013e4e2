"""What every section of a report reads: the report, how its scores are written, and words for states and settings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rung.ladder.record import Report, RungEntry
from rung.page.marks import drawing, shape
from rung.page.markup import Html, tag
from rung.page.quantities import Scores

STATES: Mapping[str, str] = {
    "meets": "meets",
    "misses": "misses",
    "cannot tell": "unclear",
    "not tested": "quiet",
    "skipped": "quiet",
}
"""The states a rung may end in, and the class that colours each."""


@dataclass(frozen=True)
class View:
    """A report, seen by a section."""

    report: Report

    @cached_property
    def scores(self) -> Scores:
        """How values of the primary score are written."""
        return Scores(self.report.task.score_kind)

    @property
    def rungs(self) -> tuple[RungEntry, ...]:
        """The rungs in order of cost, without the floor."""
        return tuple(rung for rung in self.report.rungs if not rung.floor)

    @property
    def floor(self) -> RungEntry | None:
        """The row that is least worth beating, if it was scored."""
        return next((rung for rung in self.report.rungs if rung.floor and rung.validation), None)

    @property
    def floor_words(self) -> str:
        """What the floor is: its name and the answer it always gives."""
        if self.floor is None:
            return ""
        said = self.floor.settings.get("answer")
        name = self.floor.name if self.floor.name.startswith("floor") else f"floor: {self.floor.name}"
        return f"{name} ({said})" if said else name

    @cached_property
    def built(self) -> tuple[RungEntry, ...]:
        """The rungs with a validation score, in order of cost."""
        return tuple(rung for rung in self.rungs if rung.validation is not None)

    @cached_property
    def chosen(self) -> RungEntry | None:
        """The recommended rung."""
        name = self.report.recommended
        return next((rung for rung in self.report.rungs if rung.name == name), None) if name else None

    @cached_property
    def shown(self) -> RungEntry | None:
        """The rung whose details are told first: the recommended one, else the best on validation."""
        best = max(self.built, key=lambda rung: rung.validation.value if rung.validation else 0.0, default=None)
        return self.chosen or best


def state(entry: RungEntry) -> Html:
    """The mark of a rung's state and its word."""
    if entry.floor:
        return tag("span", "floor", class_="soft")
    word = entry.state or "built"
    mark = drawing(14, 14, word, shape(word, 7, 7, 4.6))
    return tag("span", mark, word, class_=f"state {STATES.get(word, 'quiet')}")


def setting(value: Any) -> str:
    """A setting's value on one line.

    >>> setting(8), setting([4, 8]), setting({"k": 4}), setting(2e-4), setting(True), setting(None)
    ('8', '4, 8', 'k 4', '0.0002', 'yes', 'none')
    >>> setting(5e-05)
    '5e-5'
    """
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, float):
        return re.sub(r"e([+-])0*", r"e\1", f"{value:g}").replace("e+", "e")
    if isinstance(value, list | tuple):
        return ", ".join(setting(item) for item in value)
    if isinstance(value, Mapping):
        return settings(value)
    return value if isinstance(value, str) else json.dumps(value)


def settings(values: Mapping[str, Any], length: int = 44) -> str:
    """Settings on one line: names and values, long texts (wordings) shortened; `report.json` has them whole.

    What is left to Rung, and an empty wording, is not said.

    >>> settings({"instruction": "", "epochs": None, "batch_size": 16, "rank": 8})
    'batch size 16 · rank 8'
    """
    said = {name: value for name, value in values.items() if value not in (None, "")}
    return " · ".join(f"{name.replace('_', ' ')} {shortened(setting(value), length)}" for name, value in said.items())


def shortened(text: str, length: int) -> str:
    """The beginning of a text, on one line.

    >>> shortened("one two three", 7), shortened("one", 7)
    ('one two…', 'one')
    """
    line = " ".join(text.split())
    return line if len(line) <= length else line[:length].rstrip() + "…"
