"""Metrics on small cases that can be worked out by hand."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from rung.errors import RungError
from rung.metrics import METRICS, field_scores, rouge_f1, score
from rung.metrics.calibration import calibration_error, reliability
from rung.metrics.confusion import OTHER, confusion
from rung.metrics.porter import stem
from rung.metrics.subsequence import common_subsequence
from rung.metrics.surprise import pass_at_k, perplexity
from rung.types import Example, Message


def example(*answers: str, choices: tuple[str, ...] = ()) -> Example:
    prompt = (Message("user", "?"),)
    return Example("7", prompt, answers[0] if answers else None, tuple(answers[1:]), choices)


def value(metric: str, answer: str, *right: str) -> float:
    return score(metric, [answer], [example(*right)]).value


# -- the table ---------------------------------------------------------------------------------------------------------


TAGGED = ("entity_f1", "entity_precision", "entity_recall", "entity_macro_f1", "word_accuracy")
ANSWERS = [name for name in METRICS if name not in ("mcc", "auroc", "average_precision", *TAGGED)]
"""Metrics of single answers or of sums over them. The others need rows of several labels, or marks in the row's text."""


@pytest.mark.parametrize("name", ANSWERS)
def test_every_metric_runs_from_worst_to_best(name: str) -> None:
    right = '{"a": "the cat sat on the mat", "b": 2}' if name == "field_f1" else "the cat sat on the mat"
    examples = [example(right)] * 3
    assert METRICS[name].name == name
    assert score(name, [right] * 3, examples).value == pytest.approx(METRICS[name].best)
    assert score(name, ["zq"] * 3, examples).value == METRICS[name].worst


@pytest.mark.parametrize("name", [name for name in METRICS if name not in ("auroc", "average_precision")])
def test_the_value_is_a_function_of_column_sums_over_any_leading_axes(name: str) -> None:
    rights = ['{"a": 1, "b": "x y z u v"}', '{"a": 2, "c": [1, 2]}', '{"a": 3}']
    answers = ['{"a": 1, "b": "x y z u w"}', '{"a": 1, "c": [2]}', '{"a": 3}']
    metric, examples = METRICS[name], [example(right) for right in rights]
    table = metric.statistics(answers, examples)
    weights = np.random.default_rng(1).multinomial(3, [1 / 3] * 3, size=(4, 5))
    together = metric.value(weights @ table, 3)
    assert together.shape == (4, 5)
    for place in np.ndindex(4, 5):
        rows = np.repeat(np.arange(3), weights[place])
        alone = score(name, [answers[row] for row in rows], [examples[row] for row in rows]).value
        assert together[place] == pytest.approx(alone, abs=1e-12)


@pytest.mark.parametrize("name", ANSWERS)
def test_rows_that_errored_get_the_worst_even_where_the_empty_answer_is_right(name: str) -> None:
    right = "{}" if name == "field_f1" else "" if name in ("exact_match", "accuracy") else "a b c d e"
    examples = [example(right), example(right)]
    whole = score(name, [right, right], examples).value
    broken = score(name, [right, right], examples, errors=[False, True])
    assert whole == pytest.approx(1.0)
    assert broken.value < 1.0
    if broken.kind != "corpus":
        assert broken.items.tolist() == [1.0, 0.0]
    assert score(name, [right, right], examples, errors=[True, True]).value == METRICS[name].worst


def test_bad_input_is_told_in_one_line() -> None:
    with pytest.raises(RungError, match="did you mean rougeL"):
        score("rogueL", ["a"], [example("a")])
    with pytest.raises(RungError, match="row 7: there is no right answer"):
        score("rougeL", ["a"], [example()])
    with pytest.raises(RungError, match="no rows to score"):
        score("rougeL", [], [])
    with pytest.raises(ValueError, match="2 answers to 1 examples"):
        score("rougeL", ["a", "b"], [example("a")])
    with pytest.raises(ValueError, match="1 errors for 2 answers"):
        score("rougeL", ["a", "b"], [example("a")] * 2, errors=[True])


def test_importing_the_room_loads_nothing_heavy() -> None:
    heavy = "'torch', 'transformers', 'scipy', 'sklearn', 'datasets', 'sacrebleu'"
    code = f"import rung.metrics, sys; print([m for m in ({heavy}) if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


# -- right or wrong ----------------------------------------------------------------------------------------------------


def test_exact_match_forgives_whitespace_and_nothing_else() -> None:
    assert value("exact_match", " two \n words ", "two words") == 1
    assert value("exact_match", "Two words", "two words") == 0
    assert value("exact_match", "two words.", "two words") == 0
    assert value("exact_match", "second", "first", "second") == 1


def test_accuracy_forgives_nothing() -> None:
    assert value("accuracy", "refund", "refund") == 1
    assert value("accuracy", " refund", "refund") == 0
    assert value("accuracy", "Refund", "refund") == 0


def test_squad_rules_forgive_case_articles_and_punctuation() -> None:
    assert value("squad_match", "The  cat!", "a Cat") == 1
    assert value("squad_match", "cats", "cat") == 0
    # said {big, cat, sat}, right {cat, sat, down}: 2 · 2 / 6
    assert value("token_f1", "the big cat sat", "A cat sat, down.") == pytest.approx(2 / 3)
    assert value("token_f1", "no idea", "four", "an idea") == pytest.approx(2 / 3)
    assert (value("token_f1", "the", "a"), value("token_f1", "the", "cat")) == (1, 0)


# -- ranking, calibration, likelihoods ---------------------------------------------------------------------------------

PAIR = [example("no", choices=("no", "yes")), example("yes", choices=("no", "yes"))]


def logs(*yes: float) -> list[dict[str, float]]:
    """Log-likelihoods, of an unnormalised kind, of two labels."""
    return [{"no": 7 + float(np.log(1 - p)), "yes": 7 + float(np.log(p))} for p in yes]


@pytest.mark.parametrize("name", ["auroc", "average_precision"])
def test_ranking_by_hand(name: str) -> None:
    rows = [PAIR[0], PAIR[1], PAIR[0], PAIR[1]]
    found = score(name, ["no"] * 4, rows, scores=logs(0.1, 0.4, 0.35, 0.8)).value
    assert found == pytest.approx(1.0)
    # By falling probability: yes, no, yes, no. Three of four pairs are in order; precision 1 at the first, 2/3 at the third.
    found = score(name, ["no"] * 4, rows, scores=logs(0.1, 0.35, 0.4, 0.8)).value
    assert found == pytest.approx(0.75 if name == "auroc" else (1 + 2 / 3) / 2)


@pytest.mark.parametrize("name", ["auroc", "average_precision"])
def test_ranking_without_likelihoods_takes_the_answer_and_puts_errors_last(name: str) -> None:
    rows = PAIR * 3
    assert score(name, ["no", "yes"] * 3, rows).value == 1.0
    broken = score(name, ["no", "yes"] * 3, rows, errors=[False] * 5 + [True]).value
    unsure = score(name, ["no", "yes"] * 3, rows, scores=[None] * 5 + logs(0.1)).value
    assert broken < unsure == 1.0
    with pytest.raises(RungError, match="nothing to rank"):
        score(name, ["no", "no"], [PAIR[0], PAIR[0]])


def test_mcc_by_hand() -> None:
    rows = [PAIR[0], PAIR[1]] * 4
    assert score("mcc", ["no", "yes"] * 4, rows).value == 1.0
    assert score("mcc", ["yes", "no"] * 4, rows).value == -1.0
    assert score("mcc", ["no"] * 8, rows).value == 0.0


def test_errors_do_not_flatter_precision() -> None:
    rows, said = PAIR * 2, ["no", "yes", "no", "no"]
    for name in ("micro_precision", "macro_precision"):
        honest = score(name, said, rows).value
        assert score(name, said, rows, errors=[False, False, False, True]).value <= honest < 1.0


def test_the_reliability_curve_by_hand() -> None:
    sure, right = [0.1, 0.2, 0.9, 0.9], [False, True, True, False]
    halves = reliability(sure, right, bins=2)
    assert [(one.count, one.accuracy) for one in halves] == [(2, 0.5), (2, 0.5)]
    assert calibration_error(halves) == pytest.approx(0.5 * abs(0.5 - 0.15) + 0.5 * abs(0.5 - 0.9))
    widths = reliability(sure, right, bins=10, by="width")
    assert [one.count for one in widths] == [1, 1, 2]  # an edge belongs to the bin below it
    assert calibration_error(widths) == pytest.approx((0.1 + 0.8 + 2 * 0.4) / 4)
    assert calibration_error(reliability([], [])) == 0.0
    with pytest.raises(ValueError, match="probability"):
        reliability([1.2], [True])
    with pytest.raises(ValueError, match="2 confidences for 1"):
        reliability([0.2, 0.3], [True])


def test_perplexities_by_hand() -> None:
    found = perplexity([-4.0, -6.0], [3, 2], ["two words", "é"])
    assert found.token == pytest.approx(np.exp(10 / 5))
    assert found.word == pytest.approx(np.exp(10 / 3))
    assert found.byte == pytest.approx(np.exp(10 / 11))
    assert found.bits_per_byte == pytest.approx(10 / 11 / np.log(2))
    assert perplexity([-1e6], [1], ["a"]).token == np.inf
    with pytest.raises(ValueError, match="no perplexity"):
        perplexity([0.0], [0], ["a"])


def test_pass_at_k_is_the_share_of_draws_with_a_pass() -> None:
    from itertools import combinations

    for samples, passed, k in ((5, 2, 1), (5, 2, 3), (6, 0, 2), (6, 5, 2), (4, 4, 4)):
        draws = list(combinations([True] * passed + [False] * (samples - passed), k))
        assert pass_at_k(samples, passed, k) == pytest.approx(sum(map(any, draws)) / len(draws))
    with pytest.raises(ValueError, match="pass@3"):
        pass_at_k(2, 1, 3)


# -- macro-F1 and the confusion matrix ---------------------------------------------------------------------------------


def test_macro_f1_by_hand() -> None:
    targets = ["a", "a", "a", "b", "c"]
    answers = ["a", "a", "b", "b", "nonsense"]
    # a: 2·2/(4+0+1) = 0.8; b: 2·1/(2+1+0) = 2/3; c: 0
    found = score("macro_f1", answers, [example(target) for target in targets])
    assert found.value == pytest.approx((0.8 + 2 / 3 + 0) / 3)
    assert found.statistics.shape == (5, 12)


def test_macro_f1_columns_do_not_depend_on_the_answers() -> None:
    examples = [example("a"), example("b")]
    one = score("macro_f1", ["a", "b"], examples, labels=["a", "b", "c"])
    other = score("macro_f1", ["c", "zzz"], examples, labels=["a", "b", "c"])
    assert one.statistics.shape == other.statistics.shape == (2, 12)
    assert one.value == 1.0  # c, neither asked nor answered, has no F1
    assert other.value == 0.0


def test_macro_f1_counts_a_wrongly_answered_label_that_is_no_target() -> None:
    examples = [example("a"), example("b"), example("b")]
    assert score("macro_f1", ["a", "b", "c"], examples, labels=["a", "b", "c"]).value == pytest.approx((1 + 2 / 3) / 3)


def test_confusion_keeps_the_order_of_the_labels_and_tells_unknown_answers_apart() -> None:
    examples = [example(target) for target in ["b", "b", "a", "a", "a"]]
    matrix = confusion(["b", "a", "b", "b", None], examples, labels=["b", "a"])
    assert matrix.labels == ("b", "a")
    assert matrix.counts.tolist() == [[1, 1, 0], [2, 0, 1]]
    assert matrix.most_confused() == (("a", "b", 2), ("b", "a", 1), ("a", OTHER, 1))
    first, second = matrix.classes
    assert (first.support, first.answered, first.right) == (2, 3, 1)
    assert (first.precision, first.recall, first.f1) == pytest.approx((1 / 3, 1 / 2, 0.4))
    assert (second.precision, second.recall, second.f1) == (0, 0, 0)


# -- fields ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "right", "expected"),
    [
        ('{"a": 1, "b": "x"}', '{"b": "x", "a": 1.0}', 1.0),
        ('{"a": 1}', '{"a": 1, "b": "x"}', 2 / 3),
        ('{"a": 1, "b": "y"}', '{"a": 1, "b": "x"}', 1 / 2),
        ('{"a": 1, "b": "x", "c": 9}', '{"a": 1, "b": "x"}', 4 / 5),
        ('{"a": "1"}', '{"a": 1}', 0.0),
        ('{"a": true}', '{"a": 1}', 0.0),
        ('{"a": 1}', '{"a": true}', 0.0),
        ('{"a": "  New\\n York "}', '{"a": "New York"}', 1.0),
        ('{"a": "new york"}', '{"a": "New York"}', 0.0),
        ('{"a": null, "b": 1}', '{"b": 1}', 1.0),
        ('{"a": "", "b": 1, "c": [], "d": {"e": null}}', '{"b": 1}', 1.0),
        ('{"a": 0}', '{"a": false}', 0.0),
        ("{}", '{"a": null}', 1.0),
        ('{"a": 5}', "{}", 0.0),
        ('{"a": [2, 1]}', '{"a": [1, 2]}', 1.0),
        ('{"a": [1, 1]}', '{"a": [1, 2]}', 1 / 2),
        ('{"a": [1]}', '{"a": [1, 2, 3]}', 1 / 2),
        ('{"a": {"x": 1, "y": 2}}', '{"a": {"x": 1, "y": 3}}', 1 / 2),
        ('{"a": [{"x": 1}]}', '{"a": [{"x": 1.0}]}', 1.0),
        ('{"a": 0.1}', '{"a": 0.10000000000000001}', 1.0),
        ('{"a": 1' + "0" * 400 + "}", '{"a": 1}', 0.0),
        ("[1]", '{"a": 1}', 0.0),
        ("the answer is 4", '{"a": 1}', 0.0),
        ('{"a": NaN}', '{"a": 1}', 0.0),
        ("[" * 100_000, '{"a": 1}', 0.0),
        ('```json\n{"a": 1}\n```', '{"a": 1}', 0.0),
    ],
)
def test_field_f1(said: str, right: str, expected: float) -> None:
    assert value("field_f1", said, right) == pytest.approx(expected)


def test_field_f1_takes_the_closest_right_answer_and_refuses_a_target_that_is_no_object() -> None:
    assert value("field_f1", '{"a": 2}', '{"a": 1}', '{"a": 2}') == 1.0
    with pytest.raises(RungError, match="row 7: the target hello is no JSON object"):
        value("field_f1", '{"a": 2}', "hello")


def test_field_scores_break_the_score_down_by_field() -> None:
    rights = [{"name": "Ann", "age": 3}, {"name": "Bo", "age": 4}]
    said = [{"name": "Ann", "age": 9}, {"name": "Bo", "extra": 1}]
    found = field_scores([json.dumps(one) for one in said], [example(json.dumps(one)) for one in rights])
    assert [(field.name, field.expected, field.answered, field.credit) for field in found] == [
        ("name", 2, 2, 2.0),
        ("age", 2, 1, 0.0),
        ("extra", 0, 1, 0.0),
    ]
    assert found[0].f1 == 1.0
    assert found[1].f1 == 0.0


# -- ROUGE -------------------------------------------------------------------------------------------------------------


def table_subsequence(first: list[int], second: list[int]) -> int:
    """The textbook table, as the check of the bit-parallel one."""
    rows = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            rows[i + 1][j + 1] = rows[i][j] + 1 if a == b else max(rows[i][j + 1], rows[i + 1][j])
    return rows[-1][-1]


def test_common_subsequence_equals_the_textbook_table() -> None:
    generator = np.random.default_rng(3)
    for _ in range(300):
        first, second = ([*map(str, generator.integers(0, 6, generator.integers(0, 90)))] for _ in range(2))
        assert common_subsequence(first, second) == table_subsequence(first, second)


def test_rouge_takes_the_best_reference_and_is_nothing_without_words() -> None:
    assert rouge_f1("a b c", ["x y", "a b d"], "1") == pytest.approx(2 / 3)
    assert rouge_f1("", ["a b"], "L") == 0.0
    assert rouge_f1("?!", ["..."], "L") == 0.0
    assert rouge_f1("one", ["one"], "2") == 0.0


def test_rouge_stems_only_where_asked() -> None:
    assert rouge_f1("running jumps", ["runs jumping"], "1") == 0.0
    assert rouge_f1("running jumps", ["runs jumping"], "1", stemmed=True) == 1.0


@pytest.mark.parametrize(
    ("word", "stemmed"),
    [  # examples of Porter's paper, and NLTK's departures from it
        ("caresses", "caress"), ("ponies", "poni"), ("ties", "tie"), ("feed", "feed"), ("agreed", "agre"),
        ("plastered", "plaster"), ("motoring", "motor"), ("sing", "sing"), ("conflated", "conflat"), ("sized", "size"),
        ("hopping", "hop"), ("falling", "fall"), ("filing", "file"), ("happy", "happi"), ("enjoy", "enjoy"),
        ("relational", "relat"), ("conditional", "condit"), ("vietnamization", "vietnam"), ("sensibiliti", "sensibl"),
        ("triplicate", "triplic"), ("goodness", "good"), ("adoption", "adopt"), ("controll", "control"), ("skies", "sky"),
        ("dying", "die"), ("geologi", "geolog"), ("radically", "radic"), ("by", "by"), ("1990s", "1990"),
    ],
)  # fmt: skip
def test_porter_stems(word: str, stemmed: str) -> None:
    assert stem(word) == stemmed
