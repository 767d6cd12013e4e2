"""The command that a job runs: its words, the folder they are read in, and how it is spread over processes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rung.errors import RungError

SPREAD = ("tune", "pretrain")
"""Verbs that train in several processes."""


@dataclass(frozen=True)
class Command:
    """`rung WORDS`, run in `folder` (absolute). Raises RungError for no words."""

    words: tuple[str, ...]
    folder: Path

    def __post_init__(self) -> None:
        if not self.words:
            raise RungError(
                "no command is given", where="submit", mend="rung submit --to slurm pretrain RECIPE --out DIR"
            )

    @classmethod
    def of(cls, words: Sequence[str], folder: Path) -> Command:
        """The command as it was typed, with or without `rung` in front. Raises RungError for options of a job in it."""
        if "--to" in words:
            mend = "options of submit come first: rung submit --to slurm pretrain RECIPE --out DIR"
            raise RungError("--to stands behind the command", where="submit", mend=mend)
        return cls(tuple(words[1:] if words[:1] == ["rung"] else words), folder.resolve())

    def __str__(self) -> str:
        return shlex.join(["rung", *self.words])

    @property
    def spreads(self) -> bool:
        """Whether it can run in several processes."""
        return self.words[0] in SPREAD

    def check_spread(self, nodes: int, processes: int) -> None:
        """Raises RungError where the verb cannot be spread over so many nodes and processes a node."""
        if nodes * processes > 1 and not self.spreads:
            told = f"rung {self.words[0]} runs in one process, not in {nodes * processes}"
            raise RungError(
                told, where="submit", mend=f"set nodes and processes to 1 ({' and '.join(SPREAD)} can spread)"
            )

    def paths(self) -> list[Path]:
        """The files and folders that its words name and that are there, values of `--option=value` included."""
        found = []
        for word in self.words:
            said = word.partition("=")[2] if word.startswith("--") and "=" in word else word
            path = Path(said).expanduser()
            if said and not said.startswith("-") and (self.folder / path).exists():
                found.append(path)
        return found
