"""How fast ROUGE is computed, against `rouge_score` on the same texts in the same run: four variants, stemmed and not.

Each dialogue of the bundled `summarise` is an answer, its summary and the next one are its references. Ends in one JSON
line. The ratio is of all four variants at once, `alone` of each by itself. Both sides start cold in every round and take
turns; the ratio is the median of the rounds'.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import numpy as np
from rouge_score.rouge_scorer import RougeScorer

from rung.ladder.assemble import hardware
from rung.metrics import porter, rouge
from rung.metrics.rouge import VARIANTS, Variant, rouge_scores

ROUNDS = 7


def texts(limit: int | None) -> list[tuple[str, list[str]]]:
    """Answers and their references."""
    file = Path(__file__).parents[1] / "examples" / "summarise" / "dialogues.jsonl"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()][:limit]
    following = [*rows[1:], rows[0]]
    return [(row["dialogue"], [row["summary"], after["summary"]]) for row, after in zip(rows, following)]


def ours(rows: list[tuple[str, list[str]]], variants: Sequence[Variant], stemmed: bool) -> list[float]:
    """F1 of each row by each variant, from nothing."""
    rouge._read.cache_clear()
    porter.stem.cache_clear()
    answers, references = zip(*rows)
    found = [rouge_scores(answers, references, variant, stemmed=stemmed) for variant in variants]
    return list(np.stack(found, axis=1).ravel())


def peer(rows: list[tuple[str, list[str]]], variants: Sequence[Variant], stemmed: bool) -> list[float]:
    """The same by `rouge_score`."""
    names = [f"rouge{variant}" for variant in variants]
    scorer = RougeScorer(names, use_stemmer=stemmed)
    found = [scorer.score_multi(references, answer) for answer, references in rows]
    return [one[name].fmeasure for one in found for name in names]


def timed(run: Callable[[], list[float]]) -> tuple[float, list[float]]:
    """Processor seconds, and what came of it."""
    start = time.process_time()
    found = run()
    return time.process_time() - start, found


def rounds(rows: list[tuple[str, list[str]]], variants: Sequence[Variant], stemmed: bool, count: int) -> np.ndarray:
    """Seconds of both sides in turns, shape (count, 2). Raises ValueError where their scores differ."""
    seconds = []
    for _ in range(count):
        fast, found = timed(lambda: ours(rows, variants, stemmed))
        slow, expected = timed(lambda: peer(rows, variants, stemmed))
        if not np.allclose(found, expected, rtol=0, atol=1e-12):
            raise ValueError(f"other scores than rouge_score: {variants}, stemmed {stemmed}")
        seconds.append((fast, slow))
    return np.array(seconds)


def main() -> None:
    """Run both sides and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows")
    rows = texts(60 if parser.parse_args().quick else None)
    ours(rows, VARIANTS, True)
    whole = sum(rounds(rows, VARIANTS, stemmed, ROUNDS) for stemmed in (False, True))
    mine, theirs = np.median(whole, axis=0)
    alone = {
        f"rouge{one}{'_stemmed' * stemmed}": float(np.median(np.divide(*rounds(rows, (one,), stemmed, 2).T[::-1])))
        for stemmed in (False, True)
        for one in VARIANTS
    }
    made = 2 * len(rows) * len(VARIANTS)
    print(
        json.dumps(
            {
                "benchmark": "rouge",
                "ours": made / mine,
                "peer": made / theirs,
                "peer_name": "rouge_score",
                "unit": "scores/s of processor time",
                "ratio": float(np.median(whole[:, 1] / whole[:, 0])),
                "goal": 20.0,
                "alone": alone,
                "same_result": True,
                "hardware": hardware(),
                "date": date.today().isoformat(),
            },
            ensure_ascii=False,
        )
    )


if __name__ == "__main__":
    main()
