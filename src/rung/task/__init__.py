"""The task: its file, the reading of its data, frozen splits, and the search for rows that leak between them.

Scoring answers is `rung.metrics`, asking a System is `rung.evaluate`.
"""

from rung.task.duplicates import near_duplicates
from rung.task.leakage import Leak, drop_leaks, find_leaks
from rung.task.rows import SetAside
from rung.task.spec import Guard, RungRequest
from rung.task.task import Task

__all__ = ["Guard", "Leak", "RungRequest", "SetAside", "Task", "drop_leaks", "find_leaks", "near_duplicates"]
