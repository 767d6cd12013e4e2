"""Several sources as one endless stream: shares by weight, a seeded order, copies left out, some documents held out.

Each round reads a source anew in another order. The same sources and seed give the same stream, so work that stopped
can take it up again. What becomes of the documents is not known here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from rung.data.seen import Seen
from rung.data.source import Source
from rung.errors import RungError

SHUFFLED = 10_000
"""Documents of a source at hand: a new one takes the place of one drawn among them."""


@dataclass(frozen=True)
class Drawn:
    """A document of the stream: its text, the number of its source, how often this source was read before, and whether
    it is held out."""

    text: str
    source: int
    round: int
    held_out: bool


@dataclass
class Tally:
    """What came of one source: documents and characters used for training, and documents of its first round that were
    copies, nearly copies, or held out."""

    documents: int = 0
    characters: int = 0
    rounds: int = 0
    copies: int = 0
    near_copies: int = 0
    held_out: int = 0


@dataclass
class Blend:
    """The stream of some sources. `share` of the documents, drawn by their text, are held out for validation.

    Sources take turns so that the characters each has given stay in proportion to its weight.
    """

    sources: Sequence[Source]
    seed: int
    share: float = 0.0
    deduplicate: str = "exact"
    similarity: float = 0.8
    shuffled: int = SHUFFLED
    tallies: list[Tally] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise RungError(f"validation is {self.share}", where="corpus", mend="give a share from 0 to below 1")
        self.tallies = [Tally() for _ in self.sources]
        self._seen = Seen(self.deduplicate, self.similarity)

    def drawn(self) -> Iterator[Drawn]:
        """Documents without end, those held out among them."""
        taps = [self._rounds(number) for number in range(len(self.sources))]
        given = [0.0] * len(taps)
        while True:
            number = min(range(len(taps)), key=lambda n: (given[n] / self.sources[n].weight, n))
            one = next(taps[number])
            given[number] += len(one.text)
            yield one

    def training(self) -> Iterator[str]:
        """The texts to train on, without end. Raises RungError where a source leaves none."""
        for one in self.drawn():
            if not one.held_out:
                tally = self.tallies[one.source]
                tally.documents += 1
                tally.characters += len(one.text)
                yield one.text

    def held_out(self) -> Iterator[str]:
        """The texts held out, each once."""
        return (one.text for one in self._first_round() if one.held_out)

    def once(self) -> Iterator[str]:
        """The texts to train on, each once."""
        return (one.text for one in self._first_round() if not one.held_out)

    def _first_round(self) -> Iterator[Drawn]:
        finished: set[int] = set()
        for one in self.drawn():
            if one.round == 0:
                yield one
                continue
            finished.add(one.source)
            if len(finished) == len(self.sources):
                return

    def _rounds(self, number: int) -> Iterator[Drawn]:
        """One source again and again. What the first round found to be a copy is left out of the later ones too."""
        source, tally = self.sources[number], self.tallies[number]
        dropped: set[int] = set()
        turn = 0
        while True:
            useful = 0
            draw = np.random.default_rng([self.seed, number, turn])
            for place, text in _shuffled(source.documents(), draw, self.shuffled):
                if turn == 0 and not self._admitted(text, tally):
                    dropped.add(place)
                if place in dropped:
                    continue
                held = self.share > 0 and chance(text) < self.share
                tally.held_out += held and turn == 0
                useful += not held
                yield Drawn(text, number, turn, held)
            if not useful:
                lost = tally.copies + tally.near_copies
                why = f" ({lost} copies of other documents)" if lost else ""
                raise RungError(
                    f"holds no document to train on{why}",
                    where=f"corpus source {source.place}",
                    mend="name a source with text, or leave it out of the mixture",
                )
            turn += 1
            tally.rounds = turn

    def _admitted(self, text: str, tally: Tally) -> bool:
        fate = self._seen.admit(text)
        tally.copies += fate == "copy"
        tally.near_copies += fate == "near"
        return fate == "new"

    def card(self) -> dict[str, Any]:
        """What came of each source so far, by its place."""
        return {_named(source): asdict(tally) for source, tally in zip(self.sources, self.tallies, strict=True)}


def chance(text: str) -> float:
    """A number from 0 to below 1 that depends on the text alone, so that copies fall on the same side."""
    found = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(found[:8], "big") / 2**64


def _shuffled(texts: Iterator[str], draw: np.random.Generator, room: int) -> Iterator[tuple[int, str]]:
    """(place in the source, text) in a drawn order, with at most `room` texts at hand."""
    held: list[tuple[int, str]] = []
    for pair in enumerate(texts):
        if len(held) < room:
            held.append(pair)
            continue
        i = int(draw.integers(room))
        yield held[i]
        held[i] = pair
    for i in draw.permutation(len(held)):
        yield held[int(i)]


def _named(source: Source) -> str:
    """A source by name, without the folders of this machine."""
    return source.place if source.corpus is not None else source.place.rstrip("/").rpartition("/")[2]
