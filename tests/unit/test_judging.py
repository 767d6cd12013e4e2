"""A judge: verdicts count where both orders agree, what cannot be read is an error, agreement with people is right."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from rung.errors import RungError
from rung.evaluate.judging import Rubric, Template, agreement, duel, grade, read_labels
from rung.evaluate.judging.duel import DUEL
from rung.evaluate.judging.rubric import RUBRIC
from rung.evaluate.judging.verdict import read_verdict
from rung.metrics.raters import cohen_kappa, raw_agreement, spearman
from rung.types import Completion, Example, Message, Prompt

ROWS = [Example(f"r{n}", (Message("user", f"question {n}"),), f"right {n}") for n in range(40)]


@dataclass
class Judge:
    """Says what a function makes of its prompt; remembers the prompts."""

    rule: Callable[[str], str]
    asked: list[Prompt] = field(default_factory=list)

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        self.asked += prompts
        return [Completion(self.rule(prompt.text)) for prompt in prompts]


def parts(text: str) -> tuple[str, str]:
    found = re.search(r"Answer A:\n(.*)\n\nAnswer B:\n(.*)\n\nWhich", text, re.DOTALL)
    assert found is not None
    return found[1], found[2]


def longer(text: str) -> str:
    one, two = parts(text)
    return "tie" if len(one) == len(two) else "AB"[len(two) > len(one)]


def said(*texts: str) -> list[Completion]:
    return [Completion(text) for text in texts]


def test_a_verdict_counts_where_both_orders_agree() -> None:
    judge = Judge(longer)
    ours, theirs = said("long answer", "x", "same", "ab"), said("short", "longer one", "same", "cd")
    found = duel(judge, ROWS[:4], {"ours": ours, "theirs": theirs})
    assert [one.outcome for one in found.verdicts] == ["first", "second", "tie", "tie"]
    assert len(judge.asked) == 6  # the equal answers were not asked about
    assert found.score.value == 0.5 and found.p == 1.0
    assert "question 0" in judge.asked[0].text and "right 0" in judge.asked[0].text
    assert judge.asked[0].choices == ("A", "B", "tie")


def test_a_judge_of_positions_says_nothing_but_ties() -> None:
    found = duel(Judge(lambda _: "A"), ROWS, {"ours": said(*"a" * 40), "theirs": said(*"b" * 40)})
    assert found.counts == {"tie": 40} and found.interval is not None and found.interval[0] < 0.5 < found.interval[1]


def test_what_cannot_be_read_is_an_error_and_no_defeat() -> None:
    ours = said(*(f"answer {n}" for n in range(40)))
    rule = lambda text: "who knows" if "question 7\n" in text else longer(text)  # noqa: E731
    found = duel(Judge(rule), ROWS, {"ours": ours, "theirs": said(*["-"] * 40)})
    assert (found.errors, found.counts["first"], found.score.value, len(found.score)) == (1, 39, 1.0, 39)
    assert found.verdicts[7].outcome == "error" and found.verdicts[7].error == "no verdict in 'who knows'"
    assert found.interval is not None and found.p < 1e-6
    told = found.to_json()
    assert (told["wins"], told["errors"], told["win_rate"]) == (39, 1, 1.0)


def test_a_judge_that_answers_nonsense_is_one_line() -> None:
    with pytest.raises(RungError) as caught:
        duel(Judge(lambda _: "blue"), ROWS[:2], {"ours": said("a", "b"), "theirs": said("c", "d")})
    assert str(caught.value) == (
        "--judge: none of its 2 judgements could be read (no verdict in 'blue'); take a judge that answers with one of: "
        "A, B, tie"
    )
    with pytest.raises(RungError, match="none of its 2 judgements could be read"):
        grade(Judge(lambda _: "blue"), ROWS[:2], said("a", "b"))


def test_a_side_without_an_answer_loses_unasked() -> None:
    lost = Completion("", error="no line")
    judge = Judge(longer)
    found = duel(judge, ROWS[:3], {"ours": [lost, *said("x"), lost], "theirs": [*said("y"), lost, lost]})
    assert [one.outcome for one in found.verdicts] == ["second", "first", "tie"] and judge.asked == []


def test_braces_in_answers_are_no_places() -> None:
    judge = Judge(longer)
    duel(judge, ROWS[:1], {"ours": said("{second} {prompt}"), "theirs": said("x")})
    assert parts(judge.asked[0].text) == ("{second} {prompt}", "x")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{frist} {second}", "there is nothing to put at {frist}; did you mean first?"),
        ("only {first}", "it has no place {second}; write {second} where it goes"),
    ],
)
def test_templates_that_cannot_work(text: str, line: str) -> None:
    with pytest.raises(RungError, match=re.escape(line)):
        duel(Judge(longer), ROWS[:1], {"a": said("x"), "b": said("y")}, template=Template(text))


# -- the rubric --------------------------------------------------------------------------------------------------------


def test_grades_and_their_errors() -> None:
    def rule(text: str) -> str:
        number = int(re.search(r"question (\d+)", text)[1])  # type: ignore[index]
        return ("Grade: 5", "4/5", "**3**", "no idea", "2 of them")[number % 5]

    answers = [*said(*["an answer"] * 39), Completion("", error="lost")]
    judge = Judge(rule)
    found = grade(judge, ROWS, answers)
    assert [one.grade for one in found.rows[:5]] == [5, None, 3, None, None]  # a bare 4/5 is no grade of the scale
    assert found.rows[39].grade == 1 and len(judge.asked) == 39  # no answer: the lowest grade, and nobody was asked
    assert found.errors == 23 and len(found.score) == 17 and (found.score.worst, found.score.best) == (1.0, 5.0)
    assert found.score.value == pytest.approx((8 * 5 + 8 * 3 + 1) / 17)
    assert judge.asked[0].choices == ("1", "2", "3", "4", "5") and "from 1 to 5" in judge.asked[0].text


def test_a_rubric_of_ones_own() -> None:
    rubric = Rubric.of(Template("{answer}: {scale 0-10}. End in `Grade: N`.", reasoned=True))
    judge = Judge(lambda _: "It misses a step, so not Grade: 10.\nGrade: 7")
    found = grade(judge, ROWS[:2], said("a", "b"), rubric=rubric)
    assert [one.grade for one in found.rows] == [7, 7] and judge.asked[0].choices == ()
    assert judge.asked[0].text == "a: 0 to 10. End in `Grade: N`."


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Grade {answer}", "it names no scale; write {scale 1-5} once"),
        ("{answer} {scale 5-1}", "5-1 is no scale"),
        ("{scale 1-5}", "it has no place {answer}"),
        ("{scale 1-5} {answer} {question}", "there is nothing to put at {question}"),
    ],
)
def test_rubrics_that_cannot_work(text: str, line: str) -> None:
    with pytest.raises(RungError, match=re.escape(line)):
        Rubric.of(Template(text))


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("A", "A"), (" b. ", "B"), ("Verdict: A", "A"), ("My verdict is **tie**", "tie"), ("[[B]]", "B"),
        ("Answer A is short. Answer B is right.\nVerdict: B", "B"), ("A and B are alike", None), ("", None),
        ("Verdict: Apples", None), ("Answer A is wrong.", None), ("The verdict is a tie", None), ("Verdict: A tie", None),
        ("Verdict: A - it is right", "A"), ("VERDICT: TIE", "tie"), ("Verdict: 4.5", None), ("grade=A", "A"),
    ],
)  # fmt: skip
def test_reading_a_verdict(said: str, verdict: str | None) -> None:
    assert read_verdict(said, ("A", "B", "tie")) == verdict


def test_half_a_grade_is_none() -> None:
    assert [read_verdict(text, ("3", "4", "5")) for text in ("Grade: 4.5", "4.5", "Grade: 4.", "Grade: 3-4")] == [
        None,
        None,
        "4",
        None,
    ]


def test_rungs_own_prompts_are_whole() -> None:
    DUEL.check(("prompt", "reference", "first", "second"), ("first", "second"))
    assert Rubric.of(Template(RUBRIC)).grades == ("1", "2", "3", "4", "5")


# -- people ------------------------------------------------------------------------------------------------------------


def test_kappa_is_that_of_scikit_learn_and_spearman_that_of_scipy() -> None:
    from scipy.stats import spearmanr

    chance = np.random.default_rng(5)
    for _ in range(20):
        one = chance.integers(1, 5, 60)
        two = np.where(chance.random(60) < 0.6, one, chance.integers(1, 5, 60))
        words = [list(map(str, side)) for side in (one, two)]
        assert cohen_kappa(*words) == pytest.approx(cohen_kappa_score(one, two))
        assert raw_agreement(*words) == pytest.approx(float((one == two).mean()))
        assert spearman(list(one), list(two)) == pytest.approx(spearmanr(one, two).statistic)
    assert cohen_kappa(["a", "a"], ["a", "a"]) is None and spearman([1, 1], [1, 2]) is None


def test_agreement_is_over_the_rows_that_both_judged(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("id,label\nr0,first\nr1,theirs\nr9,tie\n")
    labels = read_labels(tmp_path / "people.csv")
    found = duel(Judge(longer), ROWS[:2], {"ours": said("long", "b"), "theirs": said("c", "d long")}, labels=labels)
    assert found.agreement is not None and (found.agreement.count, found.agreement.raw, found.agreement.kappa) == (
        2,
        1.0,
        1.0,
    )
    with pytest.raises(RungError, match="no labelled row was judged"):
        agreement({"r1": "tie"}, {"r2": "tie"})
    graded = grade(
        Judge(lambda text: "45"["question 1" in text]), ROWS[:2], said("a", "b"), labels={"r0": "4", "r1": "5"}
    )
    assert graded.agreement is not None and graded.agreement.spearman == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("content", "line"),
    [("id,label\nr0,\n", "there is no label"), ("row,label\nr0,a\n", "there is no id"), ("id,label\na,1\na,2\n", "row a is labelled twice")],
)  # fmt: skip
def test_labels_that_cannot_be_read(tmp_path: Path, content: str, line: str) -> None:
    (tmp_path / "people.csv").write_text(content)
    with pytest.raises(RungError, match=line):
        read_labels(tmp_path / "people.csv")


def test_labels_that_are_no_outcome_or_grade() -> None:
    sides = {"ours": said("long"), "theirs": said("x")}
    with pytest.raises(RungError, match="'better' is no outcome; write ours, theirs or tie"):
        duel(Judge(longer), ROWS[:1], sides, labels={"r0": "better"})
    with pytest.raises(RungError, match="'6' is no grade; write a whole grade from 1 to 5"):
        grade(Judge(lambda _: "4"), ROWS[:1], said("x"), labels={"r0": "6"})
