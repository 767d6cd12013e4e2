"""Two scores on the same items, two-sided; and Holm's adjustment where many pairs are compared.

Told in reports, never deciding. The interval beside the p-value is that of `bounds`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rung.stats.bounds import paired_interval
from rung.stats.error import estimate
from rung.stats.paired import discordant, mcnemar_mid_p
from rung.stats.resample import randomisation
from rung.stats.scheme import ITEMS, Scheme
from rung.types import Score


@dataclass(frozen=True)
class Comparison:
    """Two scores on the same items, two-sided. `difference` is first minus second; `p` is not yet adjusted."""

    difference: float
    low: float
    high: float
    p: float
    method: Literal["mid-p McNemar", "approximate randomisation"]


def compare(first: Score, second: Score, scheme: Scheme = ITEMS, confidence: float = 0.95) -> Comparison:
    """Two scores on the same items, two-sided.

    Right-or-wrong items: mid-p McNemar. Else approximate randomisation (Noreen 1989), whole groups at a time.
    """
    low, high = paired_interval(first, second, scheme, confidence)
    difference = estimate(first, scheme) - estimate(second, scheme)
    if first.kind == "binary" and scheme.groups is None:
        return Comparison(difference, low, high, mcnemar_mid_p(*discordant(first, second)), "mid-p McNemar")
    return Comparison(difference, low, high, randomisation(first, second, scheme), "approximate randomisation")


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjustment, in the order given: reject where the result is at most the level."""
    if any(not 0.0 <= p <= 1.0 for p in p_values):
        raise ValueError(f"p-values lie between 0 and 1: {list(p_values)}")
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted
