"""How to search: by which method, how many trials, what ends poor ones early; and the one door to all of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rung.errors import RungError, nearest

METHODS = {
    "halving": "every point of the space with few steps, the better half with more (Jamieson and Talwalkar 2016)",
    "random": "points drawn at random (Bergstra and Bengio 2012)",
    "grid": "every point of the space",
    "tpe": "a tree of Parzen estimators of good and poor points (Bergstra et al. 2011)",
    "gp": "a Gaussian process and the expected improvement (Snoek et al. 2012)",
}
PRUNERS = ("none", "median", "halving", "hyperband")


@dataclass(frozen=True)
class SearchPlan:
    """A search's settings. `trials` points are tried (halving and grid: all there are); `prune` says what ends trials
    early, at `looks` budgets that double up to the whole."""

    method: str = "tpe"
    trials: int = 20
    prune: str = "median"
    looks: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("method", METHODS), ("prune", PRUNERS)):
            value = getattr(self, name)
            if value not in known:
                raise RungError(f"unknown {name} {value!r}", where="search", mend=nearest(str(value), known))
        for name in ("trials", "looks"):
            if getattr(self, name) < 1:
                raise RungError(f"{name} is {getattr(self, name)}", where="search", mend="give 1 or more")

    def identity(self) -> dict[str, Any]:
        """What decides how the search goes; more trials are the same search gone on with."""
        return {key: value for key, value in asdict(self).items() if key != "trials"}

    def budgets(self, total: int) -> tuple[int, ...]:
        """Steps at which a trial is scored, doubling up to `total`; only there where nothing ends it early."""
        if self.prune == "none":
            return (total,)
        return tuple(sorted({max(1, round(total / 2**power)) for power in range(self.looks)}))
