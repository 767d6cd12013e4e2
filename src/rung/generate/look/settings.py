"""What to look for, checked as a whole before any weights load."""

from __future__ import annotations

from dataclasses import dataclass

from rung.errors import RungError
from rung.types import Sampling


@dataclass(frozen=True)
class Wanted:
    """The choices of one look.

    `words` and `positions` say whose neighbours are wanted (neither: those of the text's tokens), `neighbours` how many.
    `layers` and `heads` (counted from 0; none: all) say whose attention is shown. `temperature`, `top_k`, `top_p` and
    `min_p` are those of `Sampling`; `shown` is how many next tokens are listed. `answer` is what has been said of an answer
    already, for encoder–decoders. Raises RungError for values out of range.
    """

    words: tuple[str, ...] = ()
    positions: tuple[int, ...] = ()
    neighbours: int = 8
    layers: tuple[int, ...] = ()
    heads: tuple[int, ...] = ()
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    shown: int = 12
    answer: str = ""

    def __post_init__(self) -> None:
        if self.temperature == 0:
            told, mend = "is 0: nothing is drawn then, the likeliest token is taken", "give one above 0, such as 0.7"
            raise RungError(told, where="--temperature", mend=mend)
        floor = (("--neighbours", self.neighbours, 1), ("--shown", self.shown, 1), ("--top-k", self.top_k, 0))
        for name, value, least in floor:
            if value < least:
                raise RungError(f"is {value}", where=name, mend=f"give a whole number from {least} on")
        for name, values in (("--layer", self.layers), ("--head", self.heads), ("--token", self.positions)):
            if any(value < 0 for value in values):
                raise RungError(f"is {min(values)}", where=name, mend="they are counted from 0")
        if not 0 < self.temperature < float("inf"):
            raise RungError(f"is {self.temperature:g}", where="--temperature", mend="give one above 0, such as 0.7")
        if not 0 < self.top_p <= 1:
            raise RungError(f"is {self.top_p:g}", where="--top-p", mend="give a share above 0, at most 1")
        if not 0 <= self.min_p <= 1:
            raise RungError(f"is {self.min_p:g}", where="--min-p", mend="give a share between 0 and 1")

    @property
    def sampling(self) -> Sampling:
        """How an answer would be drawn."""
        # Sampling's own smallest top_p keeps the likeliest token, as any smaller share would.
        top_p = max(self.top_p, 1e-9)
        return Sampling(temperature=self.temperature, top_k=self.top_k, top_p=top_p, min_p=self.min_p)
