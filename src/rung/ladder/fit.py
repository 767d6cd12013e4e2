"""Which rows of a task fit the window of a base: found before anything runs, so that nothing is ever cut.

Rows that do not fit even the plainest prompt are set aside for every rung alike; what does not fit a rung's shots is
that rung's own matter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rung.errors import RungError
from rung.system.body import Body
from rung.system.prompted import Prompted
from rung.task import SetAside, Task
from rung.task.assemble import Splits
from rung.types import Example


@dataclass(frozen=True)
class Lengths:
    """Tokens of a split's zero-shot prompts, longest wording: their mean and largest, the answers' and the shared part."""

    prompt: float
    longest: int
    answer: float
    target: float
    shared: int


def set_aside_misfits(task: Task, body: Body) -> Task:
    """`task` without the rows whose prompt and answer do not fit the window.

    Raises RungError where none fits, or where more than the share that the task allows does not.
    """
    kept: dict[str, tuple[Example, ...]] = {}
    misfits: list[SetAside] = []
    rows = 0
    for split in ("train", "validation", "test"):
        examples = task.split(split)
        over = overflow(task, body, examples)
        rows += len(examples)
        kept[split] = tuple(row for row, excess in zip(examples, over) if not excess)
        misfits += [_misfit(row, split, excess) for row, excess in zip(examples, over) if excess]
    if not misfits:
        return task
    window = _window(body)
    if len(misfits) == rows:
        raise RungError(
            f"every prompt is longer than the window of {window} tokens",
            where=task.name,
            mend="use a base with a longer window",
        )
    if len(misfits) > task.allow_set_aside * rows:
        first, share = misfits[0].text, math.ceil(1000 * len(misfits) / rows) / 1000
        raise RungError(
            f"{len(misfits)} of {rows} rows do not fit the window of {window} tokens (first: {first})",
            where=task.name,
            mend=f"use a base with a longer window, shorten them, or set allow_set_aside: {share:g}",
        )
    for split, examples in kept.items():
        if task.split(split) and not examples:
            raise RungError(
                f"no row of {split} fits the window of {window} tokens",
                where=task.name,
                mend="use a base with a longer window",
            )
    warning = f"{len(misfits)} of {rows} rows do not fit the window of {window} tokens and are set aside"
    warning += f" (first: {misfits[0].text})"
    return replace(
        task,
        splits=Splits(kept["train"], kept["validation"], kept["test"]),
        set_aside=(*task.set_aside, *misfits),
        warnings=(*task.warnings, warning),
    )


def overflow(task: Task, body: Body, examples: Sequence[Example], extra: int = 0) -> list[int]:
    """By how many tokens each row's plainest prompt, with its answer and `extra` tokens, is too long; 0 where it fits."""
    if body.model.kind == "encoder":
        ids = body.model.tokenizer([row.text for row in examples])["input_ids"] if examples else []
        return [max(0, len(row) - body.model.sentence_window) for row in ids]
    system = Prompted(body.engine, body.layout, max(task.instructions, key=len, default=""))
    prompts = [task.prompt(row) for row in examples]
    window, over = body.model.window - extra, []
    for row, prompt, context in zip(examples, prompts, system.contexts(prompts)):
        answers = [system.longest(prompt)]
        if row.target and row.target.strip():
            answers.append(len(body.layout.answer(row.target, end=True)))
        used = max(len(context), *answers) if body.layout.style == "seq2seq" else len(context) + max(answers)
        over.append(max(0, used - window))
    return over


def lengths(task: Task, body: Body) -> Lengths:
    """Token counts on validation, for the plan's arithmetic."""
    from rung.generate.prefixes import common_prefix
    from rung.ladder.work import mean

    rows = task.validation
    if body.model.kind == "encoder":
        counts = [len(ids) for ids in body.model.tokenizer([row.text for row in rows])["input_ids"]]
        return Lengths(mean(counts), max(counts), 0.0, 0.0, 0)
    layout = body.layout
    texts = [layout.text(max(task.instructions, key=len, default=""), (), row.prompt) for row in rows]
    contexts = layout.contexts(texts)
    targets = [len(layout.answer(row.target)) for row in rows if row.target]
    choices = [sum(len(layout.answer(c)) for c in task.prompt(row).choices) for row in rows[:50]]
    answer = mean(choices) if any(choices) else mean(targets)
    return Lengths(
        mean([len(ids) for ids in contexts]), max(map(len, contexts)), answer, mean(targets), common_prefix(contexts)
    )


def _window(body: Body) -> int:
    return body.model.sentence_window if body.model.kind == "encoder" else body.model.window


def _misfit(row: Example, split: str, excess: int) -> SetAside:
    shown = " ".join(row.text.split())[:60]
    return SetAside(
        {"id": row.id, "split": split, "prompt": row.text, "target": row.target},
        "longer than the window",
        f"{split} row {row.meta.get('row', row.id)} is {excess} tokens too long: {shown}…",
    )
