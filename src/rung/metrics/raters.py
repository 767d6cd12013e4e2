"""How far two raters agree on the same things. Whether an answer is right is the matter of `agreement`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def raw_agreement(first: Sequence[str], second: Sequence[str]) -> float:
    """The share of things that both label alike, 0 to 1."""
    return float(np.mean(np.asarray(first, dtype=object) == np.asarray(second, dtype=object)))


def cohen_kappa(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Cohen's kappa (1960): (observed - chance) / (1 - chance) agreement, at most 1.

    None where both give one and the same label to everything, so that chance alone agrees fully.
    """
    names, codes = np.unique([*first, *second], return_inverse=True)
    size = len(names)
    table = np.zeros((size, size))
    np.add.at(table, (codes[: len(first)], codes[len(first) :]), 1.0)
    table /= table.sum()
    chance = float(table.sum(axis=0) @ table.sum(axis=1))
    return None if chance >= 1.0 else (float(np.trace(table)) - chance) / (1.0 - chance)


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation (1904), ties at their mean rank; None where either never varies."""
    from scipy.stats import rankdata

    one, two = rankdata(first), rankdata(second)
    if len(one) < 2 or not one.std() or not two.std():
        return None
    return float(np.corrcoef(one, two)[0, 1])
