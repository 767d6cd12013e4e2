"""One evaluation: a System answers a split, each answer becomes a row, the rows become scores.

Errors (calls that returned nothing) are counted apart and get the worst score. Wall-clock numbers stand apart from the
rows, so that the rows of two equal runs are equal byte for byte.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from rung.evaluate.asking import Progress, ask
from rung.metrics import METRICS, score
from rung.task import Task
from rung.types import Completion, Example, Prompt, Score, System, TokenChance

Scorer = Callable[[Sequence[str], Sequence[bool]], Score]


@dataclass(frozen=True)
class Evaluation:
    """Answers and scores of one System on `examples`.

    `seconds` is the wall-clock time of answering them all, in batches. `score` is the task's primary one, `also` the
    others by name.
    """

    score: Score
    also: Mapping[str, Score]
    examples: tuple[Example, ...]
    completions: tuple[Completion, ...]
    seconds: float = 0.0

    @property
    def errors(self) -> tuple[bool, ...]:
        """Which rows got no answer."""
        return tuple(completion.error is not None for completion in self.completions)

    @property
    def error_share(self) -> float:
        """The share of rows without an answer, 0 to 1."""
        return sum(self.errors) / len(self.completions)

    @property
    def tokens(self) -> tuple[float, float]:
        """Prompt tokens and answer tokens of a request, on average."""
        count = len(self.completions)
        prompt = sum(completion.prompt_tokens for completion in self.completions) / count
        return prompt, sum(completion.completion_tokens for completion in self.completions) / count

    def rows(self) -> list[dict[str, Any]]:
        """One mapping a row: input, answer, what was right, its score, tokens, error. No clock in it."""
        items = None if self.score.kind == "corpus" else self.score.items
        out = []
        for place, (example, said) in enumerate(zip(self.examples, self.completions)):
            row: dict[str, Any] = {
                "id": example.id,
                "prompt": example.text,
                "answer": said.text,
                "target": example.target,
                "references": list(example.references),
                "score": row_score(example, said) if items is None else float(items[place]),
                "prompt_tokens": said.prompt_tokens,
                "completion_tokens": said.completion_tokens,
                "error": said.error,
            }
            if said.choice_scores is not None:
                row["choice_scores"] = {choice: round(value, 4) for choice, value in said.choice_scores.items()}
            out.append(row)
        return out

    def latencies(self) -> list[float]:
        """Seconds a row, its share of its batch."""
        return [completion.latency_s for completion in self.completions]


@dataclass
class Latency:
    """Seconds of single requests, one after another."""

    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle one, in seconds."""
        ordered = sorted(self.seconds)
        return ordered[len(ordered) // 2]


def evaluate(
    system: System,
    task: Task,
    split: str = "validation",
    *,
    examples: Sequence[Example] | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Let `system` answer a split of `task` (or some `examples` of it) and score the answers.

    Raises RungError where the split is empty. A prompt for which the System returns an error, or which crashes it, keeps its row.
    """
    rows = tuple(task.split(split) if examples is None else examples)
    prompts = [task.prompt(example) for example in rows]
    started = time.perf_counter()
    completions = ask(system, prompts, progress)
    return judge(task, rows, completions, time.perf_counter() - started)


def judge(
    task: Task, examples: Sequence[Example], completions: Sequence[Completion], seconds: float = 0.0
) -> Evaluation:
    """Scores for answers already given."""
    answers = [completion.text for completion in completions]
    errors = [completion.error is not None for completion in completions]
    choices = [completion.choice_scores for completion in completions]
    primary, *further = [
        score(METRICS[name], answers, examples, errors, task.labels, choices)
        for name in dict.fromkeys((task.metric, *task.also))
    ]
    also = {result.metric: result for result in further}
    return Evaluation(primary, also, tuple(examples), tuple(completions), seconds)


def reranked(task: Task, evaluation: Evaluation, weigh: Callable[[str], float]) -> Evaluation:
    """The same answers with every choice's likelihood divided by `weigh(choice)`, ranked and scored anew."""
    completions = []
    for said in evaluation.completions:
        if said.choice_scores is None:
            completions.append(said)
            continue
        scores = {choice: value / weigh(choice) for choice, value in said.choice_scores.items()}
        completions.append(replace(said, text=max(scores, key=lambda choice: scores[choice]), choice_scores=scores))
    return judge(task, evaluation.examples, completions, evaluation.seconds)


def latency(system: System, prompts: Sequence[Prompt]) -> Latency:
    """Wall-clock seconds of each prompt asked alone, one after another, after one to warm up.

    Each is asked with a blank behind it, so that no System answers from what it computed for the same text before.
    """
    result = Latency()
    if prompts:
        system.answer(prompts[:1])
    for prompt in [_with_blank(prompt) for prompt in prompts]:
        started = time.perf_counter()
        system.answer([prompt])
        result.seconds.append(time.perf_counter() - started)
    return result


def row_score(example: Example, said: Completion) -> float:
    """For scores of a whole split, a row's own sign of right or wrong: 1 where the answer equals a right one."""
    return float(said.error is None and said.text.strip() in {answer.strip() for answer in example.answers})


def _with_blank(prompt: Prompt) -> Prompt:
    *before, last = prompt.messages
    return replace(prompt, messages=(*before, replace(last, content=f"{last.content} ")))


def completions_to_json(completions: Sequence[Completion]) -> list[dict[str, Any]]:
    """Completions without their wall-clock, JSON-ready; what was not asked for (samples, log-probabilities) has no key."""
    rows = [asdict(completion) for completion in completions]
    for row in rows:
        del row["latency_s"]
        for key in ("others", "logprobs"):
            if not row[key]:
                del row[key]
    return rows


def completions_from_json(rows: Sequence[Mapping[str, Any]]) -> list[Completion]:
    """The inverse of `completions_to_json`."""
    return [
        Completion(
            **{
                **row,
                "others": tuple(row.get("others", ())),
                "logprobs": tuple(
                    TokenChance(one["token"], one["logprob"], tuple((word, value) for word, value in one["others"]))
                    for one in row.get("logprobs", ())
                ),
            }
        )
        for row in rows
    ]
