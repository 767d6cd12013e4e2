"""What is seen of a climb while it runs: a live table on a terminal, plain lines in a log, or nothing.

`Progress` is all the climb knows of it. The report that stays is in `report`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

from rung.ladder.record import Report, RungEntry
from rung.ladder.report.text import COLOURS, lines, terminal_table
from rung.page import quantities as q

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from rung.ladder.plan import Plan

EVERY_S = 15.0
"""Seconds between two lines about the same phase, where there is no terminal to draw on."""


class Progress(Protocol):
    """What a climb tells while it runs. Calls come from one thread, in order."""

    def started(self, plan: Plan, path: Path) -> None:
        """The climb of `plan` begins, or goes on, in the run directory `path`."""
        ...

    def rung_started(self, name: str) -> None:
        """The rung is being built."""
        ...

    def phase(self, name: str, done: int, total: int) -> None:
        """What is going on with it (training, validation, test, ...), and how far it is; `total` 0 where unknown."""
        ...

    def rung_finished(self, entry: RungEntry) -> None:
        """The rung is built and scored on validation; nothing is decided yet."""
        ...

    def message(self, text: str) -> None:
        """Something worth a line: a rung skipped, a warning."""
        ...

    def finished(self, report: Report, path: Path) -> None:
        """The climb is decided and its report written."""
        ...


class Silent:
    """Tells nothing."""

    def started(self, plan: Plan, path: Path) -> None:
        """Nothing."""

    def rung_started(self, name: str) -> None:
        """Nothing."""

    def phase(self, name: str, done: int, total: int) -> None:
        """Nothing."""

    def rung_finished(self, entry: RungEntry) -> None:
        """Nothing."""

    def message(self, text: str) -> None:
        """Nothing."""

    def finished(self, report: Report, path: Path) -> None:
        """Nothing."""


class Clock:
    """How long the climb still takes at most: the plan's forecasts, corrected by how the rungs so far took.

    `expected` maps rungs to forecast seconds (adapting and answering validation).
    """

    def __init__(self, expected: dict[str, float]) -> None:
        self._expected = dict(expected)
        self._now: tuple[str, float] | None = None
        self._forecast = self._took = 0.0

    def begin(self, name: str, now: float) -> None:
        """The rung starts at `now` (seconds of any steady clock)."""
        self._now = (name, now)

    def end(self, name: str, now: float) -> None:
        """The rung is done at `now`."""
        expected = self._expected.pop(name, 0.0)
        if self._now is not None and self._now[0] == name and expected > 0:
            self._forecast += expected
            self._took += now - self._now[1]
        self._now = None

    def left(self, now: float) -> float | None:
        """Seconds until every rung is built; None where the plan forecast nothing."""
        if not self._expected or not any(self._expected.values()):
            return None
        pace = self._took / self._forecast if self._forecast > 0 else 1.0
        spent = now - self._now[1] if self._now is not None else 0.0
        running = self._expected.get(self._now[0], 0.0) * pace if self._now is not None else 0.0
        rest = sum(self._expected.values()) * pace - running
        return rest + max(0.0, running - spent)


def expected_seconds(plan: Plan) -> dict[str, float]:
    """Forecast seconds of each rung that will be built: adapting, and answering the validation rows."""
    rows = len(plan.task.validation)
    return {
        planned.label: (planned.forecast.seconds or 0.0) + rows * (planned.forecast.latency_s or 0.0)
        for planned in plan.rungs
        if not planned.skipped
    }


class Plain:
    """A line for each thing that happens, and now and then one about a phase that takes long."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._rung, self._said = "", (-EVERY_S, "")

    def _line(self, text: str) -> None:
        print(" ".join(text.split()), file=self._out, flush=True)

    def started(self, plan: Plan, path: Path) -> None:
        """One line: what is climbed and where."""
        self._line(f"climbing {plan.task.name} on {plan.body.model.name} in {path}")

    def rung_started(self, name: str) -> None:
        """One line."""
        self._rung, self._said = name, (time.monotonic(), "")
        self._line(f"{name}: started")

    def phase(self, name: str, done: int, total: int) -> None:
        """A line for a phase that has been going on for a while."""
        now = time.monotonic()
        if now - self._said[0] >= EVERY_S:
            self._said = (now, name)
            self._line(f"{self._rung}: {name} {_how_far(done, total)}")

    def rung_finished(self, entry: RungEntry) -> None:
        """One line with the score."""
        self._line(f"{entry.name}: {_score(entry)}")

    def message(self, text: str) -> None:
        """The text."""
        self._line(text)

    def finished(self, report: Report, path: Path) -> None:
        """The table as lines; the decision itself is printed by whoever called the climb."""
        sentence = str(report.decision.get("sentence", ""))
        for line in lines(report):
            if line != sentence and not line.startswith("advice: "):
                self._line(line)


class Live:
    """The table of rungs on a terminal, filling in as they are built, with the phase and the time left below it."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live as Display

        self._console = console
        self._waiting: list[str] = []
        self._entries: dict[str, RungEntry] = {}
        self._rung, self._phase = "", ("", 0, 0)
        self._clock = Clock({})
        self._metric, self._kind = "score", "graded"
        # Last, for it draws at once.
        self._display = Display(console=console, refresh_per_second=8, transient=True, get_renderable=self._drawn)

    def open(self) -> None:
        """Begin to draw."""
        self._display.start()

    def close(self) -> None:
        """Stop drawing and leave the terminal as it was."""
        self._display.stop()

    def started(self, plan: Plan, path: Path) -> None:
        """The ladder, still empty."""
        self._waiting = [planned.label for planned in plan.rungs if not planned.skipped]
        self._clock = Clock(expected_seconds(plan))
        self._metric, self._kind = plan.question.metric, plan.question.kind
        self._console.print(
            f"climbing [bold]{_plain(plan.task.name)}[/] on {_plain(plan.body.model.name)}", highlight=False
        )

    def rung_started(self, name: str) -> None:
        """Its row starts to move."""
        self._rung, self._phase = name, ("", 0, 0)
        self._clock.begin(name, time.monotonic())

    def phase(self, name: str, done: int, total: int) -> None:
        """Kept until the next drawing."""
        self._phase = (name, done, total)

    def rung_finished(self, entry: RungEntry) -> None:
        """Its row shows the score."""
        self._entries[entry.name] = entry
        self._clock.end(entry.name, time.monotonic())
        self._rung, self._phase = "", ("", 0, 0)

    def message(self, text: str) -> None:
        """A line above the table."""
        self._console.print(_plain(" ".join(text.split())), style="bright_black", highlight=False)

    def finished(self, report: Report, path: Path) -> None:
        """The finished table, left on the terminal."""
        self.close()
        self._console.print(terminal_table(report))

    def _drawn(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        written = q.Scores(self._kind)
        table = Table(box=None, pad_edge=False, header_style="bright_black", padding=(0, 2, 0, 0))
        for word in ("rung", self._metric, "95 %", "adapting", "peak", "answer"):
            table.add_column(word, justify="left" if word == "rung" else "right", no_wrap=True)
        for name in self._waiting:
            entry = self._entries.get(name)
            if entry is not None:
                table.add_row(*(Text(cell) for cell in _row(entry, written)))
            elif name == self._rung:
                table.add_row(Text(f"{name} …", style="bold"))
            else:
                table.add_row(Text(name, style="bright_black"))
        return Group(table, Text(self._status(), style=COLOURS["not tested"]))

    def _status(self) -> str:
        name, done, total = self._phase
        left = self._clock.left(time.monotonic())
        parts = [self._rung, f"{name} {_how_far(done, total)}".strip() if name else ""]
        parts.append(f"at most about {q.seconds(max(1.0, round(left)))} left" if left is not None else "")
        return " · ".join(part for part in parts if part)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _row(entry: RungEntry, written: q.Scores) -> tuple[str, ...]:
    seen, measured = entry.validation, entry.measured
    return (
        entry.name,
        written.value(seen.value) if seen else "",
        written.interval(seen.low, seen.high) if seen and seen.low is not None else "",
        q.seconds(measured.train_seconds) if measured and measured.train_seconds is not None else "",
        q.memory(measured.peak_memory) if measured and measured.peak_memory is not None else "",
        q.seconds(measured.latency_s) if measured and measured.latency_s is not None else "",
    )


def _score(entry: RungEntry) -> str:
    if entry.validation is None:
        return entry.reason or "not scored"
    seen = entry.validation
    interval = "" if seen.low is None or seen.high is None else f" (95 %: {seen.low:.3f} to {seen.high:.3f})"
    lost = f", {entry.errors} calls returned nothing" if entry.errors else ""
    return f"{seen.value:.3f} on {seen.count} validation rows{interval}{lost}"


def _how_far(done: int, total: int) -> str:
    """
    >>> _how_far(30, 120), _how_far(30, 0), _how_far(0, 0)
    ('30 of 120 (25 %)', '30', '')
    """
    if total <= 0:
        return str(done) if done else ""
    return f"{done:,} of {total:,} ({100 * done // total} %)"


@contextmanager
def screen(console: Console | None = None) -> Iterator[Progress]:
    """A live table where standard error is a terminal, else plain lines. The terminal is left as it was found."""
    if console is None:
        from rich.console import Console as Made

        console = Made(stderr=True)
    if not console.is_terminal:
        yield Plain(console.file)  # type: ignore[arg-type]  # rich says IO[str], which every TextIO is
        return
    live = Live(console)
    live.open()
    try:
        yield live
    finally:
        live.close()


@contextmanager
def phases(console: Console | None = None) -> Iterator[Callable[[str, int, int], None]]:
    """Progress of work that has no table of rungs: a line that changes on a terminal, else one now and then."""
    if console is None:
        from rich.console import Console as Made

        console = Made(stderr=True)
    if console.is_terminal:
        with console.status("") as status:
            yield lambda name, done, total: status.update(_plain(f"{name} {_how_far(done, total)}"))
        return
    said = [-EVERY_S]

    def line(name: str, done: int, total: int) -> None:
        if time.monotonic() - said[0] >= EVERY_S:
            said[0] = time.monotonic()
            print(f"{name} {_how_far(done, total)}".rstrip(), file=sys.stderr, flush=True)

    yield line


def print_table(report: Report) -> None:
    """The table of a finished climb on standard output: drawn on a terminal, as plain lines elsewhere."""
    from rich.console import Console as Made

    console = Made()
    if console.is_terminal:
        console.print(terminal_table(report))
        return
    Plain(sys.stdout).finished(report, Path())
