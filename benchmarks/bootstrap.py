"""How fast systems are resampled, against a plain loop: 10,000 resamples of 3,000 items, the same for eight systems.

BLEU over rows of real sizes, so that every item differs. The peer draws the items of one resample at a time, sums their
rows, and scores each system, as sacrebleu's paired bootstrap does; its score is Rung's own function, so that only the
resampling is compared. It runs a tenth of the resamples and is counted for all. Ends in one JSON line.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import date

import numpy as np

from rung import stats
from rung.ladder.assemble import hardware
from rung.metrics import METRICS
from rung.types import Score

ITEMS, SYSTEMS, DRAWS = 3000, 8, 10_000
ROUNDS = 3
SECONDS = 2.0
"""What Rung may take for all of it."""


def systems(items: int) -> list[Score]:
    """BLEU's counts of eight systems on the same rows: lengths, matches and n-grams of order 1 to 4."""
    generator, bleu, scores = np.random.default_rng(1), METRICS["bleu"], []
    right = 4 + generator.poisson(20, items)
    for quality in np.linspace(0.5, 0.7, SYSTEMS):
        said = np.maximum(4, right + generator.integers(-3, 4, items))
        ngrams = np.stack([said - order for order in range(4)], axis=1)
        matches = generator.binomial(ngrams, quality ** np.arange(1, 5))
        table = np.column_stack([said, right, matches, ngrams]).astype(float)
        scores.append(Score("bleu", "corpus", float(bleu.value(table.sum(axis=0), items)), table))
    return scores


def ours(scores: list[Score], draws: int) -> np.ndarray:
    """Shape (draws, S)."""
    return stats.bootstrap(scores, stats.Scheme(value=METRICS["bleu"].value), draws)


def peer(scores: list[Score], draws: int) -> np.ndarray:
    """The same, one resample after another."""
    generator, bleu, items = np.random.default_rng(2), METRICS["bleu"], len(scores[0])
    values = np.empty((draws, len(scores)))
    for draw in range(draws):
        rows = generator.integers(0, items, items)
        for place, score in enumerate(scores):
            values[draw, place] = bleu.value(score.statistics[rows].sum(axis=0), items)
    return values


def same(mine: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether both have the same distribution: mean and standard error of each system and of its lead on the first,
    within what so many resamples scatter (four standard errors)."""
    for a, b in ((mine, theirs), (mine - mine[:, :1], theirs - theirs[:, :1])):
        spread = a.std(axis=0)
        noise = 4 * np.sqrt(1 / len(a) + 1 / len(b))
        if (np.abs(a.mean(axis=0) - b.mean(axis=0)) > noise * spread + 1e-12).any():
            return False
        if (np.abs(a.std(axis=0) - b.std(axis=0)) > noise * spread / np.sqrt(2) + 1e-12).any():
            return False
    return True


def main() -> None:
    """Run both sides and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the peer's resamples, one round of ours")
    quick = parser.parse_args().quick
    scores, fastest = systems(ITEMS), float("inf")
    for _ in range(1 if quick else ROUNDS):
        start = time.perf_counter()
        mine = ours(scores, DRAWS)
        fastest = min(fastest, time.perf_counter() - start)
    loops = DRAWS // (100 if quick else 10)
    start = time.perf_counter()
    theirs = peer(scores, loops)
    slow = (time.perf_counter() - start) * DRAWS / loops
    print(
        json.dumps(
            {
                "benchmark": "bootstrap",
                "ours": fastest,
                "peer": slow,
                "peer_name": "a loop over resamples",
                "unit": "s",
                "ratio": slow / fastest,
                "goal": f"under {SECONDS:g} s",
                "met": fastest < SECONDS,
                "same_result": same(mine, theirs),
                "hardware": hardware(),
                "date": date.today().isoformat(),
            },
            ensure_ascii=False,
        )
    )


if __name__ == "__main__":
    main()
