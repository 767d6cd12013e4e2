"""What a beginner learns first: drills in which every few tokens are a question that the words before answer.

On episodes alone, finding the right shot had not been learned after several million tokens. Cut into steps, each is
learned within a few hundred: to go on with a repeated list, to recall the partner of a word, to do so across turn
marks or labels of fields, and to do so when other words stand around it.
"""

from __future__ import annotations

from collections.abc import Mapping

from . import classes
from .draw import Draw
from .episodes import ASSISTANT, BEGIN, END, USER, Document, Example, class_episode, label_words, lay_out
from .texts import Library

COMMON = 300  # words that the drills use
SIZE = 80  # words in a drill, marks and separators included
BETWEEN = (" ", ":", " is", " =>", " ->", " =", "\nAnswer:", "\nLabel:", "\nA:", " and then", " goes to")
CHAT = (USER, f"{END}{ASSISTANT}", END)
BEFORE = ("", "", "", "Input:", "Text:", "Q:", "-", "the")
AFTER = ("\n", "\n\n", ".", ",", ";", "")


def lesson(draw: Draw, library: Library, index: int, settings: Mapping[str, float]) -> Document | None:
    """The drill for document `index`, or None where lessons are over.

    `settings` holds how many documents each stage has: `lists`, `pairs`, `crowded` (pairs among other words), `fading`.
    """
    lists, pairs, crowded, fading = (settings[name] for name in ("lists", "pairs", "crowded", "fading"))
    if index < lists:
        return repeated(draw, library)
    index -= int(lists)
    if index < pairs:
        return repeated(draw, library) if draw.chance(0.1) else partners(draw, library, 0)
    index -= int(pairs)
    if index < crowded:
        most = 1 + int(6 * index / crowded)
        kind = draw.weighted(("pairs", "crowd", "easy"), (1, 5, 1 + 3 * index / crowded))
        return easy(draw, library) if kind == "easy" else partners(draw, library, most if kind == "crowd" else 0)
    index -= int(crowded)
    if draw.chance(1 - index / fading):
        return draw.weighted((easy, table), (3, 1))(draw, library)
    return None


def repeated(draw: Draw, library: Library) -> Document:
    """A list of words, twice or three times."""
    count = draw.number(8, 30)
    words = " ".join(draw.pick(library.words[:COMMON]) for _ in range(count))
    again = draw.pick((" ", "\n"))
    return [(BEGIN, 0.0), (words, 0.0), *[(again + words, 1.0)] * (1 if count > 15 else 2), (END, 0.0)]


def partners(draw: Draw, library: Library, most: int) -> Document:
    """Two to four words with a partner each, asked over and over, with up to `most` other words around the key."""
    count = draw.number(2, 4)
    pool = library.words[:COMMON]
    keys, values = draw.some(pool, count), draw.some(pool, count)
    if draw.chance(0.35):
        before, between, after = CHAT
    elif draw.chance(0.3):
        between = "".join(f" {draw.pick(pool)}" for _ in range(draw.number(0, 3)))
        before, after = draw.pick(("", draw.pick(pool))), draw.pick(AFTER)
    else:
        before, between, after = draw.pick(BEFORE), draw.pick(BETWEEN), draw.pick(AFTER)
    space = "" if before == USER else " "
    document: Document = [(BEGIN, 0.0)]
    seen: set[int] = set()
    length = 1
    while length < SIZE:
        c = draw.number(0, count - 1)
        words = [draw.pick(pool) for _ in range(draw.number(0, most))]
        words.insert(draw.number(0, len(words)), keys[c])
        document.append((before + space + " ".join(words) + between, 0.0))
        document.append((("" if between.endswith(ASSISTANT) else " " * (between != " ")) + values[c], float(c in seen)))
        document.append((after, 0.0))
        seen.add(c)
        length += len(words) + 5
    return document


def easy(draw: Draw, library: Library) -> Document:
    """A task of two or three classes whose inputs mostly share a word with their shots."""
    family = draw.weighted((classes.keywords, classes.invented, classes.topics, classes.wishes), (5, 6, 3, 3))
    return class_episode(draw, library, family(draw, library, draw.number(2, 3)))


def table(draw: Draw, library: Library) -> Document:
    """Two to four words of any kind with a label each, asked over and over in the layout of episodes."""
    count = draw.number(2, 4)
    keys, values = draw.some(library.words, count), label_words(draw, library, count)
    around = draw.number(0, 3)
    examples: list[Example] = []
    seen: set[int] = set()
    for _ in range(draw.number(2 * count, 4 * count)):
        c = draw.number(0, count - 1)
        words = [draw.pick(library.words) for _ in range(draw.number(0, around))]
        words.insert(draw.number(0, len(words)), keys[c])
        examples.append((" ".join(words), values[c], float(c in seen)))
        seen.add(c)
    return lay_out(draw, "", examples)
