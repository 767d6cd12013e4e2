"""SuperGLUE (Wang et al. 2019) in its own files, one JSON object a line: each task's rows, its prompt and its scores.

MultiRC is scored answer by answer (F1 and accuracy), not by whether all answers to a question are right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rung.errors import RungError
from rung.evaluate.harness.spec import Metric
from rung.evaluate.harness.suites import forms
from rung.evaluate.harness.suites.glue import labelled
from rung.evaluate.harness.suites.suite import Prepared, Row, chosen, home, made, whole
from rung.metrics.agreement import squad_match, token_f1
from rung.types import Example

Given = Mapping[str, Any]
ACCURACY = (Metric("acc"),)


@dataclass(frozen=True, slots=True)
class Lines:
    """A task: its folder's name, the keys its lines need, what rows a line makes, its prompt, choices and scores."""

    folder: str
    needed: tuple[str, ...]
    rows: Callable[[Given], list[Row]]
    text: str
    choices: Any
    metrics: tuple[Metric, ...] = ACCURACY


def _of_labels(*labels: str) -> Callable[[Given], list[Row]]:
    return lambda line: [labelled(line, list(labels), f"line {line.get('idx')}")]


def _copa(line: Given) -> list[Row]:
    """The premise without its full stop, goes on with `because` or `therefore` and a choice that begins small."""
    joined = {"cause": "because", "effect": "therefore"}[line["question"]]
    choices = [f" {text[:1].lower()}{text[1:]}" for text in (line["choice1"], line["choice2"])]
    return [{"text": f"{line['premise'].strip()[:-1]} {joined}", "choices": choices, "gold": int(line["label"])}]


def _multirc(line: Given) -> list[Row]:
    """A row for each answer to each question."""
    passage = line["passage"]
    return [
        {"text": f"{passage['text']}\nQuestion: {question['question']}\nAnswer:", "gold": int(answer["label"]),
         "choices": [f"{answer['text']}\nIs the answer correct? {word}" for word in ("no", "yes")]}
        for question in passage["questions"] for answer in question["answers"]
    ]  # fmt: skip


def _record(line: Given) -> list[Row]:
    """A row for each query: every entity of the passage in its gap; graded by the entity that is the likeliest."""
    passage = line["passage"]
    first, *highlights = passage["text"].strip().split("\n@highlight\n")
    text = f"{first}\n\n" + "".join(f"  - {highlight}.\n" for highlight in highlights)
    entities = sorted({passage["text"][span["start"] : span["end"] + 1] for span in passage["entities"]})
    rows: list[Row] = []
    for query in line["qas"]:
        answers = sorted({answer["text"] for answer in query["answers"]})
        right = Example("", (), answers[0], tuple(answers[1:]))
        rows.append(
            {
                "text": text, "choices": [f"  - {query['query']}".replace("@placeholder", one) for one in entities],
                "gold": [place for place, one in enumerate(entities) if one in answers],
                "f1": [token_f1(one, right) for one in entities], "em": [squad_match(one, right) for one in entities],
            }
        )  # fmt: skip
    return rows


def _wsc(line: Given) -> list[Row]:
    """The pronoun is marked in the passage; its place is counted in words."""
    target, words = line["target"], line["text"].split()
    at, length = int(target["span2_index"]), len(target["span2_text"].split())
    marked = " ".join([*words[:at], f"*{target['span2_text']}*", *words[at + length :]])
    return [labelled({**line, "marked": marked, **target}, ["False", "True"], f"line {line.get('idx')}")]


TASKS: Mapping[str, Lines] = MappingProxyType(
    {
        "boolq": Lines("BoolQ", ("passage", "question", "label"), _of_labels("False", "True"),
                       "{{passage}}\nQuestion: {{question}}?\nAnswer:", ["no", "yes"]),
        "cb": Lines("CB", ("premise", "hypothesis", "label"), _of_labels("entailment", "contradiction", "neutral"),
                    "{{premise}}\nQuestion: {{hypothesis}}. True, False, or Neither?\nAnswer:",
                    ["True", "False", "Neither"], (Metric("acc"), Metric("macro_f1"))),
        "copa": Lines("COPA", ("premise", "choice1", "choice2", "question", "label"), _copa, "text", "choices"),
        "multirc": Lines("MultiRC", ("passage",), _multirc, "text", "choices", (Metric("f1"), Metric("acc"))),
        "record": Lines("ReCoRD", ("passage", "qas"), _record, "text", "choices",
                        (Metric("f1", column="f1"), Metric("em", column="em"))),
        "rte": Lines("RTE", ("premise", "hypothesis", "label"), _of_labels("entailment", "not_entailment"),
                     "{{premise}}\nQuestion: {{hypothesis}} True or False?\nAnswer:", ["True", "False"]),
        "wic": Lines("WiC", ("word", "sentence1", "sentence2", "label"), _of_labels("False", "True"),
                     "Sentence 1: {{sentence1}}\nSentence 2: {{sentence2}}\nQuestion: Is the word '{{word}}' used in the same way "
                     "in the two sentences above?\nAnswer:", ["no", "yes"]),
        "wsc": Lines("WSC", ("text", "target", "label"), _wsc,
                     "Passage: {{marked}}\nQuestion: In the passage above, does the pronoun \"*{{span2_text}}*\" refer to "
                     "\"*{{span1_text}}*\"?\nAnswer:", ["no", "yes"]),
    }
)  # fmt: skip


def build(folder: Path, only: str | None) -> Iterator[Prepared]:
    """The tasks, on their validation split, whose labels are public."""
    place = home(folder, ["super_glue", "superglue", "SuperGLUE"])
    names = chosen("super_glue", list(TASKS), only)
    whole("super_glue", names, [name for name in names if _file(place, name, "val").is_file()], place)
    for name in names:
        one = TASKS[name]
        task = made(
            f"super_glue_{name}", place, "multiple_choice", doc_to_text=one.text, doc_to_choice=one.choices,
            doc_to_target="gold", metrics=one.metrics,
        )  # fmt: skip
        yield Prepared(task, _rows(place, name, "val"), partial(_rows, place, name, "train"))


def _file(place: Path, name: str, part: str) -> Path:
    folders = (TASKS[name].folder, name)
    return next((place / f / f"{part}.jsonl" for f in folders if (place / f).is_dir()), place / f"{name}.none")


def _rows(place: Path, name: str, part: str) -> list[Row]:
    file = _file(place, name, part)
    lines = forms.json_lines(file, TASKS[name].needed)
    found: list[Row] = []
    for number, line in enumerate(lines, 1):
        try:
            found += TASKS[name].rows(line)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            what = f"is not of {TASKS[name].folder}'s form ({type(error).__name__}: {error})"
            raise RungError(what, where=f"{file}, line {number}", mend="fetch the file again") from None
    return found
