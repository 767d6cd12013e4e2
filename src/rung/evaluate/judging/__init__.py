"""Answers judged by a System: two against each other, or one by a rubric. Any System judges; none is imported here.

`template` asks, `verdict` reads what the judge says, `duel` and `rubric` count, `labels` compares with people.
"""

from __future__ import annotations

from rung.evaluate.judging.duel import Duel, duel
from rung.evaluate.judging.labels import Agreement, agreement, read_labels
from rung.evaluate.judging.rubric import Grading, Rubric, grade
from rung.evaluate.judging.template import Template

__all__ = ["Agreement", "Duel", "Grading", "Rubric", "Template", "agreement", "duel", "grade", "read_labels"]
