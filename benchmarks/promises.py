"""Simulates what `rung.stats` and the decision promise, and writes `docs/statistics.md`; ends in one JSON line.

The simulations are in `simulated`; `tests/slow/test_promise.py` asserts the same on fewer lives. With `--quick` nothing is
written and a promise has to be broken badly to be noticed. Exit code 1 where one is broken.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from rung.ladder.assemble import hardware
from simulated import levels, power
from simulated.climbs import CLIMBS, forgetful, good
from simulated.populations import MEANS, PAIRS, corpora
from simulated.rate import Rate, rate

PAGE = Path(__file__).parents[1] / "docs" / "statistics.md"


@dataclass(frozen=True)
class Part:
    """A heading, what is said below it, and the rates of its table.

    In a `wide` table the names are `case: what`, a row is a case and a column is a what.
    """

    heading: str
    text: str
    rates: Sequence[Rate]
    wide: bool = False


def climbs(scale: float) -> list[Part]:
    """The promise of the decision."""
    found = [
        rate(one.name, int(3000 * scale * one.weight), one.live(), place) for place, one in enumerate(CLIMBS.values())
    ]
    found.append(_only_reported(rate("twenty climbs, each forgetting the ledger", int(500 * scale), forgetful, 7)))
    found.append(
        _only_reported(rate("recommended, a rung 6 points above the goal", int(2000 * scale), good, 8, promise=0.8))
    )
    text = """How often a climb recommends a rung that it should not, at most 5 %. Every rung lies exactly on the edge (at the
goal, behind the reference by the margin, losing the margin on a guard), looks like a finalist on validation, and is drawn
anew for each look: the hardest case. 300 test items unless said otherwise. The last two rows show what the ledger is for,
and that good rungs are found."""
    return [Part("The decision", text, found)]


def bounds(scale: float) -> list[Part]:
    """Rates, means, paired differences."""
    lives = int(20_000 * scale)
    means = [r for n in (10, 30, 100) for one in MEANS for r in levels.rates_of_means(one, n, lives, reported=n < 30)]
    pairs = [r for n in (10, 30, 100) for one in PAIRS for r in levels.rates_of_pairs(one, n, lives, reported=n < 30)]
    rivals = [levels.studentised(one, n, int(2000 * scale)) for n in (30, 100) for one in PAIRS[3:]]
    return [
        Part(
            "Rates and means",
            "How often a bound lies on the wrong side of the truth, and an interval beside it. Below 30 items it is only "
            "reported.",
            means,
            wide=True,
        ),
        Part(
            "Paired differences",
            "Two systems on the same items. Right or wrong: Tango; graded: t with worst differences added, for the "
            "interval too.",
            pairs,
            wide=True,
        ),
        Part(
            "Why not the studentised bootstrap",
            "The lower bound of the same graded differences by the studentised bootstrap (1,000 draws). Where few items "
            "change, samples in which none does have no scatter, and it errs more often than it says.",
            rivals,
        ),
    ]


def corpus(scale: float) -> list[Part]:
    """Whole-split scores and ratios."""
    lives = int(1500 * scale)
    by_ratio: dict[bool, list[Rate]] = {True: [], False: []}
    for one in corpora().values():
        for count in (30, 100, 300):
            by_ratio[one.ratio] += levels.rates_of_corpora(one, count, lives)
    return [
        Part(
            "Ratios of two sums",
            "Micro-averaged F1, and edits by words (TER). Something is promised from 30 items.",
            by_ratio[True],
            wide=True,
        ),
        Part(
            "Scores of a whole split",
            "Macro-F1, Matthews correlation, BLEU and ROUGE-L (a mean). Something is promised from 100 items; at 30, "
            "where Rung gives no bound for the first three, the rates are only reported; so are upper bounds of averages over "
            "classes of which one has less than 3 % of the rows: a split of 100 may hardly have met it. Only lower bounds "
            "decide.",
            by_ratio[False],
            wide=True,
        ),
    ]


def groups(scale: float) -> list[Part]:
    """Clusters and seeds."""
    lives = int(10_000 * scale)
    widths = "; ".join(f"{levels.width_of_groups(name, lives):.2f} ({name})" for name in levels.SHAPES)
    clustered = [r for name in levels.SHAPES for r in levels.rates_of_groups(name, lives)]
    seeds = [
        levels.rates_of_seeds(*case, int(6000 * scale))
        for case in ((5, 300, 0.0), (5, 300, 0.02), (5, 300, 0.05), (5, 2000, 0.05), (10, 300, 0.02))
    ]
    return [
        Part(
            "Clustered items",
            f"Right-or-wrong questions of documents that differ (correlation 0.3 within a document). The cluster-robust "
            f"standard error over the true one: {widths}. A bound blind to the documents errs as the last rows show.",
            clustered,
            wide=True,
        ),
        Part(
            "Training again",
            "The lower bound (95 % sure) for one more training with a new seed: variance of seeds and of items, "
            "Satterthwaite's degrees of freedom.",
            seeds,
        ),
    ]


def families(scale: float) -> list[Part]:
    """Multiplicity."""
    lives = int(3000 * scale)
    found = [
        levels.family("8 equal systems, right or wrong, 28 pairs", "binary", 8, 0, 200, lives),
        levels.family("3 of 8 systems better, right or wrong", "binary", 8, 3, 200, lives),
        levels.family("4 equal systems, graded, 6 pairs", "graded", 4, 0, 100, lives // 3),
        levels.family("1 of 4 systems better, graded", "graded", 4, 1, 100, lives // 3),
    ]
    text = 'How often at least one "better" is told of two systems that are equal, all pairs compared with Holm.'
    return [Part("Rung against rung", text, found)]


def powers(scale: float) -> list[Part]:
    """Power."""
    found = [
        *power.power_of_rates(int(200_000 * scale)),
        *power.power_of_means(int(20_000 * scale)),
        power.power_of_groups(int(20_000 * scale)),
        *power.power_of_guards(int(200_000 * scale)),
    ]
    text = "How often items show what the plan says they show with 80 % power; it may be 3 points off either way."
    return [Part("Stated power", text, found)]


PARTS = (climbs, bounds, corpus, groups, families, powers)


def _only_reported(found: Rate) -> Rate:
    return replace(found, reported=True)


def page(parts: Sequence[Part], seconds: float) -> str:
    """The whole page."""
    machine = hardware()
    rates = promised(parts)
    lines = [
        "# What the statistics keep",
        "",
        "Written by `python benchmarks/promises.py` from simulations with fixed seeds; `tests/slow/test_promise.py` asserts",
        "the same on fewer. What is shown is the share of simulated lives that went wrong, in per cent. A promise is called",
        "broken where a share that large had a chance below 1 in 2,000 were it kept; what stands in brackets is only reported.",
        "How the numbers are computed is said in `rung.stats`, and why so in `docs/design.md`.",
        "",
        f"{sum(one.kept for one in rates)} of {len(rates)} promises kept; {date.today().isoformat()}, "
        f"{seconds / 60:.0f} minutes on {machine['processor']}, {machine['cores']} cores.",
    ]
    for part in parts:
        lines += ["", f"## {part.heading}", "", part.text, "", *(_wide(part) if part.wide else _long(part))]
    return "\n".join(lines) + "\n"


def promised(parts: Sequence[Part]) -> list[Rate]:
    """All rates of which something is promised."""
    return [one for part in parts for one in part.rates if not one.reported]


def _long(part: Part) -> list[str]:
    """A row a rate."""
    lines = ["| case | lives | found | promised |", "| --- | ---: | ---: | ---: |"]
    for one in part.rates:
        least = "" if one.two_sided else "≤ "
        lines.append(
            f"| {one.name} | {one.lives:,} | {_found(one)} ± {100 * one.noise:.2f} | {least}{100 * one.promise:.4g} |"
        )
    return lines


def _wide(part: Part) -> list[str]:
    """A row a case."""
    cells: dict[str, dict[str, Rate]] = {}
    for one in part.rates:
        case, _, what = one.name.rpartition(": ")
        cells.setdefault(case, {})[f"{what} ≤ {100 * one.promise:.2g}"] = one
    columns = list(dict.fromkeys(what for row in cells.values() for what in row))
    lines = [f"| case | lives | {' | '.join(columns)} |", f"| --- | ---: |{' ---: |' * len(columns)}"]
    for case, row in cells.items():
        found = [_found(row[what]) if what in row else "" for what in columns]
        lines.append(f"| {case} | {next(iter(row.values())).lives:,} | {' | '.join(found)} |")
    return lines


def _found(one: Rate) -> str:
    share = f"{100 * one.share:.2f}"
    return f"({share})" if one.reported else share if one.kept else f"**{share}, broken**"


def main() -> None:
    """Simulate, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the lives; writes nothing")
    quick = parser.parse_args().quick
    start = time.perf_counter()
    parts: list[Part] = []
    for make in PARTS:
        parts += make(0.01 if quick else 1.0)
        print(f"{make.__name__}: {time.perf_counter() - start:.0f} s so far", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - start
    rates = promised(parts)
    broken = [one.name for one in rates if not one.kept]
    if not quick:
        PAGE.write_text(page(parts, seconds), encoding="utf-8")
    told = {"promises": len(rates), "kept": len(rates) - len(broken), "broken": broken, "seconds": round(seconds)}
    print(json.dumps({**told, "hardware": hardware(), "date": date.today().isoformat()}, ensure_ascii=False))
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
