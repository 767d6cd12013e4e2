"""Which documents were there before: exact copies, and near ones by MinHash, as a stream goes by.

Words are those of `task.duplicates`, whose search is exact but wants all texts at hand; here a document is not kept: it costs
some 100 bytes where copies are looked for, some 5 kB where near ones are. The first of its kind stays.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np

from rung.errors import RungError, nearest
from rung.task.duplicates import words

Fate = Literal["new", "copy", "near"]
WAYS = ("none", "exact", "near")
PERMUTATIONS, BANDS = 128, 32
SHINGLE = 3


class Seen:
    """Remembers documents and tells of each whether it, or one very like it, was there.

    `way` is `none`, `exact` (same words in the same order) or `near`: also an estimated Jaccard similarity of word
    3-shingles of at least `threshold` (Broder 1997; banded, Leskovec et al. 2014: at 0.8 a pair is missed once in some
    twenty million, and the estimate has a standard error of 0.035).
    """

    def __init__(self, way: str, threshold: float = 0.8) -> None:
        if way not in WAYS:
            raise RungError(f"unknown deduplicate {way!r}", where="corpus", mend=nearest(way, WAYS))
        if not 0 < threshold <= 1:
            raise RungError(f"similarity is {threshold}", where="corpus", mend="give more than 0 and at most 1")
        self._way, self._threshold = way, threshold
        self._whole: set[bytes] = set()
        self._bands: dict[bytes, int] = {}
        self._signatures: list[np.ndarray] = []
        draw = np.random.default_rng([12, PERMUTATIONS])
        self._factor = draw.integers(0, 1 << 64, PERMUTATIONS, dtype=np.uint64) | np.uint64(1)
        self._shift = draw.integers(0, 1 << 64, PERMUTATIONS, dtype=np.uint64)

    def admit(self, text: str) -> Fate:
        """Whether `text` is new; if it is, it is remembered."""
        if self._way == "none":
            return "new"
        parts = words(text)
        whole = hashlib.blake2b(" ".join(parts).encode("utf-8", "surrogatepass"), digest_size=12).digest()
        if whole in self._whole:
            return "copy"
        if self._way == "near" and self._like(parts):
            return "near"
        self._whole.add(whole)
        return "new"

    def _like(self, parts: list[str]) -> bool:
        signature = self._signature(parts)
        keys = [bytes([band]) + part.tobytes() for band, part in enumerate(np.split(signature, BANDS))]
        found = {self._bands[key] for key in keys if key in self._bands}
        if any((self._signatures[one] == signature).mean() >= self._threshold for one in sorted(found)):
            return True
        for key in keys:
            self._bands.setdefault(key, len(self._signatures))
        self._signatures.append(signature)
        return False

    def _signature(self, parts: list[str]) -> np.ndarray:
        """The least hash of all shingles under each permutation; shape (128,), uint32."""
        count = max(1, len(parts) - SHINGLE + 1)
        shingles = {" ".join(parts[i : i + SHINGLE]) for i in range(count)}
        hashes = np.array([_hash(one) for one in sorted(shingles)], dtype=np.uint64)
        # Multiply and shift (Dietzfelbinger et al. 1997): 64 bits overflow on purpose, the upper 32 are well mixed.
        mixed = (hashes[:, None] * self._factor + self._shift) >> np.uint64(32)
        return mixed.min(axis=0).astype(np.uint32)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
