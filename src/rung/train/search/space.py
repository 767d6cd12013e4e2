"""The space that a search looks through: a range or some values for each name, and how one is written.

Values only; which point comes next is chosen in `halving` and `study`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from rung.errors import RungError

Value = int | float | str | bool


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`, evenly or (`log`) evenly in their logarithm; `whole` ones only."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise RungError(f"{self.low}..{self.high} is no range", where="search", mend="give the lower number first")
        if self.log and self.low <= 0:
            raise RungError(f"{self.low} has no logarithm", where="search", mend="begin above 0, or leave :log out")


@dataclass(frozen=True)
class Values:
    """One of these."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) < len(self.values):
            raise RungError(f"{list(self.values)} has nothing, or one twice", where="search", mend="list values once")


Dimension = Range | Values
Space = Mapping[str, Dimension]


def grid(**values: Sequence[Any]) -> tuple[dict[str, Any], ...]:
    """Every combination, the last name varying fastest.

    >>> grid(rank=[4, 8], learning_rate=[0.1])
    ({'rank': 4, 'learning_rate': 0.1}, {'rank': 8, 'learning_rate': 0.1})
    """
    return tuple(dict(zip(values, combination, strict=True)) for combination in product(*values.values()))


def points(space: Space) -> tuple[dict[str, Any], ...]:
    """Every combination of a space of values. Raises RungError for a range, which has no end of points."""
    for name, dimension in space.items():
        if isinstance(dimension, Range):
            raise RungError(
                f"{name} is a range", where="search", mend="list its values for a grid, or say tpe or random"
            )
    return grid(**{name: dimension.values for name, dimension in space.items() if isinstance(dimension, Values)})


def read_space(texts: Iterable[str]) -> dict[str, Dimension]:
    """A space as written on a command line: `name=low..high`, `name=low..high:log`, or `name=value,value`.

    Raises RungError for anything else, or a name given twice.

    >>> read_space(["rank=4,8", "learning_rate=1e-5..1e-2:log"])["learning_rate"]
    Range(low=1e-05, high=0.01, log=True, whole=False)
    """
    space: dict[str, Dimension] = {}
    for text in texts:
        name, equals, written = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name or not written.strip():
            raise RungError(
                f"{text!r} is no part of a space", where="--space", mend="write name=low..high or name=a,b,c"
            )
        if name in space:
            raise RungError(f"{name} is given twice", where="--space", mend="give each name once")
        space[name] = _dimension(written.strip(), text)
    return space


def write_space(space: Space) -> list[str]:
    """The space as `read_space` reads it."""
    told = []
    for name, part in space.items():
        if isinstance(part, Values):
            told.append(f"{name}={','.join(str(value) for value in part.values)}")
        else:
            ends = (int(part.low), int(part.high)) if part.whole else (float(part.low), float(part.high))
            told.append(f"{name}={ends[0]!r}..{ends[1]!r}{':log' if part.log else ''}")
    return told


def _dimension(written: str, text: str) -> Dimension:
    if ".." not in written:
        return Values(tuple(_value(part.strip()) for part in written.split(",")))
    ends, colon, scale = written.partition(":")
    low, _, high = ends.partition("..")
    try:
        numbers = float(low), float(high)
    except ValueError as error:
        raise RungError(f"{text!r} is no range of numbers", where="--space", mend="write name=1e-5..1e-2") from error
    if colon and scale != "log":
        raise RungError(f"unknown scale {scale!r} in {text!r}", where="--space", mend="write :log or nothing")
    whole = all(isinstance(_value(end.strip()), int) for end in (low, high))
    return Range(*numbers, log=bool(colon), whole=whole)


def _value(text: str) -> Value:
    """A number where it is written as one, else the word."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
