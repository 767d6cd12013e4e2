"""Quantiles of the normal and of Student's distribution, counted from above.

The libraries behind them are loaded on first use, so that importing the statistics stays light.
"""

from __future__ import annotations

import math


def t_quantile(level: float, freedom: float) -> float:
    """Upper `level` quantile of Student's t."""
    from scipy.special import stdtrit

    return math.inf if level <= 0.0 else -float(stdtrit(freedom, level))


def z_quantile(level: float) -> float:
    """Upper `level` quantile of the normal distribution."""
    from scipy.special import ndtri

    return math.inf if level <= 0.0 else -float(ndtri(level))
