"""What a benchmark came to, in words: the table of scores, and what a reader should know of them. The page is `page`."""

from __future__ import annotations

from collections.abc import Sequence

from rung.evaluate.harness.bench import Line

HEAD = ("task", "score", "value", "± s.e.", "95 % interval", "items", "shots")


def table(lines: Sequence[Line]) -> str:
    """The scores in columns, and below them what a reader should know of them."""
    rows = [HEAD, *map(cells, lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    said = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([*said, *remarks(lines)])


def remarks(lines: Sequence[Line]) -> list[str]:
    """What a reader of the scores should know."""
    said = [f"the weights were held as {lines[0].precision}"]
    by_task = {line.task: line for line in lines if line.tasks is None}
    if errors := sum(line.errors for line in by_task.values()):
        said.append(f"{errors:,} items could not be asked and count as wrong; their rows say why")
    if cut := sum(line.cut for line in by_task.values()):
        said.append(f"{cut:,} contexts were longer than the window and lost their beginning")
    return said + _notes(list(by_task.values()))


def cells(line: Line) -> tuple[str, ...]:
    """A line of the table."""
    total = line.total
    return (
        line.task if line.tasks is None else f"{line.task} ({line.tasks} tasks)",
        line.metric if line.filter == "none" else f"{line.metric}, {line.filter}",
        "none" if total.value is None else f"{total.value:.4f}",
        "" if total.error is None else f"{total.error:.4f}",
        "" if total.low is None else f"{total.low:.3f} to {total.high:.3f}",
        f"{line.items:,}",
        "" if line.shots is None else str(line.shots),
    )


def _notes(tasks: Sequence[Line]) -> list[str]:
    """Each note once, with the tasks that it is about."""
    found: dict[str, list[str]] = {}
    for line in tasks:
        for note in line.notes:
            found.setdefault(note, []).append(line.task)
    return [f"{names[0] if len(names) == 1 else f'{len(names)} tasks'}: {note}" for note, names in found.items()]
