"""Answers that were kept: those of one System to the rows of one split, with what it takes to score them again.

A rung of a finished climb and a folder of `rung eval --out` are both read as `Kept`. Nothing here asks a System.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rung import stats
from rung.errors import RungError
from rung.evaluate.evaluation import completions_from_json, completions_to_json, row_score
from rung.ladder.climb import Climb
from rung.ladder.record import Item
from rung.metrics import METRICS, score
from rung.run import IDENTITY, Run, dump_json, read_json, write_atomic
from rung.types import Completion, Example, Message, Score, TaskKind

EVALUATION = "evaluation.json"
FORMAT = 1


@dataclass(frozen=True)
class Kept:
    """One System's answers to `items`, in the same order; `metric` scores them, `labels` are the task's, `precision` is
    what the weights were held in, where that is known."""

    name: str
    task: str
    kind: TaskKind
    metric: str
    split: str
    labels: tuple[str, ...]
    items: tuple[Item, ...] = field(repr=False)
    completions: tuple[Completion, ...] = field(repr=False)
    precision: str | None = None

    @cached_property
    def examples(self) -> tuple[Example, ...]:
        """The items as examples again; the turns of a conversation are one text."""
        return tuple(
            Example(
                item.id,
                (Message("user", item.prompt),),
                item.target,
                item.references,
                meta={"group": item.group} if item.group else {},
            )
            for item in self.items
        )

    @cached_property
    def validation(self) -> Score:
        """The score of the answers; rows without one have the worst."""
        said, errors = [one.text for one in self.completions], [one.error is not None for one in self.completions]
        known = [one.choice_scores for one in self.completions]
        return score(METRICS[self.metric], said, self.examples, errors, self.labels, known)

    @property
    def scheme(self) -> stats.Scheme:
        """How the rows were drawn, for intervals and tests."""
        metric, groups = METRICS[self.metric], tuple(item.group for item in self.items)
        return stats.Scheme(groups if any(groups) else None, metric.value if metric.kind == "corpus" else None)

    @cached_property
    def row_scores(self) -> np.ndarray:
        """Shape (n,): the score of each row; of scores of a whole split, 1 where the answer equals a right one."""
        if self.validation.kind != "corpus":
            return self.validation.items
        return np.array([row_score(example, said) for example, said in zip(self.examples, self.completions)])

    @property
    def errors(self) -> int:
        """How many rows got no answer."""
        return sum(one.error is not None for one in self.completions)

    def chosen(self, places: list[int]) -> Kept:
        """The same for some of the rows, in the order given."""
        items = tuple(self.items[place] for place in places)
        return replace(self, items=items, completions=tuple(self.completions[place] for place in places))

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, without a clock."""
        plain = asdict(self)
        return {**plain, "completions": completions_to_json(self.completions), "format": FORMAT}

    @classmethod
    def from_json(cls, value: Mapping[str, Any], where: Path) -> Kept:
        """The inverse of `to_json`. Raises RungError for another format, or where it makes no sense."""
        if value.get("format") != FORMAT:
            raise RungError("made by another version of Rung", where=str(where), mend="run `rung eval` again")
        try:
            facts = {key: value[key] for key in ("name", "task", "kind", "metric", "split")}
            items = tuple(Item(**{**row, "references": tuple(row["references"])}) for row in value["items"])
            completions = tuple(completions_from_json(value["completions"]))
            kept = cls(
                **facts,
                labels=tuple(value["labels"]),
                items=items,
                completions=completions,
                precision=value.get("precision"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RungError(f"damaged: {error}", where=str(where), mend="run `rung eval` again") from error
        if len(kept.items) != len(kept.completions) or kept.metric not in METRICS:
            raise RungError("damaged: rows and answers part", where=str(where), mend="run `rung eval` again")
        return kept


def kept_evaluation(folder: Path) -> Kept:
    """What `rung eval --out` wrote into `folder`."""
    return Kept.from_json(read_json(folder / EVALUATION), folder / EVALUATION)


def kept_rung(run: Path, rung: str | None = None) -> Kept:
    """The validation answers of one rung of a finished climb: of the recommended one, or of `rung`.

    Raises RungError where nothing is recommended, or that rung was not built.
    """
    climb = Climb.open(run)
    built = [entry.name for entry in climb.report.rungs if entry.validation is not None]
    label = rung if rung is not None else climb.recommended
    if label not in built:
        what = "no rung is recommended" if label is None else f"no rung {label} was built"
        raise RungError(what, where=str(run), mend=f"name one: {run}/rungs/{built[-1]} ({', '.join(built)})")
    report, task = climb.report, climb.report.task
    completions = tuple(completions_from_json(Run.read_only(run).read(f"rungs/{label}/validation")))
    if len(completions) != len(report.items):
        raise RungError(f"rung {label} answered other rows", where=str(run), mend="climb again")
    kind: TaskKind = task.kind  # type: ignore[assignment]
    name = f"{run.absolute().name}/{label}"
    held = climb.report.base.precision or None
    return Kept(name, task.name, kind, task.metric, "validation", task.labels, report.items, completions, held)


def is_kept(path: Path) -> bool:
    """Whether answers are kept at `path`: an evaluation, a run, or a rung of one."""
    return (path / EVALUATION).is_file() or (path / IDENTITY).is_file() or (path.parent.parent / IDENTITY).is_file()


def read_kept(path: Path) -> Kept:
    """The answers kept at `path`: an evaluation's folder, a run (its recommended rung), or RUN/rungs/RUNG."""
    if (path / EVALUATION).is_file():
        return kept_evaluation(path)
    if (path / IDENTITY).is_file():
        return kept_rung(path)
    return kept_rung(path.parent.parent, path.absolute().name)


def keep(kept: Kept, folder: Path) -> None:
    """Write `evaluation.json` and `rows.jsonl` (a line a row, for reading) into `folder`."""
    lines = [
        {
            "id": item.id, "prompt": item.prompt, "answer": said.text, "target": item.target,
            "references": list(item.references), "score": float(score), "error": said.error,
        }
        for item, said, score in zip(kept.items, kept.completions, kept.row_scores)
    ]  # fmt: skip
    write_atomic(folder / "rows.jsonl", "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    write_atomic(folder / EVALUATION, dump_json(kept.to_json()))
