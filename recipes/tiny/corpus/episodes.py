"""Episodes: one invented task, its examples, its label words, its layout. A document is a list of (text, weight).

The weight of an answer is 1 where the words before it can tell it, and 0 where only luck could (the first sight of a
random label). Text that is not an answer mostly weighs nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from . import classes, skills, surface
from .classes import Classes
from .draw import LETTERS, Draw
from .texts import Library

BEGIN, SYSTEM, USER, ASSISTANT, END = "<|begin|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"
Document = list[tuple[str, float]]
Example = tuple[str, str, float]
PLAIN = (("Input: {}\nAnswer:", "\n\n"),) * 4 + (
    ("Text: {}\nLabel:", "\n\n"),
    ("Q: {}\nA:", "\n"),
    ("{} =>", "\n"),
    ("{}\t", "\n"),
)
LISTED = (
    "Answer with one of: {}.",
    "Labels: {}",
    "Choose from {}.",
    "The answer is one of {}.",
    "Options: {}.",
    "One of: {}",
)


def episode(draw: Draw, library: Library) -> Document:
    """One episode of a freshly invented task."""
    if draw.chance(0.17):
        return skill_episode(draw, library, skills.invent)
    count = draw.weighted((2, 3, 4, 5, 6, 8, 12, 16), (46, 17, 13, 6, 6, 6, 4, 2))
    task = invent(draw, library, count)
    return class_episode(draw, library, task)


def invent(draw: Draw, library: Library, count: int) -> Classes:
    families = (
        classes.keywords,
        classes.topics,
        classes.wishes,
        classes.invented,
        surface.rare,
        classes.aspects,
        classes.sources,
    )
    return draw.weighted(families, (26, 22, 16, 20, 8, 6, 2))(draw, library, count)


def label_words(draw: Draw, library: Library, count: int) -> list[str]:
    """Label words that say nothing about their class."""
    kind = draw.weighted(("word", "pseudo", "letter", "digit", "name", "pair", "compound"), (42, 22, 5, 5, 10, 6, 10))
    if kind == "letter":
        return [letter.upper() for letter in draw.some(LETTERS, count)]
    if kind == "digit":
        return [str(i) for i in draw.some(range(max(10, count)), count)]
    if kind == "pair" and count == 2:
        pairs = (
            ("yes", "no"),
            ("true", "false"),
            ("positive", "negative"),
            ("good", "bad"),
            ("left", "right"),
            ("on", "off"),
            ("spam", "ham"),
            ("0", "1"),
        )
        return draw.some(draw.pick(pairs), 2)
    if kind == "name":
        names = [topic.name for topic in library.topics] + [name for intent in library.intents for name in intent.names]
        return draw.some(names, count)
    if kind == "pseudo":
        return list(dict.fromkeys(draw.pseudoword(draw.number(1, 3)) for _ in range(count * 3)))[:count]
    words = draw.some(library.words, count * 2)
    if kind == "compound":
        return [f"{a}{draw.pick(('_', '-', ' '))}{b}" for a, b in zip(words[:count], words[count:], strict=True)]
    case = draw.number(0, 3)
    return [word.capitalize() if case == 0 else word for word in words[:count]]


def class_episode(draw: Draw, library: Library, task: Classes) -> Document:
    count = len(task.names)
    speaking = bool(task.hint) and draw.chance(0.4)
    labels = [draw.pick(names) for names in task.names] if speaking else label_words(draw, library, count)
    if len(set(labels)) < count or any(label in library.held_out for label in labels):
        labels = [draw.pseudoword(2) + str(i) for i in range(count)]
        speaking = False
    listed = draw.chance(0.75 if speaking else 0.45)
    total = draw.number(count + 2, 2 * count + 3) if count > 4 else draw.number(4, 14)
    if speaking and draw.chance(0.3):
        total = draw.number(1, 3)
    casing = draw.number(0, 3)
    order = draw.some(range(count), count) if draw.chance(0.7) else []
    while len(order) < total:
        order.append(draw.number(0, count - 1))
    seen: set[int] = set()
    examples: list[Example] = []
    for c in order[:total]:
        known = c in seen or (speaking and listed) or (speaking and len(seen) > 1)
        # The last unseen class of a listed set can be told by elimination, but that is no skill to spend weight on.
        examples.append((draw.typed(task.draw(draw, c), casing), labels[c], 1.0 if known else 0.0))
        seen.add(c)
    instruction = task.hint if speaking or draw.chance(0.3) else ""
    if listed:
        shown = draw.some(labels, count)
        names = "\n" + "\n".join(f"- {label}" for label in shown) if draw.chance(0.2) else ", ".join(shown)
        instruction = f"{instruction} {draw.pick(LISTED).format(names)}".strip()
    return lay_out(draw, instruction, examples)


def skill_episode(draw: Draw, library: Library, invent: Callable[[Draw, Library], skills.Skill]) -> Document:
    """Examples of one skill, which the instruction may name."""
    instruction, pair = invent(draw, library)
    examples: list[Example] = []
    seen: set[str] = set()
    told = draw.chance(0.7)
    table = instruction in {"Translate.", "Use the code.", ""}
    for i in range(draw.number(6, 12) if table else draw.number(1, 7)):
        question, answer = pair(draw)
        weight = float(question in seen) if table else float(told or i > 0)
        seen.add(question)
        examples.append((question, answer, weight))
        if sum(len(q) + len(a) for q, a, _ in examples) > 1400:
            break
    return lay_out(draw, instruction if told else "", examples)


def lay_out(draw: Draw, instruction: str, examples: list[Example]) -> Document:
    """Chat turns with the tokenizer's marks, or labelled lines of plain text."""
    reading = 0.2 if draw.chance(0.15) else 0.0
    document: Document = [(BEGIN, 0.0)]
    if draw.chance(0.7):
        if instruction:
            document.append((f"{SYSTEM}{instruction}{END}", reading))
        for question, answer, weight in examples:
            document += [(f"{USER}{question}{END}{ASSISTANT}", reading), (f"{answer}{END}", weight)]
        return document
    frame, gap = draw.pick(PLAIN)
    if instruction:
        document.append((instruction + "\n\n", reading))
    space = "" if frame.endswith("\t") else " "
    for question, answer, weight in examples:
        document += [(frame.format(question), reading), (f"{space}{answer}", weight), (gap, weight * 0.2)]
    document[-1] = (END, 0.2)
    return document
