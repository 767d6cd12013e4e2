"""Intervals, one-sided bounds, paired tests, multiplicity and power: pure functions of `Score`s.

Every bound takes `level`, the one-sided probability of being wrong. What a bound is used for (goals, looks, guards)
lives in `ladder`; how answers become a `Score` lives in `metrics`. `docs/statistics.md` has what was simulated of them.
"""

from __future__ import annotations

from rung.stats.bounds import interval, lower, paired_interval, paired_lower, paired_upper, shown, upper
from rung.stats.comparison import Comparison, compare, holm
from rung.stats.error import difference_error, estimate, standard_error
from rung.stats.paired import clopper_pearson_lower, mcnemar_mid_p, tango_lower
from rung.stats.power import (
    BINARY,
    Spread,
    bearable_scatter,
    ceiling,
    detectable,
    difference_spread,
    guard_items,
    items_for_no_change,
    items_needed,
    items_needed_range,
    spread,
)
from rung.stats.resample import BOOTSTRAP_DRAWS, RANDOMISATION_DRAWS, bootstrap
from rung.stats.scheme import (
    CORPUS_ITEMS,
    GROUPS,
    ITEMS,
    RATIO_ITEMS,
    Scheme,
    Value,
    group_size,
    refusal,
)
from rung.stats.seeds import SEEDS, Retraining, retrained_lower, retraining

__all__ = [
    "BINARY",
    "BOOTSTRAP_DRAWS",
    "CORPUS_ITEMS",
    "GROUPS",
    "ITEMS",
    "RANDOMISATION_DRAWS",
    "RATIO_ITEMS",
    "SEEDS",
    "Comparison",
    "Retraining",
    "Scheme",
    "Spread",
    "Value",
    "bearable_scatter",
    "bootstrap",
    "ceiling",
    "clopper_pearson_lower",
    "compare",
    "detectable",
    "difference_error",
    "difference_spread",
    "estimate",
    "group_size",
    "guard_items",
    "holm",
    "interval",
    "items_for_no_change",
    "items_needed",
    "items_needed_range",
    "lower",
    "mcnemar_mid_p",
    "paired_interval",
    "paired_lower",
    "paired_upper",
    "refusal",
    "retrained_lower",
    "retraining",
    "shown",
    "spread",
    "standard_error",
    "tango_lower",
    "upper",
]
