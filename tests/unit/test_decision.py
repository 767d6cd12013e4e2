"""The protocol of the decision, driven end to end by tiny climbs whose answers are drawn beforehand."""

from __future__ import annotations

import doctest
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rung import stats
from rung.errors import RungError
from rung.ladder import figures, wording
from rung.ladder.decision import decide
from rung.ladder.ledger import Ledger
from rung.ladder.question import Candidate, Guard, GuardScores, LookResult, Planned, Question, Sample, Skipped
from rung.ladder.verdict import Decision
from rung.ladder.versus import versus
from rung.types import Score

TEST = frozenset(f"test {i}" for i in range(500))
GUARD = frozenset(f"guard {i}" for i in range(400))


def right(count: int, of: int, metric: str = "accuracy") -> Score:
    """`count` right items first, wrong ones behind."""
    return Score(metric, "binary", count / of, (np.arange(of) < count).astype(float)[:, None])


def graded(items: np.ndarray) -> Score:
    return Score("rougeL", "graded", float(items.mean()), items[:, None])


def question(goal: float | None = 0.8, **changes: Any) -> Question:
    standard = Question("accuracy", "binary", goal, Sample(200), Sample(500, keys=TEST), noun="messages")
    return replace(standard, **changes)


def rung(name: str, cost: float, validated: int, errors: float = 0.0) -> Candidate:
    return Candidate(name, cost, right(validated, 200), errors, f"{cost:g} EUR for 10,000 answers")


GUARDED = {"general": Guard(0.05, Sample(400, keys=GUARD))}
SAME = GuardScores(right(300, 400), right(300, 400))


class Bench:
    """An examiner with every answer in a drawer; it notes what it was asked."""

    def __init__(self, results: Mapping[str, LookResult | int], suffix: str = "") -> None:
        self.results = {name: LookResult(right(r, 500)) if isinstance(r, int) else r for name, r in results.items()}
        self.suffix = suffix
        self.made: list[str] = []
        self.examined: list[str] = []

    def artefact(self, rung: str) -> str:
        self.made.append(rung)
        return f"digest of {rung}{self.suffix}"

    def examine(self, rung: str) -> LookResult:
        self.examined.append(rung)
        return self.results[rung]


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Ledger(":memory:") as opened:
        yield opened


def states(decision: Decision) -> dict[str, str]:
    return {verdict.name: verdict.state for verdict in decision.rungs}


# -- early stopping ----------------------------------------------------------------------------------------------------


def test_the_first_rung_that_passes_ends_the_climb(ledger: Ledger) -> None:
    def climb() -> Iterator[Candidate]:
        yield rung("zero-shot", 1, 100)
        yield rung("few-shot", 2, 170)
        yield rung("lora", 3, 176)
        raise AssertionError("a rung beyond the recommended one was built")

    bench = Bench({"few-shot": 410, "lora": 430})
    ladder = [Planned(name, cost) for cost, name in enumerate(["zero-shot", "few-shot", "lora", "full"], start=1)]
    decision = decide(question(), climb(), bench, ledger, ladder=ladder)
    assert decision.recommended == "lora"
    assert states(decision) == {
        "zero-shot": "misses",
        "few-shot": "cannot tell",
        "lora": "meets",
        "full": "not tested",
    }
    assert decision.looks == (1, 2)
    assert bench.examined == ["few-shot", "lora"]
    few, lora = decision.verdict("few-shot").look, decision.verdict("lora").look
    assert few is not None and lora is not None
    assert (few.level, lora.level) == (0.025, 0.0125)
    assert few.lower == stats.clopper_pearson_lower(410, 500, 0.025) < 0.8
    assert lora.lower == stats.clopper_pearson_lower(430, 500, 0.0125) > 0.8
    assert "not built" in decision.verdict("full").reason


def test_rungs_left_unbuilt_without_a_recommendation_claim_nothing(ledger: Ledger) -> None:
    decision = decide(question(), [rung("a", 1, 100)], Bench({}), ledger, ladder=[Planned("a", 1), Planned("b", 2)])
    assert (decision.verdict("b").state, decision.verdict("b").reason) == ("not tested", "not built")


def test_only_finalists_are_made_and_tested(ledger: Ledger) -> None:
    """164 of 200 is 0.82, below 0.8 + one standard error of 0.027."""
    bench = Bench({"b": 450})
    decision = decide(question(), [rung("a", 1, 164), rung("b", 2, 168)], bench, ledger)
    assert bench.made == bench.examined == ["b"]
    assert decision.looks == (1,)
    assert states(decision) == {"a": "cannot tell", "b": "meets"}
    assert "earn a look" in decision.verdict("a").reason
    assert not decision.verdict("a").finalist and decision.verdict("b").finalist


def test_a_bound_that_just_reaches_the_goal_passes(ledger: Ledger) -> None:
    bound = stats.clopper_pearson_lower(430, 500, 0.025)
    for goal, met in ((bound, True), (bound + 1e-12, False)):
        with Ledger(":memory:") as fresh:
            decision = decide(question(goal), [rung("a", 1, 190)], Bench({"a": 430}), fresh)
        assert (decision.recommended == "a") is met


def test_a_rung_can_miss_on_test(ledger: Ledger) -> None:
    decision = decide(question(), [rung("a", 1, 190)], Bench({"a": 370}), ledger)
    assert decision.recommended is None
    assert states(decision) == {"a": "misses"}
    assert "on test its true score is at most 77.3 % (95 % sure)" in decision.verdict("a").reason


def test_looks_are_counted_across_climbs(ledger: Ledger) -> None:
    for number in range(1, 5):
        decision = decide(question(), [rung("a", 1, 190)], Bench({"a": 410}, f" seed {number}"), ledger)
        assert decision.looks == (number,)


def test_no_look_is_spent_where_no_result_could_pass(ledger: Ledger) -> None:
    few = question(test=Sample(20, keys=frozenset(list(TEST)[:20])))
    for number in range(3):
        ledger.reserve(few.test.keys, [f"earlier {number}"])
    decision = decide(few, [rung("a", 1, 190)], Bench({}), ledger)  # 0.8^20 = 0.0115 > 0.05 / 2^4
    assert (decision.recommended, decision.looks, ledger.looks(few.test.keys)) == (None, (), 3)
    assert states(decision) == {"a": "cannot tell"}
    assert "no result on 20 test items" in decision.verdict("a").reason
    with Ledger(":memory:") as fresh:
        assert decide(few, [rung("a", 1, 190)], Bench({"a": LookResult(right(20, 20))}), fresh).recommended == "a"


def test_skipped_rungs_keep_their_reason(ledger: Ledger) -> None:
    candidates = [Skipped("lora", 1, "needs 24 GB of 16 GB"), rung("full", 2, 190)]
    decision = decide(question(), candidates, Bench({"full": 450}), ledger)
    assert states(decision) == {"lora": "skipped", "full": "meets"}
    assert decision.sentence.endswith("Skipped: lora (needs 24 GB of 16 GB).")


# -- errors and guards -------------------------------------------------------------------------------------------------


def test_more_than_one_per_cent_errors_on_validation_earn_no_look(ledger: Ledger) -> None:
    decision = decide(question(), [rung("a", 1, 195, errors=0.015)], Bench({}), ledger)
    assert states(decision) == {"a": "cannot tell"}
    assert decision.verdict("a").reason == "1.5 % of its calls returned nothing (at most 1 % may)"
    decision = decide(question(), [rung("a", 1, 195, errors=0.01)], Bench({"a": 450}), ledger)
    assert decision.recommended == "a"


def test_more_than_one_per_cent_errors_on_test_are_never_recommended(ledger: Ledger) -> None:
    bench = Bench({"a": LookResult(right(480, 500), errors=0.012)})
    decision = decide(question(), [rung("a", 1, 190)], bench, ledger)
    assert (decision.recommended, states(decision)) == (None, {"a": "cannot tell"})
    assert "1.2 % of its calls" in decision.verdict("a").reason


@pytest.mark.parametrize(
    "kept,state", [(300, "meets"), (285, "cannot tell"), (240, "misses"), (None, "meets")], ids=str
)
def test_guards_must_be_shown_to_be_kept(ledger: Ledger, kept: int | None, state: str) -> None:
    """The base has 300 of 400 right; the margin is five points, 20 items."""
    pair = None if kept is None else GuardScores(right(kept, 400), right(300, 400))
    bench = Bench({"a": LookResult(right(470, 500), guards={"general": pair})})
    decision = decide(question(guards=GUARDED), [rung("a", 1, 190)], bench, ledger)
    assert states(decision) == {"a": state}
    assert (decision.recommended == "a") is (state == "meets")
    if state == "misses":
        assert decision.verdict("a").reason == "it breaks the guard general (95 % sure)"


def test_guard_items_seen_more_often_have_the_lower_level(ledger: Ledger) -> None:
    asked = question(guards=GUARDED)
    bench = Bench({"a": LookResult(right(470, 500), guards={"general": SAME})})
    decide(asked, [rung("a", 1, 190)], bench, ledger)
    fresh = replace(asked, test=Sample(500, keys=frozenset(f"fresh {i}" for i in range(500))))
    look = decide(fresh, [rung("a", 1, 190)], bench, ledger).verdict("a").look
    assert look is not None
    assert (look.number, look.level, look.guards[0].level) == (1, 0.025, 0.0125)


def test_guards_that_were_not_asked_for_are_a_defect(ledger: Ledger) -> None:
    bench = Bench({"a": LookResult(right(470, 500), guards={"general": None})})
    with pytest.raises(ValueError, match="were asked for"):
        decide(question(), [rung("a", 1, 190)], bench, ledger)
    wrong = Bench({"a": LookResult(right(470, 500), guards={"general": GuardScores(right(9, 10), right(9, 10))})})
    with pytest.raises(ValueError, match="do not fit"):
        decide(question(guards=GUARDED), [rung("a", 1, 190)], wrong, ledger)


# -- all rungs, one look -----------------------------------------------------------------------------------------------

LADDER = [rung("zero-shot", 1, 172), rung("few-shot", 2, 180), rung("lora", 3, 190), rung("full", 4, 185)]


def test_all_tests_finalists_in_falling_order_and_recommends_the_cheapest_that_passed(ledger: Ledger) -> None:
    bench = Bench({"zero-shot": 415, "few-shot": 440, "lora": 470, "full": 460})
    decision = decide(question(), LADDER, bench, ledger, everything=True)
    assert bench.examined == ["lora", "full", "few-shot", "zero-shot"]
    assert decision.recommended == "few-shot"
    assert decision.looks == (1,)
    assert ledger.looks(TEST) == 1
    assert states(decision) == {"zero-shot": "cannot tell", "few-shot": "meets", "lora": "meets", "full": "meets"}
    levels = {verdict.look.level for verdict in decision.rungs if verdict.look}
    assert levels == {0.025}


def test_all_stops_at_the_first_failure(ledger: Ledger) -> None:
    bench = Bench({"zero-shot": 480, "few-shot": 480, "lora": 470, "full": 400})
    decision = decide(question(), LADDER, bench, ledger, everything=True)
    assert bench.examined == ["lora", "full"]
    assert decision.recommended == "lora"
    assert states(decision)["few-shot"] == states(decision)["zero-shot"] == "not tested"
    assert "testing ended with full" in decision.verdict("few-shot").reason
    assert "The cheaper zero-shot and few-shot were not shown to miss the goal." in decision.sentence


def test_all_breaks_ties_by_cost_and_spends_no_look_without_finalists(ledger: Ledger) -> None:
    bench = Bench({"a": 450, "b": 450})
    decide(question(), [rung("a", 1, 180), rung("b", 2, 180)], bench, ledger, everything=True)
    assert bench.examined == ["a", "b"]
    decision = decide(question(0.99), [rung("a", 1, 180), rung("b", 2, 180)], Bench({}), ledger, everything=True)
    assert (decision.recommended, decision.looks, ledger.looks(TEST)) == (None, (), 1)


def test_rungs_that_are_one_artefact_are_scored_once(ledger: Ledger) -> None:
    class Same(Bench):
        def artefact(self, rung: str) -> str:
            return "one digest"

    bench = Same({"a": 450, "b": 450})
    decision = decide(question(), [rung("a", 1, 180), rung("b", 2, 185)], bench, ledger, everything=True)
    assert bench.examined == ["b"]
    assert decision.recommended == "a"


# -- no goal -----------------------------------------------------------------------------------------------------------


def test_without_a_goal_the_cheapest_within_the_margin_of_the_best_is_recommended(ledger: Ledger) -> None:
    bench = Bench({"zero-shot": 400, "few-shot": 455, "lora": 460})
    decision = decide(question(None), LADDER, bench, ledger)
    assert bench.examined == ["lora", "few-shot", "zero-shot"]
    assert (decision.mode, decision.reference, decision.recommended) == ("reference", "lora", "few-shot")
    assert decision.looks == (1,)
    assert states(decision) == {"zero-shot": "misses", "few-shot": "meets", "lora": "meets", "full": "not tested"}
    look = decision.verdict("few-shot").look
    assert look is not None and look.reference is not None
    assert look.reference.lower == stats.tango_lower(0, 5, 500, 0.025) > -0.05
    assert "costs more than lora" in decision.verdict("full").reason


def test_without_a_goal_the_reference_is_the_last_resort(ledger: Ledger) -> None:
    bench = Bench({"zero-shot": 455, "few-shot": 420, "lora": 460})
    decision = decide(question(None), LADDER, bench, ledger)
    assert bench.examined == ["lora", "few-shot"]
    assert decision.recommended == decision.reference == "lora"
    assert decision.sentence.startswith(
        "Use lora, the best rung on validation; no cheaper one was shown to come within"
    )


def test_a_reference_that_breaks_a_guard_gives_way_at_the_price_of_a_look(ledger: Ledger) -> None:
    bad = GuardScores(right(200, 400), right(300, 400))
    bench = Bench(
        {
            "lora": LookResult(right(470, 500), guards={"general": bad}),
            "full": LookResult(right(465, 500), guards={"general": SAME}),
            "few-shot": LookResult(right(463, 500), guards={"general": SAME}),
            "zero-shot": LookResult(right(380, 500), guards={"general": SAME}),
        }
    )
    decision = decide(question(None, guards=GUARDED), LADDER, bench, ledger)
    assert bench.examined == ["lora", "full", "few-shot", "zero-shot"]
    assert (decision.reference, decision.recommended, decision.looks) == ("full", "few-shot", (1, 2))
    assert states(decision)["lora"] == "misses"


def test_without_a_goal_nothing_is_recommended_if_every_rung_errs(ledger: Ledger) -> None:
    candidates = [rung("a", 1, 180, errors=0.2), rung("b", 2, 190, errors=0.3)]
    decision = decide(question(None), candidates, Bench({}), ledger)
    assert (decision.recommended, decision.reference, decision.looks) == (None, None, ())
    assert decision.sentence.startswith("No rung can be recommended. The best was b: 30.0 % of its calls")


# -- the floor ---------------------------------------------------------------------------------------------------------


def test_without_a_goal_nothing_below_the_floor_is_recommended_or_looked_at(ledger: Ledger) -> None:
    candidates = [rung("zero-shot", 1, 60), rung("lora", 2, 95)]
    decision = decide(question(None), candidates, Bench({}), ledger, floor=right(100, 200))
    assert (decision.recommended, decision.reference, decision.looks, decision.floor) == (None, None, (), 0.5)
    assert states(decision) == {"zero-shot": "misses", "lora": "misses"}
    assert decision.sentence.startswith(
        "No rung can be recommended: none was shown to beat the floor of 50 %, had without a model. The best was lora: "
        "on validation it lies below the floor (95 % sure)."
    )
    assert "Ruled out: zero-shot and lora." in decision.sentence


def test_a_rung_must_stand_out_from_the_floor_by_a_standard_error(ledger: Ledger) -> None:
    floor = Score("accuracy", "binary", 0.5, (np.arange(200) % 2).astype(float)[:, None])
    near, far = rung("near", 1, 105), rung("far", 2, 115)
    reading = decide(question(None), [near], Bench({}), ledger, floor=floor).verdict("near")
    assert reading.state == "cannot tell" and "does not stand out from the floor" in reading.reason
    assert reading.validation is not None and reading.validation.floor_gap == pytest.approx(0.025)
    assert reading.validation.floor_error == pytest.approx(stats.difference_error(near.validation, floor))
    assert decide(question(None), [far], Bench({"far": 300}), ledger, floor=floor).recommended == "far"


def test_a_rung_no_better_than_the_floor_gains_nothing_from_being_near_the_best(ledger: Ledger) -> None:
    """Within the margin of a reference that is itself hardly above the floor."""
    bench = Bench({"zero-shot": 300, "lora": 305})
    decision = decide(question(None), [rung("zero-shot", 1, 118), rung("lora", 2, 124)], bench, ledger)
    assert decision.recommended == "zero-shot"
    decision = decide(
        question(None), [rung("zero-shot", 1, 118), rung("lora", 2, 124)], bench, ledger, floor=right(120, 200)
    )
    assert (decision.recommended, decision.reference) == ("lora", "lora")
    assert states(decision)["zero-shot"] == "cannot tell"


def test_a_goal_that_the_floor_reaches_is_worth_a_word(ledger: Ledger) -> None:
    asked, bench = question(0.5), Bench({"lora": 450})
    word = "The floor, had without a model, reaches this goal on validation (52 %): a higher goal would say more."
    assert decide(asked, [rung("lora", 1, 180)], bench, ledger, floor=right(104, 200)).sentence.endswith(word)
    assert word not in decide(asked, [rung("lora", 1, 180)], bench, ledger, floor=right(90, 200)).sentence


# -- repeats, kills, shown items ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("goal,everything", [(0.8, False), (0.8, True), (None, False)])
def test_a_repeat_is_free_and_gives_the_same_bytes(ledger: Ledger, goal: float | None, everything: bool) -> None:
    results = {"zero-shot": 410, "few-shot": 411, "lora": 470, "full": 465}
    first = decide(question(goal), LADDER, Bench(results), ledger, everything=everything, run="one")
    looks = ledger.looks(TEST)
    silent = Bench({})
    again = decide(question(goal), LADDER, silent, ledger, everything=everything, run="two")
    assert silent.examined == []
    assert ledger.looks(TEST) == looks
    assert json.dumps(again.to_json()) == json.dumps(first.to_json())
    with Ledger(":memory:") as other:
        third = decide(question(goal), LADDER, Bench(results), other, everything=everything)
    assert json.dumps(third.to_json(), sort_keys=True) == json.dumps(first.to_json(), sort_keys=True)


def test_a_kill_while_scoring_keeps_the_look_for_the_same_artefact(ledger: Ledger) -> None:
    class Dying(Bench):
        def examine(self, rung: str) -> LookResult:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decide(question(), [rung("a", 1, 190)], Dying({}), ledger)
    assert ledger.looks(TEST) == 1
    assert decide(question(), [rung("a", 1, 190)], Bench({"a": 450}), ledger).looks == (1,)
    assert decide(question(), [rung("a", 1, 190)], Bench({"a": 450}, " retrained"), ledger).looks == (2,)


def test_all_goes_on_where_it_was_killed(ledger: Ledger) -> None:
    class Dying(Bench):
        def examine(self, rung: str) -> LookResult:
            if rung == "full":
                raise KeyboardInterrupt
            return super().examine(rung)

    results = {"zero-shot": 430, "few-shot": 440, "lora": 470, "full": 460}
    with pytest.raises(KeyboardInterrupt):
        decide(question(), LADDER, Dying(results), ledger, everything=True)
    bench = Bench(results)
    decision = decide(question(), LADDER, bench, ledger, everything=True)
    assert bench.examined == ["full", "few-shot", "zero-shot"]
    assert decision.looks == (1,)


def test_another_goal_is_free_for_one_artefact_and_a_look_for_a_sequence(ledger: Ledger) -> None:
    decide(question(0.85), [rung("a", 1, 190)], Bench({"a": 430}), ledger)
    lowered = decide(question(0.8), [rung("a", 1, 190)], Bench({}), ledger)
    assert (lowered.recommended, lowered.looks) == ("a", (1,))
    results = {"zero-shot": 430, "few-shot": 440, "lora": 470, "full": 460}
    assert decide(question(0.8), LADDER, Bench(results), ledger, everything=True).looks == (2,)
    assert decide(question(0.79), LADDER, Bench(results), ledger, everything=True).looks == (3,)


def test_shown_test_items_end_in_one_clear_line(ledger: Ledger) -> None:
    ledger.retire(list(TEST)[:3], "rung show --split test")
    with pytest.raises(RungError, match="3 of 500 test items were shown"):
        decide(question(), [rung("a", 1, 190)], Bench({"a": 450}), ledger)
    assert ledger.looks(TEST) == 0


def test_results_come_back_bit_for_bit() -> None:
    items = np.random.default_rng(3).random(77)
    result = LookResult(graded(items), 0.003, {"g": GuardScores(graded(items), graded(items[::-1])), "h": None})
    again = LookResult.from_json(json.loads(json.dumps(result.to_json())))
    assert np.array_equal(again.score.statistics, result.score.statistics)
    assert (again.score.metric, again.score.kind, again.score.value) == ("rougeL", "graded", result.score.value)
    pair = again.guards["g"]
    assert pair is not None and np.array_equal(pair.base.items, items[::-1])
    assert (again.errors, again.guards["h"]) == (0.003, None)


def test_decisions_survive_json(ledger: Ledger) -> None:
    bench = Bench(
        {
            name: LookResult(right(r, 500), guards={"general": SAME})
            for name, r in {"zero-shot": 410, "few-shot": 440, "lora": 470, "full": 465}.items()
        }
    )
    candidates = [Skipped("tiny", 0.5, "no window"), *LADDER]
    for goal in (0.8, None):
        decision = decide(question(goal, guards=GUARDED), candidates, bench, ledger)
        assert Decision.from_json(json.loads(json.dumps(decision.to_json()))) == decision


# -- graded, corpus, groups --------------------------------------------------------------------------------------------


def test_graded_scores_are_decided_by_their_own_bound(ledger: Ledger) -> None:
    generator = np.random.default_rng(4)
    asked = Question("rougeL", "graded", 0.30, Sample(200), Sample(300, keys=TEST))
    validated, tested = generator.beta(4, 6, 200), generator.beta(4, 6, 300)
    decision = decide(
        asked, [Candidate("lora", 1, graded(validated))], Bench({"lora": LookResult(graded(tested))}), ledger
    )
    look = decision.verdict("lora").look
    assert look is not None
    assert look.lower == stats.lower(graded(tested), 0.025)
    assert decision.recommended == "lora"
    assert "it scored 0.4" in decision.sentence and "(rougeL)" in decision.sentence


def macro_f1(totals: np.ndarray, count: Any) -> Any:
    return (2 * totals[..., :3] / np.maximum(2 * totals[..., :3] + totals[..., 3:6] + totals[..., 6:], 1)).mean(axis=-1)


def confusion(generator: np.random.Generator, count: int, accuracy: float) -> Score:
    truth = generator.integers(0, 3, count)
    answer = np.where(generator.random(count) < accuracy, truth, (truth + 1) % 3)
    seen = np.eye(3)
    hits = seen[truth] * seen[answer]
    table = np.hstack([hits, seen[answer] - hits, seen[truth] - hits])
    return Score("macro-f1", "corpus", float(macro_f1(table.sum(axis=0), count)), table)


@pytest.mark.parametrize("goal", [0.8, None])
def test_corpus_scores_are_decided_by_the_bootstrap(ledger: Ledger, goal: float | None) -> None:
    generator = np.random.default_rng(5)
    scheme = stats.Scheme(value=macro_f1)
    asked = Question("macro-f1", "corpus", goal, Sample(150, scheme), Sample(300, scheme, TEST), margin=0.1)
    candidates = [Candidate(name, cost, confusion(generator, 150, 0.93)) for cost, name in enumerate("ab")]
    bench = Bench({name: LookResult(confusion(generator, 300, 0.92)) for name in "ab"})
    decision = decide(asked, candidates, bench, ledger)
    assert decision.recommended == "a"
    look = decision.verdict("a").look
    assert look is not None
    assert look.lower == stats.lower(bench.results["a"].score, 0.025, scheme)


def test_few_validation_items_of_a_corpus_score_leave_its_bounds_empty(ledger: Ledger) -> None:
    generator = np.random.default_rng(6)
    scheme = stats.Scheme(value=macro_f1)
    asked = Question("macro-f1", "corpus", 0.9, Sample(40, scheme), Sample(300, scheme, TEST))
    decision = decide(asked, [Candidate("a", 1, confusion(generator, 40, 0.3))], Bench({}), ledger)
    reading = decision.verdict("a").validation
    assert reading is not None
    assert (reading.low, reading.high, reading.upper) == (None, None, None)
    assert states(decision) == {"a": "cannot tell"}


def test_groups_cost_power(ledger: Ledger) -> None:
    """The same answers pass as single items and not as forty customers who agree within themselves."""
    single = decide(question(), [rung("a", 1, 190)], Bench({"a": 430}), ledger)
    groups = stats.Scheme(groups=tuple(f"customer {i * 40 // 500}" for i in range(500)))
    grouped_question = question(test=Sample(500, groups, TEST))
    grouped = decide(grouped_question, [rung("a", 1, 190)], Bench({"a": 430}), ledger)
    assert (single.recommended, grouped.recommended) == ("a", None)
    assert "1,3" in grouped.advice[0] or "test items" in grouped.advice[0]


# -- words -------------------------------------------------------------------------------------------------------------


def test_the_sentence_of_a_recommendation(ledger: Ledger) -> None:
    candidates = [rung("zero-shot", 1, 100), rung("few-shot", 2, 170), rung("lora", 3.2, 176)]
    bench = Bench(
        {
            "few-shot": LookResult(right(413, 500), guards={"general": SAME}),
            "lora": LookResult(right(431, 500), guards={"general": SAME}),
        }
    )
    decision = decide(question(guards=GUARDED), candidates, bench, ledger)
    assert decision.sentence == (
        "Use lora: on 500 unseen messages it was right 86.2 % of the time, and its true score is at least 82.3 % "
        "(98.75 % sure), which reaches the goal of 80 %. It keeps the guard general (at most 1.3 points below the "
        "base; the margin is 5 points). It costs 3.2 EUR for 10,000 answers. The cheaper few-shot was not shown to "
        "miss the goal."
    )


def test_the_sentence_of_no_recommendation(ledger: Ledger) -> None:
    candidates = [rung("zero-shot", 1, 100), rung("few-shot", 2, 155), rung("lora", 3, 176)]
    decision = decide(question(), candidates, Bench({"lora": 413}), ledger)
    assert decision.sentence == (
        "No rung was shown to reach the goal of 80 %. The best on test was lora: on 500 unseen messages it was right "
        "82.6 % of the time; its true score is at least 78.9 % (97.5 % sure), which does not reach the goal. Shown to "
        "miss: zero-shot. Not settled: few-shot and lora."
    )
    assert decision.advice[0] == (
        "few-shot: its estimate of 77.5 % is not above the goal: more examples will probably not help."
    )
    assert decision.advice[1].startswith(
        "lora: showing it at the next look (look 2, 98.75 % sure) with 80 % power takes"
    )
    assert "3,700 if its true score is 82 %; 570 if its true score is 85 %" in decision.advice[1]
    assert "if its estimate of 82.6 % is true (from " in decision.advice[1]
    assert "to no number over its 95 % interval" in decision.advice[1]


def test_the_sentence_without_a_goal(ledger: Ledger) -> None:
    bench = Bench({"zero-shot": 400, "few-shot": 455, "lora": 460})
    sentence = decide(question(None), LADDER, bench, ledger).sentence
    assert sentence.startswith(
        "Use few-shot: on 500 unseen messages it was right 91 % of the time, at most 2.4 points below the best rung, "
        "lora (97.5 % sure; the margin is 5 points)."
    )


def test_printed_bounds_still_hold() -> None:
    written = figures.Figures("binary", 1.0)
    assert (written.at_least(0.80396), written.at_most(0.80301)) == ("80.3 %", "80.4 %")
    assert written.at_least(0.80049, goal=0.8004) == "80.04 %"
    assert written.at_most(0.79996, goal=0.8) == "79.996 %"
    assert written.exactly(0.8) == "80 %" and written.exactly(0.8125) == "81.25 %"
    assert figures.Figures("graded", 1.0).value(0.31449) == "0.314"
    assert figures.Figures("graded", 100.0).value(31.449) == "31.4"
    assert doctest.testmod(figures).failed == 0


def test_the_plan_says_what_the_split_can_show() -> None:
    asked = question(test=Sample(300, keys=TEST), guards={"general": Guard(0.02, Sample(100, keys=GUARD))})
    lines = wording.foresee(asked)
    assert lines == (
        "300 test items can show a true 86.2 % to be above 80 % (look 1, 97.5 % sure, 80 % power)",
        "guard general: 100 items cannot show even a model that answers alike to stay within 2 points; where 10 % of the "
        "answers change it takes 2,100 (look 1, 97.5 % sure, 80 % power)",
    )
    wide = {"general": Guard(0.05, Sample(400, keys=GUARD)), "open": Guard(0.05, Sample(400, keys=GUARD), "graded")}
    told = wording.foresee(question(guards=wide))
    assert told[1].startswith(
        "guard general: 400 items show a model as good as the base to stay within 5 points if at most 12 % of the answers "
        "change; where 10 % of the answers change it takes 350 (look 1"
    )
    assert (
        "guard open: 400 items show a model as good as the base to stay within 0.05 if at most changes scatter by"
        in told[2]
    )
    assert wording.foresee(question(test=Sample(10, keys=TEST)))[0].startswith("10 test items cannot show any score")
    assert wording.foresee(question(None)) == (
        "500 test items can show equally good rungs to lie within 5 points of each other if they disagree on at most "
        "15 % of the items (look 1, 97.5 % sure, 80 % power)",
    )
    assert "cannot show any rung" in wording.foresee(question(None, test=Sample(50, keys=TEST)))[0]
    later = wording.foresee(question(test=Sample(300, keys=TEST)), number=6)[0]
    assert "a true 88.7 % to be above 80 % (look 6, 99.92 % sure" in later


def test_advice_without_a_goal_and_on_guards(ledger: Ledger) -> None:
    bench = Bench({"zero-shot": 400, "few-shot": 438, "lora": 460})
    line = decide(question(None), LADDER, bench, ledger).advice[0]
    assert line.startswith("few-shot: showing that it comes within 5 points of the reference at the next look (look 2")
    pair = GuardScores(right(288, 400), right(300, 400))
    bench = Bench({"a": LookResult(right(470, 500), guards={"general": pair})})
    decision = decide(question(guards=GUARDED), [rung("a", 1, 190)], bench, ledger)
    assert decision.advice[0].startswith("a: showing that it keeps the guard general at the next look")


# -- rung against rung, misuse -----------------------------------------------------------------------------------------


def test_every_pair_is_compared_with_holm_over_all() -> None:
    found = versus([rung("a", 1, 100), rung("b", 2, 150), rung("c", 3, 152)])
    assert [(pair.first, pair.second) for pair in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found[0].difference == -0.25
    assert found[0].adjusted < 0.001 < 0.05 < found[2].adjusted
    assert [pair.adjusted for pair in found] == stats.holm([pair.p for pair in found])
    assert versus([rung("a", 1, 100)]) == ()


def test_candidates_out_of_order_are_a_defect(ledger: Ledger) -> None:
    def run(candidates: Sequence[Candidate]) -> None:
        decide(question(), candidates, Bench({}), ledger)

    with pytest.raises(ValueError, match="less than the one before"):
        run([rung("a", 2, 100), rung("b", 1, 100)])
    with pytest.raises(ValueError, match="two rungs are named a"):
        run([rung("a", 1, 100), rung("a", 2, 100)])
    with pytest.raises(ValueError, match="do not fit the question"):
        run([Candidate("a", 1, right(90, 100))])
    with pytest.raises(ValueError, match="do not fit the question"):
        run([Candidate("a", 1, right(100, 200, metric="f1"))])


@pytest.mark.parametrize(
    "changes,words",
    [
        ({"goal": 1.0}, "neither missed nor shown"),
        ({"goal": 0.0}, "neither missed nor shown"),
        ({"margin": 0.0}, "not above 0"),
        ({"validation": Sample(1)}, "1 validation items show no scatter"),
        ({"test": Sample(0, keys=TEST)}, "no items"),
        ({"kind": "corpus", "test": Sample(99, keys=TEST)}, "100 items or more"),
        ({"test": Sample(90, stats.Scheme(groups=("a",) * 90), TEST)}, "10 groups or more"),
        ({"validation": Sample(9, stats.Scheme(groups=("a",) * 9))}, "one group"),
        ({"guards": {"g": Guard(0.0, Sample(100, keys=GUARD))}}, "guard g"),
        ({"guards": {"g": Guard(0.1, Sample(50, keys=GUARD), "corpus")}}, "guard g"),
    ],
)
def test_questions_that_no_look_could_answer_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RungError, match=words):
        question(**changes)


def test_items_unknown_to_the_ledger_are_a_defect() -> None:
    with pytest.raises(ValueError, match="keys of its items"):
        question(test=Sample(100))
