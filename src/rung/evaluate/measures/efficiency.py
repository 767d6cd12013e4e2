"""Efficiency: what answering took, as measured on this machine (Liang et al. 2022, arXiv:2211.09110, 4.8).

HELM denoises and idealises run times across providers; here one machine ran everything, so its clock is told as it is,
apart from what is computed (tokens).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rung.evaluate.evaluation import Evaluation


@dataclass(frozen=True)
class Efficiency:
    """Tokens read and written for a request, on average; seconds a request in batches, all seconds, and the peak of the
    memory in bytes, the last three by the clock and the gauge."""

    prompt_tokens: float
    completion_tokens: float
    request_s: float
    seconds: float
    peak_memory: int | None = None

    def to_json(self) -> Mapping[str, Any]:
        """What was counted, and apart from it what was measured."""
        measured = {"request_s": self.request_s, "seconds": self.seconds, "peak_memory": self.peak_memory}
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens, "measured": measured}


def efficiency(evaluation: Evaluation, peak_memory: int | None = None) -> Efficiency:
    """The efficiency of an evaluation that was just made."""
    read, written = evaluation.tokens
    return Efficiency(read, written, evaluation.seconds / len(evaluation.completions), evaluation.seconds, peak_memory)
