"""BIG-bench (Srivastava et al. 2022) from its task.json files, and BIG-bench Hard (Suzgun et al. 2022) from its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rung.errors import RungError
from rung.evaluate.harness.spec import Metric, Shots
from rung.evaluate.harness.suites import forms
from rung.evaluate.harness.suites.suite import Prepared, Row, chosen, home, made, whole

ANSWER_TOKENS = 64
HARD = (
    "boolean_expressions", "causal_judgement", "date_understanding", "disambiguation_qa", "dyck_languages",
    "formal_fallacies", "geometric_shapes", "hyperbaton", "logical_deduction_five_objects",
    "logical_deduction_seven_objects", "logical_deduction_three_objects", "movie_recommendation",
    "multistep_arithmetic_two", "navigate", "object_counting", "penguins_in_a_table", "reasoning_about_colored_objects",
    "ruin_names", "salient_translation_error_detection", "snarks", "sports_understanding", "temporal_sequences",
    "tracking_shuffled_objects_five_objects", "tracking_shuffled_objects_seven_objects",
    "tracking_shuffled_objects_three_objects", "web_of_lies", "word_sorting",
)  # fmt: skip
STRIPPED = (("none", ({"function": "remove_whitespace"}, {"function": "take_first"})),)


def build(folder: Path, only: str | None) -> Iterator[Prepared]:
    """Every task.json below the folder: choices where it grades them, else an answer that must match to the letter.

    Choices are shown in the file's order, where BIG-bench shuffles them. Tasks that are programs (task.py) are none here.
    Worked examples, where asked for, are other items of the task, as BIG-bench draws them.
    """
    place = home(folder, ["bigbench", "big-bench", "BIG-bench/bigbench/benchmark_tasks"])
    files = {_name(file, place): file for file in sorted(place.rglob("task.json"))}
    if not files:
        mend = f"put <task>/task.json below {place}, or name its folder with --data"
        raise RungError("the data is not there", where="bigbench", mend=mend)
    for name in chosen("bigbench", list(files), only):
        head = forms.json_object(files[name])
        rows = _examples(head, files[name])
        settings: dict[str, Any] = {
            "description": _text(head, "task_prefix", ""), "doc_to_text": "input", "target_delimiter": "",
            "fewshot_delimiter": "", "shots": Shots(split="test"),
        }  # fmt: skip
        if all("choices" in row for row in rows):
            metrics = (Metric("multiple_choice_grade", column="grades"), Metric("acc"))
            task = made(
                f"bigbench_{name}", place, "multiple_choice", doc_to_choice="choices", doc_to_target="golds",
                metrics=metrics, **settings,
            )  # fmt: skip
        else:
            stop = [str(head.get("stop_string") or "\n")]
            task = made(
                f"bigbench_{name}", place, "generate_until", doc_to_target="target", filters=_answer_filters(head, name),
                generation_kwargs={"until": stop, "max_gen_toks": ANSWER_TOKENS}, **settings,
            )  # fmt: skip
        yield Prepared(task, rows, lambda rows=rows: rows)  # type: ignore[misc]


def _name(file: Path, place: Path) -> str:
    return "_".join(file.parent.relative_to(place).parts) or file.parent.name


def _text(head: Mapping[str, Any], key: str, usual: str) -> str:
    value = head.get(key)
    return usual if value is None else str(value)


def _answer_filters(head: Mapping[str, Any], name: str) -> Any:
    pattern = head.get("output_regex")
    if not pattern:
        return STRIPPED
    try:
        re.compile(str(pattern))
    except re.error as error:
        raise RungError(f"output_regex: {error}", where=f"bigbench_{name}", mend="mend the task.json") from None
    step = {"function": "regex", "regex_pattern": str(pattern), "fallback": ""}
    return (("none", (step, {"function": "take_first"})),)


def _examples(head: Mapping[str, Any], file: Path) -> list[Row]:
    """Rows with `input` (its prefixes and choices around it), `choices`, `grades` and `golds`, or `target`."""
    given = head.get("examples")
    if not isinstance(given, list) or not given:
        raise RungError("holds no examples", where=str(file), mend="name a task.json of BIG-bench's JSON form")
    before, behind = _text(head, "example_input_prefix", "\nQ: "), _text(head, "example_output_prefix", "\nA: ")
    listed = _text(head, "choice_prefix", "\n  choice: ") if head.get("append_choices_to_input", True) else None
    rows: list[Row] = []
    for number, example in enumerate(given, 1):
        where = f"{file}, example {number}"
        if not isinstance(example, Mapping) or "input" not in example or not {"target", "target_scores"} & set(example):
            raise RungError("is no input with a target", where=where, mend="mend the task.json")
        text, row = f"{before}{example['input']}", dict[str, Any]()
        if grades := example.get("target_scores"):
            if not all(isinstance(grade, int | float) for grade in grades.values()):
                raise RungError("has grades that are no numbers", where=where, mend="mend target_scores")
            text += "".join(f"{listed}{choice}" for choice in grades) if listed is not None else ""
            best = max(grades.values())
            row = {
                "choices": list(grades), "grades": list(grades.values()),
                "golds": [place for place, grade in enumerate(grades.values()) if grade == best],
            }  # fmt: skip
        else:
            target = example["target"]
            row = {"target": [str(one) for one in target] if isinstance(target, list) else [str(target)]}
        rows.append({"input": text + behind, **row})
    return rows


def build_hard(folder: Path, only: str | None) -> Iterator[Prepared]:
    """The 27 files of BIG-bench Hard's 23 tasks, answered directly.

    The three worked examples are those of `cot-prompts`, without their reasoning; where that folder is not there, there are
    none: other items of a task would give away what is scored.
    """
    place = home(folder, ["bbh", "BIG-Bench-Hard", "bigbench_hard"])
    names = chosen("bbh", HARD, only)
    files = {name: place / part / f"{name}.json" for name in names for part in ("", "bbh")
             if (place / part / f"{name}.json").is_file()}  # fmt: skip
    whole("bbh", names, list(files), place)
    for name in names:
        head = forms.json_object(files[name])
        rows = [{"input": row["input"], "target": row["target"]} for row in _plain(head, files[name])]
        prompt = next((place / n / f"{name}.txt" for n in ("cot-prompts", "../cot-prompts")
                       if (place / n / f"{name}.txt").is_file()), None)  # fmt: skip
        description, samples = _worked(forms.text(prompt), prompt) if prompt else ("", [])
        task = made(
            f"bbh_{name}", place, "generate_until", doc_to_text="Q: {{input}}\nA:", doc_to_target="target",
            description=description, num_fewshot=len(samples), shots=Shots("first_n", samples=tuple(samples)),
            generation_kwargs={"until": ["</s>", "Q:", "\n\n"], "max_gen_toks": ANSWER_TOKENS}, filters=STRIPPED,
        )  # fmt: skip
        yield Prepared(task, rows, lambda samples=samples: samples)  # type: ignore[misc]


def _plain(head: Mapping[str, Any], file: Path) -> Sequence[Mapping[str, str]]:
    rows = head.get("examples")
    if not isinstance(rows, list) or not rows:
        raise RungError("holds no examples", where=str(file), mend="fetch it again")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping) or not all(isinstance(row.get(key), str) for key in ("input", "target")):
            raise RungError("is no input with a target", where=f"{file}, example {number}", mend="fetch it again")
    return rows


def _worked(text: str, file: Path) -> tuple[str, list[Row]]:
    """The first lines, which tell the task, and (input, answer) of each example of a prompt with reasoning."""
    told, *parts = re.split(r"^Q: ", text.partition("-----\n")[2] or text, flags=re.MULTILINE)
    samples: list[Row] = []
    for part in parts:
        question, _, reasoning = part.partition("\nA:")
        answer = re.findall(r"the answer is (.*?)\.?\s*$", reasoning, flags=re.MULTILINE)
        if not answer:
            raise RungError("has an example without `the answer is`", where=str(file), mend="fetch it again")
        samples.append({"input": question.strip(), "target": answer[-1].strip()})
    return told, samples
