"""Whether probabilities may be believed: the reliability curve and the expected calibration error.

How well probabilities rank, whatever their size, is the matter of `ranking`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Binning = Literal["mass", "width"]
BINS = 10


@dataclass(frozen=True)
class Bin:
    """Rows of like confidence: how many, their mean confidence, and the share that was right; both 0 to 1."""

    count: int
    confidence: float
    accuracy: float


def reliability(
    confidence: Sequence[float], right: Sequence[bool], *, bins: int = BINS, by: Binning = "mass"
) -> tuple[Bin, ...]:
    """The reliability curve: rows by rising confidence in at most `bins` bins, empty ones left out.

    By `mass`, bins hold equally many rows, as HELM (Liang et al. 2022) has it; rows of equal confidence stand in the
    order given. By `width`, they are equal parts of 0 to 1, each with its upper end (Guo et al. 2017). Raises
    ValueError for confidences off that scale, or of another number than `right`.
    """
    sure, good = np.asarray(confidence, dtype=float), np.asarray(right, dtype=float)
    if sure.shape != good.shape or sure.ndim != 1:
        raise ValueError(f"{sure.size} confidences for {good.size} answers")
    if sure.size and not (np.isfinite(sure).all() and sure.min() >= 0 and sure.max() <= 1):
        raise ValueError("a confidence is a probability from 0 to 1")
    if by == "width":
        place = np.clip(np.ceil(sure * bins) - 1, 0, bins - 1).astype(int)
        parts = [np.flatnonzero(place == n) for n in range(bins)]
    else:
        parts = list(np.array_split(np.argsort(sure, kind="stable"), bins))
    return tuple(Bin(part.size, float(sure[part].mean()), float(good[part].mean())) for part in parts if part.size)


def calibration_error(curve: Sequence[Bin]) -> float:
    """Expected calibration error (Naeini et al. 2015): |accuracy - confidence| of the bins, weighted by their rows."""
    count = sum(one.count for one in curve)
    return sum(one.count * abs(one.accuracy - one.confidence) for one in curve) / count if count else 0.0
