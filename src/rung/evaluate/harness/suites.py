"""Benchmarks by name: what each asks, what data it needs, where it looks for it.

A suite is a list of tasks with their rows; how files are read is in `forms`, how tasks are run in `run`. Prompts follow
the papers of the benchmarks; where lm-eval has a task of the same name, its wording is the same in substance, not to the
letter, and a task file of lm-eval can be given instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rung.errors import RungError
from rung.evaluate.harness import forms
from rung.evaluate.harness.spec import HarnessTask, Metric, Shots

Row = forms.Row
CHOICES = (Metric("acc"), Metric("acc_norm"))
LETTERS = ["A", "B", "C", "D"]


@dataclass(frozen=True)
class Prepared:
    """A task with its rows: those that are scored, and those that worked examples are drawn from."""

    task: HarnessTask
    rows: list[Row] = field(repr=False)
    pool: list[Row] = field(repr=False, default_factory=list)
    runs_code: bool = False


@dataclass(frozen=True)
class Suite:
    """A benchmark: `needs` says in words which files `build` looks for in the folder."""

    name: str
    title: str
    needs: str
    build: Callable[[Path], Iterator[Prepared]]


def _task(name: str, folder: Path, kind: str, **settings: Any) -> HarnessTask:
    settings = {"metrics": CHOICES if kind == "multiple_choice" else (Metric("exact_match"),), **settings}
    return HarnessTask(name, folder, output_type=kind, test_split="test", **settings)


def _mmlu(folder: Path) -> Iterator[Prepared]:
    """Hendrycks et al. 2021: five worked examples of the same subject, the first ones of dev."""
    home = folder / "mmlu" if (folder / "mmlu").is_dir() else folder
    tests, devs = dict(forms.subjects(home, "test", "mmlu")), dict(forms.subjects(home, "dev", "mmlu"))
    if lacking := sorted(set(tests) - set(devs)):
        raise RungError(
            f"dev lacks {len(lacking)} subjects: {', '.join(lacking[:3])}", where="mmlu", mend="add the files"
        )
    options = "".join(f"{letter}. {{{{choice{n}}}}}\n" for n, letter in enumerate(LETTERS))
    for subject, file in tests.items():
        spoken = subject.replace("_", " ")
        task = _task(
            f"mmlu_{subject}", home, "multiple_choice",
            doc_to_text="{{question.strip()}}\n" + options + "Answer:", doc_to_choice=LETTERS, doc_to_target="answer",
            description=f"The following are multiple choice questions (with answers) about {spoken}.\n\n",
            num_fewshot=5, shots=Shots(sampler="first_n", split="dev"), metrics=(Metric("acc"),),
        )  # fmt: skip
        yield Prepared(task, _whole(forms.table(file)), _whole(forms.table(devs[subject])))


def _whole(rows: Sequence[Row]) -> list[Row]:
    return [{**row, "answer": int(row["answer"])} for row in rows]


def _gsm8k(folder: Path) -> Iterator[Prepared]:
    """Cobbe et al. 2021: five worked solutions; strict takes the number behind ####, flexible the last number."""
    home = folder / "gsm8k" if (folder / "gsm8k").is_dir() else folder
    test, train = (forms.json_lines(forms.found(home, [f"{part}.jsonl"], "gsm8k")) for part in ("test", "train"))
    task = _task(
        "gsm8k", home, "generate_until",
        doc_to_text="Question: {{question}}\nAnswer:", doc_to_target="{{answer}}", num_fewshot=5,
        generation_kwargs={"until": ["Question:", "</s>", "<|im_end|>"], "max_gen_toks": 256},
        metrics=(
            Metric("exact_match", {"ignore_case": True, "regexes_to_ignore": [",", r"\$", r"(?s).*#### ", r"\.$"]}),
        ),
        filters=(
            ("strict", ({"function": "regex", "regex_pattern": r"#### (\-?[0-9\.\,]+)"}, {"function": "take_first"})),
            ("flexible", (
                {"function": "regex", "group_select": -1, "regex_pattern": r"(-?[$0-9.,]{2,})|(-?[0-9]+)"},
                {"function": "take_first"},
            )),
        ),
    )  # fmt: skip
    yield Prepared(task, test, train)


def _truthful(folder: Path) -> Iterator[Prepared]:
    """Lin et al. 2022: mc1, the best answer among wrong ones; mc2, the probability that all right ones share."""
    home = folder / "truthfulqa" if (folder / "truthfulqa").is_dir() else folder
    rows = forms.table(forms.found(home, ["TruthfulQA.csv"], "truthfulqa"))

    def answers(text: str) -> list[str]:
        return [one.strip() for one in text.split(";") if one.strip()]

    for name in ("mc1", "mc2"):
        made: list[Row] = []
        for row in rows:
            right = [row["Best Answer"].strip()] if name == "mc1" else answers(row["Correct Answers"])
            made.append({**row, "right": list(range(len(right))), "choices": right + answers(row["Incorrect Answers"])})
        task = _task(
            f"truthfulqa_{name}", home, "multiple_choice",
            doc_to_text="Q: {{Question}}\nA:", doc_to_choice="choices", doc_to_target="right",
            metrics=(Metric("acc" if name == "mc1" else "mass"),),
        )  # fmt: skip
        yield Prepared(task, made)


def _wikitext(folder: Path) -> Iterator[Prepared]:
    """Merity et al. 2017: perplexity of whole pages, by word, by byte, and bits a byte."""
    home = next((folder / n for n in ("wikitext2", "wikitext") if (folder / n).is_dir()), folder)
    rows = forms.wiki_pages(forms.found(home, ["test.txt", "wiki.test.raw", "wiki.test.tokens"], "wikitext"))
    metrics = tuple(Metric(name, {}, False) for name in ("word_perplexity", "byte_perplexity", "bits_per_byte"))
    yield Prepared(_task("wikitext", home, "loglikelihood_rolling", doc_to_target="page", metrics=metrics), rows)


def _pairs(folder: Path) -> Iterator[Prepared]:
    """Warstadt et al. 2020 (BLiMP's form): the acceptable sentence of a minimal pair is the likelier one."""
    home = next((folder / n for n in ("blimp", "pairs") if (folder / n).is_dir()), folder)
    files = sorted(home.glob("*.jsonl"))
    if not files:
        raise RungError("the data is not there", where="blimp", mend=f"put {folder}/blimp/*.jsonl in place")
    for file in files:
        rows = forms.json_lines(file)
        if lacking := {"sentence_good", "sentence_bad"} - set(rows[0] if rows else {}):
            raise RungError(f"lacks {', '.join(sorted(lacking))}", where=str(file), mend="name files of BLiMP's form")
        task = _task(
            f"blimp_{file.stem}", home, "multiple_choice", target_delimiter="", metrics=(Metric("acc"),),
            doc_to_text="", doc_to_choice="{{[sentence_good, sentence_bad]}}", doc_to_target=0,
        )  # fmt: skip
        yield Prepared(task, rows)


def _big_bench(folder: Path) -> Iterator[Prepared]:
    """Srivastava et al. 2022: every task.json below the folder; choices where it scores them, else an answer to the letter."""
    home = next((folder / n for n in ("bigbench", "big-bench") if (folder / n).is_dir()), folder)
    files = sorted(home.rglob("task.json"))
    if not files:
        raise RungError("the data is not there", where="bigbench", mend=f"put <task>/task.json below {folder}/bigbench")
    for file in files:
        head, rows = forms.big_bench(file)
        name, before = f"bigbench_{file.parent.name}", str(head.get("task_prefix", ""))
        if all("choices" in row for row in rows):
            task = _task(
                name, home, "multiple_choice", description=before,
                doc_to_text="input", doc_to_choice="choices", doc_to_target="golds",
            )  # fmt: skip
        else:
            task = _task(
                name, home, "generate_until", description=before, doc_to_text="input", doc_to_target="target",
                generation_kwargs={"until": ["\n"], "max_gen_toks": 64},
                filters=(("none", ({"function": "remove_whitespace"}, {"function": "take_first"})),),
            )  # fmt: skip
        yield Prepared(task, rows, rows)


def _hard(folder: Path) -> Iterator[Prepared]:
    """Suzgun et al. 2022 (BIG-bench Hard): the 23 tasks' files with `input` and `target`, three worked examples."""
    home = next((folder / n for n in ("bbh", "bigbench_hard") if (folder / n).is_dir()), folder)
    files = sorted(home.glob("*.json"))
    if not files:
        raise RungError("the data is not there", where="bbh", mend=f"put {folder}/bbh/<task>.json in place")
    for file in files:
        _, rows = forms.big_bench(file)
        plain = [{"input": row["input"], "target": row["target"][0]} for row in rows]
        task = _task(
            f"bbh_{file.stem}", home, "generate_until", doc_to_text="input", doc_to_target="target", num_fewshot=3,
            shots=Shots(split="test"), generation_kwargs={"until": ["\n\n", "\nQ:"], "max_gen_toks": 64},
            filters=(("none", ({"function": "remove_whitespace"}, {"function": "take_first"})),),
        )  # fmt: skip
        yield Prepared(task, plain, plain)


def _human_eval(folder: Path) -> Iterator[Prepared]:
    """Chen et al. 2021: a function's body from its head and docstring; right where its tests pass (pass@1)."""
    home = folder / "humaneval" if (folder / "humaneval").is_dir() else folder
    rows = forms.json_lines(forms.found(home, ["HumanEval.jsonl.gz", "HumanEval.jsonl"], "humaneval"))
    task = _task(
        "humaneval", home, "generate_until", doc_to_text="prompt", doc_to_target="{{test}}\ncheck({{entry_point}})\n",
        metrics=(Metric("passes"),),
        generation_kwargs={"until": ["\nclass", "\ndef", "\n#", "\nif", "\nprint"], "max_gen_toks": 512},
    )  # fmt: skip
    yield Prepared(task, rows, runs_code=True)


@dataclass(frozen=True, slots=True)
class _Sentences:
    """A task of GLUE or SuperGLUE: its folder's names, its prompt, and its labels as words."""

    folders: tuple[str, ...]
    text: str
    words: Mapping[str, str]  # label in the file to word
    metrics: tuple[str, ...] = ("acc",)
    label: str = "label"


_GLUE = {
    "cola": _Sentences(
        ("CoLA", "cola"),
        "{{sentence}}\nQuestion: Does this sentence make sense?\nAnswer:",
        {"0": "no", "1": "yes"},
        ("acc", "mcc"),
    ),
    "sst2": _Sentences(
        ("SST-2", "sst2", "fewshot_bundle/sst2"),
        "{{sentence}}\nQuestion: Is this sentence positive or negative?\nAnswer:",
        {"0": "negative", "1": "positive"},
    ),
    "mrpc": _Sentences(
        ("MRPC", "mrpc"),
        "Sentence 1: {{sentence1}}\nSentence 2: {{sentence2}}\nQuestion: Do both sentences mean the same thing?\nAnswer:",
        {"0": "no", "1": "yes"},
        ("acc", "f1"),
    ),
    "qqp": _Sentences(
        ("QQP", "qqp"),
        "Question 1: {{question1}}\nQuestion 2: {{question2}}\nQuestion: Do both questions ask the same thing?\nAnswer:",
        {"0": "no", "1": "yes"},
        ("acc", "f1"),
    ),
    "mnli": _Sentences(
        ("MNLI", "mnli"),
        "{{sentence1}}\nQuestion: {{sentence2}} True, False or Neither?\nAnswer:",
        {"entailment": "True", "neutral": "Neither", "contradiction": "False"},
    ),
    "qnli": _Sentences(
        ("QNLI", "qnli"),
        "{{question}}\n{{sentence}}\nQuestion: Does this response answer the question?\nAnswer:",
        {"entailment": "yes", "not_entailment": "no"},
    ),
    "rte": _Sentences(
        ("RTE", "rte"),
        "{{sentence1}}\nQuestion: {{sentence2}} True or False?\nAnswer:",
        {"entailment": "True", "not_entailment": "False"},
    ),
    "wnli": _Sentences(
        ("WNLI", "wnli"), "{{sentence1}}\nQuestion: {{sentence2}} True or False?\nAnswer:", {"0": "False", "1": "True"}
    ),
}
_SUPER = {
    "boolq": _Sentences(
        ("BoolQ", "boolq"), "{{passage}}\nQuestion: {{question}}?\nAnswer:", {"False": "no", "True": "yes"}
    ),
    "cb": _Sentences(
        ("CB", "cb"),
        "{{premise}}\nQuestion: {{hypothesis}}. True, False or Neither?\nAnswer:",
        {"entailment": "True", "contradiction": "False", "neutral": "Neither"},
    ),
    "rte": _Sentences(
        ("RTE", "rte"),
        "{{premise}}\nQuestion: {{hypothesis}} True or False?\nAnswer:",
        {"entailment": "True", "not_entailment": "False"},
    ),
    "wic": _Sentences(
        ("WiC", "wic"),
        "Sentence 1: {{sentence1}}\nSentence 2: {{sentence2}}\nQuestion: Is the word '{{word}}' used in the same way?\nAnswer:",
        {"False": "no", "True": "yes"},
    ),
    "wsc": _Sentences(
        ("WSC", "wsc"),
        "Passage: {{text}}\nQuestion: Does \"{{target['span2_text']}}\" refer to \"{{target['span1_text']}}\"?\nAnswer:",
        {"False": "no", "True": "yes"},
    ),
}


def _glue(folder: Path) -> Iterator[Prepared]:
    """Wang et al. 2018, but for STS-B, whose answers are numbers: each task whose folder is there."""
    home = next((folder / n for n in ("glue", "GLUE") if (folder / n).is_dir()), folder)
    yield from _sentence_tasks("glue", _GLUE, home, _glue_rows)


def _super_glue(folder: Path) -> Iterator[Prepared]:
    """Wang et al. 2019: the tasks of pairs, COPA; MultiRC and ReCoRD, scored by question, are not among them."""
    home = next((folder / n for n in ("super_glue", "superglue", "SuperGLUE") if (folder / n).is_dir()), folder)
    copa = [home / name for name in ("COPA", "copa") if (home / name).is_dir()]
    for place in copa[:1]:
        rows = forms.json_lines(forms.found(place, ["val.jsonl"], "super_glue_copa"))
        task = _task(
            "super_glue_copa", place, "multiple_choice", doc_to_choice="{{[choice1, choice2]}}", doc_to_target="label",
            doc_to_text="{{premise.rstrip('.')}} {{'because' if question == 'cause' else 'therefore'}}",
        )  # fmt: skip
        yield Prepared(task, rows, rows)
    yield from _sentence_tasks("super_glue", _SUPER, home, _super_rows, bool(copa))


def _sentence_tasks(
    suite: str,
    tasks: Mapping[str, _Sentences],
    home: Path,
    read: Callable[[str, Path], list[Row]],
    some: bool = False,
) -> Iterator[Prepared]:
    for name, one in tasks.items():
        place = next((home / folder for folder in one.folders if (home / folder).is_dir()), None)
        if place is None:
            continue
        some = True
        rows = read(f"{suite}_{name}", place)
        labels = list(one.words)
        for number, row in enumerate(rows):
            if str(row.get(one.label)) not in labels:
                raise RungError(
                    f"{one.label} {row.get(one.label)!r} is none of {', '.join(labels)}",
                    where=f"{suite}_{name}, row {number + 1}",
                    mend="take a split with labels",
                )
        made = [{**row, "gold": labels.index(str(row[one.label]))} for row in rows]
        task = _task(
            f"{suite}_{name}", place, "multiple_choice", doc_to_text=one.text, doc_to_choice=list(one.words.values()),
            doc_to_target="gold", metrics=tuple(Metric(metric) for metric in one.metrics),
        )  # fmt: skip
        yield Prepared(task, made, made)
    if not some:
        names = ", ".join(one.folders[0] for one in tasks.values())
        raise RungError("the data is not there", where=suite, mend=f"put folders of it ({names}) in {home}")


def _glue_rows(name: str, place: Path) -> list[Row]:
    if name == "glue_cola":
        file = forms.found(place, ["dev.tsv", "in_domain_dev.tsv"], name)
        return forms.table(file, ["source", "label", "mark", "sentence"])
    if name == "glue_sst2" and (place / "stsa.binary.dev").is_file():
        return forms.labelled_lines(place / "stsa.binary.dev")
    rows = forms.table(forms.found(place, ["dev.tsv", "dev_matched.tsv"], name))
    renamed = {"#1 String": "sentence1", "#2 String": "sentence2", "Quality": "label", "is_duplicate": "label"}
    renamed["gold_label"] = "label"
    return [{renamed.get(key, key): value for key, value in row.items()} for row in rows]


def _super_rows(name: str, place: Path) -> list[Row]:
    return forms.json_lines(forms.found(place, ["val.jsonl"], name))


SUITES: Mapping[str, Suite] = {
    one.name: one
    for one in (
        Suite("mmlu", "MMLU, 57 subjects", "mmlu/dev/<subject>_dev.csv and mmlu/test/<subject>_test.csv", _mmlu),
        Suite("gsm8k", "GSM8K", "gsm8k/test.jsonl and gsm8k/train.jsonl", _gsm8k),
        Suite("truthfulqa", "TruthfulQA, mc1 and mc2", "truthfulqa/TruthfulQA.csv", _truthful),
        Suite("humaneval", "HumanEval", "humaneval/HumanEval.jsonl.gz (and --run-code)", _human_eval),
        Suite("wikitext", "WikiText perplexity", "wikitext2/test.txt, or wiki.test.raw", _wikitext),
        Suite("blimp", "Minimal pairs, BLiMP's form", "blimp/*.jsonl with sentence_good and sentence_bad", _pairs),
        Suite("glue", "GLUE", "CoLA, SST-2, MRPC, QQP, MNLI, QNLI, RTE, WNLI: <task>/dev.tsv", _glue),
        Suite("super_glue", "SuperGLUE", "BoolQ, CB, COPA, RTE, WiC, WSC: <task>/val.jsonl", _super_glue),
        Suite("bigbench", "BIG-bench", "bigbench/<task>/task.json", _big_bench),
        Suite("bbh", "BIG-bench Hard", "bbh/<task>.json", _hard),
    )
}
