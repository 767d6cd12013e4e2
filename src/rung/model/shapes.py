"""Sizes of batches, rounded up so that few different ones occur.

On a CPU every new shape of a bfloat16 product has a kernel compiled for it: some 10 ms and 1.3 MB each, measured with
oneDNN on AMX, more than the product itself takes in a small model. Only numbers here; who pads marks the padding.
"""

from __future__ import annotations

LENGTH_STEP = 16
"""Tokens: what the length of a row is rounded to."""
COUNT_STEP = 64
"""Positions: what the number of rows put through an output head is rounded to."""


def rounded(count: int, step: int) -> int:
    """`count` rounded up to a multiple of `step`.

    >>> rounded(1, 16), rounded(16, 16), rounded(17, 16)
    (16, 16, 32)
    """
    return -(-count // step) * step
