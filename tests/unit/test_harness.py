"""Task files of lm-eval and benchmarks by name: what is read, what is refused in one line, what runs, what is kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rung.errors import RungError
from rung.evaluate.harness import scores
from rung.evaluate.harness.bench import Line, bench
from rung.evaluate.harness.encoder import Encoder
from rung.evaluate.harness.filters import filtered
from rung.evaluate.harness.reading import HarnessGroup, read_task
from rung.evaluate.harness.run import HarnessRun
from rung.evaluate.harness.sandbox import all_passes, passes
from rung.evaluate.harness.spec import HarnessTask, Metric
from rung.evaluate.harness.suites.table import SUITES
from rung.evaluate.harness.wanted import Ask, wanted
from rung.generate.engine import Engine
from rung.generate.forest import Likelihood
from rung.model.load import Model

Base = Callable[[str], Path]
TASK = {
    "task": "small",
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": "test.jsonl"}},
    "test_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": "{{question}}",
    "doc_to_choice": "choices",
    "doc_to_target": "answer",
}
ROWS = [
    {"question": "north is red", "choices": ["one", "two three"], "answer": 0},
    {"question": "south is", "choices": ["green", "blue", "red red"], "answer": 2},
]


def write(folder: Path, changes: dict[str, Any] | None = None, rows: list[dict[str, Any]] | None = None) -> Path:
    given = {key: value for key, value in {**TASK, **(changes or {})}.items() if value is not None}
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows or ROWS))
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump(given, sort_keys=False))
    return file


def task_of(file: Path) -> HarnessTask:
    task = read_task(file)
    assert isinstance(task, HarnessTask)
    return task


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"doc_to_txt": "x"}, "doc_to_text"),
        ({"output_type": "multiple_chioce"}, "multiple_choice"),
        ({"test_split": None}, "split"),
        ({"doc_to_choice": None}, "doc_to_choice"),
        ({"doc_to_target": None}, "doc_to_target"),
        ({"metric_list": [{"metric": "exactness"}]}, "exactness"),
        ({"metric_list": [{"metric": "word_perplexity"}]}, "word_perplexity"),  # of texts, not of choices
        ({"filter_list": [{"name": "a", "filter": [{"function": "regx"}]}]}, "regex"),
        ({"use_prompt": "promptsource:x"}, "use_prompt"),
        ({"fewshot_config": {"sampler": "balanced"}}, "sampler"),
    ],
)
def test_a_wrong_task_file_is_one_line(changes: dict[str, Any], word: str, tmp_path: Path) -> None:
    with pytest.raises(RungError, match=word) as caught:
        read_task(write(tmp_path, changes))
    assert "\n" not in str(caught.value)


def test_code_and_circles_are_refused_by_name(tmp_path: Path) -> None:
    file = write(tmp_path)
    file.write_text(file.read_text() + "process_results: !function utils.score\n")
    with pytest.raises(RungError, match=r"process_results.*utils\.score"):
        read_task(file)
    file.write_text("include: small.yaml\n")
    with pytest.raises(RungError, match="includes itself"):
        read_task(file)
    file.write_text("task: &a [*a]\n")
    with pytest.raises(RungError, match="no task file"):
        read_task(file)


def test_includes_and_groups(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "other.yaml").write_text("include: small.yaml\ntask: other\ndoc_to_text: 'Q: {{question}}'\n")
    (tmp_path / "both.yaml").write_text("group: both\ntask: [small, other]\n")
    group = read_task(tmp_path / "both.yaml")
    assert isinstance(group, HarnessGroup)
    assert [task.task for task in group.tasks] == ["small", "other"] and group.tasks[1].doc_to_text == "Q: {{question}}"


@pytest.mark.parametrize(
    ("changes", "rows", "word"),
    [
        ({"doc_to_text": "{{questoin}}"}, ROWS, "question"),
        ({}, [{"question": "a", "choices": ["one"], "answer": 0}], "one choice"),
        ({"target_delimiter": ""}, [{"question": "a", "choices": ["", ""], "answer": 0}], "empty continuation"),
        ({"num_fewshot": 5}, ROWS, "worked examples"),
        ({"test_split": "tset"}, ROWS, "test"),
    ],
)
def test_data_that_no_item_can_be_made_of_is_one_line(
    changes: dict[str, Any], rows: list[dict[str, Any]], word: str, base: Base, tmp_path: Path
) -> None:
    with pytest.raises(RungError, match=word):
        HarnessRun(task_of(write(tmp_path, changes, rows)), Engine(Model.load(str(base("llama-plain"))))).run()


def test_an_item_that_cannot_be_asked_is_a_row_and_the_others_count(base: Base, tmp_path: Path) -> None:
    rows = [*ROWS, {"question": "east", "choices": ["only"], "answer": 0}]
    kept: list[dict[str, Any]] = []
    result = HarnessRun(task_of(write(tmp_path, {}, rows)), Engine(Model.load(str(base("llama-plain"))))).run(
        kept.append
    )
    assert result.errors == 1 and result.items == 3 and "one choice" in kept[2]["error"]
    assert (
        kept[0]["error"] is None and len(result.values["acc", "none"]) == 3 and result.values["acc", "none"][2] == 0.0
    )


@pytest.mark.parametrize("kind", ["multiple_choice", "generate_until"])
def test_an_item_that_breaks_the_engine_is_a_row_and_the_others_count(kind: str, base: Base, tmp_path: Path) -> None:
    """A token that the embeddings do not have: the pass of all items fails, and in the end its own alone."""
    folder = tmp_path / "base"
    shutil.copytree(base("llama-plain"), folder)
    model = Model.load(str(folder))
    model.tokenizer.add_tokens(["zebra"])
    rows = [
        {"question": f"north {word}", "choices": ["one", "two"], "answer": 0} for word in ("is", "zebra", "my", "red")
    ]
    task = task_of(write(tmp_path, {"output_type": kind, "generation_kwargs": {"max_gen_toks": 3}}, rows))
    kept: list[dict[str, Any]] = []
    result = HarnessRun(task, Engine(model)).run(kept.append)
    assert result.errors == 1 and [row["error"] is None for row in kept] == [True, False, True, True]
    assert "small, item 1: the engine failed (IndexError: " in kept[1]["error"]
    assert set(kept[1]["values"]["none"].values()) == {0.0}
    alone = HarnessRun(task, Engine(model), data=(rows[2:], ())).run()
    assert alone.values[result.scores[0].metric, "none"] == result.values[result.scores[0].metric, "none"][2:]


def test_a_context_longer_than_the_window_loses_its_beginning_and_is_told(base: Base, tmp_path: Path) -> None:
    rows = [{**ROWS[0], "question": "north " * 300}, ROWS[1]]
    result = HarnessRun(task_of(write(tmp_path, {}, rows)), Engine(Model.load(str(base("llama-plain"))))).run()
    assert (result.cut, result.errors) == (2, 0)  # once for each choice


def test_ids_behind_a_context_are_those_of_the_whole(base: Base) -> None:
    for kind in ("llama-plain", "gpt2"):
        model = Model.load(str(base(kind)))
        encoder = Encoder(model)
        before = "north south east west is my order the parcel never came.\n\n" * 6
        for own in ("where is my refund? Answer:", "cancel  card\n", "x", ""):
            for text in (" red green", "red", "\n\nblue", "  one"):
                ((context, answer),) = encoder.pairs(before, own, [text])
                whole = before + own + text
                assert context + answer == encoder.ids(whole), (kind, own, text)
        assert encoder.extended(before, "where").stay > 0  # the short way was taken


@pytest.mark.parametrize(
    ("answers", "steps", "expected"),
    [
        (["it is 12 or 14"], [{"function": "regex", "regex_pattern": r"\d+", "group_select": -1}], "14"),
        (["none"], [{"function": "regex", "regex_pattern": r"\d+", "fallback": "?"}], "?"),
        ([" a ", "b", "b"], [{"function": "remove_whitespace"}, {"function": "majority_vote"}], "b"),
        (["A"], [{"function": "lowercase"}, {"function": "map", "mapping_dict": {"a": "yes"}}], "yes"),
    ],
)
def test_filters(answers: list[str], steps: list[dict[str, Any]], expected: str) -> None:
    assert filtered(answers, steps) == expected


def test_mass_is_the_share_of_the_right_choices() -> None:
    found = [Likelihood(total, False) for total in (-1.0, -2.0, -1.0)]
    values = scores.of_choices([Metric("mass")], found, ["a", "b", "c"], [0, 1], {})
    e = [2.718281828**-1, 2.718281828**-2]
    assert values["mass"] == pytest.approx((e[0] + e[1]) / (2 * e[0] + e[1]), abs=1e-6)


def test_programs_run_apart_and_within_limits(tmp_path: Path) -> None:
    assert all_passes(["assert 1 + 1 == 2", "import sys; sys.exit(0)"]) == [True, False]  # leaving early is no pass
    assert not passes("assert 1 + 1 == 3")
    assert not passes("x = bytearray(4 << 30)")
    assert not passes("import sys; sys.exit(1)")


# -- suites ------------------------------------------------------------------------------------------------------------


def lines(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def small_data(folder: Path) -> None:
    """A few rows in the file form of each suite that the real data does not cover."""
    big = {
        "name": "t",
        "task_prefix": "Choose.\n",
        "examples": [
            {"input": "red?", "target_scores": {"one": 1, "two": 0}},
            {"input": "b?", "target_scores": {"x": 0, "y z": 1}},
        ],
    }
    (folder / "bigbench/colours").mkdir(parents=True)
    (folder / "bigbench/colours/task.json").write_text(json.dumps(big))
    (folder / "bigbench/sums").mkdir(parents=True)
    (folder / "bigbench/sums/task.json").write_text(
        json.dumps({"examples": [{"input": "1+1", "target": "2"}, {"input": "1+2", "target": ["3", "three"]}]})
    )
    (folder / "bbh").mkdir()
    (folder / "bbh/navigate.json").write_text(
        json.dumps({"examples": [{"input": f"q {n}", "target": "A"} for n in range(5)]})
    )
    lines(folder / "blimp/agreement.jsonl", [{"sentence_good": "one two", "sentence_bad": "two one"}] * 2)
    lines(folder / "super_glue/BoolQ/val.jsonl", [{"passage": "north", "question": "is it", "label": True}] * 2)
    lines(
        folder / "super_glue/WSC/val.jsonl",
        [{"text": "he left", "target": {"span1_text": "Al", "span2_text": "he", "span2_index": 0}, "label": False}] * 2,
    )
    lines(
        folder / "super_glue/COPA/val.jsonl",
        [{"premise": "It broke.", "choice1": "a", "choice2": "b", "question": "cause", "label": 1}] * 2,
    )
    answers = [{"text": "red", "label": 1}, {"text": "blue", "label": 0}, {"text": "one", "label": 0}]
    passage = {"text": "north", "questions": [{"question": "which?", "answers": answers}]}
    lines(folder / "super_glue/MultiRC/val.jsonl", [{"passage": passage}])
    spans = [{"start": 0, "end": 3}, {"start": 9, "end": 11}]
    record = {"passage": {"text": "Alba met Ben\n@highlight\nthey met", "entities": spans},
              "qas": [{"query": "@placeholder saw it.", "answers": [{"text": "Ben"}]}]}  # fmt: skip
    lines(folder / "super_glue/ReCoRD/val.jsonl", [record])
    (folder / "glue/RTE").mkdir(parents=True)
    (folder / "glue/RTE/dev.tsv").write_text(
        'index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n1\tc\t"d\tnot_entailment\n'
    )


def run_suites(folder: Path, model: Model, *names: str, out: str = "out", **asked: Any) -> tuple[list[Line], list[str]]:
    """The scores, and the tasks that ran."""
    told: list[str] = []
    ask = Ask(names, folder, **asked)
    found = bench(ask, lambda: Engine(model), {"name": model.name}, folder / out, lambda task, *_: told.append(task))
    return found, told


def kept(folder: Path, task: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"out/rows/{task}/rows.jsonl").read_text().splitlines()]


SMALL = ("bigbench", "bbh_navigate", "blimp", *(f"super_glue_{one}" for one in ("boolq", "wsc", "copa", "multirc", "record")),
         "glue_rte")  # fmt: skip


def test_suites_read_the_files_forms_and_go_on_where_they_stopped(base: Base, tmp_path: Path) -> None:
    small_data(tmp_path)
    model = Model.load(str(base("llama-plain")))
    found, told = run_suites(tmp_path, model, *SMALL)
    by_task = {(line.task, line.metric): line for line in found}
    tasks = {"bigbench_colours", "bigbench_sums", "blimp_agreement", *SMALL} - {"bigbench", "blimp"}
    assert {task for task, _ in by_task} == tasks and {*told} == tasks
    assert all(line.total.value is not None and 0 <= line.total.value <= 1 for line in found)
    rows = kept(tmp_path, "glue_rte")
    assert len(rows) == 2 and "True or False?" in rows[1]["prompt"][0]
    assert by_task["super_glue_multirc", "acc"].items == 3  # an item an answer
    assert kept(tmp_path, "super_glue_record")[0]["choices"] == ["  - Alba saw it.", "  - Ben saw it."]
    assert run_suites(tmp_path, model, *SMALL) == (found, [])  # nothing is scored twice


def test_a_group_is_the_mean_of_its_tasks(base: Base, tmp_path: Path) -> None:
    for name, rows in (("one", 2), ("two", 6)):
        lines(tmp_path / f"blimp/{name}.jsonl", [{"sentence_good": "one two", "sentence_bad": "two"}] * rows)
    found, _ = run_suites(tmp_path, Model.load(str(base("llama-plain"))), "blimp")
    one, two, both = found
    assert (both.task, both.tasks, both.items) == ("blimp", 2, 8)
    assert both.total.value == pytest.approx(((one.total.value or 0) + (two.total.value or 0)) / 2)


def test_averages_of_a_group_file_are_by_size_or_not(base: Base, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    write(tmp_path, {"task": "a_task"}, ROWS[:1])
    write(tmp_path / "b", {"task": "b_task"}, ROWS * 2)
    model = Model.load(str(base("llama-plain")))
    for by_size in (True, False):
        rule = {"metric": "acc", "weight_by_size": by_size}
        group = {"group": "both", "task": ["a_task", "b_task"], "aggregate_metric_list": [rule]}
        (tmp_path / "both.yaml").write_text(yaml.safe_dump(group))
        found, _ = run_suites(tmp_path, model, str(tmp_path / "both.yaml"), out=f"out-{by_size}")
        value = {line.task: line.total.value or 0.0 for line in found if line.metric == "acc"}
        weights = (1 / 5, 4 / 5) if by_size else (0.5, 0.5)
        assert value["both"] == pytest.approx(weights[0] * value["a_task"] + weights[1] * value["b_task"])
        assert {line.metric for line in found if line.task == "both"} == {"acc"}


def test_no_item_is_shown_its_own_answer(base: Base, tmp_path: Path) -> None:
    """BIG-bench draws worked examples among the items that are scored."""
    examples = [{"input": f"what is {n}", "target": f"answer {n}"} for n in range(12)]
    (tmp_path / "bigbench/count").mkdir(parents=True)
    (tmp_path / "bigbench/count/task.json").write_text(json.dumps({"examples": examples}))
    (job,), _ = wanted(Ask(("bigbench",), tmp_path, shots=4))
    assert job.data is not None
    run = HarnessRun(job.task, Engine(Model.load(str(base("llama-plain")))), shots=4, data=job.data())
    for number, row in enumerate(run.rows):
        (parts,) = run.items.contexts.of(row)
        assert parts.before.count("answer") == 4 and f"what is {number}\n" not in parts.before
    assert run.notes == ["worked examples come from the split that is scored, never the item's own row"]


def test_a_suite_without_worked_examples_says_so(base: Base, tmp_path: Path) -> None:
    small_data(tmp_path)
    with pytest.raises(RungError, match="blimp_agreement: 2 worked examples of 0 rows; ask for fewer"):
        run_suites(tmp_path, Model.load(str(base("llama-plain"))), "blimp", shots=2)


def test_programs_run_only_when_asked_and_are_drawn_for_pass_at_k(base: Base, tmp_path: Path) -> None:
    head = "def one():\n"
    rows = [{"prompt": head, "test": "def check(f):\n    assert f() == 1\n", "entry_point": "one"}] * 2
    lines(tmp_path / "humaneval/HumanEval.jsonl", rows)
    model = Model.load(str(base("llama-plain")))
    with pytest.raises(RungError, match="runs the code that the model writes; allow it with --run-code"):
        run_suites(tmp_path, model, "humaneval")
    found, _ = run_suites(tmp_path, model, "humaneval", run_code=True, samples=10)
    assert [line.metric for line in found] == ["pass@1", "pass@10"]
    assert all(len(row["passed"]) == len(row["answers"]) == 10 for row in kept(tmp_path, "humaneval"))


def test_half_of_a_suites_files_is_one_line(tmp_path: Path) -> None:
    header = "question,choice0,choice1,choice2,choice3,answer\na,b,c,d,e,1\n"
    for part in ("dev", "test"):
        (tmp_path / f"mmlu/{part}").mkdir(parents=True)
        (tmp_path / f"mmlu/{part}/anatomy_{part}.csv").write_text(header)
    with pytest.raises(RungError, match=r"56 of its 57 tasks are missing in .*such as mmlu_anatomy"):
        wanted(Ask(("mmlu",), tmp_path))
    (job,), groups = wanted(Ask(("mmlu_anatomy",), tmp_path))
    assert job.task.task == "mmlu_anatomy" and groups == []
    for name in SUITES:
        if name != "mmlu":
            with pytest.raises(RungError, match="not there"):
                wanted(Ask((name,), tmp_path, run_code=True))
    with pytest.raises(RungError, match=r"no suite 'mmul'; .*did you mean mmlu"):
        wanted(Ask(("mmul",), tmp_path))
    with pytest.raises(RungError, match=r"has no task 'anatomi'; did you mean anatomy"):
        wanted(Ask(("mmlu_anatomi",), tmp_path))
