"""Gradient checkpointing gives the same bits; the rehearsal finds the largest batch, changes nothing, and tells of memory."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from rung.errors import RungError
from rung.model.load import Model
from rung.model.methods import METHODS
from rung.train.answers import AnswerLoss, RowLayout, ShuffledSteps, virtual_tokens
from rung.train.breaks import OutOfMemory
from rung.train.checkpointing import checkpointed, recomputing
from rung.train.loop import fit
from rung.train.rehearse import Rehearsal, size_of
from rung.train.settings import TrainExample, TrainSettings

EXAMPLES = [TrainExample((7 + n, 8, 9, 10) * (1 + n % 5), (11, 12, 1)) for n in range(12)]


def gradients(model: Model, method: str, again: bool) -> dict[str, torch.Tensor]:
    module = METHODS[method]().prepare(model)
    layout = RowLayout("padded" if model.kind != "encoder-decoder" else "pairs", 0, 64, virtual=virtual_tokens(module))
    module.train()
    torch.manual_seed(3)  # dropout, where there is some, is drawn again alike
    with recomputing(module, again):
        for batch in layout.batches(EXAMPLES):
            AnswerLoss(layout)(module, batch).backward()
    return {name: w.grad for name, w in module.named_parameters() if w.requires_grad and w.grad is not None}


@pytest.mark.parametrize(
    ("kind", "method"),
    [("llama", "full"), ("llama", "lora"), ("llama", "prompt-tuning"), ("gpt2", "full"), ("t5", "full"), ("gemma3", "lora"),
     ("qwen3", "ia3")],
)  # fmt: skip
def test_gradients_with_checkpointing_are_the_same(kind: str, method: str, base: Callable[[str], Path]) -> None:
    model = Model.load(str(base(kind)), dtype="float32")
    kept, again = gradients(model, method, False), gradients(model, method, True)
    assert kept.keys() == again.keys() and kept
    assert all(torch.equal(kept[name], again[name]) for name in kept)


def test_a_training_with_checkpointing_ends_with_the_same_bits(base: Callable[[str], Path], tmp_path: Path) -> None:
    ended = []
    for again in (False, True):
        module = Model.load(str(base("llama")), dtype="float32").fresh("float32")
        settings = TrainSettings(epochs=2, batch_size=4, checkpointing=again, checkpoint_seconds=None)
        fit(module, EXAMPLES, settings, folder=tmp_path / str(again))
        assert not any(getattr(part, "gradient_checkpointing", False) for part in module.modules())
        ended.append({name: weight.detach().clone() for name, weight in module.named_parameters()})
    assert all(torch.equal(ended[0][name], ended[1][name]) for name in ended[0])
    assert TrainSettings(checkpointing=True).identity() == TrainSettings().identity()


def test_what_cannot_be_recomputed_is_told(base: Callable[[str], Path]) -> None:
    with pytest.raises(RungError, match="prefix tuning has no gradient checkpointing"):
        checkpointed(METHODS["prefix-tuning"]().prepare(Model.load(str(base("llama")))))
    with pytest.raises(RungError, match="no gradient checkpointing"):
        checkpointed(torch.nn.Linear(2, 2))


def rehearsal(base: Callable[[str], Path], **options: Any) -> Rehearsal:
    module = Model.load(str(base("llama")), dtype="float32").fresh("float32").requires_grad_(True)
    layout = RowLayout("padded", 0, 1024)
    steps = ShuffledSteps(EXAMPLES, layout, 2, 30, 1)
    return Rehearsal(module, steps, AnswerLoss(layout), False, **options)


def test_the_largest_batch_is_run_and_nothing_changes(base: Callable[[str], Path]) -> None:
    evaluated: list[bool] = []
    made = rehearsal(base, evaluate=lambda: evaluated.append(made.module.training))
    before = {name: weight.detach().clone() for name, weight in made.module.named_parameters()}
    state = torch.random.get_rng_state()
    made.module.train()
    made.rehearse(60.0)
    assert made.done == max(size_of(batch) for i in range(30) for batch in made.steps[i]["micros"])
    assert evaluated == [False] and made.module.training
    assert torch.equal(state, torch.random.get_rng_state())
    for name, weight in made.module.named_parameters():
        assert weight.grad is None and torch.equal(weight, before[name])


def test_only_a_long_training_is_rehearsed(base: Callable[[str], Path]) -> None:
    class State:
        global_step = 1

    for step_seconds, ran in ((0.01, False), (10.0, True)):
        clock = count(0.0, step_seconds)
        made = rehearsal(base, clock=lambda clock=clock: next(clock))
        made.on_step_begin(None, State(), None)
        made.on_step_end(None, State(), None)
        assert (made.done or 0) > 0 if ran else made.done == 0
        made.on_step_end(None, State(), None)  # once is enough


def test_memory_that_runs_out_is_one_line(base: Callable[[str], Path]) -> None:
    made = rehearsal(base)

    def far_too_large(module: Any, batch: Any) -> torch.Tensor:
        return torch.empty(1 << 50).sum()

    made.objective = far_too_large
    with pytest.raises(OutOfMemory, match="rehearsal of the largest batch") as told:
        made.rehearse(1.0)
    assert "checkpointing" in str(told.value) and "\n" not in str(told.value)
    made = rehearsal(base, evaluate=lambda: torch.empty(1 << 50))
    with pytest.raises(OutOfMemory, match="rehearsal of the evaluation"):
        made.rehearse(1.0)


def test_a_long_training_ends_with_the_same_bits_as_without(
    base: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = []
    for long in (1e9, -1.0):
        monkeypatch.setattr("rung.train.rehearse.LONG", long)
        module = METHODS["lora"](dropout=0.1).prepare(Model.load(str(base("llama"))))
        settings = TrainSettings(max_steps=6, batch_size=4, checkpoint_seconds=None)
        tried: list[int] = []
        fit(
            module, EXAMPLES, settings, folder=tmp_path / str(long), validation=EXAMPLES[:4],
            rehearse=lambda tried=tried: tried.append(1),
        )  # fmt: skip
        assert tried == ([] if long > 0 else [1])
        ended.append([w.detach().clone() for w in module.parameters() if w.requires_grad])
    assert all(torch.equal(a, b) for a, b in zip(*ended))
