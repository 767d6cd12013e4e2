"""Two answers to one request before a judge, twice with their positions swapped.

A verdict counts only where both orders agree, and is a tie otherwise, since judges prefer positions (Zheng et al. 2023,
arXiv:2306.05685). An answer of the judge that cannot be read is an error, counted apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from rung import stats
from rung.errors import RungError
from rung.evaluate.asking import ask
from rung.evaluate.judging.labels import Agreement, agreement
from rung.evaluate.judging.template import Template
from rung.evaluate.judging.verdict import read_verdict
from rung.types import Completion, Example, Score, System

Outcome = Literal["first", "second", "tie", "error"]
VERDICTS = ("A", "B", "tie")
DUEL = Template(
    "Two answers were given to one request. Say which one serves the person who asked better: first of all whether it "
    "is right, then whether it is complete and clear. Neither length nor order counts.\n\n"
    "Request:\n{prompt}\n\nA right answer, if one is known:\n{reference}\n\n"
    "Answer A:\n{first}\n\nAnswer B:\n{second}\n\nWhich answer is better: A, B, or tie?"
)


@dataclass(frozen=True)
class Verdict:
    """One row: its outcome, what the judge said in both orders, and what went wrong where it is an error."""

    id: str
    outcome: Outcome
    said: tuple[str, str] = ("", "")
    error: str = ""


@dataclass(frozen=True)
class Duel:
    """`first` against `second`, row by row. Rows whose verdict is an error are in no number but `errors`."""

    first: str
    second: str
    verdicts: tuple[Verdict, ...] = field(repr=False)
    scheme: stats.Scheme = field(default=stats.ITEMS, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each outcome is there."""
        return Counter(verdict.outcome for verdict in self.verdicts)

    @property
    def errors(self) -> int:
        """Rows without a verdict."""
        return self.counts["error"]

    @cached_property
    def score(self) -> Score:
        """Of the rows with a verdict: 1 where `first` won, 0 where it lost, a half for a tie."""
        worth = {"first": 1.0, "tie": 0.5, "second": 0.0}
        items = np.array([worth[v.outcome] for v in self.verdicts if v.outcome != "error"])
        return Score("win_rate", "graded", float(items.mean()), items.reshape(-1, 1))

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the win rate; None where the rows can carry none."""
        scheme = self.scheme
        if scheme.groups is not None:
            kept = tuple(g for g, v in zip(scheme.groups, self.verdicts) if v.outcome != "error")
            scheme = stats.Scheme(kept)
        if stats.refusal("graded", len(self.score), scheme.groups) is not None:
            return None
        return stats.interval(self.score, scheme)

    @property
    def p(self) -> float:
        """Two-sided mid-p sign test of wins against losses; ties say nothing."""
        return stats.mcnemar_mid_p(self.counts["first"], self.counts["second"])

    @cached_property
    def agreement(self) -> Agreement | None:
        """With the labels that people gave to these rows, if there are any."""
        if not self.labels:
            return None
        return agreement({v.id: v.outcome for v in self.verdicts if v.outcome != "error"}, self.labels)

    def to_json(self) -> dict[str, Any]:
        """The numbers; the rows are in the files."""
        low, high = self.interval or (None, None)
        return {
            "first": self.first, "second": self.second, "win_rate": self.score.value, "low": low, "high": high,
            "p": self.p, "wins": self.counts["first"], "losses": self.counts["second"], "ties": self.counts["tie"],
            "errors": self.errors, "agreement": None if self.agreement is None else self.agreement.to_json(),
        }  # fmt: skip


def duel(
    judge: System,
    examples: Sequence[Example],
    sides: Mapping[str, Sequence[Completion]],
    *,
    template: Template = DUEL,
    scheme: stats.Scheme = stats.ITEMS,
    labels: Mapping[str, str] | None = None,
) -> Duel:
    """Let `judge` compare the two `sides`' completions (name to completions, in the rows' order).

    Nobody is asked where answers are the same (a tie) or where a side gave none (it loses, both: a tie). `labels` hold
    a person's outcome by row id: `first`, `second`, `tie` or a side's name. Raises RungError where not one of the
    judge's answers could be read.
    """
    template.check(("prompt", "reference", "first", "second"), ("first", "second"))
    (first, ours), (second, theirs) = sides.items()
    settled = {row: _settled(one, two) for row, (one, two) in enumerate(zip(ours, theirs))}
    asked = [row for row, outcome in settled.items() if outcome is None]
    prompts = []
    for row in asked:
        told = {"prompt": examples[row].text, "reference": examples[row].target or "(none is known)"}
        one, two = ours[row].text, theirs[row].text
        prompts.append(template.prompt({**told, "first": one, "second": two}, VERDICTS))
        prompts.append(template.prompt({**told, "first": two, "second": one}, VERDICTS))
    said = ask(judge, prompts)
    found = {row: _verdict(examples[row].id, said[2 * n], said[2 * n + 1]) for n, row in enumerate(asked)}
    if asked and all(verdict.outcome == "error" for verdict in found.values()):
        raise unreadable(len(asked), next(iter(found.values())).error, VERDICTS)
    verdicts = [
        found[row] if outcome is None else Verdict(examples[row].id, outcome) for row, outcome in settled.items()
    ]
    names = {first: "first", second: "second"}
    known = {row: names.get(label, label) for row, label in (labels or {}).items()}
    strange = next((label for label in known.values() if label not in ("first", "second", "tie")), None)
    if strange is not None:
        mend = f"write {first}, {second} or tie"
        raise RungError(f"{strange!r} is no outcome", where="labels of people", mend=mend)
    return Duel(first, second, tuple(verdicts), scheme, known)


def _settled(one: Completion, two: Completion) -> Outcome | None:
    if (one.error is None) != (two.error is None):
        return "second" if one.error is not None else "first"
    return "tie" if one.error is not None or one.text == two.text else None


def _verdict(row: str, straight: Completion, swapped: Completion) -> Verdict:
    said = (straight.text, swapped.text)
    for one in (straight, swapped):
        if one.error is not None:
            return Verdict(row, "error", said, one.error)
    words = [read_verdict(text, VERDICTS) for text in said]
    for word, text in zip(words, said):
        if word is None:
            return Verdict(row, "error", said, f"no verdict in {shown(text)}")
    here = {"A": "first", "B": "second", "tie": "tie"}[str(words[0])]
    there = {"A": "second", "B": "first", "tie": "tie"}[str(words[1])]
    outcome: Outcome = "tie" if here != there else here  # type: ignore[assignment]
    return Verdict(row, outcome, said)


def shown(text: str) -> str:
    """The beginning of what a judge said, quoted."""
    return repr(" ".join(text.split())[:60])


def unreadable(count: int, first: str, verdicts: Sequence[str]) -> RungError:
    """A judge of whom not one answer could be read."""
    mend = f"take a judge that answers with one of: {', '.join(verdicts)}"
    return RungError(f"none of its {count} judgements could be read ({first})", where="--judge", mend=mend)
