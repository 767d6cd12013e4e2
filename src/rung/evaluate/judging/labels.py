"""A judge beside people: labels that people gave to rows, and how far the judge agrees with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.errors import RungError
from rung.metrics.raters import cohen_kappa, raw_agreement, spearman
from rung.task.delimited import Reading
from rung.task.sources import read_source


@dataclass(frozen=True)
class Agreement:
    """On the `count` rows that both judged: the share of equal labels, Cohen's kappa (None where all labels are one),
    and for grades Spearman's rank correlation (None where one side never varies)."""

    count: int
    raw: float
    kappa: float | None
    spearman: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dict(vars(self))

    def __str__(self) -> str:
        kappa = "undefined" if self.kappa is None else f"{self.kappa:.2f}"
        rank = "" if self.spearman is None else f", Spearman {self.spearman:.2f}"
        return f"{self.raw:.1%} of {self.count:,} labels equal, kappa {kappa}{rank}"


def agreement(judged: Mapping[str, str], labels: Mapping[str, str], *, ordered: bool = False) -> Agreement:
    """How far a judge's labels agree with people's, both by row id; `ordered` where labels are numbers.

    Raises RungError where they have no row in common.
    """
    rows = [row for row in judged if row in labels]
    if not rows:
        raise RungError("no labelled row was judged", where="labels of people", mend="name the rows by their id")
    ours, theirs = [judged[row] for row in rows], [labels[row] for row in rows]
    rank = spearman([float(x) for x in ours], [float(x) for x in theirs]) if ordered else None
    return Agreement(len(rows), raw_agreement(ours, theirs), cohen_kappa(ours, theirs), rank)


def read_labels(file: Path) -> dict[str, str]:
    """Labels by row id from a table (CSV, JSONL, Parquet) with the columns `id` and `label`."""
    rows = [row for part in read_source(str(file), Path(), Reading()).values() for row in part]
    found: dict[str, str] = {}
    for row in rows:
        for column in ("id", "label"):
            if row.values.get(column) in (None, ""):
                raise RungError(f"there is no {column}", where=row.place, mend="give the columns id and label")
        name = str(row.values["id"])
        if name in found:
            raise RungError(f"row {name} is labelled twice", where=row.place, mend="keep one label a row")
        found[name] = str(row.values["label"]).strip()
    return found
