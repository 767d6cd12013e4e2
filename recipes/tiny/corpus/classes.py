"""Families of classification tasks: each call invents one task, a handful of classes with a way to draw an input.

What the labels are called and how the examples are laid out is the matter of `episodes`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .draw import Draw
from .texts import DAYS, ITEMS, PEOPLE, PLACES, Library, Topic


@dataclass(frozen=True)
class Classes:
    """One invented task: for each class its speaking names and a function that draws an input of it."""

    names: tuple[tuple[str, ...], ...]
    draw: Callable[[Draw, int], str]
    hint: str = ""


FRAMES = (
    "I need a new {a}",
    "the {a} is next to the {b}",
    "where can I find a {a}?",
    "my {a} and the {b} are gone",
    "please {v} the {a}",
    "we had to {v} near the {a}",
    "who took the {a}?",
    "a {a}, a {b} and a {c}",
    "they {v} every day with the {a}",
    "there was a {a} and we could {v}",
    "{p} talked about the {a} and the {b} all evening",
    "I like to {v}",
    "do you know how to {v} a {a}?",
    "{p} bought a {a} in {l}",
    "the {a} was better than the {b}",
    "{a} and {b}",
    "on {d} {p} will {v} the {a}",
    "never {v} without a {a}",
    "the old {a} is broken, use the {b}",
    "how much is the {a}?",
    "can you {v} this {a} for me",
    "what a lovely {a}!",
    "they say the {a} makes it easier to {v}",
    "{p} forgot the {a} in {l}",
    "look at that {a}",
    "{v}, {w} and {v} again",
    "without the {a} nobody can {v}",
    "it took {n} people to {v} the {a}",
    "the {a} costs {n} dollars",
    "{p} has {n} of them: {a}, {b}, {c}",
)


def topic_sentence(draw: Draw, things: tuple[str, ...] | list[str], actions: tuple[str, ...] | list[str]) -> str:
    words = (draw.some(things, 3) * 3)[:3]
    return draw.pick(FRAMES).format(
        a=words[0],
        b=words[1],
        c=words[2],
        v=draw.pick(actions),
        w=draw.pick(actions),
        p=draw.pick(PEOPLE),
        l=draw.pick(PLACES),
        d=draw.pick(DAYS),
        n=draw.number(2, 99),
    )


def topics(draw: Draw, library: Library, count: int) -> Classes:
    """What a sentence is about. In half of the tasks each class uses few of its words, so that words recur."""
    chosen = draw.some(library.topics, count)
    if draw.chance(0.5):
        chosen = [Topic(t.name, tuple(draw.some(t.things, 5)), tuple(draw.some(t.actions, 2))) for t in chosen]
    return Classes(
        tuple((t.name,) for t in chosen),
        lambda d, c: topic_sentence(d, chosen[c].things, chosen[c].actions),
        draw.pick(("What is the text about?", "Name the topic.", "Sort the text by subject.", "")),
    )


def wishes(draw: Draw, library: Library, count: int) -> Classes:
    """What the writer of a message wants."""
    chosen = draw.some(library.intents, count)
    return Classes(
        tuple(intent.names for intent in chosen),
        lambda d, c: fill(d, d.pick(chosen[c].phrases)),
        draw.pick(
            (
                "What does the customer want?",
                "Sort the message.",
                "Name the intent of the message.",
                "Which team should get this?",
                "",
            )
        ),
    )


OPENERS = (
    "",
    "",
    "",
    "",
    "hi, ",
    "hello, ",
    "Dear team, ",
    "hey ",
    "good morning, ",
    "quick question: ",
    "so, ",
    "please help, ",
)
CLOSERS = ("", "", "", "", " thanks", " please", " thank you!", " asap", " cheers", " best, {p}", " - {p}", " !!")


def fill(draw: Draw, phrase: str) -> str:
    text = (
        phrase.replace("{item}", draw.pick(ITEMS))
        .replace("{person}", draw.pick(PEOPLE))
        .replace("{day}", draw.pick(DAYS))
    )
    text = text.replace("{place}", draw.pick(PLACES)).replace(
        "{n}", str(draw.number(2, 12) if draw.chance(0.6) else draw.number(100, 99999))
    )
    text = text.replace("{price}", draw.pick(("{} euros", "${}", "{} pounds")).format(draw.number(3, 400)))
    return draw.pick(OPENERS) + text + draw.pick(CLOSERS).replace("{p}", draw.pick(PEOPLE))


def keywords(draw: Draw, library: Library, count: int) -> Classes:
    """Real sentences that share a word: the class is which of the words a sentence holds."""
    words: list[list[str]] = []
    each = 1 if draw.chance(0.7) else 2
    for word in draw.some(library.words, count * each):
        if words and len(words[-1]) < each:
            words[-1].append(word)
        else:
            words.append([word])
    every = {word for group in words for word in group}

    def sentence(d: Draw, c: int) -> str:
        word = d.pick(words[c])
        for _ in range(8):
            text = d.pick(library.by_keyword[word])
            if not (set(re.findall(r"[a-z]+", text.lower())) & (every - set(words[c]))):
                break
        return shorten(d, text, word)

    return Classes(tuple((group[0],) for group in words), sentence, "")


def shorten(draw: Draw, text: str, word: str) -> str:
    """Often only a window of words around the keyword."""
    parts = text.split()
    at = next((i for i, part in enumerate(parts) if word in part.lower()), 0)
    if draw.chance(0.6):
        parts = parts[max(0, at - draw.number(0, 4)) : at + 1 + draw.number(0, 4)]
    return " ".join(parts)


def invented(draw: Draw, library: Library, count: int) -> Classes:
    """Made-up words: each class has some of its own among made-up or real filler."""
    own = [[draw.pseudoword(draw.number(1, 3)) for _ in range(draw.number(1, 3))] for _ in range(count)]
    filler = [draw.pseudoword(2) for _ in range(12)] if draw.chance(0.5) else draw.some(library.words, 20)

    def text(d: Draw, c: int) -> str:
        words = [d.pick(filler) for _ in range(d.number(0, 5))]
        words.insert(d.number(0, len(words)), d.pick(own[c]))
        return " ".join(words)

    return Classes(tuple((words[0],) for words in own), text, "")


def sources(draw: Draw, library: Library, count: int) -> Classes:
    """Which book a sentence is from."""
    names = (("story", "children", "tale"), ("play", "theatre", "old"), ("novel", "book"), ("math", "sum", "problem"))
    chosen = draw.some(range(4), min(count, 4))
    return Classes(tuple(names[i] for i in chosen), lambda d, c: d.pick(library.sentences[chosen[c]]), "")


def aspects(draw: Draw, library: Library, count: int) -> Classes:
    """Two or three things vary (who, where, which item, which wish); the class is one of them."""
    field = draw.pick(("p", "l", "d", "i", "w"))
    pools = {
        "p": PEOPLE,
        "l": PLACES,
        "d": DAYS,
        "i": ITEMS,
        "w": ("lost", "sold", "broke", "found", "painted", "hid", "wants", "borrowed"),
    }
    chosen = draw.some(pools[field], count)
    frames = draw.some(
        (
            "{p} {w} the {i} in {l}",
            "{d}: {p} {w} a {i}",
            "in {l}, {p} {w} the {i} on {d}",
            "on {d} {p} came from {l} and {w} my {i}",
            "the {i} that {p} {w} on {d}",
            "{i}, {l}, {d}, {p} {w} it",
        ),
        3,
    )

    def text(d: Draw, c: int) -> str:
        values = {key: d.pick(pool) for key, pool in pools.items()}
        values[field] = chosen[c]
        frame = d.pick([f for f in frames if "{" + field + "}" in f] or ["{i} {w} {p} {l} {d}"])
        return frame.format(**values)

    return Classes(tuple((str(value),) for value in chosen), text, "")
