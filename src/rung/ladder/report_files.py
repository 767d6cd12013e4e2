"""The files of a finished climb: `report.html`, `rows.csv`, and `report.json`, whose presence says that it is finished."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from rung.ladder.record import Report
from rung.ladder.report_page import render
from rung.run import write_atomic

COLUMNS = ("rung", "id", "prompt", "target", "answer", "score", "prompt_tokens", "completion_tokens", "error")
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?\Z")


def write_report(report: Report, folder: Path) -> None:
    """Write the three files, each whole, `report.json` last."""
    write_atomic(folder / "report.html", _encodable(render(report)))
    write_atomic(folder / "rows.csv", _encodable(rows_csv(report)))
    write_atomic(folder / "report.json", report.to_bytes().decode("utf-8"))


def rows_csv(report: Report) -> str:
    """Every validation row of every rung, as a table that spreadsheets open as it is."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow([*COLUMNS, "measured_latency_s"])
    items = {item.id: item for item in report.items}
    for rung in report.rungs:
        latencies = rung.measured.latencies_s if rung.measured is not None else ()
        for place, row in enumerate(rung.rows):
            item = items[row.id]
            told = [rung.name, row.id, item.prompt, item.target, row.answer]
            counted = [row.score, row.prompt_tokens, row.completion_tokens]
            latency = latencies[place] if place < len(latencies) else None
            table.writerow([_cell(value) for value in [*told, *counted, row.error, latency]])
    return out.getvalue()


def _cell(value: object) -> object:
    """A value that no spreadsheet runs as a formula and no reader stumbles over."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    text = value.replace("\0", "\ufffd")
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) and not NUMBER.match(text) else text


def _encodable(text: str) -> str:
    """The text with lone surrogates written out, as `report.json` has them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
