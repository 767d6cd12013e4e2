"""Losses of a classifier against hand and library, weights and draws of rows, and means that no cutting changes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rung.errors import RungError
from rung.model.embed import Pooling, text_ids
from rung.model.load import Model
from rung.train.classes import ClassLoss, Epochs, effective_number, inverse_frequency
from rung.train.encode import EncoderClassifier, LabelledIds, LabelRows, fit_classifier, fit_head, log_probabilities
from rung.train.linear import fit_linear
from rung.train.losses import LOSSES, ClassObjective, row_loss, step_weights
from rung.train.settings import TrainSettings

LABELS = ("ham", "spam")
LOGITS = torch.tensor([[2.0, -1.0], [0.5, 0.25], [-3.0, 4.0]])
TARGETS = torch.tensor([0, 1, 0])


def test_each_loss_is_its_formula_by_hand() -> None:
    p = torch.softmax(LOGITS, -1)[torch.arange(3), TARGETS].tolist()
    plain = row_loss(ClassLoss(), LABELS)(LOGITS, TARGETS)
    assert plain.tolist() == pytest.approx([-math.log(one) for one in p], rel=1e-5)
    smooth = row_loss(ClassLoss(smoothing=0.2), LABELS)(LOGITS, TARGETS)
    both = torch.log_softmax(LOGITS, -1).mean(-1).tolist()
    assert smooth.tolist() == pytest.approx([-0.8 * math.log(a) - 0.2 * b for a, b in zip(p, both)], rel=1e-5)
    focal = row_loss(ClassLoss("focal", gamma=3.0), LABELS)(LOGITS, TARGETS)
    assert focal.tolist() == pytest.approx([-((1 - one) ** 3) * math.log(one) for one in p], rel=1e-4)
    assert row_loss(ClassLoss("focal", gamma=0.0), LABELS)(LOGITS, TARGETS).tolist() == pytest.approx(plain.tolist())
    cost = row_loss(ClassLoss("cost", costs=("ham>spam=5",)), LABELS)(LOGITS, TARGETS)
    assert cost.tolist() == pytest.approx([5 * (1 - p[0]), 1 - p[1], 5 * (1 - p[2])], rel=1e-5)


@pytest.mark.parametrize("loss", [ClassLoss(), ClassLoss("focal", gamma=0.5), ClassLoss("cost", costs=("a>b=2",))])
def test_slopes_are_right_and_finite_even_where_the_answer_is_certain(loss: ClassLoss) -> None:
    function = row_loss(loss, ("a", "b", "c"))
    logits = torch.tensor([[0.3, -0.2, 0.9], [1.0, 1.1, -2.0]], requires_grad=True)
    targets = torch.tensor([1, 0])
    (slope,) = torch.autograd.grad(function(logits, targets).sum(), logits)
    step = torch.zeros_like(logits)
    step[1, 2] = 1e-2
    up, down = (function(logits.detach() + sign * step, targets).sum() for sign in (1, -1))
    assert float(slope[1, 2]) == pytest.approx(float(up - down) / 2e-2, abs=1e-3)
    sure = torch.tensor([[60.0, -60.0, 0.0]], requires_grad=True)
    (slope,) = torch.autograd.grad(function(sure, torch.tensor([0])).sum(), sure)
    assert torch.isfinite(slope).all()


def test_weights_are_those_of_the_papers_and_of_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    codes = np.array([0] * 90 + [1] * 9 + [2])
    counts = np.bincount(codes).astype(float)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=codes)
    np.testing.assert_allclose(inverse_frequency(counts), expected)
    found = effective_number(counts, 0.9)
    raw = np.array([(1 - 0.9) / (1 - 0.9**n) for n in (90, 9, 1)])
    np.testing.assert_allclose(found / found[0], raw / raw[0])
    assert (found * counts).sum() == pytest.approx(100)
    np.testing.assert_allclose(effective_number(counts, 0.0), 1)  # no overlap at all: every row is news
    own = ClassLoss(weights=("spam=3",)).class_weights([0, 1, 1], LABELS)
    assert own is not None and own.tolist() == [1.0, 3.0]
    rare = ClassLoss("focal", alpha=0.75).class_weights([0, 1, 1], LABELS)
    assert rare is not None and rare.tolist() == [0.75, 0.25]
    assert inverse_frequency(np.array([4.0, 0.0])).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("draw", ["over", "under", "balanced"])
def test_draws_even_out_the_labels_and_repeat_by_seed(draw: str) -> None:
    codes = tuple([0] * 40 + [2] * 7 + [5] * 3)
    epochs = Epochs(codes, draw, 4)  # type: ignore[arg-type]
    first, second = epochs.order(0), epochs.order(1)
    assert len(first) == len(epochs) == {"over": 120, "under": 9, "balanced": 50}[draw]
    assert (first == Epochs(codes, draw, 4).order(0)).all() and (first != second).any()  # type: ignore[arg-type]
    counts = Counter(codes[i] for i in first)
    if draw == "balanced":
        assert min(counts.values()) >= 8
    else:
        assert len(set(counts.values())) == 1
    if draw == "over":
        assert min(Counter(first.tolist()).values()) >= 1 and len(set(first.tolist())) == 50
    if draw == "under":
        assert len(set(first.tolist())) == 9


def test_the_weighted_mean_is_torchs_and_does_not_depend_on_how_a_step_is_cut(base: Callable[[str], Path]) -> None:
    model = Model.load(str(base("bert")))
    texts = ["good film", "where is my order please", "lamp broke", "send money back refund now please", "kettle"]
    rows = [LabelledIds(tuple(ids), n % 3) for n, ids in enumerate(text_ids(model, texts))]
    weights = np.array([1.0, 4.0, 0.5])
    head = fit_head(np.eye(5, 32, dtype=np.float32), ["a", "b", "c", "a", "b"], "abc")
    classifier = EncoderClassifier(model.module, Pooling.of(model.folder), head).eval()
    objective = ClassObjective(row_loss(ClassLoss(), "abc"))

    def total(micro: int) -> tuple[float, int]:
        pieces = LabelRows(0, micro, weights).batches(rows)
        return sum(float(objective(classifier, piece)) for piece in pieces) / len(rows), len(pieces)

    whole, cut = total(4096), total(1)
    assert (whole[1], cut[1]) == (1, 5)
    assert cut[0] == pytest.approx(whole[0], rel=1e-5)
    (batch,) = LabelRows(0, 4096).batches(rows)
    logits = classifier(batch["input_ids"], batch["attention_mask"])
    reference = torch.nn.functional.cross_entropy(logits, batch["labels"], torch.tensor(weights).float())
    assert whole[0] == pytest.approx(float(reference), rel=1e-5)


def test_step_weights_sum_to_the_number_of_rows() -> None:
    assert step_weights([0, 0, 1], np.array([1.0, 4.0])).tolist() == pytest.approx([0.5, 0.5, 2.0])
    assert step_weights([0, 1], None).tolist() == [1, 1] and step_weights([], np.ones(2)).size == 0


def test_the_weighted_head_is_scikit_learns_balanced_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    chance = np.random.default_rng(0)
    vectors = chance.normal(size=(120, 6)).astype(np.float32)
    names = np.array(["ham", "spam", "odd"])[np.digitize(vectors[:, 0] + 0.5 * chance.normal(size=120), [1.0, 1.8])]
    head = fit_head(vectors, names.tolist(), ("ham", "odd", "spam"), loss=ClassLoss(weights="inverse-frequency"))
    plain = LogisticRegression(C=1.0, class_weight="balanced", max_iter=5000, tol=1e-9).fit(vectors, names)
    np.testing.assert_allclose(head.log_probabilities(vectors), plain.predict_log_proba(vectors), rtol=1e-3, atol=1e-3)


def test_a_fit_by_any_loss_lowers_it_and_costs_move_the_border() -> None:
    chance = np.random.default_rng(1)
    vectors = chance.normal(size=(300, 3)).astype(np.float32)
    codes = (vectors[:, 0] + chance.normal(size=300) > 1.0).astype(int)
    names = [LABELS[code] for code in codes]
    said = {}
    for name, loss in {
        "plain": ClassLoss(),
        "focal": ClassLoss("focal"),
        "misses cost": ClassLoss("cost", costs=("spam>ham=8",)),
        "false alarms cost": ClassLoss("cost", costs=("ham>spam=8",)),
        "over": ClassLoss(resample="over"),
    }.items():
        function = row_loss(loss, LABELS)
        weight, bias = fit_linear(vectors, codes, 2, function, 10.0)
        targets = torch.from_numpy(codes)
        start, end = (
            float(function(torch.from_numpy(x), targets).mean())
            for x in (vectors[:, :2] * 0, vectors @ weight.T + bias)
        )
        assert end < start
        said[name] = fit_head(vectors, names, LABELS, loss=loss).predict(vectors).count("spam")
    assert said["misses cost"] > said["plain"] > said["false alarms cost"]
    assert said["over"] > said["plain"]


def test_a_function_of_the_users_own_trains_and_is_checked(
    base: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model.load(str(base("bert")))
    rows = [LabelledIds(tuple(ids), n % 2) for n, ids in enumerate(text_ids(model, ["good film", "lamp broke"] * 4))]
    head = fit_head(np.eye(2, 32, dtype=np.float32), ["ham", "spam"], LABELS)

    def train(name: str, **how: object) -> np.ndarray:
        classifier = EncoderClassifier(model.fresh("float32"), Pooling.of(model.folder), head)
        plan = TrainSettings(epochs=1, batch_size=4, precision="float32")
        fit_classifier(classifier, rows, plan, folder=tmp_path / name, **how)  # type: ignore[arg-type]
        return log_probabilities(classifier, [row.ids for row in rows])

    def hinge(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.multi_margin_loss(logits, targets, reduction="none")

    plain, own = train("plain"), train("own", custom=hinge)
    assert not np.array_equal(plain, own)
    (tmp_path / "margins.py").write_text(
        "import torch\ndef hinge(logits, targets):\n"
        "    return torch.nn.functional.multi_margin_loss(logits, targets, reduction='none')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert np.array_equal(train("named", loss=ClassLoss("margins:hinge")), own)
    with pytest.raises(RungError, match=r"gave \(\) for 4 rows"):
        train("mean", custom=torch.nn.functional.cross_entropy)
    with pytest.raises(RungError, match="cannot import no_such_module"):
        row_loss(ClassLoss("no_such_module:loss"), LABELS)
    with pytest.raises(RungError, match="has no function nothing"):
        row_loss(ClassLoss("math:nothing"), LABELS)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"loss": "focall"}, "did you mean focal"),
        ({"weights": "inverse"}, "inverse-frequency, none"),
        ({"resample": "up"}, "unknown draw up"),
        ({"gamma": -1.0}, "gamma is -1"),
        ({"smoothing": 1.0}, "smoothing is 1"),
        ({"beta": 1.0}, "beta is 1"),
        ({"alpha": 0.3}, "alpha belongs"),
        ({"loss": "cost"}, "go together"),
        ({"costs": ("a>b=1",)}, "go together"),
        ({"loss": "focal", "smoothing": 0.1}, "smoothing belongs"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_mend(given: dict[str, object], said: str) -> None:
    with pytest.raises(RungError, match=said):
        ClassLoss(**given)  # type: ignore[arg-type]


def test_weights_and_costs_name_known_labels_and_numbers() -> None:
    with pytest.raises(RungError, match="'spma' is no label"):
        ClassLoss(weights=("spma=2",)).class_weights([0, 1], LABELS)
    with pytest.raises(RungError, match="no number"):
        ClassLoss(weights=("spam=many",)).class_weights([0, 1], LABELS)
    with pytest.raises(RungError, match="is no cost"):
        ClassLoss("cost", costs=("ham=2",)).cost_matrix(LABELS)
    with pytest.raises(RungError, match="two labels"):
        ClassLoss("focal", alpha=0.2).class_weights([0, 1, 2], "abc")
    assert set(LOSSES) == {"cross-entropy", "focal", "cost"}
