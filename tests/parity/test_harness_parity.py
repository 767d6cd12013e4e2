"""Task files of lm-eval give the same numbers here as there, on the same model, item by item."""

from __future__ import annotations

import json
import logging
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rung.evaluate.harness.reading import read_task
from rung.evaluate.harness.run import HarnessRun
from rung.evaluate.harness.spec import HarnessTask
from rung.generate.engine import Engine
from rung.model.load import Model

lm_eval = pytest.importorskip("lm_eval", reason="lm-eval is not installed (pip install 'rung[bench]')")

Base = Callable[[str], Path]
DATA = Path(os.environ.get("RUNG_DATA", "/nowhere"))
WORDS = [
    "north",
    "south",
    "east",
    "west",
    "red",
    "green",
    "blue",
    "one",
    "two",
    "three",
    "four",
    "five",
    "good",
    "bad",
    "film",
    "parcel",
    "order",
    "lamp",
]


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Questions with choices of unlike length, some ending in spaces, a passage and an answer."""
    chance = random.Random(seed)

    def say(most: int) -> str:
        return " ".join(chance.choices(WORDS, k=chance.randint(1, most)))

    made = []
    for number in range(count):
        choices = [say(4) for _ in range(4)]
        made.append(
            {
                "id": number,
                "question": say(12) + (" " if number % 5 == 0 else ""),
                "choices": choices,
                "answer": chance.randrange(4),
                "passage": f"{say(60)}.\n{say(30)}",
                "said": say(2),
                "number": str(chance.randrange(50)),
            }
        )
    return made


TASKS: dict[str, dict[str, Any]] = {
    "letters": {
        "output_type": "multiple_choice",
        "doc_to_text": "{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nC. {{choices[2]}}\nD. {{choices[3]}}\nAnswer:",
        "doc_to_choice": ["A", "B", "C", "D"],
        "doc_to_target": "answer",
        "num_fewshot": 3,
        "fewshot_split": "train",
        "fewshot_config": {"sampler": "first_n"},
        "description": "Choose.\n\n",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}, {"metric": "brier_score"}],
    },
    "texts": {
        "output_type": "multiple_choice",
        "doc_to_text": "question",
        "doc_to_choice": "choices",
        "doc_to_target": "{{answer}}",
        "num_fewshot": 2,
        "fewshot_split": "train",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}, {"metric": "exact_match"}],
    },
    "own_split": {
        "output_type": "multiple_choice",
        "doc_to_text": "Q: {{question}}\nA:",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{choices[answer]}}",
        "num_fewshot": 2,
        "fewshot_split": "test",
        "target_delimiter": "",
    },
    "inputs": {
        "output_type": "multiple_choice",
        "doc_to_text": "{{answer}}",
        "doc_to_choice": "choices",
        "doc_to_target": "said",
        "num_fewshot": 1,
        "fewshot_split": "train",
    },
    "continuation": {
        "output_type": "loglikelihood",
        "doc_to_text": "{{question}}",
        "doc_to_target": " {{said}}",
        "metric_list": [{"metric": "perplexity"}, {"metric": "acc"}],
    },
    "nothing_before": {
        "output_type": "loglikelihood",
        "doc_to_text": "",
        "doc_to_target": "{{passage}}",
        "metric_list": [{"metric": "perplexity"}, {"metric": "acc"}],
    },
    "rolling": {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "passage"},
    "answers": {
        "output_type": "generate_until",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_target": "{{said}} #### {{number}}",
        "num_fewshot": 2,
        "fewshot_split": "train",
        "generation_kwargs": {"until": ["red", "\n\n"], "max_gen_toks": 20, "do_sample": False},
        "filter_list": [
            {"name": "first", "filter": [{"function": "regex", "regex_pattern": r"(\w+)"}, {"function": "take_first"}]},
            {"name": "whole", "filter": [{"function": "remove_whitespace"}, {"function": "take_first"}]},
        ],
        "metric_list": [{"metric": "exact_match", "ignore_case": True, "ignore_punctuation": True}],
    },
}


def write(folder: Path, name: str, settings: dict[str, Any]) -> Path:
    """A task file with its data beside it."""
    for split, table in (("train", rows(8, 1)), ("test", rows(14, 2))):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table))
    given = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {s: str(folder / f"{s}.jsonl") for s in ("train", "test")}},
        "test_split": "test",
        **settings,
    }
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(given))
    return file


def reference(model: Model, file: Path, limit: int | None = None) -> dict[str, Any]:
    """What lm-eval makes of the file."""
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    wrapped = HFLM(
        pretrained=model.fresh("float32").eval(), tokenizer=model.tokenizer, batch_size=4, max_length=model.window
    )
    return lm_eval.simple_evaluate(  # type: ignore[no-any-return]
        model=wrapped,
        tasks=[file.stem],
        task_manager=TaskManager(include_path=str(file.parent), include_defaults=False),
        limit=limit,
        bootstrap_iters=2,
    )


MEANS = ("acc", "acc_norm", "acc_bytes", "exact_match")


def compare(model: Model, file: Path, limit: int | None = None) -> None:
    """Every item and every score."""
    expected = reference(model, file, limit)
    kept: list[dict[str, Any]] = []
    task = read_task(file)
    assert isinstance(task, HarnessTask)
    result = HarnessRun(task, Engine(model), limit=limit).run(kept.append)
    table = expected["results"][file.stem]
    for score in result.scores:
        assert score.value == pytest.approx(table[f"{score.metric},{score.filter}"], rel=1e-4), score
        if score.metric in MEANS and len(kept) > 1:  # it draws a bootstrap for the others
            assert score.error == pytest.approx(table[f"{score.metric}_stderr,{score.filter}"], abs=1e-9)
    assert result.errors == 0
    by_item: dict[int, list[dict[str, Any]]] = {}
    for sample in expected["samples"][file.stem]:
        by_item.setdefault(sample["doc_id"], []).append(sample)
    assert len(kept) == len(by_item)
    for row in kept:
        sample = by_item[row["item"]][0]
        if "answers" in row:
            assert row["answers"] == [response for own in sample["resps"] for response in own]
            for one in by_item[row["item"]]:
                assert row["values"][one["filter"]]["exact_match"] == one["exact_match"]
        else:
            theirs = [response[0] for response in sample["resps"]]
            mine = [total for total, _ in row["loglikelihoods"]]
            assert mine == pytest.approx([float(t[0] if isinstance(t, (list, tuple)) else t) for t in theirs], abs=2e-4)


@pytest.mark.parametrize("kind", ["llama-plain", "gpt2"])
@pytest.mark.parametrize("name", TASKS)
def test_a_task_file_gives_what_lm_eval_gives(name: str, kind: str, base: Base, tmp_path: Path) -> None:
    compare(Model.load(str(base(kind))), write(tmp_path, name, TASKS[name]))


def test_contexts_longer_than_the_window_are_cut_alike_and_counted(base: Base, tmp_path: Path) -> None:
    file = write(tmp_path, "long", TASKS["texts"] | {"num_fewshot": 6, "doc_to_text": "{{passage}} {{question}}"})
    model = Model.load(str(base("llama-plain")))
    compare(model, file)
    task = read_task(file)
    assert isinstance(task, HarnessTask)
    assert HarnessRun(task, Engine(model)).run().cut > 0
