"""What the verb `size` does: read what was asked, work it out, give lines back; write the page where one is wanted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.errors import RungError
from rung.model.outline import outline
from rung.train.size.cards import Card, card
from rung.train.size.compute import Duration, optima
from rung.train.size.demand import Setting
from rung.train.size.lines import lines, optimum_lines
from rung.train.size.parts import parts_of
from rung.train.size.sizing import operations, size

UTILISATION = 0.4
"""Share of a card's rate that a good training reaches."""


PLAIN = Setting()


@dataclass(frozen=True)
class Ask:
    """A question: of a model, of a budget of operations, or of both. `rate` in operations a second."""

    model: str = ""
    setting: Setting = PLAIN
    card: str = ""
    tokens: float | None = None
    rate: float | None = None
    utilisation: float = UTILISATION
    compute: float | None = None


def sized(ask: Ask, *, as_json: bool = False, page: Path | None = None) -> list[str]:
    """Lines that answer `ask`. Raises RungError where nothing was asked, or what was asked cannot be."""
    if not ask.model and ask.compute is None:
        mend = "name a model, or give --compute a number of operations, or --fit a file of runs"
        raise RungError("nothing to size", where="size", mend=mend)
    told: dict[str, Any] = {}
    shown: list[str] = []
    if ask.model:
        found = size_of(ask)
        told |= found.to_json()
        shown += lines(found)
        if page is not None:
            from rung.run import write_atomic
            from rung.train.size.page import render

            write_atomic(page, render(found, optima(ask.compute) if ask.compute else []))
    if ask.compute is not None:
        best = optima(ask.compute)
        told["compute_optimal"] = [vars(one) for one in best]
        shown += [*([""] if shown else []), *optimum_lines(best)]
    if as_json:
        return [json.dumps(told, ensure_ascii=False)]
    return shown + ([f"wrote {page}"] if page is not None and ask.model else [])


def size_of(ask: Ask) -> Any:
    """The tables of the model that was asked for."""
    made = outline(ask.model)
    where = card(ask.card) if ask.card else None
    return size(made, ask.setting, card=where, duration=_duration(ask, made, where))


def _duration(ask: Ask, made: Any, where: Card | None) -> Duration | None:
    if ask.tokens is None:
        return None
    rate = ask.rate or (where.rate if where else 0.0)
    if not rate:
        mend = "give --rate, in operations a second, or a --card by name"
        raise RungError("tokens take time, and no rate is known", where="size --tokens", mend=mend)
    work = operations(made, parts_of(made), ask.tokens, ask.setting.length)
    return Duration(work, ask.tokens, rate, ask.utilisation, ask.setting.devices)
