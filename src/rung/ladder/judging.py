"""What the command line says about a judge, as one value: which System, which words, whose labels to agree with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rung.errors import RungError
from rung.evaluate.judging import Template, read_labels
from rung.ladder.named import system_named
from rung.types import System


@dataclass(frozen=True)
class Judging:
    """A judge by name, its prompt's file (None: Rung's own), whether it reasons first, and people's labels by row id."""

    name: str
    prompt: Path | None = None
    reasoned: bool = False
    people: Path | None = None

    @classmethod
    def given(cls, name: str | None, prompt: Path | None, reasoned: bool, people: Path | None) -> Judging | None:
        """None where no judge is asked for. Raises RungError where only what belongs to one is given."""
        if name is not None:
            return cls(name, prompt, reasoned, people)
        for option, value in (("--judge-prompt", prompt), ("--reasoned", reasoned), ("--people", people)):
            if value:
                raise RungError("there is no judge", where=option, mend="name one with --judge")
        return None

    def system(self) -> System:
        """The judge."""
        return system_named(self.name)

    def template(self, own: str) -> Template:
        """The user's prompt, or Rung's `own`."""
        return (
            Template(own, self.reasoned) if self.prompt is None else Template.read(self.prompt, reasoned=self.reasoned)
        )

    def labels(self) -> Mapping[str, str]:
        """What people said, by row id; empty where nobody was asked."""
        return {} if self.people is None else read_labels(self.people)
