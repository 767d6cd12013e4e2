"""A task run on an engine: items to requests, requests to rows, rows to scores.

Rows are handed on as they are made, some hundreds at a time, so that memory does not grow with the number of items. An
item that cannot be asked, or that the engine breaks on, is a row with an error; its scores are the worst.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from rung.errors import RungError
from rung.evaluate.harness import scores
from rung.evaluate.harness.filters import filtered
from rung.evaluate.harness.items import Item, Items
from rung.evaluate.harness.rows import load_rows
from rung.evaluate.harness.sandbox import all_passes
from rung.evaluate.harness.spec import MOST_NEW, HarnessTask
from rung.evaluate.harness.templates import Row
from rung.evaluate.harness.totals import Total, together
from rung.generate.engine import Engine
from rung.generate.forest import Likelihood
from rung.types import Sampling

AT_ONCE = 512  # items
MOST_TOKENS = 256  # of an answer, where a task does not say
HF_TOP_K = 50  # what transformers draws from where a task says nothing, and so lm-eval's hf backend
TRIES = 8  # items that the engine may break on, none going well, before the task is given up
Keep = Callable[[dict[str, Any]], None]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class TaskScore:
    """One score: of a metric, behind a filter."""

    metric: str
    filter: str
    total: Total
    higher_is_better: bool

    @property
    def value(self) -> float | None:
        """The score."""
        return self.total.value

    @property
    def error(self) -> float | None:
        """Its standard error."""
        return self.total.error


@dataclass(frozen=True, slots=True)
class HarnessResult:
    """What a task came to.

    `cut` counts requests whose context was too long for the window and lost its beginning; `notes` are words on what a
    reader of the scores should know.
    """

    task: str
    scores: tuple[TaskScore, ...]
    items: int
    errors: int
    cut: int
    shots: int
    notes: tuple[str, ...] = ()
    values: Mapping[tuple[str, str], Sequence[Any]] = field(repr=False, default_factory=dict)


class HarnessRun:
    """Runs one task on one engine.

    `data` are the items and the rows that worked examples are drawn from, where the task names no files. With `runs_code`
    an item's prompt, an answer and its target make a program, and the scores are pass@k.
    """

    def __init__(
        self,
        task: HarnessTask,
        engine: Engine,
        *,
        shots: int | None = None,
        limit: int | None = None,
        data: tuple[Sequence[Row], Sequence[Row]] | None = None,
        runs_code: bool = False,
    ) -> None:
        self.task = task if shots is None else replace(task, num_fewshot=shots)
        self.engine, self.runs_code = engine, runs_code
        rows, pool = data or load_rows(self.task)
        self.rows = rows[:limit] if limit else rows
        self.notes: list[str] = []
        if self.task.num_fewshot and pool is rows:
            own = "never" if self.task.shots.split == self.task.test_split else "perhaps, as in lm-eval,"
            self.notes.append(f"worked examples come from the split that is scored, {own} the item's own row")
        self._sampling = self._generation() if self.task.output_type == "generate_until" else Sampling()
        self._ends = sorted(self._end_tokens())
        self.items = Items(self.task, engine.model, self.rows, pool, self._sampling.max_new_tokens)
        self._answered = self._broken = 0

    def run(self, keep: Keep | None = None, progress: Progress | None = None) -> HarnessResult:
        """Score every item. Raises RungError where none can be asked."""
        values: dict[tuple[str, str], list[Any]] = {}
        errors, done, numbered = 0, 0, iter(enumerate(self.rows))
        while chunk := list(islice(numbered, AT_ONCE)):
            items = [self.items.of(number, row) for number, row in chunk]
            if done == 0 and all(item.problem for item in items):
                raise RungError(items[0].problem)
            self._ask([item for item in items if not item.problem], self._within(progress, done, len(items)))
            self._test([item for item in items if not item.problem])
            for item in items:
                errors += bool(item.problem)
                own = self._values(item)
                for name, found in own.items():
                    for metric, value in found.items():
                        values.setdefault((metric, name), []).append(value)
                if keep:
                    keep(self._told(item, own))
            done += len(items)
            if progress:
                progress(done, len(self.rows))
        made = tuple(self._scores(values))
        shots, notes = self.task.num_fewshot, tuple(self.notes)
        return HarnessResult(self.task.task, made, len(self.rows), errors, self.items.cut, shots, notes, values)

    # -- asking --------------------------------------------------------------------------------------------------------

    def _ask(self, items: Sequence[Item], progress: Progress | None) -> None:
        """Ask all together; where the engine breaks, each half by itself, so that one item's fault is its own."""
        if not items:
            return
        try:
            self._asked(items, progress)
            self._answered += len(items)
        except (RuntimeError, ValueError, IndexError, TypeError, KeyError, OverflowError, RungError) as error:
            if len(items) == 1:
                told = " ".join(str(error).split())[:200]
                items[0].problem = f"{self.items.place(items[0])}: the engine failed ({type(error).__name__}: {told})"
                self._broken += 1
                if not self._answered and self._broken >= min(TRIES, len(self.rows)):
                    raise RungError(items[0].problem, mend="see whether the model answers at all") from error
                return
            half = len(items) // 2
            for part in (items[:half], items[half:]):
                self._ask(part, None)

    def _asked(self, items: Sequence[Item], progress: Progress | None) -> None:
        kind = self.task.output_type
        if kind == "loglikelihood_rolling":
            window = self.engine.model.window
            texts = [self.items.encoder.ids(str(item.gold)) for item in items]
            full = [place for place, ids in enumerate(texts) if ids]
            totals = self.engine.rolling(
                [texts[place] for place in full], first=self.items.encoder.first, window=window + 1, stride=window
            )
            by_place = dict(zip(full, totals))
            for place, item in enumerate(items):
                item.found = [Likelihood(by_place.get(place, 0.0), False)]
        elif kind == "generate_until":
            contexts = [item.requests[0][0] for item in items]
            made = self.engine.generate(contexts, self._sampling, end=self._ends, progress=progress)
            for item, own in zip(items, made):
                item.answers = [own.text, *(other.text for other in own.others)]
        else:
            flat = [request for item in items for request in item.requests]
            contexts, answers = [context for context, _ in flat], [own for _, own in flat]
            found = iter(self.engine.likelihoods(contexts, answers, progress))
            for item in items:
                item.found = [one for _ in item.requests for one in next(found)]

    def _test(self, items: Sequence[Item]) -> None:
        if self.runs_code:
            programs = [f"{item.contexts[0].own}{said}\n{item.gold}" for item in items for said in item.answers]
            passed = iter(all_passes(programs))
            for item in items:
                item.passed = [next(passed) for _ in item.answers]

    def _within(self, progress: Progress | None, done: int, of: int) -> Progress | None:
        """The progress inside one round of items, as items of the whole."""
        if progress is None:
            return None
        return lambda asked, all_asked: progress(done + of * asked // max(1, all_asked), len(self.rows))

    # -- what came of it -----------------------------------------------------------------------------------------------

    def _values(self, item: Item) -> dict[str, dict[str, Any]]:
        """The values of an item, by filter."""
        task, kind = self.task, self.task.output_type
        names = [name for name, _ in task.filters]
        if item.problem:
            return {name: scores.worst(task.metrics, item.golds) for name in names}
        if self.runs_code:
            return {names[0]: scores.of_programs(task.metrics, item.passed)}
        if kind == "generate_until":
            gold = item.choices[item.golds[0]] if item.choices else item.gold
            return {
                name: scores.of_answer(task.metrics, filtered(item.answers, steps), gold)
                for name, steps in task.filters
            }
        if kind == "multiple_choice":
            found = scores.of_choices(task.metrics, item.found, item.choices, item.golds, item.row)
        elif kind == "loglikelihood":
            found = scores.of_continuation(task.metrics, item.found[0])
        else:
            found = scores.of_text(task.metrics, item.found[0].total, str(item.gold), item.row)
        return dict.fromkeys(names, found)

    def _scores(self, values: Mapping[tuple[str, str], Sequence[Any]]) -> Iterator[TaskScore]:
        by_name = {metric.name: metric for metric in self.task.metrics}
        for (name, filter_name), found in values.items():
            yield TaskScore(name, filter_name, together(by_name[name], found), by_name[name].higher_is_better)

    def _told(self, item: Item, values: Mapping[str, Any]) -> dict[str, Any]:
        """The row of an item: what was asked, said and right, and what it scores."""
        row: dict[str, Any] = {
            "item": item.number,
            "prompt": [parts.own for parts in item.contexts],
            "choices": item.choices,
            "target": item.gold,
            "values": values,
            "error": item.problem or None,
        }
        if item.problem:
            return row
        if item.answers:
            row |= {"answers": item.answers, "filtered": {n: filtered(item.answers, s) for n, s in self.task.filters}}
        else:
            row["loglikelihoods"] = [[round(one.total, 5), one.greedy] for one in item.found]
        return row | ({"passed": item.passed} if self.runs_code else {})

    # -- settings ------------------------------------------------------------------------------------------------------

    def _generation(self) -> Sampling:
        given = self.task.generation_kwargs
        until: Any = given.get("until", [self.task.fewshot_delimiter])
        temperature = float(given.get("temperature") or 0.0)
        warm = temperature if given.get("do_sample", temperature > 0) else 0.0
        most = int(next((given[key] for key in MOST_NEW if given.get(key)), MOST_TOKENS))
        window = self.engine.model.window
        if self.engine.model.kind == "decoder" and most >= window:
            self.notes.append(f"answers end after {window // 2} tokens, not {most}: the window has {window}")
            most = window // 2
        return Sampling(
            max_new_tokens=most,
            temperature=warm,
            top_p=float(given.get("top_p") or 1.0) if warm else 1.0,
            top_k=int(given.get("top_k", HF_TOP_K)) if warm else 0,
            stop=tuple(text for text in ([until] if isinstance(until, str) else until or ()) if text),
            n=self.task.repeats,
        )

    def _end_tokens(self) -> set[int]:
        """The tokens that end an answer: the tokenizer's, and those that the model's own settings name."""
        settings = getattr(self.engine.module, "generation_config", None)
        named = getattr(settings, "eos_token_id", None)
        ends = {self.engine.tokenizer.eos_token_id, *(named if isinstance(named, list | tuple) else [named])}
        return {int(token) for token in ends if token is not None}
