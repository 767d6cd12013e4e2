"""The small task of the command line's tests, what a command says, and what a folder holds."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

WORDS = [
    "where",
    "is",
    "my",
    "order",
    "the",
    "parcel",
    "never",
    "came",
    "please",
    "send",
    "back",
    "lamp",
    "broke",
    "cannot",
    "log",
    "in",
    "question",
    "about",
    "kettle",
    "size",
    "card",
    "declined",
    "invoice",
    "red",
    "green",
    "blue",
    "north",
    "south",
    "east",
    "west",
]
TASK = """\
name: tickets
kind: classify
data: {source: rows.csv, input: text, target: label, split: {train: 0.34, validation: 0.33, test: 0.33}}
instruction: Answer refund or login.
goal: {accuracy: 0.2}
budget: {requests: 100}
rungs: [zero-shot, {few-shot: {k: 2}}, {lora: {rank: 4, learning_rate: 0.005, epochs: 1}}]
"""


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Said]


def rows(count: int = 60, seed: int = 1) -> list[tuple[str, str]]:
    """Texts of eight words and their labels, no two texts alike."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        label, clue = (("refund", "money"), ("login", "password"))[number % 2]
        made.append((" ".join([*chance.sample(WORDS, 7), clue]), label))
    return made


def csv(table: list[tuple[str, str]]) -> str:
    """Such rows as a CSV file with a header."""
    return "text,label\n" + "".join(f"{text},{label}\n" for text, label in table)


def tree(folder: Path) -> dict[str, str]:
    """Every file and folder below `folder`, and what each file holds."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in folders:
            found[os.path.relpath(Path(place, name), folder)] = "folder"
        for name in files:
            file = Path(place, name)
            content = b"link" if file.is_symlink() else file.read_bytes()
            found[os.path.relpath(file, folder)] = hashlib.sha256(content).hexdigest()
    return found
