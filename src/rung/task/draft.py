"""The `Draft`: a row between the file and the Example. A value only; `rows` and `choices` work on it."""

from __future__ import annotations

from dataclasses import dataclass

from rung.task.sources import Row
from rung.types import Message


@dataclass(frozen=True)
class Draft:
    """A row on its way to an Example: what the columns said, before targets are resolved against choices or labels."""

    row: Row
    prompt: tuple[Message, ...]
    answers: tuple[str, ...]
    choices: tuple[str, ...] = ()
    choice_names: tuple[str, ...] = ()
    stratum: str = ""
    id: str = ""
    group: str = ""
