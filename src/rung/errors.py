"""The one error that Rung raises on purpose.

A `RungError` is for the person at the keyboard: what is wrong, where, and the mend, in one line. Anything else that
escapes is a defect of Rung and keeps its traceback. No exit codes and no printing here: `cli` does that.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RungError(Exception):
    """Bad input, told in one line.

    `what` is wrong, with the value seen; `where` names the file, line, key or split; `mend` says what to do.
    """

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        self.what = " ".join(what.split())
        self.where = " ".join(where.split())
        self.mend = " ".join(mend.split())
        super().__init__(str(self))

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        return f"{line}; {self.mend}" if self.mend else line


class MissingExtra(RungError):
    """A feature whose optional dependency is not installed."""

    def __init__(self, extra: str, *, needs: str, what: str) -> None:
        super().__init__(f"{what} needs {needs}", mend=f"install it with: pip install 'rung[{extra}]'")
        self.extra = extra


def nearest(word: str, known: Iterable[str]) -> str:
    """The mend for an unknown name: the closest known one, or all of them where none is close.

    >>> nearest("gaol", ["goal", "name"])
    'did you mean goal?'
    """
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(names)}"
