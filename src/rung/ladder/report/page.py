"""The report as one HTML file: which sections it has, in which order. What each says is in the `report` room."""

from __future__ import annotations

from rung.ladder.record import Report
from rung.ladder.report.classes import classes_section
from rung.ladder.report.data import data_section, foot
from rung.ladder.report.ladder import against, hero
from rung.ladder.report.rows import rows_section
from rung.ladder.report.table import rung_table
from rung.ladder.report.training import break_even_section, forecast_section, training_section
from rung.ladder.report.view import View
from rung.page.document import document
from rung.page.markup import join, tag

SECTIONS = (
    ("cost", "Cost", against),
    ("rungs", "Rungs", rung_table),
    ("rows", "Answers", rows_section),
    ("classes", "Classes", classes_section),
    ("training", "Training", training_section),
    ("plan", "Plan", forecast_section),
    ("breakeven", "Break-even", break_even_section),
    ("data", "Data", data_section),
)


def render(report: Report) -> str:
    """The page of a report: self-contained, without scripts; the same report gives the same bytes."""
    view = View(report)
    made = [(place, words, draw(view)) for place, words, draw in SECTIONS]
    shown = [(place, words, part) for place, words, part in made if part is not None]
    brand = join("Rung ", tag("span", report.task.name))
    return document(
        f"{report.task.name} · Rung",
        hero(view),
        [part for _, _, part in shown],
        sections={place: words for place, words, _ in shown},
        brand=brand,
        end=foot(view),
    )
