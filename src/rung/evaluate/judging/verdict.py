"""Reading a judge's words: a bare verdict, or the last one behind `Verdict:`, `Grade:` and their like. No guessing."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SIGNS = " \t\r\n.*_`\"'()[]"


def read_verdict(said: str, verdicts: Sequence[str]) -> str | None:
    """Which of `verdicts` the judge gave; None where none can be read.

    >>> read_verdict("**B**.", ["A", "B", "tie"]), read_verdict("Both lack units.\\nVerdict: [[tie]]", ["A", "B", "tie"])
    ('B', 'tie')
    >>> read_verdict("Grade: 4/5", ["1", "4", "5"]), read_verdict("A or B, who can say?", ["A", "B", "tie"])
    ('4', None)
    """
    words = {word.casefold(): word for word in verdicts}
    bare = said.strip(_SIGNS).casefold()
    if bare in words:
        return words[bare]
    among = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    named = rf"(?:verdict|grade|rating|score|answer)\W{{0,4}}(?:is)?[\s:=*\[(\"']+({among})(?![\w.,]*\w)"
    found = re.findall(named, said.casefold())
    return words[found[-1]] if found else None
