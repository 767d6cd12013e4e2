"""Two scores on the same items, two-sided; and Holm's adjustment where many pairs are compared.

Told in reports, never deciding: one-sided bounds are in `bounds`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rung.stats.error import difference_error, estimate
from rung.stats.paired import discordant, mcnemar_mid_p, tango_lower
from rung.stats.quantile import t_quantile
from rung.stats.resample import randomisation
from rung.stats.scheme import ITEMS, Scheme, check_pair, effective_units
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

    Right-or-wrong items: mid-p McNemar with Tango's interval. Else approximate randomisation (Noreen 1989), whole
    groups at a time, with an interval of t x standard error (bootstrap for corpus scores).
    """
    check_pair(first, second, scheme)
    level = (1.0 - confidence) / 2
    if first.kind == "binary" and scheme.groups is None:
        won, lost = discordant(first, second)
        low, high = tango_lower(won, lost, len(first), level), -tango_lower(lost, won, len(first), level)
        return Comparison((won - lost) / len(first), low, high, mcnemar_mid_p(won, lost), "mid-p McNemar")
    difference = estimate(first, scheme) - estimate(second, scheme)
    error = difference_error(first, second, scheme)
    units = effective_units(len(first), scheme)
    reach = t_quantile(level, max(1.0, units - 1)) * error
    span = first.best - first.worst
    p = randomisation(first, second, scheme)
    low, high = max(difference - reach, -span), min(difference + reach, span)
    return Comparison(difference, low, high, p, "approximate randomisation")


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
