"""Amounts as people write them: `16GB` of memory, `30m` of time, `0.40 EUR`. Nothing else is read here."""

from __future__ import annotations

import math
import re

_BYTES = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40,
}  # fmt: skip
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MEMORY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*\Z")
_TIME = re.compile(r"\s*(?:[0-9]+(?:\.[0-9]+)?\s*[smhd]\s*)+\Z")
_CURRENCY = r"([^\W\d_]{1,12}|[$€£¥₹₩₽₺₫₴])"
_PRICE = re.compile(
    rf"\s*(?:{_CURRENCY}\s*)?((?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?:\s*{_CURRENCY})?\s*\Z"
)
_TIME_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([smhd])")


def read_bytes(text: str) -> int:
    """Bytes of `16GB` (powers of ten), `16GiB` (powers of two) or `16000000000`. Raises ValueError.

    >>> read_bytes("1.5GB"), read_bytes("2 GiB")
    (1500000000, 2147483648)
    """
    match = _MEMORY.match(text)
    unit = (match.group(2).upper() or "B") if match else ""
    if match is None or unit not in _BYTES or not 0 < float(match.group(1)) < 1e15:
        raise ValueError(text)
    return int(float(match.group(1)) * _BYTES[unit])


def read_seconds(text: str) -> float:
    """Seconds of `30m`, `1h30m`, `2d` or a bare number of seconds. Raises ValueError.

    >>> read_seconds("1h30m")
    5400.0
    """
    if _TIME.match(text):
        found = sum(float(number) * _SECONDS[unit] for number, unit in _TIME_PART.findall(text))
    else:
        found = float(text)
    if not 0 < found < float("inf"):
        raise ValueError(text)
    return found


def read_price(text: str) -> tuple[float, str]:
    """Amount and currency of `0.40 EUR`, `$0.40` or a bare `0.40`, whose currency is empty. Raises ValueError.

    >>> read_price("0.40 EUR"), read_price("$2"), read_price("0.4")
    ((0.4, 'EUR'), (2.0, '$'), (0.4, ''))
    """
    match = _PRICE.match(text)
    amount = float(match.group(2)) if match else math.inf
    if match is None or not math.isfinite(amount) or (match.group(1) and match.group(3)):
        raise ValueError(text)
    return amount, match.group(1) or match.group(3) or ""
