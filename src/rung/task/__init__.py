"""The task: its file, the reading of its data, frozen splits, and the search for rows that leak between them.

Scoring answers is `rung.metrics`, asking a System is `rung.evaluate`.
"""

from rung.task.assemble import Splits
from rung.task.duplicates import near_duplicates
from rung.task.guess import Guess, guess_task
from rung.task.leakage import Leak, drop_leaks, find_leaks
from rung.task.rows import SetAside
from rung.task.spec import Guard, RungRequest
from rung.task.task import Task

__all__ = [
    "Guard", "Guess", "Leak", "RungRequest", "SetAside", "Splits", "Task", "drop_leaks", "find_leaks", "guess_task",
    "near_duplicates",
]  # fmt: skip
