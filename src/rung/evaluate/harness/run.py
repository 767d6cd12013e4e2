"""A task run on an engine: items to requests, requests to rows, rows to scores.

Rows are handed on as they are made, some hundreds at a time, so that memory does not grow with the number of items. An
item that cannot be asked is a row with an error, and its scores are the worst.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from rung.errors import RungError
from rung.evaluate.harness import scores
from rung.evaluate.harness.context import Contexts, Parts
from rung.evaluate.harness.encoder import Encoder, Ids
from rung.evaluate.harness.filters import filtered
from rung.evaluate.harness.rows import load_rows
from rung.evaluate.harness.spec import HarnessTask, Metric
from rung.evaluate.harness.templates import Fields, Row
from rung.generate.engine import Engine
from rung.generate.forest import Likelihood
from rung.types import Sampling

AT_ONCE = 512  # items
MOST_TOKENS = 256  # of an answer, where a task does not say
GENERATION = {"until", "max_gen_toks", "max_new_tokens", "do_sample", "temperature", "top_p", "top_k"}
Keep = Callable[[dict[str, Any]], None]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class TaskScore:
    """One score: of a metric, behind a filter. `error` is its standard error where it is a mean."""

    metric: str
    filter: str
    value: float
    error: float | None
    higher_is_better: bool


@dataclass(frozen=True, slots=True)
class HarnessResult:
    """What a task came to. `cut` counts requests whose context was too long for the window and lost its beginning."""

    task: str
    scores: tuple[TaskScore, ...]
    items: int
    errors: int
    cut: int
    shots: int
    values: Mapping[tuple[str, str], Sequence[Any]] = field(repr=False, default_factory=dict)


@dataclass
class Item:
    """An item on its way: what is asked, what is right, what went wrong."""

    number: int
    row: Row
    contexts: list[Parts] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)
    gold: Any = None
    problem: str = ""
    requests: list[tuple[Ids, list[Ids]]] = field(default_factory=list)
    found: list[Likelihood] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)


class HarnessRun:
    """Runs one task on one engine."""

    def __init__(
        self,
        task: HarnessTask,
        engine: Engine,
        *,
        shots: int | None = None,
        limit: int | None = None,
        data: tuple[Sequence[Row], Sequence[Row]] | None = None,
    ) -> None:
        self.task = task if shots is None else replace(task, num_fewshot=shots)
        self.engine, self.encoder = engine, Encoder(engine.model)
        rows, pool = data or load_rows(self.task)
        self.rows = rows[:limit] if limit else rows
        self.fields = Fields(self.task, rows[0].keys())
        kind = self.task.output_type
        self._several = kind == "multiple_choice" and isinstance(self.fields.text(rows[0]), int)
        self.contexts = Contexts(self.task, self.fields, pool, self._several)
        self._sampling = self._generation() if kind == "generate_until" else Sampling()
        self.cut = 0

    def run(self, keep: Keep | None = None, progress: Progress | None = None) -> HarnessResult:
        """Score every item. Raises RungError where none can be asked."""
        values: dict[tuple[str, str], list[Any]] = {}
        errors, done, numbered = 0, 0, iter(enumerate(self.rows))
        while chunk := list(islice(numbered, AT_ONCE)):
            items = [self._item(number, row) for number, row in chunk]
            if done == 0 and all(item.problem for item in items):
                raise RungError(items[0].problem, where=self.task.task, mend="correct the task or its data")
            self._ask([item for item in items if not item.problem])
            for item in items:
                errors += bool(item.problem)
                for name, found in self._values(item).items():
                    for metric, value in found.items():
                        values.setdefault((metric, name), []).append(value)
                if keep:
                    keep(self._told(item))
            done += len(items)
            if progress:
                progress(done, len(self.rows))
        return HarnessResult(
            self.task.task,
            tuple(self._scores(values)),
            len(self.rows),
            errors,
            self.cut,
            self.task.num_fewshot,
            values,
        )

    def _item(self, number: int, row: Row) -> Item:
        item = Item(number, row)
        try:
            item.contexts = self.contexts.of(row)
            kind = self.task.output_type
            item.gold = self.fields.text(row) if self._several else self.fields.target(row)
            if self.task.doc_to_choice is not None:
                item.choices = self.fields.choices(row)
            if kind == "generate_until":
                self._encode_prompt(item)
            elif kind != "loglikelihood_rolling":
                self._encode(item, row)
        except RungError as error:
            item.problem = str(error)
        return item

    def _encode(self, item: Item, row: Row) -> None:
        if self.task.output_type == "loglikelihood":
            texts = [str(item.gold)]
        elif self._several:
            texts = [f"{self.task.target_delimiter}{self.fields.target(row)}"]
        else:
            texts = [f"{self.task.target_delimiter}{choice}" for choice in item.choices]
        if self.task.output_type == "multiple_choice" and len(item.choices) < 2:
            raise RungError("a list of one choice", where=self._place(item), mend="give two or more")
        for parts in item.contexts:
            pairs = [self._fitting(item, *pair) for pair in self.encoder.pairs(parts.before, parts.own, texts)]
            # A context that lost its beginning has lost as much as its longest continuation asks for: one for all.
            if len({len(context) for context, _ in pairs}) == 1:
                item.requests.append((pairs[0][0], [answer for _, answer in pairs]))
            else:
                item.requests += [(context, [answer]) for context, answer in pairs]

    def _fitting(self, item: Item, context: Ids, answer: Ids) -> tuple[Ids, Ids]:
        if not answer:
            raise RungError("an empty continuation", where=self._place(item), mend="give it text")
        window = self.engine.model.window
        if len(answer) > window:
            raise RungError("a continuation longer than the window", where=self._place(item), mend="shorten it")
        # The last token is only predicted, so one more than the window fits.
        room = window + 1 - len(answer) if self.engine.model.kind == "decoder" else window
        self.cut += len(context) > room
        return (context if len(context) <= room else context[-room:]), answer

    def _encode_prompt(self, item: Item) -> None:
        (parts,) = item.contexts
        ids = self.encoder.extended(parts.before, parts.own).ids
        room = self.engine.model.window
        if self.engine.model.kind == "decoder":
            room -= self._sampling.max_new_tokens
        if room < 1 or not ids:
            raise RungError("no room, or no text, for a prompt", where=self._place(item), mend="lower max_gen_toks")
        self.cut += len(ids) > room
        item.requests = [(ids[-room:], [])]

    def _place(self, item: Item) -> str:
        return f"{self.task.task}, item {item.number}"

    def _ask(self, items: Sequence[Item]) -> None:
        kind = self.task.output_type
        if kind == "loglikelihood_rolling":
            window = self.engine.model.window
            texts = [self.encoder.ids(str(item.gold)) for item in items]
            full = [place for place, ids in enumerate(texts) if ids]
            totals = self.engine.rolling(
                [texts[place] for place in full], first=self.encoder.first, window=window + 1, stride=window
            )
            by_place = dict(zip(full, totals))
            for place, item in enumerate(items):
                item.found = [Likelihood(by_place.get(place, 0.0), False)]
        elif kind == "generate_until":
            contexts = [item.requests[0][0] for item in items]
            end = [int(self.engine.tokenizer.eos_token_id)]
            for item, made in zip(items, self.engine.generate(contexts, self._sampling, end=end)):
                item.answers = [made.text, *(other.text for other in made.others)]
        else:
            flat = [request for item in items for request in item.requests]
            found = iter(self.engine.likelihoods([c for c, _ in flat], [answers for _, answers in flat]))
            for item in items:
                item.found = [one for _ in item.requests for one in next(found)]

    def _values(self, item: Item) -> dict[str, dict[str, Any]]:
        """The values of an item, by filter."""
        task, kind = self.task, self.task.output_type
        names = [name for name, _ in task.filters]
        if item.problem:
            return {name: {m.name: 0.0 for m in task.metrics if _is_share(m)} for name in names}
        if kind == "generate_until":
            gold = item.choices[item.gold] if item.choices and isinstance(item.gold, int) else item.gold
            return {
                name: scores.of_answer(task.metrics, filtered(item.answers, steps), gold, item.contexts[0].own)
                for name, steps in task.filters
            }
        if kind == "multiple_choice":
            found = scores.of_choices(task.metrics, item.found, item.choices, item.gold)
        elif kind == "loglikelihood":
            found = scores.of_continuation(task.metrics, item.found[0])
        else:
            found = scores.of_text(task.metrics, item.found[0].total, str(item.gold))
        return dict.fromkeys(names, found)

    def _scores(self, values: Mapping[tuple[str, str], Sequence[Any]]) -> Iterator[TaskScore]:
        by_name = {metric.name: metric for metric in self.task.metrics}
        for (name, filter_name), found in values.items():
            value, error = scores.together(by_name[name], found)
            yield TaskScore(name, filter_name, value, error, by_name[name].higher_is_better)

    def _told(self, item: Item) -> dict[str, Any]:
        """The row of an item: what was asked, said and right, and what it scores."""
        row: dict[str, Any] = {
            "item": item.number,
            "prompt": [parts.own for parts in item.contexts],
            "choices": item.choices,
            "target": item.gold,
        }
        if item.problem:
            return row | {"error": item.problem}
        if item.answers:
            row |= {"answers": item.answers, "filtered": {n: filtered(item.answers, s) for n, s in self.task.filters}}
        else:
            row["loglikelihoods"] = [[round(one.total, 5), one.greedy] for one in item.found]
        return row | {"values": self._values(item), "error": None}

    def _generation(self) -> Sampling:
        given = dict(self.task.generation_kwargs)
        for key in given:
            if key not in GENERATION:
                raise RungError(
                    f"generation_kwargs.{key} is not supported",
                    where=self.task.task,
                    mend=f"known: {', '.join(sorted(GENERATION))}",
                )
        until: Any = given.get("until", [self.task.fewshot_delimiter])
        warm = float(given.get("temperature") or 0.0) if given.get("do_sample") else 0.0
        return Sampling(
            max_new_tokens=int(given.get("max_gen_toks") or given.get("max_new_tokens") or MOST_TOKENS),
            temperature=warm,
            top_p=float(given.get("top_p") or 1.0) if warm else 1.0,
            top_k=int(given.get("top_k") or 0) if warm else 0,
            stop=tuple(_texts([until] if isinstance(until, str) else until)),
            n=self.task.repeats,
        )


def _texts(given: Iterable[Any]) -> Iterator[str]:
    return (str(text) for text in given if text)


def _is_share(metric: Metric) -> bool:
    """Whether an item's value is a share, of which 0 is the worst."""
    return metric.name in ("acc", "acc_norm", "acc_bytes", "exact_match", "mass", "passes")
