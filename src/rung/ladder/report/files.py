"""The files of a finished climb: `report.html`, `rows.csv`, and `report.json`, whose presence says that it is finished."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from rung.ladder.record import Report
from rung.ladder.report.page import render
from rung.run import write_atomic

COLUMNS = (
    "rung", "id", "prompt", "target", "answer", "score", "prompt_tokens", "completion_tokens", "error",
    "measured_latency_s",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?\Z")
_UNFIT = re.compile("[\x00\ud800-\udfff]")


def write_report(report: Report, folder: Path) -> None:
    """Write the three files into `folder`, each whole, `report.json` last. They show validation rows only."""
    write_atomic(folder / "report.html", render(report))
    write_atomic(folder / "rows.csv", rows_csv(report))
    write_atomic(folder / "report.json", report.to_bytes().decode("utf-8"))


def rows_csv(report: Report) -> str:
    """Every validation row of every rung, a line each (RFC 4180 with plain line feeds).

    A text that a spreadsheet would run as a formula gets a ' in front, unless it is a number.
    """
    items = {item.id: item for item in report.items}
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for rung in report.rungs:
        latencies = rung.measured.latencies_s if rung.measured is not None else ()
        for place, row in enumerate(rung.rows):
            item = items.get(row.id)
            told = [rung.name, row.id, item.prompt if item else "", item.target if item else "", row.answer]
            counted = [row.score, row.prompt_tokens, row.completion_tokens]
            latency = f"{latencies[place]:.6f}" if len(latencies) == len(rung.rows) else None
            table.writerow([cell(value) for value in (*told, *counted, row.error, latency)])
    return out.getvalue()


def cell(value: object) -> object:
    """A value that no spreadsheet runs as a formula. NUL and lone surrogates, which no reader takes, become U+FFFD.

    >>> cell("=1+1"), cell("-5.0"), cell("- no"), cell(None), cell(3)
    ("'=1+1", '-5.0', "'- no", '', 3)
    """
    if not isinstance(value, str):
        return "" if value is None else value
    text = _UNFIT.sub("\ufffd", value)
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.match(text) else text
