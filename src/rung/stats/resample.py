"""Resampling: bootstrap values of scores on the same resamples, and approximate randomisation.

Units are items, or whole groups. Units with equal statistics are drawn together, as one multinomial draw: the same
distribution, in as many columns as there are kinds, so that a score of few kinds of items (a confusion matrix) costs
next to nothing. What is concluded from the draws is in `error` and `comparison`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rung.errors import RungError
from rung.stats.scheme import ITEMS, Scheme, by_group, check_pair, value_of
from rung.types import Score

BOOTSTRAP_DRAWS = 4000
"""Resamples behind a bootstrap standard error: its own relative error is 1/sqrt(2 x 4000) = 1.1 %."""
RANDOMISATION_DRAWS = 10_000
_CELLS = 4_000_000  # numbers held at once while resampling
_FEW_KINDS = 0.25  # a binomial number takes some four times as long as the draw of one item


def bootstrap(scores: Sequence[Score], scheme: Scheme = ITEMS, draws: int = RANDOMISATION_DRAWS) -> np.ndarray:
    """The values of several scores of one metric on `draws` resamples of their items, the same for all.

    Shape (draws, S): differences of columns are paired (Efron 1979; Koehn 2004). Raises RungError where the score is
    undefined on a resample.
    """
    for score in scores:
        check_pair(scores[0], score, scheme)
    return resampled(scores, scheme, draws)


def resampled(scores: Sequence[Score], scheme: Scheme, draws: int) -> np.ndarray:
    """`bootstrap` of scores that were checked."""
    table, width = np.hstack([score.statistics for score in scores]), scores[0].statistics.shape[1]
    value, sizes = value_of(scores[0], scheme), np.ones(len(table))
    if scheme.groups is not None:
        table, sizes = by_group(table, scheme.groups)
    values = np.empty((draws, len(scores)))
    done = 0
    for totals in _resampled_totals(np.column_stack([table, sizes]), scheme.seed, draws):
        count = len(table) if scheme.groups is None else totals[:, -1]
        for place in range(len(scores)):
            own = totals[:, place * width : (place + 1) * width]
            values[done : done + len(totals), place] = value(own, count)
        done += len(totals)
    undefined = int((~np.isfinite(values).all(axis=1)).sum())
    if undefined:
        raise RungError(
            f"the score is undefined on {undefined} of {draws} resamples",
            where="bootstrap",
            mend="add examples to the split, or choose a score that is defined on every split",
        )
    return values


def _resampled_totals(table: np.ndarray, seed: int, draws: int) -> Iterator[np.ndarray]:
    """Column sums of resamples of the rows, shape (chunk, k) a time. They do not depend on the order of the rows."""
    units = len(table)
    kinds, repeats = np.unique(table, axis=0, return_counts=True)
    few = len(kinds) <= _FEW_KINDS * units
    rows = kinds if few else np.repeat(kinds, repeats, axis=0)
    generator = np.random.default_rng([seed, units, 1])
    chunk = max(1, _CELLS // max(rows.shape))
    for start in range(0, draws, chunk):
        size = min(chunk, draws - start)
        if few:
            weights = generator.multinomial(units, repeats / units, size=size)
        else:
            drawn = generator.integers(0, units, size=(size, units), dtype=np.uint32) + units * np.arange(size)[:, None]
            weights = np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units)
        yield weights.astype(float) @ rows


def randomisation(first: Score, second: Score, scheme: Scheme) -> float:
    """Two-sided p by swapping the two answers of each unit with probability 1/2 (Noreen 1989)."""
    one, two = first.statistics, second.statistics
    value = value_of(first, scheme)
    gaps = two - one
    if scheme.groups is not None:
        gaps = by_group(gaps, scheme.groups)[0]
    gaps = gaps[np.any(gaps != 0, axis=1)]
    if not len(gaps):
        return 1.0
    kinds, repeats = np.unique(gaps, axis=0, return_counts=True)
    few = len(kinds) <= _FEW_KINDS * len(gaps)
    rows = kinds if few else np.repeat(kinds, repeats, axis=0)
    totals, others, count = one.sum(axis=0), two.sum(axis=0), len(first)
    seen = abs(float(value(totals, count) - value(others, count)))
    generator = np.random.default_rng([scheme.seed, count, 2])
    chunk = max(1, _CELLS // max(rows.shape))
    as_large = 0
    for start in range(0, RANDOMISATION_DRAWS, chunk):
        size = min(chunk, RANDOMISATION_DRAWS - start)
        swapped: np.ndarray
        if few:
            swapped = generator.binomial(repeats, 0.5, size=(size, len(rows)))
        else:
            coins = generator.integers(0, 256, size=(size, -(-len(rows) // 8)), dtype=np.uint8)
            swapped = np.unpackbits(coins, axis=1, count=len(rows))
        moved = swapped.astype(float) @ rows
        drawn = np.abs(value(totals + moved, count) - value(others - moved, count))
        as_large += int((drawn >= seen - 1e-12).sum())
    return (1 + as_large) / (1 + RANDOMISATION_DRAWS)
