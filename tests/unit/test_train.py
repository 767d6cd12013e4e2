"""The loop: accumulation, masking, resuming, determinism, judging, and the shapes a training can end in."""

from __future__ import annotations

import copy
import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import torch
import transformers

from rung.errors import RungError
from rung.train import keep, trainer
from rung.train.answers import AnswerLoss, ShuffledSteps, choose_layout
from rung.train.loop import fit
from rung.train.settings import Diverged, TrainExample, TrainSettings

SETTINGS = TrainSettings(learning_rate=1e-2, epochs=2, batch_size=4, precision="float32", checkpoint_seconds=None)


def llama(seed: int = 0, dropout: float = 0.0) -> torch.nn.Module:
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        attention_dropout=dropout,
        initializer_range=0.2,
    )
    return transformers.AutoModelForCausalLM.from_config(config)


def t5(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    config = transformers.T5Config(
        vocab_size=97,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_heads=2,
        decoder_start_token_id=0,
        dropout_rate=0.0,
    )
    return transformers.AutoModelForSeq2SeqLM.from_config(config)


def examples(count: int = 10) -> list[TrainExample]:
    """Say the last digit of the context again, in ragged contexts behind the same start."""
    return [
        TrainExample.of(
            [1, 2, 3, *range(20, 20 + number % 4), 5 + number % 7], [5 + number % 7, 4, 4][: 1 + number % 3]
        )
        for number in range(count)
    ]


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def step_gradients(module: torch.nn.Module, settings: TrainSettings, folder: Path) -> tuple[float, dict]:
    """Loss and gradients of the first optimizer step, read where the loop is about to use them."""
    caught: dict[str, torch.Tensor] = {}

    class Spy(torch.optim.SGD):
        def step(self, closure=None):  # type: ignore[no-untyped-def]
            caught.update({str(i): p.grad.clone() for i, p in enumerate(self.param_groups[0]["params"])})

    module = copy.deepcopy(module)
    rows = examples(8)
    layout = choose_layout(module, rows, settings)
    steps = ShuffledSteps(rows, layout, 8, 1, settings.seed)
    spy = Spy(module.parameters(), lr=0.0)
    flat = torch.optim.lr_scheduler.LambdaLR(spy, lambda step: 1.0)
    result = trainer.train(module, steps, AnswerLoss(layout), settings, folder=folder, optimizers=(spy, flat))
    return result.curve[-1].train_loss, caught


@pytest.mark.parametrize("build", [llama, t5])
def test_a_batch_of_eight_is_eight_accumulated_batches_of_one(build, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    module = build()
    whole, expected = step_gradients(module, TrainSettings(precision="float32", clip=0, micro_tokens=4096), tmp_path)
    single = TrainSettings(precision="float32", clip=0, micro_tokens=1, row_tokens=1)
    rows = examples(8)
    assert len(choose_layout(module, rows, single).batches(rows)) == 8
    loss, found = step_gradients(module, single, tmp_path)
    assert loss == pytest.approx(whole, rel=1e-6)
    assert expected.keys() == found.keys() and expected
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key], gradient, rtol=1e-4, atol=1e-6)


def test_only_answers_carry_loss() -> None:
    module, rows = llama(), examples(4)
    layout = choose_layout(module, rows, SETTINGS)
    step = ShuffledSteps(rows, layout, 4, 1, 0)[0]
    assert step["targets"] == sum(len(example.answer_ids) for example in rows)
    told = sorted(int(t) for batch in step["micros"] for t in batch["labels"].flatten() if t != -100)
    assert told == sorted(t for example in rows for t in example.answer_ids)


def test_a_batch_without_a_target_is_an_error(tmp_path: Path) -> None:
    module, rows = llama(), examples(4)
    layout = choose_layout(module, rows, SETTINGS)

    class Silent(ShuffledSteps):
        def __getitem__(self, step: int) -> dict:
            return super().__getitem__(step) | {"targets": 0}

    with pytest.raises(RungError, match="without a target token"):
        trainer.train(module, Silent(rows, layout, 4, 2, 0), AnswerLoss(layout), SETTINGS, folder=tmp_path)
    with pytest.raises(RungError, match="empty answer"):
        fit(module, [TrainExample((1, 2), ())], SETTINGS, folder=tmp_path)
    with pytest.raises(RungError, match="no examples"):
        fit(module, [], SETTINGS, folder=tmp_path)
    with pytest.raises(RungError, match="window is 64"):
        fit(module, [TrainExample((1,) * 80, (2,))], SETTINGS, folder=tmp_path)


def test_an_epoch_reads_every_example_once_in_an_order_of_its_own() -> None:
    rows = examples(10)
    steps = ShuffledSteps(rows, choose_layout(llama(), rows, SETTINGS), 4, 6, 7)
    first, second = ([i for step in range(*part) for i in steps.members(step)] for part in ((0, 3), (3, 6)))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert first == [i for step in range(3) for i in ShuffledSteps(rows, steps.layout, 4, 6, 7).members(step)]
    assert first != [i for step in range(3) for i in ShuffledSteps(rows, steps.layout, 4, 6, 8).members(step)]


@pytest.mark.parametrize("build", [llama, t5])
def test_training_learns_and_leaves_the_process_as_it_was(build, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    module, rows = build(), examples(14)
    torch.manual_seed(5)
    before, use_cache = torch.random.get_rng_state(), module.config.use_cache
    said = io.StringIO()
    seen: list[tuple[int, int]] = []
    with redirect_stdout(said):
        settings = TrainSettings(learning_rate=2e-2, epochs=12, batch_size=4, checkpoint_seconds=None)
        result = fit(
            module,
            rows,
            settings,
            folder=tmp_path,
            validation=rows[:4],
            progress=lambda done, total: seen.append((done, total)),
        )
    assert result.stopped == "finished" and result.step == result.total_steps == 48
    assert result.curve[-1].train_loss < 0.5 * result.curve[0].train_loss
    assert result.best_score == max(-point.validation_loss for point in result.curve)
    assert seen[0] == (1, 48) and seen[-1] == (48, 48)
    assert said.getvalue() == ""
    assert torch.equal(before, torch.random.get_rng_state())
    assert module.config.use_cache == use_cache and not module.training
    assert not list(tmp_path.glob("checkpoint-*"))
    json.dumps(result.to_json())


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(tmp_path: Path) -> None:
    ends = []
    for number, seed in enumerate((3, 3, 4)):
        module = llama(dropout=0.1)
        torch.manual_seed(number)  # the state of the process must not matter
        settings = TrainSettings(learning_rate=1e-2, epochs=2, batch_size=4, seed=seed, checkpoint_seconds=None)
        fit(module, examples(), settings, folder=tmp_path / str(number))
        ends.append(weights(module))
    assert same(ends[0], ends[1])
    assert not same(ends[0], ends[2])


def scores_of(values: list[float]):  # type: ignore[no-untyped-def]
    """A score that also disturbs the random state, as real evaluations may."""
    left = list(values)

    def score() -> float:
        torch.rand(3)
        return left.pop(0)

    return score


def test_judging_does_not_disturb_the_training(tmp_path: Path) -> None:
    ends = []
    for folder, every in (("often", 1), ("once", 8)):
        module = llama(dropout=0.2)
        settings = TrainSettings(learning_rate=1e-2, max_steps=8, batch_size=4, eval_every=every)
        fit(module, examples(), settings, folder=tmp_path / folder, score=scores_of([float(i) for i in range(8)]))
        ends.append(weights(module))
    assert same(*ends)


def test_the_best_weights_are_kept_and_patience_ends_the_run(tmp_path: Path) -> None:
    settings = TrainSettings(
        learning_rate=1e-2, max_steps=20, batch_size=4, eval_every=2, patience=2, checkpoint_seconds=None
    )
    module = llama()
    result = fit(module, examples(), settings, folder=tmp_path, score=scores_of([0.1, 0.5, 0.5, 0.4]))
    assert (result.stopped, result.step, result.best_step, result.best_score) == ("patience", 8, 4, 0.5)
    assert [point.score for point in result.curve] == [0.1, 0.5, 0.5, 0.4]
    other = llama()
    longer = TrainSettings(learning_rate=1e-2, max_steps=20, batch_size=4, checkpoint_seconds=None)
    fit(other, examples(), longer, folder=tmp_path / "other", until=4)
    assert same(weights(module), weights(other))


@pytest.mark.parametrize("in_memory", [1 << 30, 0])
def test_a_paused_training_goes_on_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: int) -> None:
    monkeypatch.setattr(keep, "IN_MEMORY", in_memory)  # 0: the best weights wait on disk
    settings = TrainSettings(learning_rate=1e-2, max_steps=9, batch_size=4, eval_every=3, precision="float32")

    def run(folder: Path, *stops: int | None):  # type: ignore[no-untyped-def]
        score = scores_of([0.1, 0.3, 0.2])
        for stop in stops:
            module = llama(dropout=0.2)
            result = fit(module, examples(), settings, folder=folder, score=score, until=stop)
        return module, result

    straight, expected = run(tmp_path / "a", None)
    halted, result = run(tmp_path / "b", 3, 3, 6, None)
    assert same(weights(straight), weights(halted))
    assert result.curve == expected.curve and result.best_step == expected.best_step == 6
    assert result.tokens == expected.tokens
    for told in (result, expected):  # processor seconds go on as well, though never the same
        assert len(told.spent) == len(told.curve) == 3 and 0 < told.spent[0] < told.spent[1] < told.spent[2]
    assert {path.name for path in (tmp_path / "b").iterdir()} == {"checkpoint-6"}
    with pytest.raises(RungError, match="another training"):
        fit(llama(), examples(9), settings, folder=tmp_path / "b")


def test_divergence_is_told_and_the_best_before_it_is_kept(tmp_path: Path) -> None:
    module = llama()
    settings = TrainSettings(learning_rate=1e-2, max_steps=6, batch_size=4, eval_every=2, checkpoint_seconds=None)

    def spoil() -> float:
        if spoilt:
            with torch.no_grad():
                next(module.parameters()).fill_(float("nan"))
        spoilt.append(True)
        return 0.5

    spoilt: list[bool] = []
    result = fit(module, examples(), settings, folder=tmp_path, score=spoil)
    assert result.stopped == "diverged" and result.best_step == 2
    assert all(bool(p.isfinite().all()) for p in module.parameters())
    with torch.no_grad():
        next(module.parameters()).fill_(float("nan"))
    with pytest.raises(Diverged, match="lower the learning rate"):
        fit(module, examples(), settings, folder=tmp_path / "again")


def test_weights_that_cannot_be_trained_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RungError, match="no weight"):
        fit(llama().requires_grad_(False), examples(), SETTINGS, folder=tmp_path)
    with pytest.raises(RungError, match="fewer bits"):
        fit(llama().to(torch.bfloat16), examples(), SETTINGS, folder=tmp_path)


def test_settings_are_checked() -> None:
    for wrong in ({"learning_rate": 0}, {"schedule": "zigzag"}, {"warmup": 1.0}, {"patience": 0}, {"clip": -1}):
        with pytest.raises(RungError):
            TrainSettings(**wrong)
    assert TrainSettings(epochs=1.5).steps(10) == 15
    assert TrainSettings(max_steps=7).steps(10) == 7


VICTIM = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_train import examples, llama
from rung.train.loop import fit
from rung.train.settings import TrainSettings
import torch
settings = TrainSettings(learning_rate=1e-2, max_steps=40, batch_size=4, eval_every=5, precision="float32", checkpoint_seconds=0)
module = llama(dropout=0.2)
def progress(done, total):
    print(done, flush=True)
    time.sleep({pause})
fit(module, examples(), settings, folder=Path(sys.argv[1]), validation=examples(3), progress=progress)
torch.save({{n: p.detach() for n, p in module.named_parameters()}}, sys.argv[2])
"""


@pytest.mark.slow
def test_a_killed_process_that_is_started_again_ends_with_the_same_bits(tmp_path: Path) -> None:
    def start(folder: Path, pause: float) -> subprocess.Popen[str]:
        code = VICTIM.format(tests=str(Path(__file__).parent), pause=pause)
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-c", code, str(folder), str(folder) + ".pt"],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    straight = start(tmp_path / "straight", 0)
    assert straight.wait() == 0
    for kill_at in (7, 23):
        victim = start(tmp_path / "killed", 0.05)
        assert victim.stdout is not None
        for line in victim.stdout:
            if line.strip().isdigit() and int(line) >= kill_at:  # libraries may print on their own
                victim.send_signal(signal.SIGKILL)
                break
        victim.wait()
        assert list((tmp_path / "killed").glob("checkpoint-*"))
    assert start(tmp_path / "killed", 0).wait() == 0
    ends = [torch.load(f"{tmp_path / name}.pt") for name in ("straight", "killed")]
    assert same(*ends)
