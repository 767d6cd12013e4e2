"""HELM's seven measures for any task: accuracy, calibration, robustness, fairness, bias, toxicity, efficiency.

One file a measure; `perturbation` and `invariance` are what robustness and fairness share, `words` and `tables` hold
the word lists. How they are shown is not decided here.
"""

from __future__ import annotations

from rung.evaluate.measures.measures import Measures, Settings, measure
from rung.evaluate.measures.toxicity import Detector
from rung.evaluate.measures.words import Words

__all__ = ["Detector", "Measures", "Settings", "Words", "measure"]
