"""The texts the corpus is drawn from: plain documents, their sentences by keyword, and the word lists of this folder."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

TEXTS = Path(__file__).parent.parent / "texts"
PEOPLE = (
    "Anna",
    "Ben",
    "Clara",
    "David",
    "Emma",
    "Felix",
    "Grace",
    "Hugo",
    "Ines",
    "Jack",
    "Kim",
    "Leo",
    "Maria",
    "Noah",
    "Olga",
    "Paul",
    "Rosa",
    "Sam",
    "Tina",
    "Victor",
    "Mr Brown",
    "Mrs Lee",
    "Dr Patel",
    "Jones",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "tomorrow", "today", "next week")
PLACES = (
    "Paris",
    "London",
    "Rome",
    "Berlin",
    "Madrid",
    "Oslo",
    "Dublin",
    "Leeds",
    "Vienna",
    "Lisbon",
    "Prague",
    "Boston",
    "Chicago",
    "Kyoto",
    "Cairo",
    "Delhi",
)
ITEMS = (
    "lamp",
    "kettle",
    "blender",
    "phone",
    "jacket",
    "bike",
    "table",
    "camera",
    "watch",
    "printer",
    "tent",
    "toaster",
    "backpack",
    "chair",
    "fan",
    "heater",
    "vacuum cleaner",
    "mattress",
    "radio",
    "mirror",
    "desk",
    "coffee machine",
    "shelf",
    "drill",
)


@dataclass(frozen=True)
class Topic:
    name: str
    things: tuple[str, ...]
    actions: tuple[str, ...]


@dataclass(frozen=True)
class Intent:
    names: tuple[str, ...]
    phrases: tuple[str, ...]


@dataclass(frozen=True)
class Library:
    """Everything read before the first document is made. `by_keyword` maps a word to sentences
    that hold it; `words` are its keys, the commonest first."""

    stories: tuple[str, ...]
    plays: tuple[str, ...]
    novel: tuple[str, ...]
    problems: tuple[tuple[str, str], ...]
    sentences: tuple[tuple[str, ...], ...]
    by_keyword: dict[str, list[str]]
    words: tuple[str, ...]
    topics: tuple[Topic, ...]
    intents: tuple[Intent, ...]
    held_out: frozenset[str]


def load(files: dict[str, Path], held_out: frozenset[str]) -> Library:
    """Read the named source files and the word lists. `held_out` words become neither labels nor keywords."""
    stories = _stories(files["stories"].read_text(encoding="utf-8", errors="replace"))
    plays = _blocks(files["plays"].read_text(encoding="utf-8").split("\n\n"), 700)
    novel = _novel(files["novel"].read_text(encoding="utf-8-sig"))
    lines = files["problems"].read_text(encoding="utf-8").splitlines()
    dropped = _rows("dropped.txt")
    problems = tuple(_problem(line) for line in lines if not any(part in line.lower() for part in dropped))
    sentences = (
        _sentences(stories),
        tuple(line for play in plays for line in play.splitlines() if 15 < len(line) < 90 and not line.endswith(":")),
        _sentences(novel),
        _sentences(tuple(question for question, _ in problems)),
    )
    sentences = tuple(tuple(t for t in group if not any(part in t.lower() for part in dropped)) for group in sentences)
    by_keyword = _index(sentences, held_out)
    return Library(
        stories,
        plays,
        novel,
        problems,
        sentences,
        by_keyword,
        tuple(sorted(by_keyword, key=lambda word: -len(by_keyword[word]))),
        _topics(),
        _intents(),
        held_out,
    )


def _stories(text: str) -> tuple[str, ...]:
    parts = [part.strip() for part in text.split("<|endoftext|>")]
    return tuple(part for part in parts[1:-1] if len(part) > 100)  # the ends of a byte range are torn


def _blocks(pieces: list[str], size: int) -> tuple[str, ...]:
    blocks, held = [], ""
    for piece in pieces:
        held = f"{held}\n\n{piece.strip()}" if held else piece.strip()
        if len(held) >= size:
            blocks.append(held)
            held = ""
    return tuple(blocks)


def _novel(text: str) -> tuple[str, ...]:
    start, end = text.index("*** START OF"), text.index("*** END OF")
    paragraphs = [line.strip() for line in text[start:end].splitlines()[1:]]
    return _blocks([line for line in paragraphs if len(line) > 30], 900)


def _problem(line: str) -> tuple[str, str]:
    row = json.loads(line)
    answer = re.sub(r"<<[^>]*>>", "", row["answer"]).replace("\n#### ", "\nThe answer is ")
    return row["question"].strip(), answer.strip()


def _sentences(documents: tuple[str, ...]) -> tuple[str, ...]:
    found = []
    for document in documents:
        for sentence in re.split(r"(?<=[.!?])\s+|\n+", document):
            if 15 < len(sentence) < 110 and '"' not in sentence:
                found.append(sentence.strip())
    return tuple(dict.fromkeys(found))


def _index(groups: tuple[tuple[str, ...], ...], held_out: frozenset[str]) -> dict[str, list[str]]:
    index: dict[str, list[str]] = defaultdict(list)
    for group in groups:
        for sentence in group:
            for word in set(re.findall(r"[a-z]+", sentence.lower())):
                if len(word) > 2 and word not in held_out:
                    index[word].append(sentence)
    return {word: index[word] for word in sorted(index) if 8 <= len(index[word]) <= 600}


def _rows(name: str) -> list[str]:
    lines = (TEXTS / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _topics() -> tuple[Topic, ...]:
    topics = []
    for line in _rows("topics.txt"):
        name, things, actions = (part.strip() for part in line.split("|"))
        topics.append(
            Topic(name, tuple(w.strip() for w in things.split(",")), tuple(w.strip() for w in actions.split(",")))
        )
    return tuple(topics)


def _intents() -> tuple[Intent, ...]:
    intents: list[tuple[tuple[str, ...], list[str]]] = []
    for line in _rows("intents.txt"):
        head, colon, rest = line.partition(": ")
        if colon and "{" not in head and len(head) < 20:
            intents.append(((head, *(name.strip() for name in rest.split(","))), []))
        else:
            intents[-1][1].append(line)
    return tuple(Intent(names, tuple(phrases)) for names, phrases in intents)
