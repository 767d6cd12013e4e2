"""Against forgetting: the penalties are what their formulas say, replay has its share, and both hold a model back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rung.errors import RungError
from rung.model.load import Model
from rung.model.methods import METHODS
from rung.train.forgetting import PIECE, Keeping, importance
from rung.train.hooks import Hooks
from rung.train.loop import fit
from rung.train.settings import TrainExample, TrainSettings

Base = Callable[[str], Path]
EXAMPLES = [TrainExample.of([5 + n, 9, 11 + n, 4], [20 + n % 3, 1]) for n in range(12)]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "general.txt"
    file.write_text("where is my order the parcel never came please send money back " * 60)
    return file


def test_importance_is_the_mean_of_squared_gradients(base: Base, text: Path) -> None:
    model = Model.load(str(base("llama")))
    module = METHODS["full"]().prepare(model)
    pieces = Keeping("ewc", text=str(text)).texts(model, EXAMPLES, 0).listened[:3]
    found = importance(module, pieces)
    wanted = {name: torch.zeros_like(weight) for name, weight in module.named_parameters()}
    for piece in pieces:
        ids = torch.tensor([[*piece.context_ids, *piece.answer_ids]])
        loss = module(input_ids=ids, labels=ids).loss
        for (name, _), grad in zip(module.named_parameters(), torch.autograd.grad(loss, list(module.parameters()))):
            wanted[name] += grad**2 / 3
    assert found.keys() == wanted.keys()
    for name in found:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("name", ["l2", "ewc"])
def test_penalties_are_quadratic_and_begin_at_nothing(base: Base, text: Path, name: str) -> None:
    model = Model.load(str(base("llama")))
    module = METHODS["last-layers"]().prepare(model)
    keeping = Keeping(name, 2.0, str(text))
    texts = keeping.texts(model, EXAMPLES, 0)
    penalty = keeping.penalty(module, texts)
    assert penalty is not None and float(penalty(module)) == 0.0
    weights = {n: w for n, w in module.named_parameters() if w.requires_grad}
    factor = (
        importance(module, texts.listened) if name == "ewc" else {n: torch.ones_like(w) for n, w in weights.items()}
    )
    with torch.no_grad():
        for weight in weights.values():
            weight += 0.5
    assert float(penalty(module)) == pytest.approx(sum(float(f.sum()) for f in factor.values()) * 0.25, rel=1e-4)


def test_replay_has_its_share_of_the_targets(base: Base, text: Path) -> None:
    model = Model.load(str(base("llama")))
    rows = EXAMPLES * 40
    replayed = Keeping("replay", 0.5, str(text)).texts(model, rows, 3).replayed
    targets = sum(len(row.answer_ids) for row in rows)
    assert len(replayed) * (PIECE - 1) == pytest.approx(targets, rel=0.05)
    assert Keeping("replay", 0.5, str(text)).texts(model, rows, 3).replayed == replayed


def test_l2_keeps_the_weights_near(base: Base, tmp_path: Path) -> None:
    model = Model.load(str(base("llama")))
    settings = TrainSettings(learning_rate=0.01, max_steps=20, batch_size=6, precision="float32")

    def moved(strength: float | None) -> float:
        module = METHODS["full"]().prepare(model)
        start = {n: w.detach().clone() for n, w in module.named_parameters()}
        keeping = Keeping("l2", strength) if strength else Keeping()
        hooks = Hooks(penalty=keeping.penalty(module, keeping.texts(model, EXAMPLES, 0)))
        fit(module, EXAMPLES, settings, folder=tmp_path / str(strength), hooks=hooks)
        return sum(float(((w - start[n]) ** 2).sum()) for n, w in module.named_parameters())

    free, held = moved(None), moved(10.0)
    assert held < free / 2


@pytest.mark.parametrize(
    ("name", "strength", "says"),
    [("ewc", None, "needs general text"), ("replay", 1.5, "give a share below 1"), ("l2", -1.0, "above 0")],
)
def test_what_makes_no_sense_is_one_line(text: Path, name: str, strength: float | None, says: str) -> None:
    with pytest.raises(RungError, match=says):
        Keeping(name, strength, "" if says == "needs general text" else str(text))


def test_a_text_too_short_is_one_line(base: Base, tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("too short")
    with pytest.raises(RungError, match="fewer than"):
        Keeping("ewc", text=str(short)).texts(Model.load(str(base("llama"))), EXAMPLES, 0)
