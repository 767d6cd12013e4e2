"""The rungs of an encoder that tags words: a head on frozen vectors of words, and trained bodies under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rung.errors import RungError
from rung.evaluate import evaluate
from rung.ladder.rung import Desk
from rung.ladder.rungs.heads import Training, best_of, head_of, writer
from rung.metrics import score as score_answers
from rung.model.words import WordIds, word_ids
from rung.system.body import Body, Embedder
from rung.system.forms import Tuned
from rung.system.tagging import Tagger, gold_tags, marked
from rung.task import Task
from rung.train.answers import base_of
from rung.train.classes import ClassLoss
from rung.train.encode import LinearHead
from rung.train.settings import FitResult
from rung.train.tokens import EncoderTagger, TaggedIds, fit_tag_head, fit_tagger
from rung.types import Example, System


def head(body: Body, task: Task, desk: Desk, loss: ClassLoss) -> System:
    """A linear head on the frozen vectors of words, computed once."""
    found = _first_head(body, task, desk, loss)
    system = Tagger(body.embedder, found.labels, found.weight, found.bias)
    desk.validation = evaluate(system, task)
    desk.note(chosen={"strength": found.strength})
    return system


def train(body: Body, task: Task, desk: Desk, asked: Training) -> System:
    """Body and head trained together, from the head of the frozen body."""
    first = _first_head(body, task, desk, asked.loss)
    place = {tag: number for number, tag in enumerate(first.labels)}
    examples = [
        TaggedIds(words, tuple(place[tag] for tag in tags)) for words, tags in _tagged(body, task.train) if len(words)
    ]
    held = word_ids(body.model, [row.text for row in task.validation])

    def run(settings: Mapping[str, Any], index: int, until: int | None) -> tuple[EncoderTagger, FitResult]:
        tagger = EncoderTagger(asked.prepare(body.model, settings), first.labels, first.weight, first.bias)
        result = fit_tagger(
            tagger,
            examples,
            asked.plan(settings, desk.seed),
            folder=desk.scratch(f"trial-{index}"),
            pad_id=body.model.tokenizer.pad_token_id or 0,
            validation=held,
            score=lambda logits: _score(task, held, logits, first.labels),
            loss=asked.loss,
            until=until,
            progress=lambda done, total: desk.phase("training", done, total),
        )
        return tagger, result

    tagger = best_of(desk, asked, len(examples), run)
    weight, bias = head_of(tagger)
    embedder = Embedder(body.model, base_of(tagger.body))
    return Tuned(Tagger(embedder, first.labels, weight, bias), writer(body, tagger.body, asked.kept))


def _first_head(body: Body, task: Task, desk: Desk, loss: ClassLoss) -> LinearHead:
    """The head of the frozen body; its strength by the task's score on validation. Vectors are computed once in a climb."""

    def vectors(rows: Sequence[Example]) -> list[tuple[WordIds, np.ndarray]]:
        return body.embedder.words([row.text for row in rows], lambda done, total: desk.phase("vectors", done, total))

    seen, judged = vectors(task.train), vectors(task.validation)
    gold = [gold_tags(words, str(row.target))[0] for (words, _), row in zip(seen, task.train)]
    tags = tags_of(gold)
    place = {tag: number for number, tag in enumerate(tags)}
    codes = np.array([place[tag] for own in gold for tag in own])
    table = np.concatenate([own for _, own in seen if len(own)])
    held = [words for words, _ in judged]

    def score(found: LinearHead) -> float:
        logits = [own @ found.weight.T + found.bias if len(own) else own for _, own in judged]
        return _score(task, held, logits, tags)

    return fit_tag_head(table, codes, tags, score=score, loss=loss)


def tags_of(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Every tag of the training rows, O first. Raises RungError where nothing is marked."""
    seen = {tag for tags in rows for tag in tags}
    if not seen - {"O"}:
        raise RungError("no word of the training rows is marked", where="tag", mend="check the column of tags")
    return ("O", *sorted(seen - {"O"}))


def _tagged(body: Body, rows: Sequence[Example]) -> list[tuple[WordIds, list[str]]]:
    words = word_ids(body.model, [row.text for row in rows])
    return [(own, gold_tags(own, str(row.target))[0]) for own, row in zip(words, rows)]


def _score(task: Task, texts: Sequence[WordIds], logits: Sequence[np.ndarray], tags: Sequence[str]) -> float:
    """The task's own score of the likeliest tags for the validation rows."""
    said = [marked(row.text, words, own, tags) for row, words, own in zip(task.validation, texts, logits)]
    return score_answers(task.metric, said, task.validation, labels=task.labels).value
