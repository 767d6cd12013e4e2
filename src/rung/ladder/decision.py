"""The protocol of the decision: in which order rungs are looked at, on which level, and when to stop.

Driven by a climb that hands in candidates (built one by one, as they are asked for) and an `Examiner` that can score
the exact artefact on test and guards; so this file knows neither models nor training. The bounds are in `stats`, the
judging of one rung in `judge`, the counting in `ledger`, the words in `wording`.

Why at most 5 % of decisions are wrong. Look j of a pool of test items errs with probability 0.05 / 2^j at most, and
these add up to less than 0.05 over any number of climbs.

- *Early stopping*: each look tests one artefact, which was chosen without the test items (only "no earlier one
  passed" is known of them). It passes wrongly with probability 0.05 / 2^j.
- *All*, and *no goal*: one look tests several artefacts in an order fixed before, each at the level of the look, until
  one fails. A wrong recommendation needs the first unworthy artefact in that order to pass, so the look still errs at
  its level as a whole (a fixed sequence: Maurer, Hothorn & Lehmacher 1995).
- *Guards*: an artefact must pass the goal and every guard, each at the level of the look. One that fails any of them in
  truth passes that one, hence all, with no more than that level (intersection-union: Berger 1982).

What this does not cover: somebody who reads test scores and tunes the next artefact towards them knows more than "no
earlier one passed". Settings are chosen on validation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rung import stats
from rung.ladder import judge, wording
from rung.ladder.ledger import Ledger, Look, look_level
from rung.ladder.question import ERRORS_ALLOWED, Candidate, Examiner, LookResult, Planned, Question, Skipped
from rung.ladder.verdict import Decision, LookReading, Mode, State, ValidationReading, Verdict
from rung.types import Score, digest


def decide(
    question: Question,
    candidates: Iterable[Candidate | Skipped],
    examiner: Examiner,
    ledger: Ledger,
    *,
    everything: bool = False,
    floor: Score | None = None,
    ladder: Sequence[Planned] = (),
    run: str = "",
) -> Decision:
    """Climbs: pulls candidates in order of cost, takes looks, and says which rung to ship.

    `candidates` may be lazy: with early stopping (the default, where a goal is given) none is pulled once a rung has
    passed. `everything` builds all rungs and takes one look (`--all`); without a goal it is always so. `floor` is
    the validation score of what can be had without a model: without a goal, only rungs that clear it may be recommended.
    `ladder` names the rungs of the plan, so that those never built are listed too; `run` is noted in the ledger. The
    same inputs and the same ledger give the same decision, byte for byte.

    Raises RungError where test or guard items were shown, and whatever the candidates and the examiner raise.
    """
    looks = _Looks(question, examiner, ledger, run)
    rising = _rising(candidates)
    if question.goal is None:
        mode: Mode = "reference"
        outcome = _against_reference(question, list(rising), looks, floor)
    elif everything:
        mode, outcome = "all", _all(question, list(rising), looks)
    else:
        mode, outcome = "early", _early(question, rising, looks)
    decision = Decision(
        mode=mode,
        metric=question.metric,
        kind=question.kind,
        goal=question.goal,
        margin=question.margin,
        recommended=outcome.recommended,
        reference=outcome.reference,
        rungs=_with_unbuilt(outcome, ladder),
        looks=tuple(looks.numbers),
        floor=None if floor is None else stats.estimate(floor, question.validation.scheme),
    )
    upcoming = 1 + ledger.looks(question.test.keys)
    decision = replace(decision, advice=wording.advice(question, decision, upcoming))
    return replace(decision, sentence=wording.sentence(question, decision))


@dataclass(frozen=True)
class _Outcome:
    verdicts: list[Verdict]
    recommended: str | None = None
    reference: str | None = None


class _Looks:
    """Takes looks: the ledger is written first, the examiner asked after, and only for what the ledger lacks."""

    def __init__(self, question: Question, examiner: Examiner, ledger: Ledger, run: str) -> None:
        self._question, self._examiner, self._ledger, self._run = question, examiner, ledger, run
        self._artefacts: dict[str, str] = {}
        self._results: dict[tuple[str, str], LookResult] = {}
        self.numbers: list[int] = []

    def take(self, rungs: Sequence[str], mode: Mode) -> Look | None:
        """One look at these rungs, in the order of testing. None where no result could pass, so that none is spent."""
        question, ledger = self._question, self._ledger
        for rung in rungs:
            self._artefacts[rung] = self._examiner.artefact(rung)
        artefacts = list(dict.fromkeys(self._artefacts[rung] for rung in rungs))
        asked, keys, guards = _asked(question, mode), question.test.keys, question.guard_keys
        look = ledger.find(keys, artefacts, question=asked, guards=guards)
        if look is None:
            if question.goal is not None and not judge.can_pass(question, look_level(1 + ledger.looks(keys))):
                return None
            purpose = f"{mode}: {', '.join(rungs)}"
            look = ledger.reserve(keys, artefacts, question=asked, guards=guards, run=self._run, purpose=purpose)
        self.numbers.append(look.number)
        return look

    def result(self, look: Look, rung: str) -> LookResult:
        """What the look says of one rung, scored now unless the ledger has it."""
        artefact = self._artefacts[rung]
        at = (look.key, artefact)
        if at not in self._results:
            stored = look.results.get(artefact)
            if stored is None:
                stored = self._ledger.complete(look, artefact, self._examiner.examine(rung).to_json())
            self._results[at] = LookResult.from_json(stored)
        return self._results[at]

    def read(self, look: Look, rung: str, reference: Score | None = None) -> LookReading:
        """The look's reading of one rung."""
        return judge.read_look(self._question, look, self._artefacts[rung], self.result(look, rung), reference)


def _asked(question: Question, mode: Mode) -> str:
    """What a look's claim depends on besides its items and artefacts.

    The bound of a single artefact holds for every goal and margin at once. A sequence stops where a goal says, so there
    both belong to the question: asked anew with another goal, it is another look.
    """
    guards = {name: guard.margin for name, guard in question.guards.items()}
    asked = [question.metric, question.test.scheme.groups is not None, sorted(guards)]
    if mode != "early":
        asked += [mode, question.goal, question.margin if mode == "reference" else None, guards]
    return digest(asked)


def _rising(candidates: Iterable[Candidate | Skipped]) -> Iterator[Candidate | Skipped]:
    """The candidates as they come, held to rising cost and unique names."""
    names: set[str] = set()
    cost = float("-inf")
    for candidate in candidates:
        if candidate.name in names:
            raise ValueError(f"two rungs are named {candidate.name}")
        if not candidate.cost >= cost:
            raise ValueError(f"rung {candidate.name} costs {candidate.cost}, less than the one before it ({cost})")
        names.add(candidate.name)
        cost = candidate.cost
        yield candidate


# -- with a goal, stopping at the first rung that passes ---------------------------------------------------------------


def _early(question: Question, candidates: Iterator[Candidate | Skipped], looks: _Looks) -> _Outcome:
    verdicts: list[Verdict] = []
    for candidate in candidates:
        if isinstance(candidate, Skipped):
            verdicts.append(_skipped(candidate))
            continue
        reading = judge.read_validation(question, candidate)
        if not judge.is_finalist(question, reading):
            state, reason = judge.judged_by_validation(question, reading)
            verdicts.append(judge.verdict(candidate, state, reason, reading))
            continue
        look = looks.take([candidate.name], "early")
        if look is None:
            verdicts.append(judge.verdict(candidate, "cannot tell", _too_few(question), reading, finalist=True))
            continue
        seen = looks.read(look, candidate.name)
        state, reason = judge.judged_by_look(question, seen)
        verdicts.append(judge.verdict(candidate, state, reason, reading, seen, finalist=True))
        if seen.passed:
            return _Outcome(verdicts, recommended=candidate.name)
    return _Outcome(verdicts)


def _skipped(candidate: Skipped) -> Verdict:
    return Verdict(candidate.name, candidate.cost, candidate.price, "skipped", candidate.reason)


def _too_few(question: Question) -> str:
    return f"no result on {question.test.count} test items could show it at the level of the next look; none was spent"


# -- with a goal, all rungs and one look -------------------------------------------------------------------------------


def _all(question: Question, candidates: Sequence[Candidate | Skipped], looks: _Looks) -> _Outcome:
    readings = {c.name: judge.read_validation(question, c) for c in candidates if isinstance(c, Candidate)}
    finalists = _falling([name for name, reading in readings.items() if judge.is_finalist(question, reading)], readings)
    look = looks.take(finalists, "all") if finalists else None
    seen: dict[str, LookReading] = {}
    for name in finalists if look else ():
        assert look is not None
        seen[name] = looks.read(look, name)
        if not seen[name].passed:
            break
    verdicts = []
    for candidate in candidates:
        if isinstance(candidate, Skipped):
            verdicts.append(_skipped(candidate))
            continue
        name, reading = candidate.name, readings[candidate.name]
        state, reason = _state(question, reading, seen.get(name))
        if name in finalists and look is None:
            state, reason = "cannot tell", _too_few(question)
        elif name in finalists and name not in seen:
            reason = reason or f"testing ended with {list(seen)[-1]}, the first that did not pass"
        verdicts.append(judge.verdict(candidate, state, reason, reading, seen.get(name), finalist=name in finalists))
    return _Outcome(verdicts, recommended=_cheapest(verdicts))


def _falling(names: Sequence[str], readings: dict[str, ValidationReading]) -> list[str]:
    """Falling validation score; equal scores in rising cost, the order in which they come."""
    return sorted(names, key=lambda name: -readings[name].value)


def _state(question: Question, reading: ValidationReading, seen: LookReading | None) -> tuple[State, str]:
    if seen is not None:
        return judge.judged_by_look(question, seen)
    return judge.judged_by_validation(question, reading)


def _cheapest(verdicts: Sequence[Verdict]) -> str | None:
    """The first, hence cheapest, rung that passed."""
    return next((verdict.name for verdict in verdicts if verdict.state == "meets"), None)


# -- without a goal ----------------------------------------------------------------------------------------------------


def _against_reference(
    question: Question, candidates: Sequence[Candidate | Skipped], looks: _Looks, floor: Score | None
) -> _Outcome:
    """The best rung on validation is the reference; cheaper ones must come within the margin, in one look.

    Rungs that do not clear the floor are left out: being within a margin of the best is no merit there. The reference heads the sequence with its own test, errors and guards. Where it fails, no rung may lean on it: the
    next best takes its place, at the price of another look.
    """
    built = [candidate for candidate in candidates if isinstance(candidate, Candidate)]
    readings = {candidate.name: judge.read_validation(question, candidate) for candidate in built}
    if floor is not None:
        readings = {c.name: judge.against_floor(question, readings[c.name], c.validation, floor) for c in built}
    sound = [name for name, reading in readings.items() if reading.errors <= ERRORS_ALLOWED]
    eligible = [name for name in sound if judge.clears_floor(readings[name])]
    seen: dict[str, LookReading] = {}
    reference = None
    while eligible and reference is None:
        best = _falling(eligible, readings)[0]
        cheaper = _falling(eligible[: eligible.index(best)], readings)
        seen.update(_look_at_reference(looks, best, cheaper))
        if seen[best].passed:
            reference = best
        else:
            eligible.remove(best)
    if reference is not None:
        readings = _with_gaps(question, built, readings, reference)
    verdicts = []
    for candidate in candidates:
        if isinstance(candidate, Skipped):
            verdicts.append(_skipped(candidate))
            continue
        name, reading = candidate.name, readings[candidate.name]
        state, reason = _state(question, reading, seen.get(name))
        reason = reason or _why_not_tested(candidates, candidate, reference, seen)
        verdicts.append(judge.verdict(candidate, state, reason, reading, seen.get(name), finalist=name in seen))
    return _Outcome(verdicts, _cheapest(verdicts), reference)


def _look_at_reference(looks: _Looks, best: str, cheaper: Sequence[str]) -> dict[str, LookReading]:
    """One look: the reference, then cheaper rungs against it, until one fails."""
    look = looks.take([best, *cheaper], "reference")
    assert look is not None
    seen = {best: looks.read(look, best)}
    score = looks.result(look, best).score
    for name in cheaper:
        if not all(reading.passed for reading in seen.values()):
            break
        seen[name] = looks.read(look, name, score)
    return seen


def _with_gaps(
    question: Question, built: Sequence[Candidate], readings: dict[str, ValidationReading], reference: str
) -> dict[str, ValidationReading]:
    """The readings with the 95 % upper bound of (rung - reference) on validation."""
    scheme, best = question.validation.scheme, next(c for c in built if c.name == reference)
    if stats.refusal(question.kind, question.validation.count, scheme.groups, scheme.least) is not None:
        return readings
    return {
        c.name: replace(
            readings[c.name], gap_upper=stats.paired_upper(c.validation, best.validation, judge.MISSED, scheme)
        )
        for c in built
    }


def _why_not_tested(
    candidates: Sequence[Candidate | Skipped], candidate: Candidate, reference: str | None, seen: dict[str, LookReading]
) -> str:
    if reference is None:
        return "no rung could serve as the reference"
    order = [other.name for other in candidates]
    if order.index(candidate.name) > order.index(reference):
        return f"it costs more than {reference}, which is no worse on validation"
    return f"testing ended with {list(seen)[-1]}, the first that did not pass"


# -- rungs that were never pulled --------------------------------------------------------------------------------------


def _with_unbuilt(outcome: _Outcome, ladder: Sequence[Planned]) -> tuple[Verdict, ...]:
    """All verdicts, and behind them "not tested" for the planned rungs that early stopping saved."""
    known = {verdict.name for verdict in outcome.verdicts}
    reason = "not built"
    if outcome.recommended is not None:
        reason = f"not built: it costs more than {outcome.recommended}, which meets the goal"
    rest = [Verdict(p.name, p.cost, p.price, "not tested", reason) for p in ladder if p.name not in known]
    return (*outcome.verdicts, *rest)
