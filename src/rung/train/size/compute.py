"""Operations, days and the best size for a budget: arithmetic on parameters and tokens.

Operations are counted as floating-point operations of products, a multiplication and an addition being two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from rung.errors import RungError

DAY = 86400.0
PETAFLOP_DAY = 1e15 * DAY
"""Operations of one petaFLOP/s-day: 8.64e19 (Brown et al. 2020, appendix D)."""


def training_operations(parameters: float, tokens: float, *, layers: int = 0, width: int = 0, length: int = 0) -> float:
    """Operations of training: 6 a parameter and token (Kaplan et al. 2020, section 2.1), and attention's own products.

    With `layers`, `width` (all heads together) and row `length`, 12 × layers × width × length / 2 a token are added for
    causal scores and their sums (half of 12, as later tokens are masked).
    """
    return tokens * (6.0 * parameters + 6.0 * layers * width * length)


@dataclass(frozen=True)
class Optimum:
    """Parameters and tokens that give the lowest predicted loss (nats a token) for `operations`."""

    operations: float
    parameters: float
    tokens: float
    loss: float
    source: str


@dataclass(frozen=True)
class Law:
    """L(N, D) = E + A / N^a + B / D^b: parameters N, tokens D, loss in nats a token."""

    irreducible: float
    size_factor: float
    size_power: float
    data_factor: float
    data_power: float

    def loss(self, parameters: float, tokens: float) -> float:
        """The loss that the law predicts."""
        return (
            self.irreducible
            + self.size_factor * parameters**-self.size_power
            + self.data_factor * tokens**-self.data_power
        )

    def optimum(self, operations: float, source: str) -> Optimum:
        """Where the law is lowest with 6 N D = `operations` (Hoffmann et al. 2022, equation 4)."""
        a, b = self.size_power, self.data_power
        ratio = (a * self.size_factor / (b * self.data_factor)) ** (1 / (a + b))
        parameters = ratio * (operations / 6) ** (b / (a + b))
        tokens = operations / 6 / parameters
        return Optimum(operations, parameters, tokens, self.loss(parameters, tokens), source)


HOFFMANN = Law(1.69, 406.4, 0.34, 410.7, 0.28)
"""Hoffmann et al. 2022, approach 3 (equation 10). Its rounded constants give more tokens a parameter than the paper's own other
two approaches; the refit is below."""
BESIROGLU = Law(1.8172, 482.01, 0.3478, 2085.43, 0.3658)
"""Besiroglu et al. 2024: the data of Hoffmann et al., refitted; it agrees with their approaches 1 and 2."""
RULE = 20.0
"""Tokens a parameter: the rule of thumb drawn from approaches 1 and 2 (about equal powers of 0.5)."""


def optima(operations: float) -> list[Optimum]:
    """The compute-optimal size and tokens by each approach, that of the rule of thumb first. Raises RungError below 1e12."""
    if not math.isfinite(operations) or operations < 1e12:
        raise RungError(f"{operations:g} operations", where="--compute", mend="give 1e12 or more, such as 1e21")
    parameters = math.sqrt(operations / 6 / RULE)
    tokens = RULE * parameters
    rule = Optimum(
        operations,
        parameters,
        tokens,
        BESIROGLU.loss(parameters, tokens),
        f"{RULE:g} tokens a parameter (Hoffmann et al. 2022, approaches 1 and 2)",
    )
    return [
        rule,
        BESIROGLU.optimum(operations, "approach 3 refitted (Besiroglu et al. 2024)"),
        HOFFMANN.optimum(operations, "approach 3 as printed (Hoffmann et al. 2022)"),
    ]


@dataclass(frozen=True)
class Duration:
    """How long a training takes on `devices` that reach `rate` × `utilisation` each."""

    operations: float
    tokens: float
    rate: float
    utilisation: float
    devices: int = 1

    def __post_init__(self) -> None:
        if not self.rate > 0 or not 0 < self.utilisation <= 1:
            told = f"a rate of {self.rate:g} at a utilisation of {self.utilisation:g}"
            raise RungError(told, where="size", mend="give a rate above 0, and a utilisation above 0 and up to 1")

    @property
    def seconds(self) -> float:
        """Seconds in all."""
        return self.operations / (self.rate * self.utilisation * self.devices)

    @property
    def tokens_per_second(self) -> float:
        """Throughput of all devices."""
        return self.tokens / self.seconds

    @property
    def petaflop_days(self) -> float:
        """petaFLOP/s-days, whatever machine does them."""
        return self.operations / PETAFLOP_DAY
