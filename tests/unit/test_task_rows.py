"""Rows to examples: templates, references, choices, labels, ids, and rows that are set aside."""

from __future__ import annotations

from typing import Any

import pytest

from rung.errors import RungError
from rung.task import Task, find_leaks
from rung.types import Example

Record = dict[str, Any]


def make(records: Any, kind: str = "generate", top: Record | None = None, **data: Any) -> Task:
    columns = {"input": "q", "target": "a", **data}
    return Task.from_mapping({"name": "t", "kind": kind, "data": {"source": records, **columns}, **(top or {})})


def rows(task: Task) -> list[Example]:
    return [*task.train, *task.validation, *task.test]


def asked(n: int) -> Record:
    return {"q": f"question {n} on thing {n * 13}", "a": f"answer {n}"}


def test_a_template_takes_several_columns_and_skips_rows_without_any() -> None:
    records = [{"title": f"T{n}", "body": None if n % 2 else f"body {n}", "a": n} for n in range(10)]
    task = make(
        [*records, {"title": "", "body": None, "a": 1}], input="{title}\n\n{{{body}}}", top={"allow_set_aside": 0.1}
    )
    texts = {row.text for row in rows(task)}
    assert "T4\n\n{body 4}" in texts and "T3\n\n{}" in texts
    assert [row.reason for row in task.set_aside] == ["the input is empty"]


def test_several_columns_are_references_and_a_split_may_lack_some() -> None:
    train = [asked(n) for n in range(8)]
    test = [{"q": f"other {n * 17} about {n}", "a1": "x", "a2": f"y{n}", "a3": "x"} for n in range(3)]
    task = make({"train": train, "test": test}, target=["a", "a1", "a2", "a3"])
    assert task.test[0].target == "x" and len(task.test[0].references) == 1  # the same answer twice counts once
    assert task.train[0].references == ()
    with pytest.raises(RungError, match="there is no column a9"):
        make({"train": train, "test": test}, target=["a", "a1", "a9"])
    listed = make([{"q": f"q{n} of {n * 5}", "a": [f"a{n}", f"b{n}"]} for n in range(6)])
    assert {(row.target, row.references) for row in rows(listed)} == {(f"a{n}", (f"b{n}",)) for n in range(6)}


CHOICES = [[f"cat {n}", f"dog {n}", f"cow {n}"] for n in range(12)]


@pytest.mark.parametrize(
    ("target", "columns"),
    [
        (lambda n: CHOICES[n][n % 3], "options"),
        (lambda n: n % 3, "options"),
        (lambda n: float(n % 3), "options"),
        (lambda n: "ABC"[n % 3], "options"),
        (lambda n: f"({'abc'[n % 3]})", ["o0", "o1", "o2"]),
        (lambda n: "XYZ"[n % 3], "named.choices"),
        (lambda n: "XYZ"[n % 3], "table"),
    ],
)
def test_targets_of_choices_by_text_letter_and_index(target: Any, columns: Any) -> None:
    records = [
        {
            "q": f"which animal is number {n * 31}", "a": target(n), "options": CHOICES[n],
            **{f"o{k}": choice for k, choice in enumerate(CHOICES[n])},
            "named": {"choices": [{"text": text, "label": name} for text, name in zip(CHOICES[n], "XYZ", strict=True)]},
            "table": {"text": CHOICES[n], "label": list("XYZ")},
        }
        for n in range(12)
    ]  # fmt: skip
    task = make(records, "choose", choices=columns)
    for row in rows(task):
        n = int(row.choices[0].split()[1])
        assert row.choices == tuple(CHOICES[n]) and row.target == CHOICES[n][n % 3]
    assert task.prompt(task.test[0]).choices == task.test[0].choices


def test_indices_win_over_choices_that_happen_to_be_numbers() -> None:
    records = [{"q": f"sum number {n * 7}", "a": n % 3, "o": ["5", "1", "2"]} for n in range(9)]
    targets = {row.text: row.target for row in rows(make(records, "choose", choices="o"))}
    assert targets["sum number 0"] == "5"


def test_indices_that_count_from_one_are_refused() -> None:
    records = [{"q": f"sum number {n * 7}", "a": n % 3 + 1, "o": [f"x{n}", f"y{n}", f"z{n}"]} for n in range(9)]
    with pytest.raises(RungError, match="count the choices from 1"):
        make(records, "choose", choices="o")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["x", "x"], "two choices are the same"),
        (["x"], "two choices or more"),
        (["x", ""], "two choices or more"),
        ("x or y", "the choices are not a list"),
        (["y", "z"], "the target is none of the choices"),
    ],
)
def test_rows_with_wrong_choices_are_set_aside(options: Any, reason: str) -> None:
    good = [{"q": f"pick number {n * 11}", "a": "x", "o": ["x", f"y{n}"]} for n in range(12)]
    task = make(
        [*good, {"q": "the odd one", "a": "x", "o": options}], "choose", choices="o", top={"allow_set_aside": 0.1}
    )
    assert len(rows(task)) == 12 and reason in task.set_aside[0].reason
    assert task.set_aside[0].row["q"] == "the odd one" and task.set_aside[0].text.startswith("rows:13: ")


def labelled(count: int, label: Any = None) -> list[Record]:
    return [{"q": f"say {n * 3} for {n} things", "a": label or ("up" if n % 2 else "down")} for n in range(count)]


def test_rows_set_aside_are_kept_counted_and_refused_above_one_per_cent() -> None:
    empty = {"q": "what", "a": " "}
    task = make([*labelled(200), empty], "classify")
    assert task.set_aside_counts == {"the target is empty": 1}
    assert task.set_aside[0].row == empty
    assert "1 of 201 rows cannot be used: 1 × the target is empty (first: rows:201:" in task.warnings[0]
    with pytest.raises(RungError, match=r"3 of 203 rows .*allow it with allow_set_aside: 0\.015"):
        make([*labelled(200), empty, empty, empty], "classify")
    mended = make([*labelled(200), empty, empty, empty], "classify", top={"allow_set_aside": 0.015})
    assert len(mended.set_aside) == 3
    with pytest.raises(RungError, match="3 of 3 rows cannot be used"):
        make([empty, empty, empty], "classify", top={"allow_set_aside": 1})


def test_labels_that_the_task_does_not_know_are_set_aside_by_name() -> None:
    records = [*labelled(50), {"q": "odd", "a": "upp"}]
    with pytest.raises(RungError, match="no label of the task: upp; did you mean up"):
        make(records, "classify", top={"labels": ["up", "down"]})
    task = make(records, "classify", top={"labels": ["up", "down", "side"], "allow_set_aside": 0.02})
    assert task.labels == ("up", "down", "side")  # the file's order
    assert "no row has the label side" in task.warnings[-1]
    assert task.prompt(task.train[0]).choices == ("up", "down", "side")


@pytest.mark.parametrize(
    ("records", "kind", "told"),
    [
        ([asked(1)], "generate", "holds 1 row; train, validation and test need one each"),
        (labelled(30, "up"), "classify", "all 30 targets are up; check the column"),
        ([{**asked(n), "a": "same"} for n in range(9)], "generate", "all 9 targets are same"),
        ([asked(n) for n in range(60)], "classify", "60 labels in 60 rows are no classes; use kind: generate"),
    ],
)
def test_data_that_teach_nothing_are_refused(records: list[Record], kind: str, told: str) -> None:
    with pytest.raises(RungError, match=told):
        make(records, kind)


def test_a_label_seen_once_stays_in_train() -> None:
    for seed in range(5):
        task = make(
            [*labelled(60), {"q": "a lone row", "a": "side"}],
            "classify",
            split={"seed": seed, "test": 0.7, "validation": 0.2},
        )
        assert "side" in {row.target for row in task.train}
        assert "seen once, so only in train: side" in task.warnings


def test_half_characters_are_set_aside_and_torn_labels_told() -> None:
    records = [*labelled(60), {"q": "bad \ud800", "a": "up"}, {"q": "say 0 for 0 things", "a": "up"}]
    task = make(records, "classify", top={"allow_set_aside": 0.1})
    assert [row.reason for row in task.set_aside] == ["the text holds half a character (a lone surrogate)"]
    assert "1 inputs are there under different labels, for example: say 0 for 0 things" in task.warnings


def test_ids_come_from_a_column_or_from_the_content() -> None:
    records = [{**asked(n), "key": n} for n in range(10)]
    assert {row.id for row in rows(make(records, id="key"))} == {str(n) for n in range(10)}
    with pytest.raises(RungError, match="the id 3 is there twice, in rows:4 and rows:11"):
        make([*records, {**asked(11), "key": 3}], id="key")
    copies = [asked(1), asked(2), asked(3), asked(1)]
    ids = {row.id for row in rows(make([*copies, *(asked(n) for n in range(4, 9))]))}
    assert len(ids) == 9 and any(name.endswith("-2") for name in ids)


def test_groups_are_kept_in_meta() -> None:
    records = [{**asked(n), "who": n % 5 or None} for n in range(30)]
    groups = {row.text: row.meta["group"] for row in rows(make(records, group="who"))}
    assert groups["question 7 on thing 91"] == "2"
    assert groups["question 5 on thing 65"] == "rows:6"  # no group: one of its own


def test_numbers_and_truth_values_are_labels_as_json_writes_them() -> None:
    records = [{"q": f"is {n} above {n * 3}", "a": bool(n % 2)} for n in range(30)]
    assert make(records, "classify").labels == ("false", "true")


def test_a_task_without_test_hides_it() -> None:
    task = make([asked(n) for n in range(30)])
    hidden = task.without_test()
    assert hidden.train == task.train and hidden.digest == task.digest and hidden.split_digests == task.split_digests
    for reach in (lambda: hidden.test, lambda: hidden.split("test"), lambda: find_leaks(hidden)):
        with pytest.raises(RungError, match="the test split is out of reach here"):
            reach()
    assert hidden.splits.test is None and "hidden" in repr(hidden)
    with pytest.raises(RungError, match="unknown split tset; did you mean test"):
        task.split("tset")


def test_the_notebook_view_escapes_and_the_repr_is_short() -> None:
    task = make([*labelled(39), {"q": "odd", "a": "<b>"}], "classify")
    assert "&lt;b&gt;" in task._repr_html_() and "<b>" not in task._repr_html_()
    assert repr(task) == "Task('t', classify, 28 / 6 / 6 rows, accuracy)"


def test_new_tokens_are_as_many_as_the_longest_answers_need() -> None:
    long = [{"q": f"tell {n} on {n * 9}", "a": f"{n} " + "word " * 100} for n in range(20)]
    assert make(long).sampling.max_new_tokens >= 170
    assert make([asked(n) for n in range(20)]).sampling.max_new_tokens == 32
    assert make(long, top={"max_new_tokens": 7}).sampling.max_new_tokens == 7
