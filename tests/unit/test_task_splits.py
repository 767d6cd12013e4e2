"""Splits: sizes, strata, groups, determinism by content, folds, and what given splits lack."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from rung.errors import RungError
from rung.task import Task, find_leaks
from rung.task.splits import divide, join_units, make_units

NAMES = ("train", "validation", "test")
WORDS = [f"{a}{b}" for a in ("ka", "mo", "ti", "ru", "se", "lo") for b in ("ben", "dar", "fil", "gon", "hux", "jam")]


def record(n: int, label: str = "") -> dict[str, Any]:
    chosen = random.Random(n).sample(WORDS, 12)
    return {"q": " ".join(chosen), "a": label or ("hot" if n % 3 else "cold"), "who": f"user {n % 20}", "topic": n % 2}


def make(records: Any, kind: str = "classify", **data: Any) -> Task:
    return Task.from_mapping(
        {"name": "t", "kind": kind, "data": {"source": records, "input": "q", "target": "a", **data}}
    )


def sizes(task: Task) -> list[int]:
    return [len(task.split(name)) for name in NAMES]


ROWS = [record(n) for n in range(200)]


@pytest.mark.parametrize(
    ("split", "wanted"),
    [
        ({}, [140, 30, 30]),
        ({"train": 0.5, "validation": 0.25, "test": 0.25}, [100, 50, 50]),
        ({"validation": 20, "test": 40}, [140, 20, 40]),
        ({"train": 50, "validation": 20, "test": 40}, [50, 20, 40]),
        ({"test": 0.5}, [70, 30, 100]),
        ({"train": 0.1, "validation": 0.1, "test": 0.1}, [20, 20, 20]),
        ({"stratify": False}, [140, 30, 30]),
    ],
)
def test_sizes_are_shares_or_counts(split: dict[str, Any], wanted: list[int]) -> None:
    task = make(ROWS, split=split)
    assert sizes(task) == wanted
    unused = 200 - sum(wanted)
    assert any(f"{unused} of 200 rows are in no split" in said for said in task.warnings) == bool(unused)


def test_no_row_is_lost_or_in_two_splits() -> None:
    texts = [row.text for name in NAMES for row in make(ROWS).split(name)]
    assert sorted(texts) == sorted(row["q"] for row in ROWS)


def test_the_order_of_rows_does_not_matter_and_the_seed_does() -> None:
    shuffled = random.Random(5).sample(ROWS, len(ROWS))
    first, second = make(ROWS), make(shuffled)
    assert first.split_digests == second.split_digests
    assert [row.id for row in first.train] == [row.id for row in second.train]
    assert make(ROWS, split={"seed": 1}).split_digests["test"] != first.split_digests["test"]


def test_new_rows_leave_most_others_where_they_were() -> None:
    before = {row.id for row in make(ROWS).test}
    after = {row.id for row in make([*ROWS, record(1000)]).test}
    assert len(before & after) >= 28


def test_strata_have_equal_shares() -> None:
    task = make(ROWS, split={"test": 0.3, "validation": 0.3})
    whole = Counter(row["a"] for row in ROWS)
    for name in ("test", "validation"):
        counts = Counter(row.target for row in task.split(name))
        assert all(abs(counts[label] - 0.3 * whole[label]) <= 1 for label in whole)


def test_any_column_can_stratify_and_true_is_told_to_be_idle_without_labels() -> None:
    topics = {row["q"]: row["topic"] for row in ROWS}
    records = [{**row, "a": row["q"][:20]} for row in ROWS]
    task = make(records, "generate", split={"stratify": "topic"})
    assert Counter(topics[row.text] for row in task.test) == {0: 15, 1: 15}
    assert "stratify: true changes nothing" in make(records, "generate", split={"stratify": True}).warnings[0]


@pytest.mark.parametrize("where", ["data", "split"])
def test_a_group_is_never_cut(where: str) -> None:
    keys: dict[str, Any] = {"group": "who"} if where == "data" else {"split": {"group": "who"}}
    for seed in range(5):
        keys["split"] = {**keys.get("split", {}), "seed": seed}
        task = make(ROWS, **keys)
        groups = [{row.meta["group"] for row in task.split(name)} for name in NAMES]
        assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
        assert sizes(task) == [140, 30, 30]  # 20 groups of 10


def test_one_group_for_all_rows_cannot_be_split() -> None:
    with pytest.raises(RungError, match="groups and near duplicates leave no rows for"):
        make([{**row, "who": "me"} for row in ROWS], group="who")
    with pytest.raises(RungError, match="group topic here and who under data"):
        make(ROWS, group="who", split={"group": "topic"})


def test_near_duplicates_stay_together() -> None:
    records = [record(n) for n in range(100)]
    copies = [{**row, "q": row["q"].upper() + " ok"} for row in records]
    task = make([*records, *copies])
    assert find_leaks(task) == ()
    where = {row.text.lower().removesuffix(" ok"): name for name in NAMES for row in task.split(name)}
    assert all(where[row.text.lower().removesuffix(" ok")] == name for name in NAMES for row in task.split(name))


def test_what_given_splits_lack_is_carved_from_train() -> None:
    train, test = ROWS[:150], ROWS[150:]
    task = make({"train": train, "test": test})
    assert sizes(task) == [128, 22, 50]
    assert task.warnings == ("validation is not given: 22 of 150 train rows were taken for it",)
    assert sizes(make({"train": train, "test": test}, split={"validation": 30})) == [120, 30, 50]
    assert sizes(make({"train": train, "validation": test})) == [128, 50, 22]
    assert sizes(make({"train": ROWS})) == [140, 30, 30]
    with pytest.raises(RungError, match="test is given by the source and sized here too"):
        make({"train": train, "test": test}, split={"test": 0.2})


def test_only_a_test_split_makes_a_guard() -> None:
    task = make({"test": ROWS[:50]})
    assert sizes(task) == [0, 0, 50] and "not be climbed" in task.warnings[0]
    with pytest.raises(RungError, match="neither train nor test is given"):
        make({"validation": ROWS[:50]})


def test_a_label_that_train_lacks_is_told() -> None:
    task = make({"train": ROWS[:100], "validation": ROWS[100:120], "test": [record(500, "lukewarm"), *ROWS[120:140]]})
    assert task.labels == ("cold", "hot", "lukewarm")
    assert "not in train: the label lukewarm" in task.warnings


def test_folds_cover_train_and_validation_once_and_leave_test_alone() -> None:
    task = make(ROWS, group="who", split={"folds": 5})
    held = [row for index in range(5) for row in task.fold(index).validation]
    assert sorted(row.id for row in held) == sorted(row.id for row in (*task.train, *task.validation))
    for index in range(5):
        fold = task.fold(index)
        assert len(fold.train) + len(fold.validation) == 170 and 25 <= len(fold.validation) <= 45
        assert not {row.meta["group"] for row in fold.train} & {row.meta["group"] for row in fold.validation}
        with pytest.raises(RungError):
            _ = fold.test
    with pytest.raises(RungError, match="there is no fold 5"):
        task.fold(5)
    with pytest.raises(RungError, match=r"set data\.split\.folds"):
        make(ROWS).fold(0)


def test_units_join_in_turn() -> None:
    assert join_units([0, 0, 1, 2, 3], ["a", "b", "b", "c", "c"]) == [0, 0, 0, 3, 3]


def test_large_units_do_not_overfill_a_split() -> None:
    units = make_units([f"{n:03}" for n in range(100)], [n // 30 for n in range(100)], [""] * 100, 0)
    rows = divide(units, {"validation": 15, "test": 15})
    assert sorted(row for part in rows.values() for row in part) == list(range(100))
    assert all(rows.values()) and len(rows["test"]) + len(rows["validation"]) <= 40


def test_splits_are_unbiased_with_regard_to_duplicates() -> None:
    """Rows that have near duplicates are in test as often as in train: a filled-by-size split would starve test."""
    shares = []
    for seed in range(20):
        units = make_units(
            [f"{n:04}" for n in range(600)], [n // 3 if n < 300 else n for n in range(600)], [""] * 600, seed
        )
        test = divide(units, {"test": 90, "validation": 90})["test"]
        shares.append(sum(row < 300 for row in test) / len(test))
    assert abs(sum(shares) / 20 - 0.5) < 0.06
