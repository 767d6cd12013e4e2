"""The words a judge is asked with: a text with places for the request, the right answer and what is judged."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rung.errors import RungError, nearest
from rung.types import Message, Prompt, Sampling

_PLACE = re.compile(r"\{([a-z]+)\}")


@dataclass(frozen=True)
class Template:
    """A judge's prompt. `{name}` is filled by `fill`; other braces stay as they are.

    With `reasoned` the judge may write before its verdict, which then ends in a line such as `Verdict: A`; else it
    chooses among the possible verdicts at once.
    """

    text: str
    reasoned: bool = False
    source: str = "the judge's prompt"

    @classmethod
    def read(cls, file: Path, *, reasoned: bool = False) -> Template:
        """The template in a text file. Raises RungError where it cannot be read."""
        try:
            return cls(file.read_text(encoding="utf-8"), reasoned, str(file))
        except (OSError, UnicodeDecodeError) as error:
            reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
            raise RungError(f"cannot be read ({reason})", where=str(file), mend="name a text file") from error

    def check(self, known: Iterable[str], needed: Iterable[str]) -> None:
        """Refuse places with no such name, and a template that leaves out what must be judged."""
        names, there = list(known), _PLACE.findall(self.text)
        for name in there:
            if name not in names:
                raise RungError(f"there is nothing to put at {{{name}}}", where=self.source, mend=nearest(name, names))
        for name in needed:
            if name not in there:
                raise RungError(
                    f"it has no place {{{name}}}", where=self.source, mend=f"write {{{name}}} where it goes"
                )

    def fill(self, parts: Mapping[str, str]) -> str:
        """The text with each place filled once: braces within the parts are never read as places."""
        return _PLACE.sub(lambda found: parts[found[1]], self.text)

    def prompt(self, parts: Mapping[str, str], verdicts: tuple[str, ...]) -> Prompt:
        """What the judge sees: greedy, with the verdicts as choices unless it may reason first."""
        turn = (Message("user", self.fill(parts)),)
        if self.reasoned:
            return Prompt(turn, sampling=Sampling(max_new_tokens=1024))
        return Prompt(turn, verdicts, sampling=Sampling(max_new_tokens=16))
