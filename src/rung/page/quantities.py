"""How numbers are written for people: scores, gaps, bytes, seconds, counts. A minus is a minus sign, not a hyphen."""

from __future__ import annotations

import math

_PREFIXES = ("", "k", "M", "G", "T", "P", "E")
NOTHING = "–"


def percent(share: float | None, digits: int = 1) -> str:
    """A share as per cent.

    >>> percent(0.864), percent(1.0), percent(None)
    ('86.4 %', '100 %', '–')
    """
    return NOTHING if share is None else f"{plain(100 * share, digits)} %"


def plain(value: float, digits: int) -> str:
    """Up to `digits` decimals, without trailing zeros.

    >>> plain(80.0, 1), plain(-0.3250, 3)
    ('80', '−0.325')
    """
    text = f"{abs(value):,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"−{text}" if value < 0 and text.strip("0.,") else text


def fixed(value: float | None, digits: int) -> str:
    """Exactly `digits` decimals: columns of numbers line up.

    >>> fixed(0.3, 3), fixed(-0.0001, 3)
    ('0.300', '0.000')
    """
    if value is None:
        return NOTHING
    text = f"{abs(value):,.{digits}f}"
    return f"−{text}" if value < 0 and text.strip("0.,") else text


def signed(value: float, digits: int) -> str:
    """With its sign; zero has none.

    >>> signed(0.021, 3), signed(-2.0, 1), signed(0.0, 1)
    ('+0.021', '−2.0', '0.0')
    """
    text = fixed(value, digits)
    return text if text.startswith("−") or not text.strip("0.,") else f"+{text}"


def count(value: int | float | None) -> str:
    """A number of things, thousands apart.

    >>> count(12345), count(87.5), count(None)
    ('12,345', '87.5', '–')
    """
    return NOTHING if value is None else plain(float(value), 0 if float(value).is_integer() or value >= 100 else 1)


def scaled(value: float | None, unit: str = "") -> str:
    """Three figures with an SI prefix.

    >>> scaled(31_600_000), scaled(4.2e12, "FLOPs"), scaled(950.0), scaled(0.0, "FLOPs")
    ('31.6 M', '4.2 TFLOPs', '950', '0 FLOPs')
    """
    if value is None:
        return NOTHING
    step = 0
    while abs(value) >= 999.5 and step < len(_PREFIXES) - 1:
        value, step = value / 1000, step + 1
    figures = plain(value, max(0, 2 - math.floor(math.log10(abs(value)))) if abs(value) >= 1 else 2)
    return f"{figures} {_PREFIXES[step]}{unit}".rstrip()


def memory(value: float | None) -> str:
    """Bytes, in powers of ten as task files have them.

    >>> memory(1_530_000_000), memory(812), memory(None)
    ('1.53 GB', '812 B', '–')
    """
    return NOTHING if value is None else scaled(value, "B")


def seconds(value: float | None) -> str:
    """A span of time, in the two units that matter.

    >>> seconds(0.0123), seconds(2.5), seconds(200), seconds(7500), seconds(0), seconds(300_000)
    ('12.3 ms', '2.5 s', '3 min 20 s', '2 h 5 min', '0 s', '3 d 11 h')
    """
    if value is None:
        return NOTHING
    if value < 0.9995:
        return f"{plain(1000 * value, 1 if value < 0.0995 else 0)} ms" if value >= 0.00005 else "0 s"
    if value < 59.95:
        return f"{plain(value, 1)} s"
    whole = round(value)
    for unit, smaller, size, part in (("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if whole >= size:
            major, rest = divmod(round(whole / part), size // part)
            return f"{major} {unit} {rest} {smaller}" if rest else f"{major} {unit}"
    return f"{whole} s"


class Scores:
    """Writes the scores of one metric: per cent where items are right or wrong, else three decimals of 0 to 1."""

    def __init__(self, kind: str) -> None:
        self.percent = kind == "binary"

    def value(self, value: float | None) -> str:
        """A score.

        >>> Scores("binary").value(0.8641), Scores("graded").value(0.3)
        ('86.4 %', '0.300')
        """
        if value is None:
            return NOTHING
        return f"{fixed(100 * value, 1)} %" if self.percent else fixed(value, 3)

    def at_least(self, value: float | None) -> str:
        """A lower bound, rounded down: what is written is still reached.

        >>> Scores("binary").at_least(0.86497), Scores("graded").at_least(0.3)
        ('86.4 %', '0.300')
        """
        return self.value(None if value is None else math.floor(value * 1000 + 1e-9) / 1000)

    def interval(self, low: float | None, high: float | None) -> str:
        """An interval, the unit said once.

        >>> Scores("binary").interval(0.81, 0.9), Scores("graded").interval(0.1, 0.25)
        ('81.0 to 90.0', '0.100 to 0.250')
        """
        if low is None or high is None:
            return NOTHING
        return f"{self._bare(low)} to {self._bare(high)}"

    def gap(self, value: float | None) -> str:
        """A difference, with its sign.

        >>> Scores("binary").gap(0.021), Scores("graded").gap(-0.02)
        ('+2.1', '−0.020')
        """
        if value is None:
            return NOTHING
        return signed(100 * value, 1) if self.percent else signed(value, 3)

    def gap_interval(self, low: float | None, high: float | None) -> str:
        """An interval of a difference."""
        return NOTHING if low is None or high is None else f"{self.gap(low)} to {self.gap(high)}"

    @property
    def gap_unit(self) -> str:
        """What differences are counted in."""
        return "points" if self.percent else "score"

    def tick(self, value: float) -> str:
        """A number at an axis."""
        return f"{plain(100 * value, 1)} %" if self.percent else plain(value, 3)

    def _bare(self, value: float) -> str:
        return fixed(100 * value, 1) if self.percent else fixed(value, 3)


def p_value(p: float | None) -> str:
    """A p-value, never shown as zero.

    >>> p_value(0.0341), p_value(0.00002), p_value(1.0), p_value(None)
    ('p 0.034', 'p < 0.001', 'p 1', '–')
    """
    if p is None:
        return NOTHING
    return "p < 0.001" if p < 0.001 else f"p {plain(p, 3)}"
