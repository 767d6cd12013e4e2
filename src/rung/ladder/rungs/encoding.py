"""The rungs of an encoder: near labels, near examples, a head, and trained bodies under a head.

All of them read the same sentence embeddings of the frozen body, each text computed once in a climb. Only classify
tasks; an encoder writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rung.evaluate import evaluate
from rung.ladder.rung import Desk
from rung.ladder.rungs import tagging
from rung.ladder.rungs.heads import Training, best_of, head_of, writer
from rung.ladder.rungs.learning import ClassFields
from rung.ladder.work import Facts, Work, prompting
from rung.metrics import score as score_answers
from rung.model.embed import Pooling, text_ids
from rung.system.body import Body, Embedder
from rung.system.encoded import Headed, NearestLabelled, Similar
from rung.system.forms import Tuned
from rung.task import Task
from rung.train.answers import base_of
from rung.train.classes import ClassLoss
from rung.train.encode import (
    PLAIN,
    EncoderClassifier,
    LabelledIds,
    LinearHead,
    ScoreLabels,
    draws,
    fit_classifier,
    fit_head,
)
from rung.train.settings import FitResult
from rung.types import System

NEIGHBOURS = (1, 4, 8, 16, 32)


@dataclass(frozen=True)
class Nearest:
    """The label of the most similar training rows; how many vote is chosen on validation."""

    name: ClassVar[str] = "nearest"

    @property
    def label(self) -> str:
        """`nearest`."""
        return self.name

    def why_not(self, body: Body, task: Task) -> str:
        """Needs sentence embeddings, and one label a text."""
        return needs_encoder(body) or why_not(task) or one_label(task)

    def work(self, facts: Facts) -> Work:
        """Every training row is embedded once, and compared with in every request."""
        return _embedding(facts, compared=facts.train)

    def adapt(self, body: Body, task: Task, desk: Desk) -> System:
        """Try several numbers of neighbours on validation."""
        pool = tuple((row.text, str(row.target)) for row in task.train)
        tried = []
        for k in NEIGHBOURS:
            if k <= len(pool):
                system = NearestLabelled(body.embedder, task.labels, pool, k)
                tried.append((evaluate(system, task), system))
        desk.validation, system = max(tried, key=lambda one: (one[0].score.value, -one[1].k))
        desk.note(
            chosen={"neighbours": system.k},
            trials=[_trial({"neighbours": s.k}, e.score.value, s is system) for e, s in tried],
        )
        return system


@dataclass(frozen=True)
class Head(ClassFields):
    """A linear head on the frozen body: multinomial logistic regression, its strength chosen on validation."""

    name: ClassVar[str] = "head"
    trains: ClassVar[str] = "head"

    @property
    def label(self) -> str:
        """`head`, `head-focal`, `head-inverse-frequency`."""
        return self.named(self.name)

    def why_not(self, body: Body, task: Task) -> str:
        """Needs sentence embeddings."""
        return needs_encoder(body) or why_not(task) or self.unfit(body, task)

    def work(self, facts: Facts) -> Work:
        """Every training row is embedded once; the head itself is next to nothing beside the body."""
        return _embedding(facts, compared=0)

    def adapt(self, body: Body, task: Task, desk: Desk) -> System:
        """Fit the head on embeddings that are computed once."""
        if task.kind == "tag":
            return tagging.head(body, task, desk, self.class_loss())
        head = first_head(body, task, self.class_loss(), desk.seed)
        system = Headed(body.embedder, task.labels, head.weight, head.bias)
        desk.validation = evaluate(system, task)
        desk.note(chosen={"C": head.strength})
        return system


def similar(body: Body, task: Task, desk: Desk) -> System:
    """Zero-shot on an encoder: descriptions of the labels, or the labels themselves, whichever do better on validation."""
    plain = tuple(label.replace("_", " ").replace("-", " ") for label in task.labels)
    options = {"label names": plain}
    if task.label_descriptions:
        described = tuple(task.label_descriptions.get(label, name) for label, name in zip(task.labels, plain))
        options["descriptions"] = described
        options["names and descriptions"] = tuple(f"{n}: {d}" for n, d in zip(plain, described))
    tried = []
    for name, texts in options.items():
        system = Similar(body.embedder, task.labels, texts)
        tried.append((name, evaluate(system, task), system))
    name, desk.validation, system = max(tried, key=lambda one: one[1].score.value)
    desk.note(
        chosen={"labels told by": name}, wordings=[{"instruction": n, "score": e.score.value} for n, e, _ in tried]
    )
    return system


def train(body: Body, task: Task, desk: Desk, asked: Training) -> System:
    """Body and head trained together, from the head of the frozen body; settings by successive halving."""
    if task.kind == "tag":
        return tagging.train(body, task, desk, asked)
    head = first_head(body, task, asked.loss, desk.seed)
    place = {label: number for number, label in enumerate(task.labels)}
    examples = [
        LabelledIds(tuple(ids), place[str(row.target)])
        for ids, row in zip(text_ids(body.model, [row.text for row in task.train]), task.train)
    ]
    held = text_ids(body.model, [row.text for row in task.validation])

    def run(settings: Mapping[str, Any], index: int, until: int | None) -> tuple[EncoderClassifier, FitResult]:
        classifier = EncoderClassifier(asked.prepare(body.model, settings), Pooling.of(body.model.folder), head)
        result = fit_classifier(
            classifier,
            examples,
            asked.plan(settings, desk.seed),
            folder=desk.scratch(f"trial-{index}"),
            pad_id=body.model.tokenizer.pad_token_id or 0,
            validation=held,
            score=judged(task),
            loss=asked.loss,
            until=until,
            progress=lambda done, total: desk.phase("training", done, total),
        )
        return classifier, result

    classifier = best_of(desk, asked, len(draws(asked.loss, [one.label for one in examples], desk.seed)), run)
    weight, bias = head_of(classifier)
    headed = Headed(Embedder(body.model, base_of(classifier.body)), task.labels, weight, bias)
    return Tuned(headed, writer(body, classifier.body, asked.kept))


def first_head(body: Body, task: Task, loss: ClassLoss = PLAIN, seed: int = 0) -> LinearHead:
    """The head of the frozen body, from embeddings that other rungs use too."""
    targets = [str(row.target) for row in task.train]
    held = (body.embedder.embed([row.text for row in task.validation]), [str(row.target) for row in task.validation])
    vectors = body.embedder.embed([row.text for row in task.train])
    return fit_head(vectors, targets, task.labels, validation=held, score=judged(task), loss=loss, seed=seed)


def judged(task: Task) -> ScoreLabels:
    """The task's own score of labels for the validation rows. Rankings (AUROC) need likelihoods, so accuracy stands in."""
    metric = "accuracy" if task.metric in ("auroc", "average_precision") else task.metric
    return lambda answers: score_answers(metric, answers, task.validation, labels=task.labels).value


def needs_encoder(body: Body) -> str:
    """Why a base that is no encoder cannot climb this rung."""
    return "" if body.model.kind == "encoder" else "needs an encoder"


def one_label(task: Task) -> str:
    """Why a rung that compares whole texts cannot tag words."""
    return "it compares whole texts, and here words are tagged" if task.kind == "tag" else ""


def why_not(task: Task) -> str:
    """A head needs two labels at least."""
    if task.kind == "tag":
        return ""
    return "" if len({row.target for row in task.train}) > 1 else "the training split has a single label"


def _embedding(facts: Facts, *, compared: int) -> Work:
    """The training rows embedded once; a request is embedded and its vector compared with `compared` others."""
    served = prompting(facts)
    request = served.request + 2.0 * facts.width * compared
    adapt = served.request * facts.train + request * facts.validation
    return Work(adapt, request, served.prompt_tokens, 0.0)


def _trial(settings: Mapping[str, Any], value: float, kept: bool) -> dict[str, Any]:
    return {"settings": dict(settings), "score": value, "budget": 0, "kept": kept, "index": 0}
