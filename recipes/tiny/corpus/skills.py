"""Tasks whose answer is a text: copying, looking up, reordering, picking fields, counting, first sentences, arithmetic.

Each call invents one skill and returns a function that draws pairs of input and answer, with an instruction.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from .classes import fill
from .draw import Draw
from .texts import DAYS, ITEMS, PEOPLE, PLACES, Library

Pair = tuple[str, str]
Skill = tuple[str, Callable[[Draw], Pair]]


def words_of(draw: Draw, library: Library, low: int, high: int) -> list[str]:
    topic = draw.pick(library.topics)
    pool = [*topic.things, *topic.actions, draw.pseudoword()]
    return draw.some(pool, draw.number(low, high))


def reordering(draw: Draw, library: Library) -> Skill:
    kinds: dict[str, Callable[[list[str]], str]] = {
        "Repeat the text.": lambda w: " ".join(w),
        "Give the last word.": lambda w: w[-1],
        "Give the first word.": lambda w: w[0],
        "Give the second word.": lambda w: w[1],
        "Write the words backwards.": lambda w: " ".join(reversed(w)),
        "Write in capitals.": lambda w: " ".join(w).upper(),
        "How many words are there?": lambda w: str(len(w)),
        "Which word is longest?": lambda w: max(w, key=len),
        "Which word is shortest?": lambda w: min(w, key=len),
        "Sort the words.": lambda w: " ".join(sorted(w)),
        "Leave out the first word.": lambda w: " ".join(w[1:]),
        "Join with commas.": lambda w: ", ".join(w),
        "Say it twice.": lambda w: " ".join([*w, *w]),
    }
    name = draw.pick(tuple(kinds))

    def pair(d: Draw) -> Pair:
        words = words_of(d, library, 2, 6)
        return " ".join(words), kinds[name](words)

    return name, pair


def lookup(draw: Draw, library: Library) -> Skill:
    shape = draw.pick(("{} is {}", "{}: {}", "{} -> {}", "{} has the {}", "the {} gets {}"))

    def pair(d: Draw) -> Pair:
        keys = d.some(PEOPLE, d.number(2, 5)) if d.chance(0.5) else [d.pseudoword() for _ in range(d.number(2, 5))]
        values = d.some(ITEMS, len(keys)) if d.chance(0.5) else [str(d.number(1, 999)) for _ in keys]
        asked = d.number(0, len(keys) - 1)
        facts = ", ".join(shape.format(key, value) for key, value in zip(keys, values, strict=True))
        return f"{facts}. {keys[asked]}?", values[asked]

    return "Answer from the facts.", pair


def fields(draw: Draw, library: Library) -> Skill:
    """Pick named fields out of a message, as JSON."""
    pools = {"person": PEOPLE, "place": PLACES, "day": DAYS, "item": ITEMS}
    chosen = draw.some(tuple(pools), draw.number(1, 3))
    alias = {
        f: draw.pick(
            {
                "person": ("person", "name", "who"),
                "place": ("place", "city", "where"),
                "day": ("day", "date", "when"),
                "item": ("item", "product", "thing"),
            }[f]
        )
        for f in chosen
    }
    frames = (
        "{person} needs the {item} in {place} by {day}",
        "on {day} {person} lost a {item} in {place}",
        "the {item} from {place} is for {person}, {day} please",
        "hello, {person} here, my {item} broke on {day}. I am in {place}",
        "{place}, {day}: one {item} for {person}",
    )
    bare = len(chosen) == 1 and draw.chance(0.6)

    def pair(d: Draw) -> Pair:
        values = {f: d.pick(pool) for f, pool in pools.items()}
        text = d.pick(frames).format(**values)
        if bare:
            return text, values[chosen[0]]
        return text, json.dumps({alias[f]: values[f] for f in chosen})

    wanted = ", ".join(alias[f] for f in chosen)
    return draw.pick(
        (f"Extract {wanted}.", f"Give {wanted} as JSON." if not bare else f"Which {wanted}?", f"Find the {wanted}.")
    ), pair


def yes_or_no(draw: Draw, library: Library) -> Skill:
    """Messages to JSON with a flag: an intent name and whether it holds a number."""

    def pair(d: Draw) -> Pair:
        intent = d.pick(library.intents)
        text = fill(d, d.pick(intent.phrases))
        flag = bool(re.search(r"\d", text))
        return text, json.dumps({"topic": intent.names[0], "number": flag})

    return "Give the topic as JSON and say whether a number is named.", pair


def first_sentence(draw: Draw, library: Library) -> Skill:
    def pair(d: Draw) -> Pair:
        sentences = re.split(r"(?<=[.!?])\s+", d.pick(library.stories))[: d.number(2, 4)]
        return " ".join(sentences), sentences[0]

    return draw.pick(("Summarise the text.", "Give the first sentence.", "What is the main point?")), pair


def gap(draw: Draw, library: Library) -> Skill:
    """A word is missing that the text has named before."""

    def pair(d: Draw) -> Pair:
        for _ in range(20):
            text = " ".join(re.split(r"(?<=[.!?])\s+", d.pick(library.stories))[:4])
            found = set(re.findall(r"[A-Za-z]{4,}", text))
            counts = [w for w in found if len(re.findall(rf"\b{w}\b", text)) > 1 and w.lower() not in library.held_out]
            if counts:
                word = d.pick(sorted(counts))
                at = text.rindex(word)
                return text[:at] + "___" + text[at + len(word) :], word
        return "Ann has a cat. The ___ is black.", "cat"

    return "Fill the gap.", pair


def who(draw: Draw, library: Library) -> Skill:
    def pair(d: Draw) -> Pair:
        for _ in range(20):
            text = " ".join(re.split(r"(?<=[.!?])\s+", d.pick(library.stories))[:3])
            named = re.search(r"named ([A-Z][a-z]+)", text)
            if named and named.group(1).lower() not in library.held_out:
                return text, named.group(1)
        return "A girl named Ann ran.", "Ann"

    return draw.pick(("Who is the story about?", "Name the hero.")), pair


def sums(draw: Draw, library: Library) -> Skill:
    operation = draw.pick(("+", "-", "bigger", "next"))

    def pair(d: Draw) -> Pair:
        a, b = d.number(1, 20), d.number(1, 20)
        answers = {
            "+": (f"{a} + {b}", a + b),
            "-": (f"{a + b} - {b}", a),
            "bigger": (f"{a} or {b}", max(a, b)),
            "next": (f"{a}, {a + 1}, {a + 2}", a + 3),
        }
        question, answer = answers[operation]
        return question, str(answer)

    return "Work it out.", pair


def code_words(draw: Draw, library: Library) -> Skill:
    """A small dictionary that only the shots tell: each word has one made-up translation."""
    source = draw.some(draw.pick(library.topics).things, 4)
    table = {word: draw.pseudoword() for word in source}

    def pair(d: Draw) -> Pair:
        word = d.pick(source)
        return word, table[word]

    return draw.pick(("Translate.", "Use the code.", "")), pair


def problems(draw: Draw, library: Library) -> Skill:
    return draw.pick(("Solve the problem.", "Work step by step.", "")), lambda d: d.pick(library.problems)


FAMILIES: tuple[tuple[Callable[[Draw, Library], Skill], float], ...] = (
    (reordering, 3),
    (lookup, 3),
    (fields, 4),
    (yes_or_no, 1),
    (first_sentence, 1),
    (gap, 1),
    (who, 1),
    (sums, 1),
    (code_words, 4),
)


def invent(draw: Draw, library: Library) -> Skill:
    family = draw.weighted([f for f, _ in FAMILIES], [w for _, w in FAMILIES])
    return family(draw, library)
