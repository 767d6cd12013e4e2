"""Near duplicates and leakage: the search against its definition, and what is listed and dropped."""

from __future__ import annotations

import random
import time
from itertools import combinations
from typing import Any

import pytest

from rung.errors import RungError
from rung.task import Leak, Task, drop_leaks, find_leaks, near_duplicates
from rung.task.duplicates import FEW_WORDS, clusters, words

Pairs = list[tuple[int, int, float]]


def by_definition(texts: list[str], threshold: float) -> Pairs:
    """Every pair compared: Jaccard of word 3-shingles, of words where either text has fewer than eight."""

    def shingles(tokens: list[str]) -> set[tuple[str, ...]]:
        return {tuple(tokens[n : n + 3]) for n in range(len(tokens) - 2)}

    found: Pairs = []
    split = [words(text) for text in texts]
    for (i, a), (j, b) in combinations(enumerate(split), 2):
        few = min(len(a), len(b)) < FEW_WORDS
        left: set[Any] = set(a) if few else shingles(a)
        right: set[Any] = set(b) if few else shingles(b)
        similarity = len(left & right) / len(left | right) if left | right else 1.0
        if similarity >= threshold - 1e-12:
            found.append((i, j, similarity))
    return found


def some_texts(count: int, seed: int) -> list[str]:
    """Random texts of 1 to 30 words from a small vocabulary, a third of them edited copies of earlier ones."""
    rng = random.Random(seed)
    texts: list[str] = []
    for _ in range(count):
        if texts and rng.random() < 0.35:
            tokens = rng.choice(texts).split()
            for _ in range(rng.randint(0, 2)):
                tokens.insert(rng.randrange(len(tokens) + 1), f"w{rng.randrange(60)}")
            if len(tokens) > 1 and rng.random() < 0.5:
                tokens.pop(rng.randrange(len(tokens)))
        else:
            tokens = [f"w{min(rng.randrange(60), rng.randrange(60))}" for _ in range(rng.randint(1, 30))]
        texts.append(" ".join(tokens))
    return texts


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_search_finds_exactly_what_the_definition_says(threshold: float, seed: int) -> None:
    texts = some_texts(250, seed)
    wanted = by_definition(texts, threshold)
    found = near_duplicates(texts, threshold)
    assert len(wanted) > 10
    assert [pair[:2] for pair in found] == [pair[:2] for pair in wanted]
    assert [pair[2] for pair in found] == pytest.approx([pair[2] for pair in wanted])


@pytest.mark.parametrize(
    ("first", "second", "similarity"),
    [
        ("Turn on the light!", "turn on the LIGHT", 1.0),
        ("what is the time", "what is the time please", 0.8),
        (
            "one two three four five six seven",
            "one two three four five six seven eight",
            7 / 8,
        ),  # seven words and eight
        ("私の猫はどこですか今日", "私の猫はどこですか今日?", 1.0),
        ("ﬁne café", "fine cafe\u0301", 1.0),
        ("?!", "?!", 1.0),
        ("turn on the light", "turn off the light", None),
        ("a b c d e f g h i j", "j i h g f e d c b a", None),
        ("", "", 1.0),
        ("", "a", None),
    ],
)
def test_what_counts_as_near(first: str, second: str, similarity: float | None) -> None:
    wanted = [] if similarity is None else [(0, 1, pytest.approx(similarity))]
    assert near_duplicates([first, second]) == wanted


def test_edges_of_the_search() -> None:
    assert near_duplicates([]) == [] and near_duplicates(["a"]) == [] and clusters([]) == []
    assert near_duplicates(["a b"] * 3) == [(0, 1, 1.0), (0, 2, 1.0), (1, 2, 1.0)]
    with pytest.raises(ValueError, match="threshold"):
        near_duplicates(["a"], 0)


def test_clusters_are_transitive_and_named_by_their_first() -> None:
    texts = ["a b c d", "x y", "a b c d e", "a b c d e f", "y x"]
    assert near_duplicates(texts) == [(0, 2, 0.8), (1, 4, 1.0), (2, 3, pytest.approx(5 / 6))]
    assert clusters(texts) == [0, 1, 0, 0, 1]


def test_wording_that_all_rows_share_is_no_likeness() -> None:
    prompt = "Read the message below with care and then say in one word whether the writer is content: "
    texts = [prompt + f"item {n} arrived {n * 7} days late" for n in range(40)]
    assert len(near_duplicates(texts, 0.5)) > 100
    assert near_duplicates(texts, 0.5, boilerplate=0.5) == []
    copies = [*texts, prompt + "item 3 arrived 21 days late"]
    assert [pair[:2] for pair in near_duplicates(copies, 0.7, boilerplate=0.5)] == [(3, 40)]


def test_thirty_thousand_short_texts_take_seconds() -> None:
    rng = random.Random(0)
    vocabulary = [f"w{n}" for n in range(3000)]
    weights = [1 / (n + 1) for n in range(3000)]
    texts = [" ".join(rng.choices(vocabulary, weights, k=rng.randint(4, 14))) for _ in range(30_000)]
    start = time.perf_counter()
    near_duplicates(texts)
    assert time.perf_counter() - start < 8


def record(n: int) -> dict[str, str]:
    chosen = random.Random(n).sample([f"word{k}" for k in range(300)], 12)
    return {"q": " ".join(chosen), "a": "up" if n % 2 else "down"}


def make(train: list[Any], validation: list[Any], test: list[Any], **data: Any) -> Task:
    source = {"train": train, "validation": validation, "test": test}
    return Task.from_mapping(
        {"name": "t", "kind": "classify", "data": {"source": source, "input": "q", "target": "a", "id": "id", **data}}
    )


def numbered(name: str, records: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{**row, "id": f"{name}{n}"} for n, row in enumerate(records)]


def leaky() -> Task:
    def more(row: dict[str, str], text: str) -> dict[str, str]:
        return {**row, "q": f"{row['q']} {text}"}

    test = [record(n) for n in range(10)]
    validation = [record(n) for n in range(20, 30)] + [more(test[3], "now")]
    train = [record(n) for n in range(40, 60)] + [test[1], {**test[1], "a": "down"}, more(validation[2], "soon")]
    return make(numbered("t", train), numbered("v", validation), numbered("x", test))


def test_leaks_are_listed_with_their_like() -> None:
    found = {(leak.split, leak.id, leak.held_out, leak.held_out_id, leak.exact) for leak in find_leaks(leaky())}
    assert found == {
        ("train", "t20", "test", "x1", True),
        ("train", "t21", "test", "x1", True),  # another answer to the same input leaks too
        ("train", "t22", "validation", "v2", False),
        ("validation", "v10", "test", "x3", False),
    }


def test_a_row_in_two_later_splits_is_listed_for_each() -> None:
    same = record(0)
    task = make(
        numbered("t", [same, record(5), record(6)]), numbered("v", [same, record(1)]), numbered("x", [same, record(2)])
    )
    assert {(leak.id, leak.held_out) for leak in find_leaks(task)} == {
        ("t0", "validation"), ("t0", "test"), ("v0", "test"),
    }  # fmt: skip


def test_leaks_are_dropped_from_the_earlier_split_never_from_test() -> None:
    task = leaky()
    clean = drop_leaks(task, find_leaks(task))
    assert find_leaks(clean) == ()
    assert (len(clean.train), len(clean.validation)) == (20, 10)
    assert clean.test == task.test and clean.split_digests["test"] == task.split_digests["test"]
    assert clean.digest != task.digest
    assert clean.warnings[-2].startswith("3 of 23 train rows dropped")
    assert drop_leaks(task, ()).digest == task.digest


def test_dropping_a_whole_split_is_refused() -> None:
    rows = [record(n) for n in range(6)]
    task = make(numbered("t", rows), numbered("v", [record(n) for n in range(20, 26)]), numbered("x", rows))
    with pytest.raises(RungError, match="every row of train is in a later split"):
        drop_leaks(task, find_leaks(task))


def test_thousands_of_copies_are_listed_without_writing_out_every_pair() -> None:
    ok = {"q": "thanks that is all", "a": "up"}
    train = [ok] * 4000 + [record(n) for n in range(9)]
    task = make(numbered("t", train), numbered("v", [record(20)]), numbered("x", [ok] * 4000))
    start = time.perf_counter()
    leaks = find_leaks(task)
    assert len(leaks) == 4000 and {leak.held_out for leak in leaks} == {"test"}
    assert time.perf_counter() - start < 3


def test_the_same_question_with_other_choices_is_no_leak() -> None:
    def row(n: int) -> dict[str, Any]:
        return {
            "q": "Which of these is true?",
            "a": 0,
            "o": [f"{word} {n} {n * 17}" for word in ("cats", "dogs", "cows")],
        }

    source = {
        "train": [row(n) for n in range(10)],
        "validation": [row(n) for n in range(10, 15)],
        "test": [row(3), row(20)],
    }
    mapping = {"source": source, "input": "q", "target": "a", "choices": "o"}
    task = Task.from_mapping({"name": "t", "kind": "choose", "data": mapping})
    leaks: tuple[Leak, ...] = find_leaks(task)
    assert len(leaks) == 1 and leaks[0].exact


def test_a_system_message_that_all_rows_share_is_no_leak() -> None:
    def row(n: int) -> dict[str, Any]:
        system = {"role": "system", "content": " ".join(f"rule{k}" for k in range(80))}
        turns = [
            {"role": "user", "content": f"tell me of {n} and {n * 7}"},
            {"role": "assistant", "content": f"it is {n}"},
        ]
        return {"messages": [system, *turns]}

    source = {"train": [row(n) for n in range(10)], "validation": [row(20)], "test": [row(3), row(30)]}
    task = Task.from_mapping({"name": "t", "kind": "generate", "data": {"source": source}})
    assert [leak.held_out for leak in find_leaks(task)] == ["test"]
