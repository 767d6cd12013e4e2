"""Dividing rows into train, validation and test, or into folds: by seed and content, groups kept whole.

Rows are numbers here, with a key (their content hash), a unit (rows that must stay together) and a stratum. Which rows
belong together is decided in `load`.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rung.types import SplitName


@dataclass(frozen=True)
class Unit:
    """Rows that stay together. `order` is its place in the seeded shuffle, `stratum` that of most of its rows."""

    order: str
    rows: tuple[int, ...]
    stratum: str


def join_units(*labels: Sequence[str | int]) -> list[int]:
    """The unit of each row, where rows that share any of the labels share a unit (and so on in turn)."""
    count = len(labels[0])
    parent = list(range(count))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for column in labels:
        first: dict[str | int, int] = {}
        for row, label in enumerate(column):
            a, b = root(first.setdefault(label, row)), root(row)
            parent[max(a, b)] = min(a, b)
    return [root(row) for row in range(count)]


def make_units(keys: Sequence[str], units: Sequence[int], strata: Sequence[str], seed: int) -> list[Unit]:
    """Units in their shuffled order.

    The shuffle sorts by a hash of the seed and of the least key in the unit: it does not depend on the order of
    rows, and rows that come later leave the order of the others as it was.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for row, unit in enumerate(units):
        members[unit].append(row)
    found = []
    for rows in members.values():
        least = min(keys[row] for row in rows)
        counts = Counter(strata[row] for row in rows)
        stratum = min(counts, key=lambda name: (-counts[name], name))
        found.append(Unit(hashlib.sha256(f"{seed}:{least}".encode()).hexdigest(), tuple(rows), stratum))
    return sorted(found, key=lambda unit: unit.order)


def divide(units: Sequence[Unit], counts: Mapping[SplitName, int]) -> dict[SplitName, list[int]]:
    """Rows of each split. `counts` says how many rows test, validation and train get; train takes what is left where
    it is not named.

    Strata share each count by largest remainder, and the last unit of a stratum stays in train. A unit too large for
    the room that is left goes on to the next split. A split that is still empty then takes the smallest unit.
    """
    held: list[SplitName] = [name for name in ("test", "validation") if name in counts]
    sizes: Counter[str] = Counter()
    last: dict[str, Unit] = {}
    for unit in units:
        sizes[unit.stratum] += len(unit.rows)
        last[unit.stratum] = unit
    room = {name: _shares(sizes, counts[name]) for name in held}
    found: dict[SplitName, list[int]] = {"train": [], **{name: [] for name in held}}
    spare: list[Unit] = []
    for unit in units:
        free = unit is not last[unit.stratum]
        goal = next((name for name in held if free and len(unit.rows) <= room[name][unit.stratum]), None)
        if goal is None:
            spare.append(unit)
        else:
            room[goal][unit.stratum] -= len(unit.rows)
            found[goal].extend(unit.rows)
    reserved = {id(unit) for unit in last.values()}
    for name in held:
        spare = _top_up(found[name], counts[name], spare, reserved)
    most = counts.get("train")
    for unit in sorted(spare, key=lambda unit: (id(unit) not in reserved, unit.order)):
        if most is None or len(found["train"]) + len(unit.rows) <= most:
            found["train"].extend(unit.rows)
    return found


def _shares(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """`count` divided in proportion to `sizes`: whole parts first, the rest by largest remainder."""
    total = sum(sizes.values())
    exact = {name: count * size / total for name, size in sizes.items()}
    found = {name: int(share) for name, share in exact.items()}
    left = count - sum(found.values())
    for name in sorted(exact, key=lambda name: (found[name] - exact[name], name))[:left]:
        found[name] += 1
    return found


def _top_up(rows: list[int], count: int, spare: Sequence[Unit], reserved: set[int]) -> list[Unit]:
    """Fill a split from the units that its strata had no room for; gives back those that remain."""
    left = []
    for unit in spare:
        if id(unit) not in reserved and len(rows) + len(unit.rows) <= count:
            rows.extend(unit.rows)
        else:
            left.append(unit)
    if not rows and len(left) > 1:
        smallest = min(left, key=lambda unit: (id(unit) in reserved, len(unit.rows), unit.order))
        rows.extend(smallest.rows)
        left.remove(smallest)
    return left


def fold_of(units: Sequence[Unit], folds: int) -> dict[int, int]:
    """The fold of each row, 0 to folds − 1: every unit goes where its stratum has fewest rows so far."""
    rows: list[Counter[str]] = [Counter() for _ in range(folds)]
    found: dict[int, int] = {}
    for unit in units:
        fold = min(range(folds), key=lambda k: (rows[k][unit.stratum], rows[k].total(), k))
        rows[fold][unit.stratum] += len(unit.rows)
        found.update(dict.fromkeys(unit.rows, fold))
    return found
