"""A comparison as files: numbers and every row as CSV, a summary as Markdown, a page as HTML, all as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from rung.errors import RungError
from rung.ladder.compare.comparison import Comparison
from rung.ladder.compare.page import render
from rung.ladder.report.files import cell
from rung.metrics import METRICS
from rung.page.quantities import NOTHING, Scores, p_value
from rung.run import dump_json, write_atomic

LISTED = 10
"""How many of the rows that differ are listed in words; `rows.csv` has them all."""


def check_folder(folder: Path) -> None:
    """Raises RungError where something lies at `folder` already: nothing is overwritten."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RungError("is there already", where=str(folder), mend="name another with --out")


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Write `scores.csv`, `differences.csv`, `rows.csv`, `comparison.md`, `comparison.html` and `comparison.json`."""
    check_folder(folder)
    write_atomic(folder / "scores.csv", scores_csv(comparison))
    write_atomic(folder / "differences.csv", differences_csv(comparison))
    write_atomic(folder / "rows.csv", rows_csv(comparison))
    write_atomic(folder / "comparison.md", markdown(comparison))
    write_atomic(folder / "comparison.html", render(comparison))
    write_atomic(folder / "comparison.json", dump_json(comparison.to_json()))


def scores_csv(comparison: Comparison) -> str:
    """A line a side: score, 95 % interval, rows, errors."""
    head = ("name", "metric", "value", "low", "high", "rows", "errors")
    return _csv(
        head,
        (
            (side.name, comparison.metric, reading.value, reading.low, reading.high, reading.count, side.errors)
            for side, reading in zip(comparison.sides, comparison.readings)
        ),
    )


def differences_csv(comparison: Comparison) -> str:
    """A line a pair: difference (first - second), 95 % interval, p, Holm's p, the test; a judge's verdicts, if any."""
    head = ["first", "second", "difference", "low", "high", "p", "p_holm", "method"]
    head += ["judged_win_rate", "judged_low", "judged_high", "judged_p", "wins", "losses", "ties", "judge_errors"]
    duels = {(duel.first, duel.second): duel for duel in comparison.duels}
    lines = []
    for pair in comparison.pairs:
        told: list[object] = [pair.first, pair.second, pair.difference, pair.low, pair.high, pair.p, pair.adjusted]
        told.append(pair.method)
        duel = duels.get((pair.first, pair.second))
        if duel is not None:
            told += [duel.score.value, *(duel.interval or (None, None)), duel.p]
            told += [duel.counts["first"], duel.counts["second"], duel.counts["tie"], duel.errors]
        lines.append([*told, *[None] * (len(head) - len(told))])
    return _csv(head, lines)


def rows_csv(comparison: Comparison) -> str:
    """A line a row: what was asked, what is right, whether the sides disagree; each one's answer, score, error; verdicts."""
    sides, apart = comparison.sides, set(comparison.disagreeing)
    head = ["id", "prompt", "target", "disagree"]
    head += [f"{side.name}: {part}" for side in sides for part in ("answer", "score", "error")]
    head += [f"{duel.first} against {duel.second}" for duel in comparison.duels]
    lines = []
    for row, item in enumerate(sides[0].items):
        told: list[object] = [item.id, item.prompt, item.target, int(row in apart)]
        for side in sides:
            said = side.completions[row]
            told += [said.text, float(side.row_scores[row]), said.error]
        lines.append([*told, *(duel.verdicts[row].outcome for duel in comparison.duels)])
    return _csv(head, lines)


def _csv(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow([cell(name) for name in head])
    table.writerows([cell(value) for value in line] for line in lines)
    return out.getvalue()


def summary_lines(comparison: Comparison) -> list[str]:
    """The comparison in a few lines of text, for a terminal."""
    sides, write = comparison.sides, Scores(METRICS[comparison.metric].kind)
    wide = max(len(side.name) for side in sides)
    dropped = f", {comparison.dropped:,} others left out" if comparison.dropped else ""
    lines = [f"{sides[0].task}: {comparison.metric} on {len(sides[0].items):,} validation rows{dropped}"]
    for side, reading in zip(sides, comparison.readings):
        interval = write.interval(reading.low, reading.high)
        errors = f"  {side.errors} without an answer" if side.errors else ""
        held = f"  {side.precision}" if side.precision else ""
        lines.append(f"  {side.name:<{wide}}  {write.value(reading.value):>7}  ({interval}){held}{errors}")
    for pair in comparison.pairs:
        gap = f"{write.gap(pair.difference)} {write.gap_unit} ({write.gap_interval(pair.low, pair.high)})"
        told = p_value(pair.adjusted).replace("p", "adjusted p", 1)
        lines.append(f"  {pair.first} - {pair.second}: {gap}, {told}")
    lines += [f"  judged {line}" for line in judged_lines(comparison)]
    return [*lines, *_listed(comparison)]


def judged_lines(comparison: Comparison) -> list[str]:
    """A line a duel: who won how often, and how far people agree."""
    lines = []
    for duel in comparison.duels:
        interval = "" if duel.interval is None else f" ({100 * duel.interval[0]:.1f} to {100 * duel.interval[1]:.1f})"
        counts = f"{duel.counts['first']} won, {duel.counts['second']} lost, {duel.counts['tie']} tied"
        errors = f", {duel.errors} without a verdict" if duel.errors else ""
        people = "" if duel.agreement is None else f"; with people: {duel.agreement}"
        rate = f"win rate {100 * duel.score.value:.1f} %{interval}, {p_value(duel.p)}"
        lines.append(f"{duel.first} against {duel.second}: {rate}: {counts}{errors}{people}")
    return lines


def _listed(comparison: Comparison) -> list[str]:
    apart, sides = comparison.disagreeing, comparison.sides
    lines = [f"they disagree on {len(apart):,} of {len(sides[0].items):,} rows" + (":" if apart else "")]
    for row in apart[:LISTED]:
        item = sides[0].items[row]
        said = "; ".join(f"{side.name}: {_short(side.completions[row].text, 30)}" for side in sides)
        lines.append(f"  {item.id}  {_short(item.prompt, 60)}  [{_short(item.target, 30)}]  {said}")
    if len(apart) > LISTED:
        lines.append(f"  … and {len(apart) - LISTED:,} more (--out writes them all)")
    return lines


def markdown(comparison: Comparison) -> str:
    """Scores, differences and the first rows that differ as Markdown tables."""
    sides, write = comparison.sides, Scores(METRICS[comparison.metric].kind)
    scores = [
        (side.name, write.value(seen.value), write.interval(seen.low, seen.high), str(side.errors))
        for side, seen in zip(sides, comparison.readings)
    ]
    pairs = [
        (
            f"{pair.first} − {pair.second}", write.gap(pair.difference), write.gap_interval(pair.low, pair.high),
            p_value(pair.adjusted), pair.method,
        )
        for pair in comparison.pairs
    ]  # fmt: skip
    rows = []
    for row in comparison.disagreeing[:LISTED]:
        item = sides[0].items[row]
        said = [_short(side.completions[row].text, 60) for side in sides]
        rows.append((item.id, _short(item.prompt, 80), _short(item.target, 40), *said))
    count = len(sides[0].items)
    dropped = f" {comparison.dropped:,} rows that not every side has are left out." if comparison.dropped else ""
    parts = [
        f"# {_plain(sides[0].task)}: {comparison.metric}",
        f"{count:,} validation rows.{dropped} Intervals are 95 %; p-values are adjusted over all pairs (Holm).",
        _table(("system", comparison.metric, "95 % interval", "errors"), scores),
        _table(("pair", f"difference ({write.gap_unit})", "95 % interval", "adjusted", "test"), pairs),
        *[f"- Judged {_plain(line)}" for line in judged_lines(comparison)],
        f"They disagree on {len(comparison.disagreeing):,} of {count:,} rows; `rows.csv` has them all.",
    ]
    if rows:
        parts.append(_table(("row", "asked", "right", *(side.name for side in sides)), rows))
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    written = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(_plain(value) or NOTHING for value in line) + " |" for line in written)


def _plain(text: str) -> str:
    """Text that no Markdown reader takes for markup or the end of a cell."""
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def _short(text: str, length: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"
