"""What was found in a look: plain values, and their JSON. Computing them and drawing them are elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

TITLES = {
    "attention": "Attention",
    "encoder": "Attention in the encoder",
    "decoder": "Attention in the decoder",
    "cross": "Attention of the answer to the text",
}


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the text: its place, its id, the piece made visible, the characters it covers (None where the tokenizer
    does not say), and its surprise in bits, −log2 P(token | those before) (None where nothing predicts it)."""

    position: int
    id: int
    piece: str
    start: int | None
    end: int | None
    special: bool
    bits: float | None = None


@dataclass(frozen=True, slots=True)
class Near:
    """A token of the vocabulary near an embedding: cosine, and the same as an angle."""

    id: int
    piece: str
    cosine: float
    degrees: float


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Whose neighbours these are (a token, or a learnt vector, whose `id` is None), and the median angle to all of the
    vocabulary (None for a vector of zeros, which has no direction)."""

    name: str
    id: int | None
    usual: float | None
    near: tuple[Near, ...]


@dataclass(frozen=True, slots=True)
class Head:
    """Where one head looks: a row a query, a column a key; each row sums to 1.

    `first`, `previous` and `own` are the mean weights on the first token, the one before and the token itself, over all
    queries but the first; None for cross-attention, where a query has no place among the keys.
    """

    layer: int
    head: int
    weights: tuple[tuple[float, ...], ...]
    first: float | None
    previous: float | None
    own: float | None


@dataclass(frozen=True)
class Attention:
    """The heads of one kind (`attention`, `encoder`, `decoder`, `cross`), with the labels of queries and keys.

    Where the text is long only its end is shown, and the first key stands for all before it (`folded` of them; 0: none).
    """

    kind: str
    queries: tuple[str, ...]
    keys: tuple[str, ...]
    heads: tuple[Head, ...]
    folded: int = 0

    @property
    def title(self) -> str:
        """Its kind in words."""
        return TITLES[self.kind]

    @property
    def layers(self) -> list[int]:
        """The layers that are shown."""
        return sorted({head.layer for head in self.heads})

    def of(self, layer: int) -> list[Head]:
        """The heads of a layer."""
        return [head for head in self.heads if head.layer == layer]


@dataclass(frozen=True, slots=True)
class Chance:
    """A token that may come: its probability by the model, at the temperature, and in the draw (0: filtered out)."""

    id: int
    piece: str
    model: float
    tempered: float
    drawn: float


@dataclass(frozen=True, slots=True)
class Following:
    """What comes at one place: the likeliest tokens, how many the draw chooses from, and the entropies in bits.

    `place` is None for the next token, else the position of a mask.
    """

    place: int | None
    chances: tuple[Chance, ...]
    kept: int
    vocabulary: int
    entropy: float
    drawn_entropy: float


@dataclass(frozen=True)
class Look:
    """All of it. `notes` say what is not shown, and why."""

    model: str
    kind: str
    facts: str
    text: str
    tokens: tuple[Token, ...]
    answer: tuple[Token, ...]
    neighbourhoods: tuple[Neighbourhood, ...]
    attention: tuple[Attention, ...]
    following: tuple[Following, ...]
    sampling: str
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Plain values, numbers with six digits behind the point (weights of attention: four)."""
        shown: dict[str, Any] = _rounded(asdict(self), 6)
        for kind, own in zip(shown["attention"], self.attention):
            for head, known in zip(kind["heads"], own.heads):
                head["weights"] = _rounded(known.weights, 4)
        return shown


def _rounded(value: Any, digits: int) -> Any:
    if isinstance(value, float):
        return round(value, digits)
    if isinstance(value, dict):
        return {key: _rounded(one, digits) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_rounded(one, digits) for one in value]
    return value
