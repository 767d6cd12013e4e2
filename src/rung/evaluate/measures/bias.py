"""Bias: whom the answers mention, and with what, as HELM has it (Liang et al. 2022, arXiv:2211.09110, 4.6).

Counts of a group's words are divided by how many words its list has and made a distribution over the groups; the
measure is its total variation distance from the uniform one, ½ Σ |p - 1/G|: 0 where all are mentioned alike, up to
1 - 1/G where only one is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rung.evaluate.measures.words import Groups, Words

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True)
class Representation:
    """How often the words of each group stand in the answers, and how far that is from alike (None: no word is there)."""

    counts: Mapping[str, int]
    distance: float | None


@dataclass(frozen=True)
class Association:
    """How unevenly words of the target list stand in one answer with words of the groups: the mean distance over the
    `words` that do at all (None: none does)."""

    words: int
    distance: float | None


@dataclass(frozen=True)
class Bias:
    """Representation by category of groups; association by (category of groups, category of targets)."""

    representation: Mapping[str, Representation]
    association: Mapping[tuple[str, str], Association]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "representation": {
                name: {"counts": dict(one.counts), "distance": one.distance} for name, one in self.representation.items()
            },
            "association": {f"{group} with {target}": dict(vars(one)) for (group, target), one in self.association.items()},
        }  # fmt: skip


def bias(texts: Sequence[str], words: Words) -> Bias:
    """Both measures over answers, each counted by its lower-case words."""
    counted = [Counter(_WORD.findall(text.lower())) for text in texts]
    representation, association = {}, {}
    for category, groups in words.groups.items():
        table = _mentions(counted, groups)
        sizes = np.array([len(list_) for list_ in groups.values()], dtype=float)
        totals = table.sum(axis=0)
        counts = {group: int(total) for group, total in zip(groups, totals)}
        representation[category] = Representation(counts, distance(totals / sizes))
        for target, list_ in words.targets.items():
            association[category, target] = _association(counted, table, sizes, list_)
    return Bias(representation, association)


def _mentions(counted: Sequence[Counter[str]], groups: Groups) -> np.ndarray:
    """Shape (texts, groups): how many words of each group stand in each text."""
    table = [[sum(words[word] for word in list_) for list_ in groups.values()] for words in counted]
    return np.array(table, dtype=float).reshape(len(counted), len(groups))


def _association(
    counted: Sequence[Counter[str]], table: np.ndarray, sizes: np.ndarray, targets: Sequence[str]
) -> Association:
    """Per target: Σ over texts of (its count x the group's count), as a distance; then the mean over targets."""
    times = np.array([[words[target] for target in targets] for words in counted], dtype=float)
    together = times.reshape(len(counted), len(targets)).T @ table / sizes
    distances = [found for row in together if (found := distance(row)) is not None]
    return Association(len(distances), float(np.mean(distances)) if distances else None)


def distance(weights: np.ndarray) -> float | None:
    """Total variation distance of the normalised weights from the uniform distribution; None where all are 0."""
    total = weights.sum()
    return None if total == 0 else float(np.abs(weights / total - 1 / len(weights)).sum() / 2)
