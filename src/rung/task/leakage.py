"""Rows of one split that are also in a later one, exactly or nearly: found, listed, and dropped where wanted.

The comparison of texts is `duplicates`; refusing to climb over a leak is the climb's. Nothing is dropped from test, ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rung.errors import RungError
from rung.task.cohort import BOILERPLATE, NEAR, compared_text
from rung.task.duplicates import nearest_later, words
from rung.task.task import Task
from rung.types import Example, SplitName


@dataclass(frozen=True)
class Leak:
    """A row of `split` whose input is also in `held_out`. `similarity` is that of the two inputs, 1 for the same shingles.

    A row is listed once for each later split, with the row there that is most like it.
    """

    split: Literal["train", "validation"]
    id: str
    held_out: Literal["validation", "test"]
    held_out_id: str
    similarity: float
    text: str
    held_out_text: str

    @property
    def exact(self) -> bool:
        """The same words in the same order, whatever their case and punctuation."""
        return words(self.text) == words(self.held_out_text)


def find_leaks(task: Task) -> tuple[Leak, ...]:
    """Rows of train that are in validation or test, and rows of validation that are in test.

    Few-shot pools are the training split, so they are covered. Near means a Jaccard similarity of 0.8 or more.
    """
    return find_leaks_among({"train": task.train, "validation": task.validation, "test": task.test})


def find_leaks_among(splits: dict[SplitName, tuple[Example, ...]]) -> tuple[Leak, ...]:
    """`find_leaks` of splits that are not (yet) a task's."""
    rank: dict[SplitName, int] = {"train": 0, "validation": 1, "test": 2}
    rows = [(name, example) for name in rank for example in splits.get(name, ())]
    texts = [compared_text(example) for _, example in rows]
    places = [rank[name] for name, _ in rows]
    found = sorted(nearest_later(texts, places, NEAR, BOILERPLATE))
    return tuple(_leak(rows, texts, i, j, similarity) for i, j, similarity in found)


def _leak(rows: Sequence[tuple[SplitName, Example]], texts: Sequence[str], i: int, j: int, similarity: float) -> Leak:
    split, held_out = rows[i][0], rows[j][0]
    assert split != "test" and held_out != "train"
    return Leak(split, rows[i][1].id, held_out, rows[j][1].id, similarity, texts[i], texts[j])


def drop_leaks(task: Task, leaks: Sequence[Leak]) -> Task:
    """The task without the leaking rows: taken from train, or from validation where test has them. Test stays whole."""
    gone: dict[str, set[str]] = {"train": set(), "validation": set()}
    for leak in leaks:
        gone[leak.split].add(leak.id)
    kept = {
        name: tuple(row for row in task.split(name) if row.id not in gone[name]) for name in ("train", "validation")
    }
    said = []
    for name, rows in kept.items():
        before = len(task.split(name))
        if before and not rows:
            mend = "give rows of its own to each split"
            raise RungError(f"every row of {name} is in a later split too", where=task.name, mend=mend)
        if len(rows) < before:
            said.append(
                f"{before - len(rows)} of {before} {name} rows dropped: they are in a later split, exactly or nearly"
            )
    return replace(task, splits=replace(task.splits, **kept), warnings=(*task.warnings, *said))
