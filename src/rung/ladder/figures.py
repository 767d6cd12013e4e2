"""How numbers are written in sentences: percentages, points, bounds rounded to the safe side.

Only formatting. A lower bound is always rounded down and an upper bound up, so that the printed number still holds.
"""

from __future__ import annotations

import math

from rung.ladder.question import Question
from rung.types import ScoreKind


def plain(value: float, digits: int) -> str:
    """A number with up to `digits` decimals and no trailing zeros.

    >>> plain(80.0, 1), plain(0.3250, 3)
    ('80', '0.325')
    """
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def sure(level: float) -> str:
    """How sure a claim at a one-sided `level` is, rounded down.

    >>> sure(0.025), sure(0.0125), sure(0.05 / 2**9)
    ('97.5 % sure', '98.75 % sure', '99.99 % sure')
    """
    digits = max(2, min(12, math.ceil(-math.log10(level)) - 2)) if level > 0 else 12
    return f"{plain(_down(100 * (1 - level), digits), digits)} % sure"


def about(count: int | None) -> str:
    """A number of items, rounded up to two figures, with separators.

    >>> about(1234), about(87), about(None)
    ('1,300', '87', 'no number')
    """
    if count is None:
        return "no number"
    unit = 10 ** max(0, len(str(count)) - 2)
    return f"{-(-count // unit) * unit:,}"


def _down(value: float, digits: int) -> float:
    scale = 10.0**digits
    return math.floor(value * scale + 1e-9) / scale


class Figures:
    """Writes the numbers of one score: per cent for right-or-wrong scores, the score's own units otherwise."""

    def __init__(self, kind: ScoreKind, span: float) -> None:
        self.percent = kind == "binary"
        span = 100.0 if self.percent else span
        self._digits = max(0, 3 - math.ceil(math.log10(span) - 1e-9))

    @classmethod
    def of(cls, question: Question) -> Figures:
        """For the question's own score."""
        return cls(question.kind, question.best - question.worst)

    def value(self, value: float) -> str:
        """An estimate, rounded to the nearest."""
        return self._write(value, self._digits)

    def exactly(self, value: float) -> str:
        """A number the user gave, in full."""
        return self._write(value, self._digits + 6)

    def at_least(self, value: float, goal: float | None = None) -> str:
        """A lower bound, rounded down; with more decimals where rounding would take it below a goal it reaches."""
        for digits in range(self._digits, self._digits + 7):
            shown = _down(self._scaled(value), digits)
            if goal is None or value < goal or shown >= self._scaled(goal) - 1e-12:
                break
        return self._unit(plain(shown, digits))

    def at_most(self, value: float, goal: float | None = None) -> str:
        """An upper bound, rounded up; with more decimals where rounding would lift it to a goal it lies below."""
        for digits in range(self._digits, self._digits + 7):
            shown = -_down(-self._scaled(value), digits)
            if goal is None or value >= goal or shown < self._scaled(goal):
                break
        return self._unit(plain(shown, digits))

    def points(self, gap: float) -> str:
        """The size of a difference, rounded up."""
        text = plain(-_down(-abs(self._scaled(gap)), self._digits), self._digits)
        return f"{text} point{'' if text == '1' else 's'}" if self.percent else text

    def got(self, value: float, metric: str) -> str:
        """What the rung did, as the end of "on 500 unseen examples it ..."."""
        return (
            f"was right {self.value(value)} of the time" if self.percent else f"scored {self.value(value)} ({metric})"
        )

    def _scaled(self, value: float) -> float:
        return 100.0 * value if self.percent else value

    def _write(self, value: float, digits: int) -> str:
        return self._unit(plain(self._scaled(value), digits))

    def _unit(self, text: str) -> str:
        return f"{text} %" if self.percent else text
