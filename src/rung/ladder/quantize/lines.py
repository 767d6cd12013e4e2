"""A comparison of precisions as lines of a terminal: one table."""

from __future__ import annotations

from rung.ladder.quantize.comparison import Line, Precisions
from rung.metrics import METRICS
from rung.page import quantities as q
from rung.page.quantities import Scores

HEAD = ("numbers", "weights", "peak", "read/s", "written/s", "score", "95 %", "from first", "95 %", "p")


def table_lines(found: Precisions) -> list[str]:
    """The table, a line a precision, with what was not measured and why."""
    rows = [HEAD, *(cells(line, found) for line in found.lines if not line.held.reason)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEAD))]
    lines = [f"{found.name} on {found.task}: {found.metric}, {found.rows:,} validation rows, {found.device}"]
    for row in rows:
        first, *others = (
            cell.rjust(width) if n else cell.ljust(width) for n, (cell, width) in enumerate(zip(row, widths))
        )
        lines.append("  ".join((first, *others)).rstrip())
    lines += [f"{line.held.precision}: {line.held.reason}" for line in found.lines if line.held.reason]
    lines += [
        f"{line.held.precision}: {line.held.errors} rows got no answer" for line in found.lines if line.held.errors
    ]
    return lines


def cells(line: Line, found: Precisions) -> tuple[str, ...]:
    """One precision's cells under `HEAD`."""
    write, held = Scores(METRICS[found.metric].kind), line.held
    first = held.precision == found.reference
    return (
        held.precision, q.memory(held.weights), q.memory(held.peak), q.scaled(held.scoring), q.scaled(held.generating),
        write.value(line.value), write.interval(line.low, line.high), q.NOTHING if first else write.gap(line.difference),
        write.gap_interval(line.gap_low, line.gap_high), q.p_value(line.p).removeprefix("p "),
    )  # fmt: skip
