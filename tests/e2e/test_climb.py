"""Whole climbs on tiny random bases: every kind of task on every kind of base, guards, resume, the report's promises."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import rung
from rung.errors import RungError
from rung.ladder.climb import recommended_system
from rung.ladder.fit import overflow
from rung.ladder.ledger import Ledger
from rung.ladder.plan import plan_task
from rung.ladder.plan_lines import plan_lines
from rung.ladder.record import Report
from rung.ladder.report.text import lines
from rung.model.load import Model
from rung.page import quantities as q
from rung.system.body import Body
from rung.system.bundle import load
from rung.types import Message, Prompt

WORDS = ["order", "parcel", "refund", "lamp", "login", "password", "kettle", "size", "card", "invoice"]
QUICK = [
    {"zero-shot": {}},
    {"few-shot": {"k": 2}},
    {"few-shot": {"k": 1, "pick": "nearest"}},
    {"soft-prompt": {"epochs": 1}},
    {"lora": {"rank": [4, 8], "learning_rate": [0.01], "epochs": 2}},
    {"full": {"learning_rate": [0.01, 0.001], "epochs": 2}},
]


def rows(count: int = 72) -> list[dict[str, Any]]:
    """Rows in which a word tells the label: easy enough to be learnt by a random base in a moment."""
    made = []
    for n in range(count):
        label = ("red", "blue", "green")[n % 3]
        text = f"{WORDS[n % 10]} {WORDS[(n * 7 + n // 10) % 10]} {('one', 'two', 'three')[n % 3]} {n}"
        made.append({"text": text, "label": label, "options": ["red", "blue", "green"]})
    return made


def task(kind: str = "classify", **more: Any) -> rung.Task:
    """A small task of a kind, its split made by Rung."""
    data: dict[str, Any] = {
        "source": rows(),
        "input": "text",
        "target": "label",
        "split": {"train": 24, "validation": 24, "test": 24, "seed": 3},
    }
    if kind == "choose":
        data["choices"] = "options"
    mapping: dict[str, Any] = {"name": f"small-{kind}", "kind": kind, "data": data, "rungs": QUICK, **more}
    mapping.setdefault("goal", {("rougeL" if kind == "generate" else "accuracy"): 0.9})
    if kind == "generate":
        mapping["max_new_tokens"] = 4
    return rung.Task.from_mapping(mapping)


def go(made: rung.Task, base: Model | Path | str, out: Path, **more: Any) -> rung.Climb:
    """A climb of all rungs with a ledger of its own."""
    more.setdefault("choice", rung.Choice(everything=True))
    named = base if isinstance(base, Model) else str(base)
    return rung.climb(made, named, out=out, ledger=Ledger(":memory:"), **more)


def without_measured(value: Any) -> Any:
    """A report's JSON without what a clock said."""
    if isinstance(value, dict):
        return {key: without_measured(item) for key, item in value.items() if key != "measured"}
    return [without_measured(item) for item in value] if isinstance(value, list) else value


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classify", "choose", "generate"])
@pytest.mark.parametrize("of", ["llama", "gpt2", "t5"])
def test_every_rung_on_every_base_answers_and_reloads(
    kind: str, of: str, base: Callable[[str], Path], tmp_path: Path
) -> None:
    done = go(task(kind), base(of), tmp_path / "run")
    report = done.report
    built = [entry for entry in report.rungs if entry.validation is not None]
    labels = {"floor", "zero-shot", "few-shot-2", "one-shot-nearest", "soft-prompt", "lora", "full"}
    assert {entry.name for entry in built} == labels, [(e.name, e.reason) for e in report.rungs]
    assert Report.from_bytes((tmp_path / "run" / "report.json").read_bytes()).to_json() == report.to_json()
    for entry in built:
        assert len(entry.rows) == 24 and entry.errors == 0
        system = recommended_system(tmp_path / "run", entry.name)
        again = system.answer([Prompt((Message("user", item.prompt),), choices_of(kind)) for item in report.items[:6]])
        if kind != "generate":
            assert [said.text for said in again] == [row.answer for row in entry.rows[:6]]


def choices_of(kind: str) -> tuple[str, ...]:
    return ("red", "blue", "green") if kind == "choose" else ()


def test_training_learns_what_a_random_base_cannot_know(base: Callable[[str], Path], tmp_path: Path) -> None:
    made = task(rungs=["zero-shot", {"full": {"learning_rate": [0.01], "epochs": 12}}])
    done = go(made, base("llama"), tmp_path / "run")
    scores = {entry.name: entry.validation.value for entry in done.report.rungs if entry.validation}
    assert scores["full"] >= 0.95 > 0.6 > scores["zero-shot"]
    curve = done.report.entry("full").curve
    assert curve[0].loss is not None and curve[-1].loss is not None and curve[-1].loss < curve[0].loss


def test_an_encoder_climbs_its_own_rungs(base: Callable[[str], Path], tmp_path: Path) -> None:
    quick = {"learning_rate": [0.01], "epochs": 1}
    made = task(rungs=["zero-shot", "nearest", "head", {"lora": {"rank": [4], **quick}}, {"full": quick}])
    done = go(made, base("bert"), tmp_path / "run")
    assert {entry.name for entry in done.report.rungs if entry.validation} == {
        "floor",
        "zero-shot",
        "nearest",
        "head",
        "lora",
        "full",
    }
    for name in ("nearest", "head", "lora", "full"):
        system = recommended_system(tmp_path / "run", name)
        said = [system.ask(item.prompt).text for item in done.report.items[:5]]
        assert said == [row.answer for row in done.report.entry(name).rows[:5]]
    with pytest.raises(RungError, match="is an encoder and cannot generate"):
        go(task("generate"), base("bert"), tmp_path / "other")


def test_climbing_again_gives_the_same_report_without_work(base: Callable[[str], Path], tmp_path: Path) -> None:
    made = task(rungs=["zero-shot", {"few-shot": {"k": 2}}])
    first = go(made, base("llama"), tmp_path / "run")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run" / "rungs").rglob("*") if p.is_file()}
    again = go(made, base("llama"), tmp_path / "run")
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert again.report == first.report or without_measured(again.report.to_json()) == without_measured(
        first.report.to_json()
    )
    other = go(made, base("llama"), tmp_path / "elsewhere")
    assert json.dumps(without_measured(other.report.to_json())) == json.dumps(without_measured(first.report.to_json()))


def test_test_rows_that_were_shown_are_refused_before_anything_is_built(
    base: Callable[[str], Path], tmp_path: Path
) -> None:
    made, ledger, choice = task(rungs=["zero-shot"]), Ledger(":memory:"), rung.Choice(everything=True)
    done = rung.climb(made, str(base("llama")), out=tmp_path / "before", ledger=ledger, choice=choice)
    keys = rung.plan_task(made, rung.Model.load(str(base("llama"))), choice).question.test.keys
    ledger.retire(sorted(keys)[:2], "shown in a talk")
    with pytest.raises(RungError, match="2 of 24 test items were shown"):
        rung.climb(made, str(base("llama")), out=tmp_path / "after", ledger=ledger, choice=choice)
    assert not (tmp_path / "after").exists()
    # What was looked at before they were shown stands.
    again = rung.climb(made, str(base("llama")), out=tmp_path / "before", ledger=ledger, choice=choice)
    assert again.sentence == done.sentence


def test_early_stopping_spares_the_rest(base: Callable[[str], Path], tmp_path: Path) -> None:
    full = {"full": {"learning_rate": [0.01], "epochs": 12}}
    made = task(rungs=["zero-shot", full, {"few-shot": {"k": 2}}], goal={"accuracy": 0.7}, budget={"requests": 1000000})
    done = go(made, base("llama"), tmp_path / "run", choice=rung.Choice())
    assert done.recommended == "full"
    assert done.report.entry("few-shot-2").state == "not tested"
    assert not (tmp_path / "run" / "rungs" / "few-shot-2").exists()
    assert done.system.ask("order parcel one 5").text in ("red", "blue", "green")


def guard(folder: Path, name: str, kind: str = "classify", lead: str = "where is") -> dict[str, Any]:
    """A guard of 120 rows in `folder`, as an entry of a task file."""
    lines = "\n".join(json.dumps({**row, "text": f"{lead} {row['text']}"}) for row in rows(120))
    (folder / f"{name}.jsonl").write_text(lines)
    more = "max_new_tokens: 3\n" if kind == "generate" else ""
    (folder / f"{name}.yaml").write_text(
        f"name: {name}\nkind: {kind}\n{more}data: {{source: {name}.jsonl, input: text, target: label, "
        "split: {train: 8, validation: 32, test: 80, seed: 1}}\n"
    )
    return {"task": str(folder / f"{name}.yaml"), "margin": 0.2}


def test_guards_are_scored_beside_the_base(base: Callable[[str], Path], tmp_path: Path) -> None:
    """Two guards, right or wrong and graded: a column of validation rows for every rung, the look on test rows."""
    full = {"full": {"learning_rate": [0.01], "epochs": 12}}
    guards = [guard(tmp_path, "sorting"), guard(tmp_path, "writing", "generate")]
    made = task(rungs=["zero-shot", full], goal={"accuracy": 0.7}, guards=guards)
    done = go(made, base("llama"), tmp_path / "run")
    prompted, entry = done.report.entry("zero-shot"), done.report.entry("full")
    assert [(seen.name, seen.unchanged, seen.difference) for seen in prompted.guards_seen] == [
        ("sorting", True, 0.0),
        ("writing", True, 0.0),
    ]
    assert [(seen.name, seen.unchanged, seen.count) for seen in entry.guards_seen] == [
        ("sorting", False, 32),
        ("writing", False, 32),
    ]
    for seen in entry.guards_seen:
        assert seen.low is not None and seen.high is not None and seen.low < seen.difference < seen.high
    assert done.report.entry("floor").guards_seen == ()
    assert [change.name for change in entry.guards] == ["sorting", "writing"]
    for change in entry.guards:
        assert change.lower < change.difference < change.upper and change.kept == (change.lower > -0.2)
    assert entry.state == ("meets" if all(change.kept for change in entry.guards) else entry.state) != ""
    told = "\n".join(lines(done.report))
    assert (
        "guards sorting ±0, writing ±0" in told and f"sorting {q.signed(entry.guards_seen[0].difference, 3)} (" in told
    )
    page = (tmp_path / "run" / "report.html").read_text()
    assert "the base&#39;s own weights" in page
    assert Report.from_bytes((tmp_path / "run" / "report.json").read_bytes()).to_json() == done.report.to_json()
    again = go(made, base("llama"), tmp_path / "again")
    assert without_measured(again.report.to_json()) == without_measured(done.report.to_json())


def pairs(folder: Path, count: int) -> Path:
    """A benchmark of minimal pairs in `folder`."""
    (folder / "blimp").mkdir()
    words = [row["text"] for row in rows(count)]
    lines = [{"sentence_good": f"{word} one", "sentence_bad": f"one {word}"} for word in words]
    (folder / "blimp" / "order.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_a_benchmark_guards(base: Callable[[str], Path], tmp_path: Path) -> None:
    """Every second item is shown for each rung, the others are spent by the look; base and artefact on the same ones."""
    full = {"full": {"learning_rate": [0.01], "epochs": 12}}
    guards = [{"benchmark": "blimp", "data": str(pairs(tmp_path, 161)), "margin": 0.9}]
    made = task(rungs=["zero-shot", full], goal={"accuracy": 0.7}, guards=guards)
    done = go(made, base("llama"), tmp_path / "run")
    entry = done.report.entry("full")
    assert [(one.name, one.unchanged, one.count) for one in entry.guards_seen] == [("blimp", False, 81)]
    (change,) = entry.guards
    assert change.kept and change.lower < change.difference < change.upper
    plan = plan_task(made, Model.load(str(base("llama"))), rung.Choice())
    assert "guard   blimp: may lose at most 0.9 (80 test items)" in plan_lines(plan, Ledger(":memory:"))
    more = plan_task(task(guards=[{**guards[0], "limit": 100}]), Model.load(str(base("llama"))), rung.Choice())
    assert plan.guards[0].digests != more.guards[0].digests and more.guards[0].sample("test").count == 50


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"benchmark": "blimpp"}, "no suite 'blimpp'; task files end in .yaml; did you mean blimp"),
        ({"benchmark": "mmlu"}, "mmlu: the data is not there"),
        ({"benchmark": "wikitext"}, "guard wikitext: its score word_perplexity is no mean of items of which more is better"),
        ({"benchmark": "humaneval"}, "humaneval: runs the code that the model writes"),
    ],
)  # fmt: skip
def test_a_benchmark_that_cannot_guard_is_one_line(
    entry: dict[str, Any], line: str, base: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "test.txt").write_text(" = North = \n one two \n")
    program = {"prompt": "def one():", "test": "", "entry_point": "one"}
    (tmp_path / "HumanEval.jsonl").write_text(json.dumps(program) + "\n")
    with pytest.raises(RungError, match=line):
        plan_task(task(guards=[{**entry, "data": str(tmp_path)}]), Model.load(str(base("llama-plain"))), rung.Choice())


def test_five_seeds_tell_seeds_and_rows_apart(base: Callable[[str], Path], tmp_path: Path) -> None:
    settings = {"rank": [4], "learning_rate": [0.01], "epochs": 2}
    once = go(task(rungs=[{"lora": settings}]), base("llama"), tmp_path / "once").report.entry("lora")
    made = task(rungs=[{"lora": {**settings, "seeds": 5}}])
    done = go(made, base("llama"), tmp_path / "run")
    entry = done.report.entry("lora")
    assert once.validation is not None and entry.validation == once.validation  # the rung itself is its first training
    assert len(entry.seed_values) == 5 and entry.seed_values[0] == once.validation.value and once.seed_values == ()
    assert len(set(entry.seed_values)) > 1
    again = entry.again
    assert again is not None and again.mean == pytest.approx(sum(entry.seed_values) / 5)
    assert 0.0 <= again.lower < again.mean and again.items > 0.0
    told = lines(done.report)
    assert any(line.startswith("lora: mean ") and "seeds scatter by" in line for line in told)
    assert "seeds scatter by" in (tmp_path / "run" / "report.html").read_text()
    assert not (tmp_path / "run" / "scratch").exists() or not any((tmp_path / "run" / "scratch").iterdir())
    kept = (tmp_path / "run" / "report.json").read_bytes()
    resumed = go(made, base("llama"), tmp_path / "run")
    assert without_measured(resumed.report.to_json()) == without_measured(json.loads(kept))


def test_the_plan_says_how_many_guard_items_a_margin_needs(base: Callable[[str], Path], tmp_path: Path) -> None:
    made = task(rungs=["zero-shot"], guards=[guard(tmp_path, "sorting")])
    plan = plan_task(made, Model.load(str(base("llama"))), rung.Choice())
    told = "\n".join(plan_lines(plan, Ledger(":memory:")))
    assert "guard   sorting: may lose at most 0.2 (80 test items)" in told
    assert "guard sorting: 80 items show a model as good as the base to stay within 20 points if at most" in told
    assert "where 10 % of the answers change it takes 34" in told


def test_guards_that_could_not_guard_are_refused(base: Callable[[str], Path], tmp_path: Path) -> None:
    model = Model.load(str(base("llama")))
    twice = [guard(tmp_path, "sorting"), {"task": str(tmp_path / "sorting.yaml"), "margin": 0.1}]
    with pytest.raises(RungError, match="guard sorting: two guards have this name"):
        plan_task(task(guards=twice), model, rung.Choice())
    trained_on = guard(tmp_path, "own")
    (tmp_path / "own.jsonl").write_text("\n".join(json.dumps(row) for row in rows(120)))
    with pytest.raises(RungError, match=r"guard own: \d+ of its rows stand in the train split of small-classify"):
        plan_task(task(guards=[trained_on]), model, rung.Choice())


def test_a_rung_whose_shots_do_not_fit_is_skipped_with_the_reason(base: Callable[[str], Path], tmp_path: Path) -> None:
    long = [{**row, "text": " ".join([row["text"]] * 9)} for row in rows()]
    data = {"source": long, "input": "text", "target": "label", "split": {"train": 24, "validation": 24, "test": 24}}
    made = rung.Task.from_mapping(
        {
            "name": "long",
            "kind": "classify",
            "data": data,
            "rungs": ["zero-shot", {"few-shot": {"k": 6}}],
            "goal": {"accuracy": 0.9},
        }
    )
    done = go(made, base("llama"), tmp_path / "run")
    entry = done.report.entry("few-shot-6")
    assert entry.state == "skipped" and "do not fit the window of 256 with 6 shots" in entry.reason


@pytest.mark.parametrize("place", ["train", "validation", "test"])
def test_a_soft_prompt_leaves_out_few_training_rows_and_no_other(
    place: str, base: Callable[[str], Path], tmp_path: Path
) -> None:
    """One row fits the window, and does not with 20 virtual tokens in front."""
    given = {"train": rows()[:24], "validation": rows()[24:48], "test": rows()[48:]}

    def made(words: int) -> rung.Task:
        long = {**rows()[0], "text": " ".join(["lamp"] * words)}
        source = {split: [*some, long] if split == place else some for split, some in given.items()}
        data = {"source": source, "input": "text", "target": "label"}
        rungs = ["zero-shot", {"soft-prompt": {"epochs": 1}}]
        told = {"name": "long", "kind": "classify", "data": data, "rungs": rungs, "goal": {"accuracy": 0.9}}
        return rung.Task.from_mapping({**told, "allow_set_aside": 0.05})

    body = Body(rung.Model.load(str(base("llama"))))
    words = next(n for n in range(300, 0, -1) if not any(overflow(made(n), body, made(n).split(place))))
    done = go(made(words), base("llama"), tmp_path / "run")
    entry = done.report.entry("soft-prompt")
    if place == "train":
        assert entry.state == "misses" and entry.settings["rows left out"] == 1
    else:
        assert entry.state == "skipped"
        assert "1 of 49 prompts do not fit the window with 20 virtual tokens" in entry.reason


def test_a_bundle_refuses_other_weights(base: Callable[[str], Path], tmp_path: Path) -> None:
    go(task(rungs=["zero-shot"]), base("llama"), tmp_path / "run")
    with pytest.raises(RungError, match="other weights"):
        load(tmp_path / "run" / "rungs" / "zero-shot" / "system", base=str(base("llama-plain")))


def test_a_climb_on_int8_weights_says_so_and_trains_nothing(base: Callable[[str], Path], tmp_path: Path) -> None:
    pytest.importorskip("torchao", reason="torchao is not installed (pip install 'rung[int8]')")
    model = Model.load(str(base("llama")), dtype="int8")
    done = go(task(rungs=["zero-shot", "lora"]), model, tmp_path / "run")
    assert done.report.base.precision == "int8"
    assert done.report.entry("lora").reason.startswith("weights held as int8 are not trained; take --dtype bfloat16")
    saved = rung.load(tmp_path / "run/rungs/zero-shot/system")
    assert saved.inner.engine.model.precision == "int8"  # it answers as it was tested
    assert _answers(saved) == _tested(tmp_path / "run/rungs/zero-shot")


def test_adapters_climb_on_4_bit_weights(base: Callable[[str], Path], tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed (pip install 'rung[nf4]')")
    lora = {"lora": {"rank": 8, "learning_rate": 0.005, "epochs": 2}}
    soft = {"soft-prompt": {"tokens": 20, "epochs": 1}}
    done = go(
        task(rungs=["zero-shot", lora, soft, "full"]), Model.load(str(base("llama")), dtype="nf4"), tmp_path / "run"
    )
    assert done.report.base.precision == "nf4"
    assert done.report.entry("full").reason.startswith("weights held as nf4 do not move")
    for label in ("lora", "soft-prompt"):
        assert done.report.entry(label).validation is not None
        saved = rung.load(tmp_path / f"run/rungs/{label}/system")  # as it was trained: 4-bit weights, adapter beside
        assert saved.inner.engine.model.precision == "nf4"
        assert _answers(saved) == _tested(tmp_path / f"run/rungs/{label}")


def _answers(system: Any) -> list[str]:
    return [system.answer([task().prompt(row)])[0].text for row in task().validation[:5]]


def _tested(folder: Path) -> list[str]:
    return [row["text"] for row in json.loads((folder / "validation.json").read_text())][:5]


def test_a_small_memory_budget_makes_the_base_coarser(base: Callable[[str], Path], tmp_path: Path) -> None:
    model = Model.load(str(base("llama")))
    made = task(rungs=["zero-shot"], budget={"memory": f"{4 * model.parameters + 1000} B"})
    plan = plan_task(made, model, rung.Choice())
    told = "\n".join(plan_lines(replace(plan, rungs=tuple(replace(one, skipped="") for one in plan.rungs))))
    assert plan.body.model.precision == "bfloat16" and "note    the base is held as bfloat16: as float32" in told
