"""GLUE (Wang et al. 2018) in its own files: one or two sentences, a label in words. STS-B, whose answers are numbers, is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rung.errors import RungError
from rung.evaluate.harness.spec import Metric
from rung.evaluate.harness.suites import forms
from rung.evaluate.harness.suites.suite import Prepared, Row, chosen, home, made, whole

COLA = ("source", "label", "mark", "sentence")  # the columns of CoLA, which names none
RENAMED = {"#1 String": "sentence1", "#2 String": "sentence2", "Quality": "label", "is_duplicate": "label",
           "gold_label": "label"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sentences:
    """A task: the names its folder may have, its prompt, its labels with the words they are answered by, its files."""

    folders: tuple[str, ...]
    text: str
    words: Mapping[str, str]
    metrics: tuple[str, ...] = ("acc",)
    scored: tuple[str, ...] = ("dev.tsv",)
    shown: tuple[str, ...] = ("train.tsv",)


_MNLI = Sentences(
    ("MNLI", "mnli"),
    "{{sentence1}}\nQuestion: {{sentence2.strip()}}{{'' if sentence2.strip().endswith('.') else '.'}} True, False or Neither?\nAnswer:",
    {"entailment": "True", "neutral": "Neither", "contradiction": "False"},
    scored=("dev_matched.tsv",),
)
TASKS: Mapping[str, Sentences] = MappingProxyType(
    {
        "cola": Sentences(
            ("CoLA", "cola"), "{{sentence}}\nQuestion: Does this sentence make sense?\nAnswer:", {"0": "no", "1": "yes"},
            ("mcc", "acc"), ("dev.tsv", "in_domain_dev.tsv"), ("train.tsv", "in_domain_train.tsv"),
        ),
        "sst2": Sentences(
            ("SST-2", "sst2", "fewshot_bundle/sst2"),
            "{{sentence}}\nQuestion: Is this sentence positive or negative?\nAnswer:",
            {"0": "negative", "1": "positive"}, ("acc",),
            ("dev.tsv", "stsa.binary.dev"), ("train.tsv", "stsa.binary.train"),
        ),
        "mrpc": Sentences(
            ("MRPC", "mrpc"),
            "Sentence 1: {{sentence1}}\nSentence 2: {{sentence2}}\nQuestion: Do both sentences mean the same thing?\nAnswer:",
            {"0": "no", "1": "yes"}, ("acc", "f1"),
        ),
        "qqp": Sentences(
            ("QQP", "qqp"),
            "Question 1: {{question1}}\nQuestion 2: {{question2}}\nQuestion: Do both questions ask the same thing?\nAnswer:",
            {"0": "no", "1": "yes"}, ("acc", "f1"),
        ),
        "mnli": _MNLI,
        "mnli_mismatch": Sentences(
            _MNLI.folders, _MNLI.text, _MNLI.words, scored=("dev_mismatched.tsv",)
        ),
        "qnli": Sentences(
            ("QNLI", "qnli"),
            "{{question}}\n{{sentence}}\nQuestion: Does this response answer the question?\nAnswer:",
            {"entailment": "yes", "not_entailment": "no"},
        ),
        "rte": Sentences(
            ("RTE", "rte"), "{{sentence1}}\nQuestion: {{sentence2}} True or False?\nAnswer:",
            {"entailment": "True", "not_entailment": "False"},
        ),
        "wnli": Sentences(
            ("WNLI", "wnli"), "{{sentence1}}\nQuestion: {{sentence2}} True or False?\nAnswer:",
            {"0": "False", "1": "True"},
        ),
    }
)  # fmt: skip


def build(folder: Path, only: str | None) -> Iterator[Prepared]:
    """The tasks, on their development split, whose labels are public."""
    place = home(folder, ["glue", "GLUE", "glue_data"])
    names = chosen("glue", list(TASKS), only)
    there = [name for name in names if _file(place, TASKS[name], TASKS[name].scored)]
    whole("glue", names, there, place)
    for name in names:
        one = TASKS[name]
        task = made(
            f"glue_{name}", place, "multiple_choice", doc_to_text=one.text, doc_to_choice=list(one.words.values()),
            doc_to_target="gold", metrics=tuple(Metric(metric) for metric in one.metrics),
        )  # fmt: skip
        yield Prepared(task, _rows(place, name, one.scored), partial(_rows, place, name, one.shown))


def _file(place: Path, one: Sentences, names: tuple[str, ...]) -> Path | None:
    files = [place / folder / name for folder in one.folders for name in names]
    return next((file for file in files if file.is_file()), None)


def _rows(place: Path, name: str, files: tuple[str, ...]) -> list[Row]:
    one = TASKS[name]
    file = _file(place, one, files)
    if file is None:
        wanted = f"{place / one.folders[0]}/{files[0]}"
        raise RungError("the data is not there", where=f"glue_{name}", mend=f"put {wanted} in place")
    return [labelled(row, list(one.words), f"{file}, row {number}") for number, row in enumerate(_table(file, name), 1)]


def _table(file: Path, name: str) -> list[dict[str, Any]]:
    if file.name.startswith("stsa."):  # as SST-2 was first given away: label, space, sentence
        split = (line.partition(" ") for line in forms.text(file).split("\n") if line.strip())
        return [{"label": label, "sentence": sentence.strip()} for label, _, sentence in split]
    rows = forms.table(file, COLA if name == "cola" else None)
    return [{RENAMED.get(key, key): value for key, value in row.items()} for row in rows]


def labelled(row: Mapping[str, Any], labels: list[str], where: str) -> Row:
    """A row with its label's place as `gold`. Raises RungError for a label that is none of them."""
    label = str(row.get("label"))
    if label not in labels:
        raise RungError(f"label {label!r} is none of {', '.join(labels)}", where=where, mend="take a split with labels")
    return {**row, "gold": labels.index(label)}
