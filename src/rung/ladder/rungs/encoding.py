"""The rungs of an encoder: near labels, near examples, a head, and trained bodies under a head.

All of them read the same sentence embeddings of the frozen body, each text computed once in a climb. Only classify
tasks; an encoder writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rung.evaluate import evaluate
from rung.ladder.rung import Desk
from rung.ladder.rungs.learning import ClassFields
from rung.ladder.rungs.notes import note_training
from rung.ladder.work import Facts, Work, prompting
from rung.metrics import score as score_answers
from rung.model import adapters
from rung.model.embed import Pooling, text_ids
from rung.system.body import Body, Embedder
from rung.system.encoded import Headed, NearestLabelled, Similar
from rung.system.forms import Tuned
from rung.task import Task
from rung.train.classes import ClassLoss
from rung.train.encode import (
    PLAIN,
    EncoderClassifier,
    LabelledIds,
    LinearHead,
    ScoreLabels,
    fit_classifier,
    fit_head,
)
from rung.train.search import budgets, halve
from rung.train.settings import FitResult, TrainSettings
from rung.types import System

NEIGHBOURS = (1, 4, 8, 16, 32)
GENTLER = 10.0
"""A pretrained encoder under a fitted head wants smaller steps than a decoder that learns to answer."""
AddAdapter = Callable[[Any, Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Nearest:
    """The label of the most similar training rows; how many vote is chosen on validation."""

    name: ClassVar[str] = "nearest"

    @property
    def label(self) -> str:
        """`nearest`."""
        return self.name

    def why_not(self, body: Body, task: Task) -> str:
        """Needs sentence embeddings."""
        return needs_encoder(body) or why_not(task)

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


def train(
    body: Body,
    task: Task,
    desk: Desk,
    tried: Sequence[Mapping[str, Any]],
    epochs: int,
    batch_size: int,
    add_adapter: AddAdapter | None,
    loss: ClassLoss = PLAIN,
) -> System:
    """Body and head trained together, from the head of the frozen body; settings by successive halving."""
    head = first_head(body, task, loss, desk.seed)
    place = {label: number for number, label in enumerate(task.labels)}
    examples = [
        LabelledIds(tuple(ids), place[str(row.target)])
        for ids, row in zip(text_ids(body.model, [row.text for row in task.train]), task.train)
    ]
    held = text_ids(body.model, [row.text for row in task.validation])

    def run(settings: Mapping[str, Any], index: int, until: int | None) -> tuple[EncoderClassifier, FitResult]:
        # A trained body moves in float32; 4-bit weights stay where they are, and the adapter moves beside them.
        module = body.model.fresh(None if body.model.precision == "nf4" and add_adapter else "float32")
        module = (
            module.requires_grad_(True) if add_adapter is None else add_adapter(module.requires_grad_(False), settings)
        )
        classifier = EncoderClassifier(module, Pooling.of(body.model.folder), head)
        plan = TrainSettings(
            learning_rate=settings["learning_rate"] / GENTLER,
            epochs=epochs,
            batch_size=batch_size,
            schedule="cosine",
            seed=desk.seed,
        )
        result = fit_classifier(
            classifier,
            examples,
            plan,
            folder=desk.scratch(f"trial-{index}"),
            pad_id=body.model.tokenizer.pad_token_id or 0,
            validation=held,
            score=judged(task),
            loss=loss,
            until=until,
            progress=lambda done, total: desk.phase("training", done, total),
        )
        return classifier, result

    def trial(index: int, settings: Mapping[str, Any], budget: int) -> float:
        _, result = run(settings, index, budget)
        return result.best_score if result.best_score is not None else 0.0

    steps = epochs * -(-len(examples) // batch_size)
    found = halve([dict(one) for one in tried], budgets(steps, len(tried)), trial, store=desk)
    classifier, result = run(found.chosen, found.index, None)
    note_training(desk, result, found.chosen, found)
    return _tuned(body, task, classifier, add_adapter is not None)


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


def why_not(task: Task) -> str:
    """A head needs two labels at least."""
    return "" if len({row.target for row in task.train}) > 1 else "the training split has a single label"


def _tuned(body: Body, task: Task, classifier: EncoderClassifier, adapter: bool) -> System:
    module = classifier.body
    weight = classifier.head.weight.detach().cpu().numpy().astype(np.float32)
    bias = classifier.head.bias.detach().cpu().numpy().astype(np.float32)

    def write(folder: Path) -> None:
        if adapter:
            adapters.save_adapter(module, folder / "adapter", body.model.name)
        else:
            module.to(body.model.module.dtype).save_pretrained(str(folder / "weights"))
            body.model.tokenizer.save_pretrained(str(folder / "weights"))

    inner = module.get_base_model() if adapter else module
    return Tuned(Headed(Embedder(body.model, inner), task.labels, weight, bias), write)


def _embedding(facts: Facts, *, compared: int) -> Work:
    """The training rows embedded once; a request is embedded and its vector compared with `compared` others."""
    served = prompting(facts)
    request = served.request + 2.0 * facts.width * compared
    adapt = served.request * facts.train + request * facts.validation
    return Work(adapt, request, served.prompt_tokens, 0.0)


def _trial(settings: Mapping[str, Any], value: float, kept: bool) -> dict[str, Any]:
    return {"settings": dict(settings), "score": value, "budget": 0, "kept": kept, "index": 0}
