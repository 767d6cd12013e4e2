"""Classifying with an encoder: a linear head on frozen vectors, then encoder and head trained together.

The head is a multinomial logistic regression on vectors that are computed once; LoRA and full training begin from it,
so they start at its answers. Losses and order come from the one loop; the vectors from `model.embed`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch

from rung.errors import RungError
from rung.model.adapters import ADAPTER_FILE, load_adapter, save_adapter
from rung.model.embed import BATCH_TOKENS, Pooling, by_length, hidden_states, padded
from rung.train.answers import Layout, ShuffledSteps
from rung.train.classes import ClassLoss, Draw, Epochs
from rung.train.keeper import Judgement, Progress
from rung.train.linear import fit_linear
from rung.train.losses import ClassObjective, RowLoss, checked, row_loss, step_weights
from rung.train.settings import FitResult, TrainSettings
from rung.train.surroundings import low_precision
from rung.train.trainer import train
from rung.types import digest

STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)
NEVER_SEEN = -30.0  # the bias of a label without examples: a probability of 1e-13, finite so that it can be stored
PLAIN = ClassLoss()
HEAD_WEIGHTS, HEAD_FILE = "head.safetensors", "head.json"


@dataclass(frozen=True)
class LinearHead:
    """A linear classifier on vectors: `weight` (labels, d) and `bias` (labels,), float32.

    `strength` is the C of the logistic regression (large: little regularisation), `score` what it reached on validation.
    """

    labels: tuple[str, ...]
    weight: np.ndarray
    bias: np.ndarray
    strength: float
    score: float | None = None

    def log_probabilities(self, vectors: np.ndarray) -> np.ndarray:
        """log P(label) in nats, (n, labels)."""
        logits = vectors.astype(np.float64) @ self.weight.T.astype(np.float64) + self.bias
        logits -= logits.max(axis=1, keepdims=True)
        found: np.ndarray = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return found

    def predict(self, vectors: np.ndarray) -> list[str]:
        """The most probable label of each vector."""
        return [self.labels[i] for i in self.log_probabilities(vectors).argmax(axis=1)]


Held = tuple[np.ndarray, Sequence[str]]
ScoreLabels = Callable[[Sequence[str]], float]


def fit_head(
    vectors: np.ndarray,
    targets: Sequence[str],
    labels: Sequence[str],
    *,
    validation: Held | None = None,
    score: ScoreLabels | None = None,
    strengths: Sequence[float] = STRENGTHS,
    loss: ClassLoss = PLAIN,
    seed: int = 0,
) -> LinearHead:
    """The regression of `targets` on `vectors` (n, d) whose strength does best on `validation`: logistic, or by `loss`.

    `score` judges the labels predicted for the validation vectors (None: accuracy). With equal scores the more
    regularised one wins; without validation the strength is 1. Where `loss` draws rows, those of one epoch by `seed` are
    taken. Raises RungError for unknown labels or a single one.
    """
    labels = tuple(labels)
    unknown = sorted(set(targets) - set(labels))
    if unknown:
        raise RungError(f"{unknown[0]!r} is no label", where="classify", mend="list it among the labels")
    if len(set(targets)) < 2:
        raise RungError("the training examples have a single label", where="classify", mend="give examples of two")
    place = {label: number for number, label in enumerate(labels)}
    codes = np.array([place[target] for target in targets])
    if loss.resample != "none":
        drawn = draws(loss, codes, seed).order(0)
        vectors, codes = vectors[drawn], codes[drawn]
    best: LinearHead | None = None
    for strength in sorted(strengths) if validation is not None else (1.0,):
        head = _regression(vectors, codes, labels, strength, loss, best)
        if validation is None:
            return head
        found = head.predict(validation[0])
        value = score(found) if score else float(np.mean([a == b for a, b in zip(found, validation[1], strict=True)]))
        if best is None or value > (best.score or 0.0):
            best = replace(head, score=value)
    assert best is not None
    return best


def _regression(
    vectors: np.ndarray,
    codes: np.ndarray,
    labels: tuple[str, ...],
    strength: float,
    loss: ClassLoss,
    start: LinearHead | None,
) -> LinearHead:
    # Labels without rows are left out of the regression; a loss that tells labels apart by number needs them all.
    present = np.unique(codes) if loss.loss == "cross-entropy" else np.arange(len(labels))
    weights = loss.class_weights(codes, labels)
    rows = None if weights is None else weights[codes] / weights[codes].mean()
    found = fit_linear(
        vectors,
        np.searchsorted(present, codes),
        len(present),
        row_loss(loss, [labels[code] for code in present]),
        strength,
        weights=rows,
        start=None if start is None else (start.weight[present], start.bias[present]),
    )
    weight = np.zeros((len(labels), vectors.shape[1]), np.float32)
    bias = np.full(len(labels), NEVER_SEEN, np.float32)
    weight[present], bias[present] = found
    return LinearHead(labels, weight, bias, strength)


def draws(loss: ClassLoss, codes: Sequence[int] | np.ndarray, seed: int) -> Epochs:
    """Which rows each epoch reads."""
    return Epochs(tuple(map(int, codes)), cast(Draw, loss.resample), seed)


@dataclass(frozen=True, slots=True)
class LabelledIds:
    """A text as token ids, with the number of its label."""

    ids: tuple[int, ...]
    label: int


class EncoderClassifier(torch.nn.Module):
    """An encoder, its pooling, and a linear head; `forward` gives logits (n, labels)."""

    def __init__(self, body: Any, pooling: Pooling, head: LinearHead) -> None:
        super().__init__()
        self.body, self.pooling, self.labels = body, pooling, head.labels
        self.head = torch.nn.Linear(head.weight.shape[1], len(head.labels))
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(head.weight))
            self.head.bias.copy_(torch.from_numpy(head.bias))
        self.head.to(next(body.parameters()).device)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Logits (n, labels), float32."""
        vectors = self.pooling(hidden_states(self.body, input_ids, attention_mask), attention_mask)
        logits: torch.Tensor = self.head(vectors)
        return logits.float()


@dataclass(frozen=True)
class LabelRows:
    """Labelled texts as padded tensors, in pieces of at most `micro_tokens` tokens."""

    pad_id: int
    micro_tokens: int
    class_weights: np.ndarray | None = None

    def batches(self, examples: Sequence[LabelledIds]) -> list[dict[str, torch.Tensor]]:
        """`input_ids` and `attention_mask` (n, length), `labels` and `weights` (n,)."""
        found = []
        weights = torch.tensor(step_weights([example.label for example in examples], self.class_weights)).float()
        for group in by_length([len(example.ids) for example in examples], self.micro_tokens):
            ids, mask = padded([examples[i].ids for i in group], self.pad_id, "cpu")
            labels = torch.tensor([examples[i].label for i in group], dtype=torch.long)
            found.append({"input_ids": ids, "attention_mask": mask, "labels": labels, "weights": weights[group]})
        return found


def fit_classifier(
    classifier: EncoderClassifier,
    examples: Sequence[LabelledIds],
    settings: TrainSettings,
    *,
    folder: Path,
    pad_id: int = 0,
    validation: Sequence[Sequence[int]] = (),
    score: ScoreLabels | None = None,
    loss: ClassLoss = PLAIN,
    custom: RowLoss | None = None,
    until: int | None = None,
    progress: Progress | None = None,
) -> FitResult:
    """Train the head and whatever of the body is trainable, and leave the best weights in `classifier`.

    `score` judges the labels predicted for the `validation` texts (token ids) and decides which weights are best.
    `loss` says what is minimised and how labels count; `custom` is a function of the caller's in place of the named
    loss. For the rest see `rung.train.loop.fit`.
    """
    device = classifier.head.weight.device
    codes = [example.label for example in examples]
    micro = settings.micro_tokens or BATCH_TOKENS.get(device.type, BATCH_TOKENS["cpu"])
    rows = LabelRows(pad_id, micro, loss.class_weights(codes, classifier.labels))

    def evaluate() -> Judgement:
        assert score is not None
        found = log_probabilities(classifier, validation, pad_id, fast=low_precision(settings, device))
        return Judgement(float(score([classifier.labels[i] for i in found.argmax(axis=1)])))

    texts = hashlib.sha256(json.dumps([[e.ids, e.label] for e in examples]).encode()).hexdigest()
    return fit_rows(
        classifier,
        examples,
        rows,
        settings,
        row_loss(loss, classifier.labels) if custom is None else checked(custom, "the loss"),
        folder=folder,
        epochs=draws(loss, codes, settings.seed),
        evaluate=evaluate if score is not None else None,
        identity=[texts, list(classifier.labels), asdict(loss)],
        until=until,
        progress=progress,
    )


def fit_rows(
    module: Any,
    examples: Sequence[Any],
    rows: Layout,
    settings: TrainSettings,
    loss: RowLoss,
    *,
    folder: Path,
    epochs: Epochs | None,
    evaluate: Callable[[], Judgement] | None,
    identity: Sequence[Any],
    until: int | None,
    progress: Progress | None,
) -> FitResult:
    """Train a module that gives logits on padded rows. `identity` says what besides the settings makes this training."""
    if not examples:
        raise RungError("no examples to train on", where="training")
    steps = ShuffledSteps(examples, rows, settings.batch_of(len(examples)), 0, settings.seed, epochs)
    steps = replace(steps, total=settings.steps(steps.per_epoch))
    names = sorted(name for name, weight in module.named_parameters() if weight.requires_grad)
    folder.mkdir(parents=True, exist_ok=True)
    result = train(
        module,
        steps,
        ClassObjective(loss),
        settings,
        folder=folder,
        evaluate=evaluate,
        eval_every=settings.eval_every or steps.per_epoch,
        until=until,
        identity=digest([settings.identity(), names, len(steps), *identity]),
        progress=progress,
    )
    return replace(result, batching="padded rows")


def log_probabilities(
    classifier: EncoderClassifier,
    texts: Sequence[Sequence[int]],
    pad_id: int = 0,
    *,
    batch_tokens: int = 1024,
    fast: bool = False,
) -> np.ndarray:
    """log P(label) in nats of each text (token ids), float32 (n, labels). `fast` computes products in bfloat16."""
    classifier.eval()
    device = classifier.head.weight.device
    found = np.zeros((len(texts), len(classifier.labels)), np.float32)
    for group in by_length([len(text) for text in texts], batch_tokens):
        ids, mask = padded([texts[i] for i in group], pad_id, device)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=fast):
            logits = classifier(ids, mask)
        found[group] = torch.log_softmax(logits.float(), dim=-1).cpu().numpy()
    return found


def save_classifier(classifier: EncoderClassifier, folder: Path, *, base_name: str, tokenizer: Any = None) -> None:
    """Write the head to `folder`, and the body to `folder/adapter` (peft's form) or `folder/encoder` (transformers').

    A body without trained weights is not written: the base serves it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    body, pooling = classifier.body, classifier.pooling
    if hasattr(body, "get_base_model"):
        save_adapter(body, folder / "adapter", base_name)
    elif any(weight.requires_grad for weight in body.parameters()):
        body.save_pretrained(str(folder / "encoder"))
        if tokenizer is not None:
            tokenizer.save_pretrained(str(folder / "encoder"))
    head = {"weight": classifier.head.weight, "bias": classifier.head.bias}
    safetensors.torch.save_file({k: v.detach().cpu().contiguous() for k, v in head.items()}, folder / HEAD_WEIGHTS)
    about = {"labels": list(classifier.labels), "pooling": pooling.mode, "normalize": pooling.normalize}
    (folder / HEAD_FILE).write_text(json.dumps(about | {"base": base_name}, indent=2, ensure_ascii=False) + "\n")


def load_classifier(folder: Path, base: Callable[[], Any]) -> EncoderClassifier:
    """The classifier saved in `folder`. `base` gives the base encoder's module, called unless the folder has its own.

    Raises RungError where the head's files are missing.
    """
    from transformers import AutoModel

    for name in (HEAD_FILE, HEAD_WEIGHTS):
        if not (folder / name).is_file():
            raise RungError(f"no {name}", where=str(folder), mend="name a folder that a classifier was saved to")
    about = json.loads((folder / HEAD_FILE).read_text())
    tensors = safetensors.torch.load_file(folder / HEAD_WEIGHTS)
    if (folder / "encoder").is_dir():
        body = AutoModel.from_pretrained(str(folder / "encoder"), use_safetensors=True)
    elif (folder / "adapter" / ADAPTER_FILE).is_file():
        body = load_adapter(base(), folder / "adapter")
    else:
        body = base()
    head = LinearHead(tuple(about["labels"]), tensors["weight"].numpy(), tensors["bias"].numpy(), 0.0)
    return EncoderClassifier(body, Pooling(about["pooling"], about["normalize"]), head).eval()
