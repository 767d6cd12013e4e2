"""Scoring any System on any split of a task, with every row kept. No models here, and no decision."""

from rung.evaluate.evaluation import Evaluation, evaluate, latency

__all__ = ["Evaluation", "evaluate", "latency"]
