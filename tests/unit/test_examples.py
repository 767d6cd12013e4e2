"""Every task file under examples/: it loads, its sizes and leaks are as its head says, and it brings no row of real data.

Those under examples/real/ read the folder that RUNG_DATA names; where a data set is absent, its tests are skipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from rung.errors import RungError
from rung.task import Leak, Task, drop_leaks, find_leaks
from rung.task.duplicates import words

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
DATA = Path(os.environ.get("RUNG_DATA") or ROOT.parent / "shared" / "data")
Sizes = tuple[int, int, int]

OWN: dict[str, Sizes] = {
    "extract/task.yaml": (350, 120, 150),
    "summarise/task.yaml": (250, 80, 100),
    "triage/task.yaml": (860, 340, 500),
}
# The folder of real data each needs, its sizes, the leaks of its given splits, and what is left without them.
REAL: dict[str, tuple[str, Sizes, int, Sizes]] = {
    "real/alpaca.yaml": ("llamafactory_demo", (779, 100, 120), 0, (779, 100, 120)),
    "real/atis_slots.yaml": ("fewshot_bundle", (4_231, 747, 893), 35, (4_198, 745, 893)),
    "real/clinc150.yaml": ("clinc150", (15_000, 3_000, 4_500), 664, (14_435, 2_930, 4_500)),
    "real/dialogsum.yaml": ("dialogsum", (420, 80, 500), 12, (409, 79, 500)),
    "real/gsm8k.yaml": ("gsm8k", (7_073, 400, 1_319), 0, (7_073, 400, 1_319)),
    "real/mmlu.yaml": ("mmlu", (184, 100, 14_033), 11, (177, 96, 14_033)),
    "real/openbookqa.yaml": ("truthfulqa", (200, 100, 200), 0, (200, 100, 200)),
    "real/sms_spam.yaml": ("sms_spam", (3_900, 774, 900), 0, (3_900, 774, 900)),
    "real/sst2.yaml": ("fewshot_bundle", (6_920, 872, 1_821), 5, (6_915, 872, 1_821)),
}
ROWS_OF = ("alpaca", "dialogsum", "openbookqa", "sms_spam", "sst2", "clinc150")


@cache
def loaded(name: str) -> Task:
    if name in REAL:
        if not (DATA / REAL[name][0]).is_dir():
            pytest.skip(f"no {REAL[name][0]} in the folder of real data (set RUNG_DATA)")
        before = os.environ.get("RUNG_DATA")
        os.environ["RUNG_DATA"] = str(DATA)
        try:
            return Task.load(EXAMPLES / name)
        finally:
            os.environ.pop("RUNG_DATA") if before is None else os.environ.update(RUNG_DATA=before)
    return Task.load(EXAMPLES / name)


@cache
def leaks_of(name: str) -> tuple[Leak, ...]:
    return find_leaks(loaded(name))


def sizes(task: Task) -> Sizes:
    return len(task.train), len(task.validation), len(task.test)


def head(name: str) -> str:
    """The comment at the top of a task file, as one line of text."""
    lines: list[str] = []
    for line in (EXAMPLES / name).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines)


def test_every_task_file_is_listed_here() -> None:
    found = {str(file.relative_to(EXAMPLES)) for file in EXAMPLES.rglob("*.yaml")}
    assert found == OWN.keys() | REAL.keys()


@pytest.mark.parametrize("name", OWN)
def test_an_own_task(name: str) -> None:
    task = loaded(name)
    assert sizes(task) == OWN[name]
    assert leaks_of(name) == () and task.set_aside == () and task.warnings == ()
    assert task.goal is not None and head(name)


@pytest.mark.parametrize("name", REAL)
def test_a_real_task_has_its_sizes(name: str) -> None:
    task = loaded(name)
    assert sizes(task) == REAL[name][1]
    assert set(task.set_aside_counts) <= {"two choices are the same"}
    if task.kind == "classify":
        assert len(task.labels) == {"clinc150": 150}.get(task.name, 2)
    if task.name == "dialogsum":
        assert {len(row.answers) for row in task.train} == {1} and max(len(row.answers) for row in task.test) == 3


@pytest.mark.parametrize("name", REAL)
def test_leaks_of_given_splits_are_told_and_dropping_them_is_enough(name: str) -> None:
    _, _, count, left = REAL[name]
    leaks = leaks_of(name)
    assert len(leaks) == count
    assert (count > 0) is ("--drop-leaks" in head(name))
    if count:
        cleaned = drop_leaks(loaded(name), leaks)
        assert sizes(cleaned) == left and find_leaks(cleaned) == ()


@pytest.mark.parametrize("name", REAL)
def test_the_head_of_a_real_task_says_what_it_is(name: str) -> None:
    said = head(name)
    assert "Data: " in said and "Expect: " in said
    assert any(word in said for word in ("MIT", "CC BY", "Apache-2.0", "without a licence"))
    before, after = sizes_as_told(REAL[name][1]), sizes_as_told(REAL[name][3])
    if REAL[name][2] > 5:
        assert after in said
    elif REAL[name][2]:
        assert before in said and f"{REAL[name][3][0]:,} rows" in said


def sizes_as_told(numbers: Sizes) -> str:
    return " / ".join(f"{number:,}" for number in numbers)


def test_without_the_folder_the_mend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNG_DATA", raising=False)
    with pytest.raises(RungError, match="RUNG_DATA") as caught:
        Task.load(EXAMPLES / "real" / "sst2.yaml")
    assert "export RUNG_DATA=" in str(caught.value) and "\n" not in str(caught.value)


TEXTS = {".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".json", ".jsonl", ".tsv", ".csv", ".html", ".sh"}
WHOLE, PART = 8, 13  # a row of 8 words or more that stands there whole; of longer ones any 13 words in a row


def texts_of_the_repository() -> Iterator[str]:
    for folder, inner, files in os.walk(ROOT):
        inner[:] = [name for name in inner if not name.startswith(".") and name not in ("runs", "build", "dist")]
        for file in files:
            if Path(file).suffix in TEXTS:
                yield (Path(folder) / file).read_text(encoding="utf-8", errors="replace")


def runs_of(said: list[str], size: int) -> Iterator[tuple[str, ...]]:
    return zip(*(said[start:] for start in range(size)))


def test_no_row_of_real_data_stands_in_the_repository() -> None:
    ours: dict[int, set[tuple[str, ...]]] = {WHOLE: set(), PART: set()}
    for text in texts_of_the_repository():
        said = list(words(text))
        for size, known in ours.items():
            known.update(runs_of(said, size))
    assert len(ours[WHOLE]) > 50_000  # the repository was read
    seen, checked = [], 0
    for name in ROWS_OF:
        task = loaded(f"real/{name}.yaml")
        for row in (*task.train, *task.validation, *task.test):
            said = list(words(row.text))
            checked += len(said) >= WHOLE
            whole = WHOLE <= len(said) < PART and all(part in ours[WHOLE] for part in runs_of(said, WHOLE))
            if whole or any(part in ours[PART] for part in runs_of(said, PART)):
                seen.append(f"{name} {row.id}: {row.text[:60]}")
    assert checked > 10_000 and seen == []
