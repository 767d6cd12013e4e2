"""The task file: its keys, their types and ranges, and the line that every refusal names."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rung.errors import RungError
from rung.task import Guard, Task
from rung.types import Budget, Sampling

Save = Callable[[str], Path]

ROWS = "".join(f"text number {n} about topic {n * 7},{'yes' if n % 2 else 'no'}\n" for n in range(40))
HEAD = "name: t\nkind: classify\ndata: {source: rows.csv, input: text, target: label}\n"


@pytest.fixture
def save(tmp_path: Path) -> Save:
    (tmp_path / "rows.csv").write_text("text,label\n" + ROWS)

    def write(text: str) -> Path:
        path = tmp_path / "task.yaml"
        path.write_text(text)
        return path

    return write


def refusal(path: Path) -> str:
    with pytest.raises(RungError) as caught:
        Task.load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_full_file_is_read(save: Save, tmp_path: Path) -> None:
    (tmp_path / "guard.yaml").write_text("name: g\n")
    task = Task.load(
        save(
            HEAD
            + """
instruction: [Say yes or no., Is it so]
labels: {yes: it is so, no: }
also: macro_f1
goal: {accuracy: 0.8}
margin: 1e-1
guards: [{task: guard.yaml, margin: 0.03}]
budget: {memory: 16GB, time: 1h30m, requests: 5, machine_hour: 0.4 EUR}
rungs: [zero-shot, {few-shot: {k: 4}}, {lora: {rank: [4, 8]}}]
sampling: {temperature: 0.5, stop: ["\\n"]}
max_new_tokens: 9
"""
        )
    )
    assert (task.name, task.kind, task.metric, task.also, task.goal) == (
        "t",
        "classify",
        "accuracy",
        ("macro_f1",),
        0.8,
    )
    assert task.labels == ("yes", "no") and task.label_descriptions == {"yes": "it is so"}
    assert task.instructions == ("Say yes or no.", "Is it so")
    assert task.margin == 0.1
    assert task.guards == (Guard(tmp_path / "guard.yaml", 0.03),)
    assert task.budget == Budget(16 * 10**9, 5400.0, 5, 0.4, "EUR")
    assert task.sampling == Sampling(max_new_tokens=9, temperature=0.5, stop=("\n",))
    assert task.rungs is not None
    assert [(r.name, dict(r.fields)) for r in task.rungs] == [
        ("zero-shot", {}), ("few-shot", {"k": 4}), ("lora", {"rank": [4, 8]}),
    ]  # fmt: skip
    assert task.rungs[1].where == "task.yaml:12 rungs.1"


def test_defaults(save: Save) -> None:
    task = Task.load(save(HEAD))
    assert (task.goal, task.margin, task.guards, task.rungs, task.budget) == (None, 0.05, (), None, Budget())
    assert task.labels == ("no", "yes")  # words, as in YAML 1.2, not true and false


@pytest.mark.parametrize(
    ("text", "where", "told"),
    [
        ("name: t\nkind: classify\nkind: choose\n", "task.yaml:3", "kind is said twice (first on line 2)"),
        ("name: t\n  kind: [\n", "task.yaml:2", "is not YAML"),
        ("", "task.yaml", "the file is empty"),
        ("- a\n- b\n", "task.yaml", "mapping of keys"),
        ("name: !!python/object:os.system t\n", "task.yaml:1", "the tag"),
        ("name: " + "[" * 3000, "task.yaml", "nested too deeply"),
        ("name: &a [*a]\n", "task.yaml:1", "holds itself"),
        ("name: t\nkind: classify\n", "task.yaml:1", "the key data is missing"),
        ("name: t\nkind: clasify\ndata: {}\n", "task.yaml:2 kind", "did you mean classify?"),
        ("name: t\nkind: rank\ndata: {}\n", "task.yaml:2 kind", "unknown kind rank"),
        (HEAD + "gaol: {accuracy: 0.8}\n", "task.yaml:4 gaol", "unknown key gaol; did you mean goal?"),
        (HEAD + "knowledge: docs/\n", "task.yaml:4 knowledge", "unknown key knowledge"),
        (HEAD + "corpus: docs/\n", "task.yaml:4 corpus", "unknown key corpus"),
        (HEAD + "score: accuarcy\n", "task.yaml:4 score", "did you mean accuracy?"),
        (HEAD + "score: rougeL\n", "task.yaml:4 score", "rougeL does not score kind classify"),
        (HEAD + "also: [bleu]\n", "task.yaml:4 also", "bleu does not score"),
        (HEAD + "goal: {accuracy: 80}\n", "task.yaml:4 goal.accuracy", "did you mean 0.8?"),
        (HEAD + "goal: {accuracy: -1}\n", "task.yaml:4 goal.accuracy", "outside the range"),
        (HEAD + "goal: {accuracy: high}\n", "task.yaml:4 goal.accuracy", "must be a number, not high"),
        (HEAD + "goal: 0.8\n", "task.yaml:4 goal", "goal: {accuracy: 0.8}"),
        (HEAD + "score: macro_f1\ngoal: {accuracy: 0.8}\n", "task.yaml:5 goal", "score says macro_f1"),
        (HEAD + "schema: {type: object}\n", "task.yaml:4 schema", "schema belongs to kind generate"),
        (HEAD + "budget: {memory: lots}\n", "task.yaml:4 budget.memory", "write 16GB"),
        (HEAD + "budget: {time: soon}\n", "task.yaml:4 budget.time", "write 30m"),
        (HEAD + "budget: {requests: 0}\n", "task.yaml:4 budget.requests", "outside 1 and up"),
        (HEAD + "guards: [{task: none.yaml}]\n", "task.yaml:4 guards.0.task", "there is no task file"),
        (HEAD + "guards: [none.yaml]\n", "task.yaml:4 guards.0", "must be {task: FILE}"),
        (HEAD + "rungs: [{lora: {rank: 8}, full: {}}]\n", "task.yaml:4 rungs.0", "one name with its fields"),
        (HEAD + "labels: [yes]\n", "task.yaml:4 labels", "two labels or more"),
        (HEAD + "labels: [yes, no, yes]\n", "task.yaml:4 labels", "yes is said twice"),
        (HEAD + "sampling: {temprature: 1}\n", "task.yaml:4 sampling.temprature", "did you mean temperature?"),
        (HEAD + "max_new_tokens: 2.5\n", "task.yaml:4 max_new_tokens", "must be a whole number"),
        (HEAD + "max_new_tokens: 2\nsampling: {max_new_tokens: 3}\n", "task.yaml:5", "keep one"),
        (HEAD + "allow_set_aside: 2\n", "task.yaml:4 allow_set_aside", "2 is outside 0 to 1"),
        (HEAD + "instruction: []\n", "task.yaml:4 instruction", "empty list"),
    ],
)  # fmt: skip
def test_what_is_wrong_at_the_top_is_told_with_its_line(save: Save, text: str, where: str, told: str) -> None:
    line = refusal(save(text))
    assert where in line and told in line


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("{input: text, target: label}", "the key source is missing"),
        ("{train: rows.csv, input: text}", "put it under source: {train"),
        ("{source: {train: rows.csv, dev: rows.csv}}", "did you mean validation?"),
        ("{source: rows.csv, input: text, target: label, choices: x}", "choices belong to kind choose"),
        ("{source: rows.csv, input: txt, target: label}", "there is no column txt in rows.csv; did you mean text?"),
        ("{source: rows.csv, input: text, target: lable}", "did you mean label?"),
        ("{source: rows.csv, input: '{txt}!', target: label}", "there is no column txt"),
        ("{source: rows.csv, input: '{text!r}', target: label}", "is not a template"),
        ("{source: rows.csv, input: 'say {}', target: label}", "is not a template"),
        ("{source: rows.csv, input: '{text', target: label}", "is not a template"),
        ("{source: rows.csv, input: text}", "the key target is missing"),
        ("{source: rows.csv}", "the key input is missing and rows.csv has no known shape; the columns are text, label"),
        ("{source: rows.csv, format: alpaca}", "format alpaca needs a column instruction"),
        ("{source: rows.csv, format: alpacka}", "did you mean alpaca?"),
        ("{source: rows.csv, format: messages, input: text}", "drop input and target"),
        ("{source: rows.csv, input: text, target: label, id: nmae}", "there is no column nmae"),
        ("{source: rows.csv, input: text, target: label, group: who}", "there is no column who"),
        ("{source: rows.csv, input: text, target: label, split: {stratify: topic}}", "there is no column topic"),
        ("{source: rows.csv, input: text, target: label, split: {train: 1.5}}", "neither a share below 1 nor a count"),
        (
            "{source: rows.csv, input: text, target: label, split: {train: 0.9, validation: 0.9, test: 0.1}}",
            "add up to",
        ),
        ("{source: rows.csv, input: text, target: label, split: {train: 0.9}}", "add up to 1.2 with the defaults"),
        ("{source: rows.csv, input: text, target: label, split: {test: 100}}", "40 usable rows are too few"),
        ("{source: rows.csv, input: text, target: label, split: {folds: 1}}", "1 is outside 2 to 100"),
        ("{source: rows.csv, input: text, target: label, delimiter: ab}", "must be one character"),
        ("{source: rows.csv, columns: [a, a]}", "names a column twice"),
        ("{source: missing.csv, input: text, target: label}", "missing.csv: there is no such file"),
        ("{source: row.csv, input: text, target: label}", "did you mean rows.csv?"),
        ("{source: 'no*.csv', input: text, target: label}", "no file has such a name"),
        ("{source: 's3://bucket/rows.csv', input: text, target: label}", "sources by s3: are not read"),
        ("{source: '${NOT_SET_ANYWHERE}/rows.csv', input: text, target: label}", "${NOT_SET_ANYWHERE} is not set"),
        ("{source: rows.csv#train, input: text, target: label}", "holds no member train"),
    ],
)
def test_what_is_wrong_with_the_data_section_is_told(save: Save, data: str, told: str) -> None:
    line = refusal(save(f"name: t\nkind: classify\ndata: {data}\n"))
    assert line.startswith("task.yaml:3 data") and told in line


def test_a_missing_or_unreadable_task_file_is_one_line(tmp_path: Path) -> None:
    assert "there is no such task file" in refusal(tmp_path / "none.yaml")
    assert "is a folder" in refusal(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("name: Zoë".encode("latin-1"))
    assert "is not UTF-8" in refusal(tmp_path / "latin.yaml")


def test_a_goal_names_the_primary_metric(save: Save) -> None:
    assert Task.load(save(HEAD + "goal: {macro_f1: 0.7}\n")).metric == "macro_f1"


def test_paths_are_filled_from_the_environment(save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "rows.csv").write_text("text,label\n" + ROWS)
    monkeypatch.setenv("FAR_AWAY", str(tmp_path / "far"))
    task = Task.load(save(HEAD.replace("rows.csv", "'${FAR_AWAY}/rows.csv'")))
    assert sum(len(task.split(name)) for name in ("train", "validation", "test")) == 40


def test_a_schema_is_checked_and_its_targets_too(tmp_path: Path) -> None:
    rows = [{"q": f"how many are {n} and {n * 3} apples", "a": {"n": n * 4}} for n in range(30)]
    schema = {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]}
    mapping = {"name": "t", "kind": "generate", "data": {"source": rows, "input": "q", "target": "a"}, "schema": schema}
    task = Task.from_mapping(mapping)
    assert task.metric == "field_f1" and task.schema == schema and '"n"' in str(task.train[0].target)
    assert task.prompt(task.train[0]).schema == schema

    with pytest.raises(RungError, match="is not a JSON schema"):
        Task.from_mapping({**mapping, "schema": {"type": "objekt"}})
    with pytest.raises(RungError, match=r"cannot read .*none\.json"):
        Task.from_mapping({**mapping, "schema": "none.json"}, tmp_path)
    (tmp_path / "broken.json").write_text('{\n"type": }')
    with pytest.raises(RungError, match="is not a usable JSON schema"):
        Task.from_mapping({**mapping, "schema": {"$ref": "https://example.org/far.json"}})  # never fetched
    with pytest.raises(RungError, match=r"broken\.json:2 is not JSON"):
        Task.from_mapping({**mapping, "schema": "broken.json"}, tmp_path)
    with pytest.raises(RungError, match="30 of 30 rows cannot be used: 30 × the target does not fit the schema"):
        Task.from_mapping({**mapping, "schema": {**schema, "required": ["m"]}})
    with pytest.raises(RungError, match="field_f1 compares the fields"):
        Task.from_mapping({**mapping, "schema": None, "score": "field_f1"})


def test_the_digest_is_of_the_meaning_not_of_paths_or_names(save: Save, tmp_path: Path) -> None:
    first = Task.load(save(HEAD))
    (tmp_path / "rows.csv").rename(tmp_path / "moved.csv")
    moved = Task.load(save(HEAD.replace("rows.csv", "moved.csv").replace("name: t", "name: u")))
    assert moved.digest == first.digest and moved.split_digests == first.split_digests
    moved_head = HEAD.replace("rows.csv", "moved.csv")
    others = [
        Task.load(save(moved_head + more)).digest
        for more in ("goal: {accuracy: 0.8}\n", "instruction: Go.\n", "score: macro_f1\n", "budget: {requests: 7}\n",
                     "rungs: [zero-shot]\n", "labels: {yes: aye, no: nay}\n", "sampling: {seed: 3}\n", "margin: 0.1\n")
    ]  # fmt: skip
    assert len({first.digest, *others}) == 9


FULL: dict[str, Any] = {
    "name": "t", "kind": "classify",
    "data": {
        "source": "rows.jsonl", "input": "q", "target": "a", "id": "id", "group": "who", "format": "columns",
        "delimiter": ",", "header": True, "split": {"train": 0.6, "stratify": True, "folds": 3, "seed": 1},
    },
    "instruction": ["a", "b"], "labels": {"yes": "y", "no": "n"}, "score": "accuracy", "also": ["macro_f1"],
    "goal": {"accuracy": 0.5}, "margin": 0.1, "guards": [{"task": "guard.yaml", "margin": 0.1}],
    "budget": {"memory": "1GB", "time": "3m", "requests": 4, "machine_hour": "1 EUR"},
    "rungs": ["zero-shot", {"lora": {"rank": [4]}}], "sampling": {"temperature": 0, "stop": ["x"]},
    "allow_set_aside": 0.5,
}  # fmt: skip
ODD: list[Any] = [
    None, True, -1, 2.5, float("nan"), 10**30, "", "  ", "{", "{q!r}", "\ud800", "a\x00b", "12" * 3000, "..", "${NO_SUCH}",
    "guard.yaml", "s3://x", "[1", b"bytes", [], [[]], [None], [1, "a"], {}, {"a": 1}, {"": None}, {1: 2},
]  # fmt: skip


def everywhere(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield from everywhere(inner, (*at, step))


@pytest.mark.parametrize("at", list(everywhere(FULL)), ids=str)
def test_an_odd_value_anywhere_is_read_or_refused_in_one_line(tmp_path: Path, at: tuple[Any, ...]) -> None:
    rows = [{"q": f"q {n} of {n * 7}", "a": "no" if n % 2 else "yes", "who": n % 7, "id": n} for n in range(24)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "guard.yaml").write_text("name: g")
    refused = 0
    for value in ODD:
        mapping = copy.deepcopy(FULL)
        inner = mapping
        for step in at[:-1]:
            inner = inner[step]
        inner[at[-1]] = value
        try:
            task = Task.from_mapping(mapping, tmp_path)
        except RungError as error:
            assert "\n" not in str(error)
            refused += 1
        else:
            assert len(task.digest) == 64
    assert refused
