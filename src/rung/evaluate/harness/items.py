"""The items of a task: each row's prompt, choices and right answer, as token ids that fit the model's window.

What is wrong with one row is written on its item and loses no other. Asking and scoring is in `run`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rung.errors import RungError
from rung.evaluate.harness import scores
from rung.evaluate.harness.context import Contexts, Parts
from rung.evaluate.harness.encoder import Encoder, Ids
from rung.evaluate.harness.spec import HarnessTask
from rung.evaluate.harness.templates import Fields, Row
from rung.generate.forest import Likelihood
from rung.model.load import Model


@dataclass
class Item:
    """An item on its way: what is asked, what is right, what went wrong."""

    number: int
    row: Row
    contexts: list[Parts] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)
    gold: Any = None
    golds: list[int] = field(default_factory=list)  # places of the right choices
    problem: str = ""
    requests: list[tuple[Ids, list[Ids]]] = field(default_factory=list)
    found: list[Likelihood] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    passed: list[bool] = field(default_factory=list)


class Items:
    """Makes the items of `task` for `model`, in the order of the rows (worked examples are drawn as they are made).

    `answer` is how many new tokens an answer may have. `cut` counts requests whose context was too long for the window
    and lost its beginning.
    """

    def __init__(self, task: HarnessTask, model: Model, rows: Sequence[Row], pool: Sequence[Row], answer: int) -> None:
        self.task, self.encoder = task, Encoder(model)
        self.fields = Fields(task, rows[0].keys())
        self._window, self._decodes, self._answer = model.window, model.kind == "decoder", answer
        self._several = task.output_type == "multiple_choice" and self._choices_are_inputs(rows)
        self.contexts = Contexts(task, self.fields, pool, self._several)
        self.cut = 0

    def _choices_are_inputs(self, rows: Sequence[Row]) -> bool:
        """Whether the input is the index of a choice, by the first row that tells."""
        for row in rows:
            try:
                return isinstance(self.fields.text(row), int)
            except RungError:
                continue
        return False

    def of(self, number: int, row: Row) -> Item:
        """The item of a row; what keeps it from being asked is its `problem`."""
        item = Item(number, row)
        kind = self.task.output_type
        try:
            item.contexts = self.contexts.of(row)
            item.gold = self.fields.text(row) if self._several else self.fields.target(row)
            if self.task.doc_to_choice is not None:
                item.choices = self.fields.choices(row)
                self._find_right(item)
            if kind == "generate_until":
                self._encode_prompt(item)
            elif kind != "loglikelihood_rolling":
                self._encode(item)
        except RungError as error:
            item.problem = str(error)
        return item

    def _find_right(self, item: Item) -> None:
        if self.task.output_type == "multiple_choice" and len(item.choices) < 2:
            raise RungError("a list of one choice", where=self.place(item), mend="give two or more")
        item.golds = scores.indices(item.gold, item.choices)
        if not item.golds:
            what = f"the right answer {item.gold!r:.40} is none of the {len(item.choices)} choices"
            raise RungError(what, where=self.place(item), mend="correct doc_to_target, or take a split with labels")
        if any(metric.name == "f1" and not metric.column for metric in self.task.metrics) and len(item.choices) != 2:
            raise RungError(f"f1 of {len(item.choices)} choices", where=self.place(item), mend="f1 is of two; take mcc")

    def _encode(self, item: Item) -> None:
        if self.task.output_type == "loglikelihood":
            texts = [str(item.gold)]
        elif self._several:
            texts = [f"{self.task.target_delimiter}{self.fields.target(item.row)}"]
        else:
            texts = [f"{self.task.target_delimiter}{choice}" for choice in item.choices]
        for parts in item.contexts:
            pairs = [self._fitting(item, *pair) for pair in self.encoder.pairs(parts.before, parts.own, texts)]
            # Contexts that fit are the same; those that lost their beginning are where they are as long.
            if len({len(context) for context, _ in pairs}) == 1:
                item.requests.append((pairs[0][0], [answer for _, answer in pairs]))
            else:
                item.requests += [(context, [answer]) for context, answer in pairs]

    def _fitting(self, item: Item, context: Ids, answer: Ids) -> tuple[Ids, Ids]:
        if not answer:
            raise RungError("an empty continuation", where=self.place(item), mend="give it text")
        if len(answer) > self._window:
            raise RungError("a continuation longer than the window", where=self.place(item), mend="shorten it")
        # The last token is only predicted, so one more than the window fits.
        room = self._window + 1 - len(answer) if self._decodes else self._window
        self.cut += len(context) > room
        return (context if len(context) <= room else context[-room:]), answer

    def _encode_prompt(self, item: Item) -> None:
        (parts,) = item.contexts
        ids = self.encoder.extended(parts.before, parts.own).ids
        room = self._window - (self._answer if self._decodes else 0)
        if not ids:
            raise RungError("a prompt without text", where=self.place(item), mend="give doc_to_text something to ask")
        self.cut += len(ids) > room
        item.requests = [(ids[-room:], [])]

    def place(self, item: Item) -> str:
        """How messages name an item."""
        return f"{self.task.task}, item {item.number}"
