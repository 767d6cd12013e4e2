"""Reading a judge's words: a bare verdict, or the last one behind `Verdict:`, `Grade:` and their like. No guessing."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SIGNS = " \t\r\n.*_`\"'()[]"
_SAID = r"(?i:verdict|grade|rating|score|answer)[\s*_\"']{0,4}(?:[:=]|(?i:is)\s)[\s*_\[(\"']{0,6}"
_ENDS = r"(?=[ \t*_\])\"']*(?:$|[.,:-](?!\d)|[\n;(–—]))"
"""Nothing but signs follows on the line, or a mark that ends the thought: `is a tie` must not be read as A."""


def read_verdict(said: str, verdicts: Sequence[str]) -> str | None:
    """Which of `verdicts` the judge gave; None where none can be read. Longer words may be written in any case.

    >>> read_verdict("**B**.", ["A", "B", "tie"]), read_verdict("Both lack units.\\nVerdict: [[Tie]]", ["A", "B", "tie"])
    ('B', 'tie')
    >>> read_verdict("Grade: 4 (one gap)", ["1", "4", "5"]), read_verdict("My verdict is a tie", ["A", "B", "tie"])
    ('4', None)
    """
    words = {word.casefold(): word for word in verdicts}
    bare = said.strip(_SIGNS).casefold()
    if bare in words:
        return words[bare]
    among = "|".join(re.escape(word) if len(word) == 1 else f"(?i:{re.escape(word)})" for word in verdicts)
    found = re.findall(f"{_SAID}({among}){_ENDS}", said)
    return words[found[-1].casefold()] if found else None
