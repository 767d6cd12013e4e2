"""What a tuning came to, method by method, as values, lines and JSON. How it came about is `tune`'s matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rung.metrics import METRICS
from rung.page import quantities as q
from rung.page.quantities import Scores


@dataclass(frozen=True)
class TunedMethod:
    """One method's outcome on validation.

    `moving` counts the weights that moved, `share` is theirs of all, `disk` the bytes of what must be kept beside the
    base. `curve` holds (step, training loss in nats a target, score), `spent` the processor seconds
    of training at each of its points; `searched` names the page of its search, where there is one, `note` what
    must be said of its optimiser on this device. `guards` gives each guard's change against the
    base. `measured` has seconds and peak bytes of adapting.
    """

    label: str
    score: float | None
    low: float | None
    high: float | None
    moving: int = 0
    share: float = 0.0
    disk: int = 0
    folder: str = ""
    skipped: str = ""
    chosen: Mapping[str, Any] = field(default_factory=dict)
    curve: tuple[tuple[int, float, float | None], ...] = ()
    guards: Mapping[str, float] = field(default_factory=dict)
    nearest: tuple[tuple[str, ...], ...] = ()
    spent: tuple[float, ...] = ()
    searched: str = ""
    note: str = ""
    measured: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Tuning:
    """All methods of one call, the untrained base first."""

    task: str
    base: str
    metric: str
    precision: str
    rows: tuple[TunedMethod, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Head and cells, in the order of the rows."""
        write = Scores(METRICS[self.metric].kind)
        guards = sorted({name for one in self.rows for name in one.guards})
        head = ["method", self.metric, "95 %", "moving", "of all", "on disk", "time", "peak", *guards]
        rows = []
        for one in self.rows:
            if one.skipped or one.score is None:
                rows.append([one.label, "–", one.skipped, *[""] * (len(head) - 3)])
                continue
            interval = "" if one.low is None or one.high is None else write.interval(one.low, one.high)
            trained = one.moving > 0
            rows.append(
                [
                    one.label,
                    write.value(one.score),
                    interval,
                    q.count(one.moving) if trained else "–",
                    share_words(one.share) if trained else "–",
                    q.memory(one.disk) if trained else "–",
                    q.seconds(one.measured.get("seconds")),
                    q.memory(one.measured.get("peak_memory")),
                    *[q.signed(100 * one.guards[name], 1) if name in one.guards else "" for name in guards],
                ]
            )
        return head, rows

    def lines(self, path: Path) -> list[str]:
        """For the terminal."""
        head, rows = self.table()
        widths = [
            max(len(row[n]) for row in (head, *(r for r in rows if r[1] != "–" or n < 2))) for n in range(len(head))
        ]
        out = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in (head, *rows)]
        out += dict.fromkeys(one.note for one in self.rows if one.note)
        out += [f"{one.label}: {one.folder}" for one in self.rows if one.folder]
        out += [
            f"what mattered in the search of {one.label}: {path / one.searched}" for one in self.rows if one.searched
        ]
        return [*out, f"wrote {path / 'tune.html'}"]


def share_words(share: float) -> str:
    """A share of the weights with as many digits as it needs.

    >>> share_words(1.0), share_words(0.0123), share_words(0.00004)
    ('100 %', '1.2 %', '0.004 %')
    """
    percent = 100 * share
    digits = 0 if percent >= 99.95 else 1 if percent >= 1 else 3
    return f"{percent:.{digits}f} %"
