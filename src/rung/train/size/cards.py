"""Accelerators by name: memory and the rate of dense bfloat16 products, from their makers' data sheets.

A card here is an amount and a rate; what fits on it is worked out elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rung.errors import RungError, nearest
from rung.task.quantity import read_bytes


@dataclass(frozen=True)
class Card:
    """`memory` in bytes, `rate` in dense bfloat16 operations a second (0: not told)."""

    name: str
    memory: int
    rate: float = 0.0


CARDS = {
    card.name: card
    for card in (
        Card("t4", 16 * 10**9, 65e12),  # in float16: it has no bfloat16
        Card("v100", 32 * 10**9, 125e12),  # in float16
        Card("rtx3090", 24 * 10**9, 71e12),
        Card("rtx4090", 24 * 10**9, 165e12),
        Card("rtx5090", 32 * 10**9, 209e12),
        Card("a10", 24 * 10**9, 125e12),
        Card("l4", 24 * 10**9, 121e12),
        Card("l40s", 48 * 10**9, 362e12),
        Card("a100-40", 40 * 10**9, 312e12),
        Card("a100", 80 * 10**9, 312e12),
        Card("h100", 80 * 10**9, 989e12),
        Card("h200", 141 * 10**9, 989e12),
        Card("b200", 180 * 10**9, 2250e12),
        Card("mi300x", 192 * 10**9, 1307e12),
    )
}


def card(text: str) -> Card:
    """A card by its name, or any amount of memory such as `16GB`. Raises RungError for neither."""
    name = re.sub(r"[\s_]", "", text.lower()).replace("gb", "") if text.lower() not in CARDS else text.lower()
    if name in CARDS:
        return CARDS[name]
    try:
        return Card(text, read_bytes(text))
    except ValueError as error:
        raise RungError(
            f"unknown card {text!r}",
            where="--card",
            mend=f"{nearest(text.lower(), CARDS)}; or give an amount such as 16GB",
        ) from error
