"""The report of a climb: the page, the files of a run, and a few lines for notebooks and terminals.

Only the front door. The sections of the page are in its other files, the values in `ladder.record`.
"""

from __future__ import annotations

from rung.ladder.report.files import rows_csv, write_report
from rung.ladder.report.page import render
from rung.ladder.report.text import lines, summary_html, terminal_table

__all__ = ["lines", "render", "rows_csv", "summary_html", "terminal_table", "write_report"]
