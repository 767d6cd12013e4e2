"""Evaluation: rows kept, errors counted as the worst, choices ranked anew, requests timed one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rung.evaluate import evaluate, latency
from rung.evaluate.evaluation import reranked
from rung.system.floor import Constant
from rung.task import Task
from rung.types import Completion, Message, Prompt

ROWS = [{"text": f"message number {n} about things", "label": "ab"[n % 2]} for n in range(40)]
SPLIT = {"train": 10, "validation": 20, "test": 10, "stratify": True, "seed": 0}


def task(**more: object) -> Task:
    data = {"source": ROWS, "input": "text", "target": "label", "split": SPLIT}
    return Task.from_mapping({"name": "t", "kind": "classify", "data": data, **more})


@dataclass
class Moody:
    """Answers by a list of likelihoods and fails on some inputs; remembers what it was asked."""

    asked: list[str] = field(default_factory=list)

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        self.asked += [prompt.text for prompt in prompts]
        out = []
        for prompt in prompts:
            failed = "number 1" in prompt.text
            scores = {"a": -4.0, "b": -5.0}
            out.append(Completion("", 7, error="no line") if failed else Completion("a", 7, 2, choice_scores=scores))
        return out


def test_rows_are_kept_and_errors_count_as_the_worst() -> None:
    done = evaluate(Moody(), task(also=["macro_f1"]))
    failed = [row for row in done.rows() if row["error"]]
    assert len(done.rows()) == 20 and failed and all(row["score"] == 0.0 and row["answer"] == "" for row in failed)
    right = sum(row["target"] == "a" and not row["error"] for row in done.rows())
    assert done.score.value == right / 20 and done.error_share == len(failed) / 20
    assert set(done.also) == {"macro_f1"} and done.tokens[0] == 7.0
    assert not any("latency" in row for row in done.rows())


def test_choices_can_be_ranked_anew_without_asking() -> None:
    system = Moody()
    done = evaluate(system, task())
    asked = len(system.asked)
    other = reranked(task(), done, lambda choice: {"a": 1.0, "b": 2.0}[choice])
    assert len(system.asked) == asked
    assert {c.text for c in other.completions if not c.error} == {"b"}
    assert other.errors == done.errors


def test_progress_counts_rows() -> None:
    seen: list[tuple[int, int]] = []
    evaluate(Constant("a"), task(), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (20, 20)


def test_latency_never_asks_the_same_text_twice() -> None:
    system = Moody()
    prompts = [Prompt((Message("user", f"text {n}"),)) for n in range(3)]
    assert len(latency(system, prompts).seconds) == 3 and latency(system, prompts).median >= 0
    assert system.asked[:4] == ["text 0", "text 0 ", "text 1 ", "text 2 "]
