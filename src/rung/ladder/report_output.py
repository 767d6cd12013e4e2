"""The files a report leaves in its run: `report.json`, `report.html`, `rows.csv`."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from rung.ladder.record import Report
from rung.ladder.report_page import render
from rung.run import write_atomic

COLUMNS = (
    "id", "rung", "score", "error", "prompt_tokens", "completion_tokens", "answer", "target", "prompt",
    "measured_latency_s",
)  # fmt: skip
_FORMULA = frozenset("=+-@\t\r")
_UNFIT = re.compile("[\x00\ud800-\udfff]")


def write_report(report: Report, folder: Path) -> None:
    """Write the three files into `folder`, each in one move. They show validation rows only."""
    write_atomic(folder / "report.json", report.to_bytes().decode("utf-8"))
    write_atomic(folder / "rows.csv", rows_csv(report))
    write_atomic(folder / "report.html", render(report))


def rows_csv(report: Report) -> str:
    """Every validation row of every rung, a line each (RFC 4180 with plain line feeds).

    A text that a spreadsheet would run as a formula gets a ' in front, unless it is a number.
    """
    items = {item.id: item for item in report.items}
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(COLUMNS)
    for rung in report.rungs:
        times = rung.measured.latencies_s if rung.measured else ()
        for place, row in enumerate(rung.rows):
            item = items.get(row.id)
            table.writerow(
                [
                    _inert(row.id),
                    _inert(rung.name),
                    "" if row.score is None else repr(row.score),
                    _inert(row.error or ""),
                    row.prompt_tokens,
                    row.completion_tokens,
                    _inert(row.answer),
                    _inert(item.target if item else ""),
                    _inert(item.prompt if item else ""),
                    f"{times[place]:.6f}" if len(times) == len(rung.rows) else "",
                ]
            )
    return buffer.getvalue()


def _inert(text: str) -> str:
    """The text, kept from being a formula. NUL and lone surrogates, which no reader takes, become U+FFFD.

    >>> _inert("=1+1"), _inert("-5.0"), _inert("- no")
    ("'=1+1", '-5.0', "'- no")
    """
    text = _UNFIT.sub("\ufffd", text)
    if not text or text[0] not in _FORMULA:
        return text
    try:
        float(text)
    except ValueError:
        return "'" + text
    return text
