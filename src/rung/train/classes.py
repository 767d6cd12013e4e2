"""How the classes of a classification count: the loss by name, weights of labels, costs of mistakes, draws of rows.

Settings and arithmetic of counts only, free of torch, so that a rung can hold them in its fields. The losses themselves
are in `losses`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rung.errors import RungError, nearest

LOSS_NAMES = ("cross-entropy", "focal", "cost")
WEIGHT_NAMES = ("none", "inverse-frequency", "effective-number")
Draw = Literal["none", "over", "under", "balanced"]
DRAWS: tuple[Draw, ...] = ("none", "over", "under", "balanced")


@dataclass(frozen=True)
class ClassLoss:
    """What a classifier minimises.

    `loss` is `cross-entropy`, `focal` (Lin et al. 2017, with `gamma`; `alpha` is the weight of the rarer of two labels,
    1 - alpha that of the other), `cost` (the expected cost of the answer under `costs`), or `package.module:function`,
    a function of logits (n, labels) and label numbers (n,) to losses (n,). `smoothing` is the share of a target that is
    spread evenly over all labels (Szegedy et al. 2016). `weights` of labels are `inverse-frequency`, `effective-number`
    (Cui et al. 2019, with `beta`), or pairs such as `spam=5` (others: 1). `costs` holds `ham>spam=5` for a row of ham
    that is called spam; pairs not named cost 1, right answers nothing. `resample` draws each epoch's rows: `over`
    repeats the rarer labels up to the most frequent one, `under` takes as many of each as of the rarest, `balanced`
    draws a label, then a row of it, as often as there are rows.

    The loss of a step is Σ wᵢ lᵢ / Σ wᵢ over its rows: a mean under the weights of the labels that the step holds.
    """

    loss: str = "cross-entropy"
    weights: tuple[str, ...] | str = "none"
    smoothing: float = 0.0
    gamma: float = 2.0
    alpha: float | None = None
    beta: float = 0.999
    costs: tuple[str, ...] = ()
    resample: str = "none"

    def __post_init__(self) -> None:
        if ":" not in self.loss and self.loss not in LOSS_NAMES:
            mend = nearest(self.loss, LOSS_NAMES) + "; or name package.module:function"
            raise RungError(f"unknown loss {self.loss}", where="loss", mend=mend)
        if isinstance(self.weights, str) and "=" not in self.weights and self.weights not in WEIGHT_NAMES:
            mend = nearest(self.weights, WEIGHT_NAMES) + "; or write label=number"
            raise RungError(f"unknown weights {self.weights}", where="weights", mend=mend)
        if self.resample not in DRAWS:
            mend = nearest(self.resample, DRAWS)
            raise RungError(f"unknown draw {self.resample}", where="resample", mend=mend)
        for name, value, low, high in (
            ("smoothing", self.smoothing, 0.0, 0.999),
            ("gamma", self.gamma, 0.0, 20.0),
            ("alpha", 0.5 if self.alpha is None else self.alpha, 1e-6, 1 - 1e-6),
            ("beta", self.beta, 0.0, 1 - 1e-9),
        ):
            if not low <= value <= high:
                raise RungError(f"{name} is {value}", where="loss", mend=f"choose {low:g} to {high:g}")
        self._check_pairs()

    def _check_pairs(self) -> None:
        if self.alpha is not None and (self.loss != "focal" or self.weights != "none"):
            raise RungError("alpha belongs to the focal loss without weights", where="alpha", mend="drop one of them")
        if bool(self.costs) != (self.loss == "cost"):
            raise RungError("loss cost and costs go together", where="costs", mend="give both: costs: [ham>spam=5]")
        if self.smoothing and self.loss != "cross-entropy":
            raise RungError(f"smoothing belongs to cross-entropy, not {self.loss}", where="smoothing", mend="drop one")

    @property
    def plain(self) -> bool:
        """Whether it is cross-entropy over rows as they are."""
        return self == ClassLoss()

    def class_weights(self, codes: Sequence[int] | np.ndarray, labels: Sequence[str]) -> np.ndarray | None:
        """The weight of each label (labels,), float64, from the label numbers of the training rows; None for all 1.

        Raises RungError for a label that is none, and for alpha where there are not two labels.
        """
        counts = np.bincount(np.asarray(codes, dtype=int), minlength=len(labels)).astype(float)
        if self.alpha is not None:
            if len(labels) != 2:
                raise RungError(f"alpha weighs two labels, not {len(labels)}", where="alpha", mend="give weights")
            return np.where(np.arange(2) == counts.argmin(), self.alpha, 1 - self.alpha)
        if self.weights == "inverse-frequency":
            return inverse_frequency(counts)
        if self.weights == "effective-number":
            return effective_number(counts, self.beta)
        if self.weights == "none":
            return None
        found = np.ones(len(labels))
        for entry in (self.weights,) if isinstance(self.weights, str) else self.weights:
            name, _, number = entry.rpartition("=")
            found[_place(name, labels, "weights")] = _number(number, entry, "weights")
        if not (found > 0).all():
            raise RungError("a weight is not above 0", where="weights", mend="give numbers above 0")
        return found

    def cost_matrix(self, labels: Sequence[str]) -> np.ndarray:
        """Costs (labels, labels): of a row of label i that is called j. Raises RungError for a label that is none."""
        found = 1.0 - np.eye(len(labels))
        for entry in self.costs:
            pair, _, number = entry.rpartition("=")
            right, arrow, said = pair.partition(">")
            if not arrow:
                raise RungError(f"{entry!r} is no cost", where="costs", mend="write ham>spam=5")
            found[_place(right, labels, "costs"), _place(said, labels, "costs")] = _number(number, entry, "costs")
        return found


def inverse_frequency(counts: np.ndarray) -> np.ndarray:
    """n / (C · nᶜ) for the C labels that have rows (0 for others): a mean of 1 over the rows."""
    some = counts > 0
    return np.divide(counts.sum(), some.sum() * counts, out=np.zeros(len(counts)), where=some)


def effective_number(counts: np.ndarray, beta: float) -> np.ndarray:
    """(1 - β) / (1 - β^nᶜ) (Cui et al. 2019, equation 2), scaled to a mean of 1 over the rows (theirs: over the labels)."""
    some = counts > 0
    found = np.divide(1 - beta, 1 - np.power(beta, counts), out=np.zeros(len(counts)), where=some)
    scaled: np.ndarray = found * counts.sum() / max((found * counts).sum(), 1e-300)
    return scaled


def _place(name: str, labels: Sequence[str], where: str) -> int:
    name = name.strip()
    if name not in labels:
        raise RungError(f"{name!r} is no label", where=where, mend=nearest(name, labels))
    return list(labels).index(name)


def _number(text: str, entry: str, where: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise RungError(f"{entry!r} ends in no number from 0 up", where=where, mend="write label=2.5")
    return found


@dataclass(frozen=True)
class Epochs:
    """Which rows each epoch reads, and in which order: a function of the seed and the epoch's number alone."""

    codes: tuple[int, ...]
    draw: Draw
    seed: int

    def __len__(self) -> int:
        """Rows of one epoch."""
        counts = np.bincount(self.codes)
        counts = counts[counts > 0]
        each = {"over": counts.max(), "under": counts.min()}.get(self.draw)
        return len(self.codes) if each is None else int(each) * len(counts)

    def order(self, epoch: int) -> np.ndarray:
        """The rows' numbers, shape (len(self),)."""
        chance = np.random.default_rng([self.seed, epoch])
        if self.draw == "none":
            return chance.permutation(len(self.codes))
        codes = np.asarray(self.codes)
        members = [np.flatnonzero(codes == code) for code in np.unique(codes)]
        if self.draw == "balanced":
            picked = chance.integers(len(members), size=len(codes))
            return np.array([members[label][chance.integers(len(members[label]))] for label in picked])
        each = len(self) // len(members)
        parts = []
        for own in members:
            whole, rest = divmod(each, len(own))
            parts += [np.tile(own, whole), chance.permutation(own)[:rest]]
        return chance.permutation(np.concatenate(parts))
