"""The training text of `tiny`: plain documents and episodes of invented tasks, in a seeded order.

`documents` is what the recipe calls. A document is a list of `(text, weight)`; the weight is that of the loss on its
tokens. Nothing here knows of tokens or models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from . import classes, skills, surface
from .draw import Draw
from .episodes import ASSISTANT, BEGIN, END, USER, Document, class_episode, episode, skill_episode
from .lessons import lesson, table
from .texts import Library, load

__all__ = ["Draw", "documents", "load", "sample"]


def documents(
    seed: int, settings: Mapping[str, float], files: Mapping[str, Path], held_out: frozenset[str]
) -> Iterator[Document]:
    """Documents without end: the plain texts in shuffled rounds, between them episodes.

    `settings`: `episodes` (the share of documents that are episodes), `text_weight` (the loss weight of plain text),
    and how many documents each stage of the lessons has (see `lessons`).
    """
    library = load(dict(files), held_out)
    choose = Draw(seed, 0)
    pile: list[Document] = []
    index = 0
    while True:
        index += 1
        drill = lesson(Draw(seed, 2, index), library, index, settings)
        if drill is not None:
            yield drill
        elif choose.chance(settings["episodes"]):
            yield episode(Draw(seed, 1, index), library)
        else:
            if not pile:
                pile = _plain(library, settings["text_weight"])
                pile = choose.some(pile, len(pile))
            yield pile.pop()


def _plain(library: Library, weight: float) -> list[Document]:
    texts = [*library.stories, *library.plays, *library.novel]
    found: list[Document] = [[(BEGIN, 0.0), (text, weight), (END, weight)] for text in texts]
    for i, (question, answer) in enumerate(library.problems):
        if i % 2:
            found.append([(f"{BEGIN}{question}\n{answer}", weight), (END, weight)])
        else:
            found.append(
                [(f"{BEGIN}{USER}", 0.0), (question, weight), (f"{END}{ASSISTANT}", 0.0), (f"{answer}{END}", weight)]
            )
    return found


def sample(family: str, draw: Draw, library: Library) -> Document:
    """One episode of a family by its name, with two classes: for measuring, not for training."""
    if family == "table":
        return table(draw, library)
    if hasattr(skills, family):
        return skill_episode(draw, library, getattr(skills, family))
    make = surface.rare if family == "surface" else getattr(classes, family)
    return class_episode(draw, library, make(draw, library, 2))
