"""Calibration: whether a System's confidence may be believed, as HELM has it (Liang et al. 2022, arXiv:2211.09110, 4.3).

Confidence is the probability of the answer given: among the choices by a softmax of their log-likelihoods, of a free
answer the product of its tokens' probabilities. The curve and its error are computed in `metrics.calibration`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rung.metrics.calibration import Bin, calibration_error, reliability
from rung.types import Completion

COVERED = 0.1
"""The share of the surest answers whose accuracy is told."""


@dataclass(frozen=True)
class Calibration:
    """Of the `count` answers with a confidence: expected calibration error over 10 bins of equal mass, accuracy of the
    surest tenth, and the area under accuracy as coverage grows from the surest answer to all."""

    count: int
    error: float
    surest: float
    area: float
    curve: tuple[Bin, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**vars(self), "curve": [dict(vars(one)) for one in self.curve]}


def calibrated(completions: Sequence[Completion], right: Sequence[bool]) -> Calibration | None:
    """The calibration of answers that were right or not; None where no answer has a confidence."""
    known = [(sure, good) for said, good in zip(completions, right) if (sure := confidence(said)) is not None]
    if not known:
        return None
    chances, good = [one for one, _ in known], [two for _, two in known]
    curve = reliability(chances, good)
    ordered = np.asarray(good, dtype=float)[np.argsort(-np.asarray(chances), kind="stable")]
    running = ordered.cumsum() / np.arange(1, len(ordered) + 1)
    surest = float(running[max(1, math.ceil(COVERED * len(ordered))) - 1])
    return Calibration(len(known), calibration_error(curve), surest, float(running.mean()), curve)


def confidence(said: Completion) -> float | None:
    """The probability of an answer, 0 to 1; None where the System gave none."""
    if said.error is not None:
        return None
    if said.choice_scores:
        logs = np.array(list(said.choice_scores.values()))
        weights = np.exp(logs - logs.max())
        place = list(said.choice_scores).index(said.text) if said.text in said.choice_scores else int(logs.argmax())
        return float(weights[place] / weights.sum())
    if said.logprobs:
        return float(min(1.0, math.exp(sum(one.logprob for one in said.logprobs))))
    return None
