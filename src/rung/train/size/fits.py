"""What fits on a card: for every way to train, the largest batch; and the cheapest way of all that fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rung.errors import RungError
from rung.model.outline import Outline
from rung.train.size.demand import Setting, counted, demand

RESERVED = 0.06
"""Share of a card that its driver, the libraries' context and fragments take."""
MOST_ROWS = 4096
WAYS = (
    ("full", "float32"),
    ("full", "mixed"),
    ("full", "bfloat16"),
    ("last-layers", "mixed"),
    ("lora", "bfloat16"),
    ("prompt-tuning", "bfloat16"),
    ("qlora", "nf4"),
)
"""From the freest to the cheapest: method and precision."""


@dataclass(frozen=True)
class Fit:
    """A way to train, the bytes of one row, and the most rows that fit at once (0: not even one).

    `work` is in passes forward a token: one forward, one back through what is kept, one for the gradients of what moves,
    one more where layers are computed again; products in float32 count twice.
    """

    setting: Setting
    one_row: int
    rows: int
    peak: int
    work: float = 3.0


def fits(outline: Outline, setting: Setting, memory: int) -> list[Fit]:
    """Every way in `WAYS`, without and with checkpointing, on a card of `memory` bytes; rows are `setting.length` long."""
    found = []
    for method, precision in WAYS:
        for checkpointing in (False, True):
            way = replace(setting, method=method, precision=precision, checkpointing=checkpointing, rows=1)
            try:
                found.append(largest(outline, way, memory))
            except RungError as error:
                if error.where.startswith(("size --method", "checkpointing", "lora", method)):
                    continue  # this architecture has no such method
                raise
    return found


def largest(outline: Outline, setting: Setting, memory: int) -> Fit:
    """The most rows of `setting` that fit. Bytes grow with rows along a line, which two counts give."""
    room = memory * (1 - RESERVED)
    one = demand(outline, replace(setting, rows=1)).total
    two = demand(outline, replace(setting, rows=2)).total
    each = max(1, two - one)
    rows = 0 if one > room else min(MOST_ROWS, 1 + int((room - one) // each))
    work = _passes(outline, setting)
    return Fit(replace(setting, rows=max(1, rows)), one, rows, one + (max(1, rows) - 1) * each, work)


def _passes(outline: Outline, setting: Setting) -> float:
    moved = min(1.0, sum(counted(outline, setting.alone()).trained) / max(1, outline.parameters))
    back = moved if setting.method == "last-layers" else 1.0  # gradients end where nothing below moves
    passes = 1.0 + back + moved + (back if setting.checkpointing else 0.0)
    return passes * (2.0 if setting.precision == "float32" else 1.0)


def freest(found: Sequence[Fit]) -> Fit | None:
    """Of the ways that fit, the one that moves most with the least computed again."""
    return next((fit for fit in found if fit.rows), None)


def cheapest(found: Sequence[Fit]) -> Fit | None:
    """Of the ways that fit, the one with the least work a token; of equals the one that takes the least memory."""
    fitting = [fit for fit in found if fit.rows]
    return min(fitting, key=lambda fit: (fit.work, fit.one_row), default=None)
