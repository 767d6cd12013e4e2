"""The whole of `rung compare`: read the sides, align them, ask the judge, count, write."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from rung.errors import RungError
from rung.evaluate.judging import Duel, duel
from rung.evaluate.judging.duel import DUEL
from rung.ladder.compare.comparison import Comparison, compare
from rung.ladder.compare.files import check_folder, write_comparison
from rung.ladder.compare.sides import aligned, read_sides
from rung.ladder.judging import Judging
from rung.ladder.kept import Kept
from rung.task import Task


def compare_places(
    places: Sequence[str],
    task: Path | None = None,
    *,
    score: str | None = None,
    common: bool = False,
    judging: Judging | None = None,
    base: str | None = None,
    out: Path | None = None,
) -> Comparison:
    """Compare what lies at `places` on validation rows, and write the files where `out` names a new folder.

    Raises RungError for bad input, before any System answers where that can be told.
    """
    if out is not None:
        check_folder(out)
    sides = read_sides(places, None if task is None else Task.load(task), score=score, base=base)
    level = aligned(sides, common=common)
    kept = len(level[0].items)
    dropped = sum(len(side.items) - kept for side in sides)
    duels = () if judging is None else _duels(level, judging)
    found = compare(level, dropped=dropped, duels=duels)
    if out is not None:
        write_comparison(found, out)
    return found


def _duels(sides: Sequence[Kept], judging: Judging) -> list[Duel]:
    """Every pair before the judge. People's labels belong to one pair."""
    labels, template = judging.labels(), judging.template(DUEL.text)
    if labels and len(sides) > 2:
        raise RungError("labels of people belong to one pair", where="--people", mend="compare two sides with them")
    judge = judging.system()
    return [
        duel(
            judge, one.examples, {one.name: one.completions, two.name: two.completions},
            template=template, scheme=one.scheme, labels=labels,
        )
        for one, two in combinations(sides, 2)
    ]  # fmt: skip
