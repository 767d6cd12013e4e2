"""Each optimiser of the table against its rule written out in NumPy, on a convex problem, and resumed to the bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from test_train import examples, llama, same, weights

from rung.errors import MissingExtra, RungError
from rung.train.loop import fit
from rung.train.optimisers.build import Choice, grouped, matrices_of
from rung.train.optimisers.table import OPTIMISERS, note, options_of
from rung.train.settings import TrainSettings
from rung.train.trainer import Trainer

RATE, STEPS = 0.01, 4
LIBRARY = ("adamw-8bit", "paged-adamw")


def needs_library(name: str) -> None:
    if name in LIBRARY:
        pytest.importorskip("bitsandbytes")


def problem(rows: int = 3, columns: int = 4) -> tuple[torch.nn.Linear, torch.Tensor, torch.Tensor]:
    """Least squares: a linear map, its inputs, and the outputs it should give."""
    torch.manual_seed(1)
    module = torch.nn.Linear(columns, rows)
    inputs = torch.randn(24, columns)
    return module, inputs, inputs @ torch.randn(columns, rows) + 0.3


def move(module: torch.nn.Linear, inputs: torch.Tensor, outputs: torch.Tensor, optimiser: Any, steps: int) -> float:
    for _ in range(steps):
        loss = ((module(inputs) - outputs) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return float(((module(inputs) - outputs) ** 2).mean())


def gradients(weight: np.ndarray, bias: np.ndarray, inputs: np.ndarray, outputs: np.ndarray) -> list[np.ndarray]:
    """Of the mean square error, by hand."""
    wrong = 2 * (inputs @ weight.T + bias - outputs) / outputs.size
    return [wrong.T @ inputs, wrong.sum(axis=0)]


Rule = Callable[[np.ndarray, np.ndarray, dict, int], np.ndarray]  # weight, gradient, state, step (from 1) -> new weight


def descent(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    return w - RATE * g


def momentum(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    s["m"] = 0.9 * s.get("m", 0) + g
    return w - RATE * s["m"]


def adagrad(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    s["v"] = s.get("v", 0) + g**2
    return w - RATE * g / (np.sqrt(s["v"]) + 1e-10)


def rmsprop(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    s["v"] = 0.99 * s.get("v", 0) + 0.01 * g**2
    return w - RATE * g / (np.sqrt(s["v"]) + 1e-8)


def adadelta(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    s["v"] = 0.9 * s.get("v", 0) + 0.1 * g**2
    step = np.sqrt(s.get("u", 0) + 1e-6) / np.sqrt(s["v"] + 1e-6) * g
    s["u"] = 0.9 * s.get("u", 0) + 0.1 * step**2
    return w - RATE * step


def adam(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g**2
    return w - RATE * (s["m"] / (1 - 0.9**t)) / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-8)


def adafactor(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    """Algorithm 4 of Shazeer and Stern, relative step sizes at most RATE, a factored second moment for matrices."""
    kept = t**-0.8
    size = max(1e-3, float(np.sqrt((w**2).mean()))) * min(RATE, t**-0.5)
    if w.ndim == 2:
        s["r"] = (1 - kept) * s.get("r", 0) + kept * (g**2).mean(axis=1, keepdims=True)
        s["c"] = (1 - kept) * s.get("c", 0) + kept * (g**2).mean(axis=0, keepdims=True)
        second = s["r"] @ s["c"] / s["r"].mean()
    else:
        second = s["v"] = (1 - kept) * s.get("v", 0) + kept * g**2
    update = g / np.sqrt(second)
    return w - size * update / max(1.0, float(np.sqrt((update**2).mean())))


def lion(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    known = s.get("m", 0)
    s["m"] = 0.99 * known + 0.01 * g
    return w - RATE * np.sign(0.9 * known + 0.1 * g)


def muon(w: np.ndarray, g: np.ndarray, s: dict, t: int) -> np.ndarray:
    """The nearest half-orthogonal matrix to the Nesterov momentum, by five steps of a quintic; AdamW for vectors."""
    if w.ndim == 1:
        return adam(w, g, s, t)
    s["m"] = 0.95 * s.get("m", 0) + 0.05 * g
    x = 0.95 * s["m"] + 0.05 * g
    x = x / np.linalg.norm(x)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return w - RATE * 0.2 * np.sqrt(max(w.shape)) * x


RULES: dict[str, tuple[Rule, float]] = {  # the rule, and how far (relative) the library's arithmetic may be from it
    "gradient-descent": (descent, 1e-5),
    "sgd": (descent, 1e-5),
    "momentum": (momentum, 1e-5),
    "adagrad": (adagrad, 1e-5),
    "rmsprop": (rmsprop, 1e-5),
    "adadelta": (adadelta, 1e-3),
    "adam": (adam, 1e-4),
    "adamw": (adam, 1e-4),
    "adafactor": (adafactor, 1e-4),
    "lion": (lion, 1e-5),
    "muon": (muon, 0.05),  # its matrix products are in bfloat16
    "paged-adamw": (adam, 1e-4),
    "adamw-8bit": (adam, 1e-4),  # so few weights stay in 32 bits; see below for many
}


def test_every_optimiser_has_a_rule_here() -> None:
    assert RULES.keys() == OPTIMISERS.keys()


@pytest.mark.parametrize("name", RULES)
def test_steps_follow_the_rule(name: str) -> None:
    needs_library(name)
    rule, tolerance = RULES[name]
    module, inputs, outputs = problem()
    values = [p.detach().double().numpy().copy() for p in module.parameters()]
    first, states = [v.copy() for v in values], ({}, {})
    for step in range(1, STEPS + 1):
        found = gradients(*values, inputs.double().numpy(), outputs.double().numpy())
        values = [rule(w, g, s, step) for w, g, s in zip(values, found, states, strict=True)]
    move(module, inputs, outputs, Choice(name, RATE).build(module, ()), STEPS)
    for weight, value, start in zip(module.parameters(), values, first, strict=True):
        way = np.abs(value - start).max()
        assert way > 0
        assert np.abs(weight.detach().numpy() - value).max() <= tolerance * way


@pytest.mark.parametrize("name", RULES)
def test_a_convex_problem_is_solved(name: str) -> None:
    needs_library(name)
    module, inputs, outputs = problem()
    start = float(((module(inputs) - outputs) ** 2).mean())
    rate = {"adagrad": 0.5, "adadelta": 3.0, "lion": 0.01, "muon": 0.05}.get(name, 0.1)
    assert move(module, inputs, outputs, Choice(name, rate).build(module, ()), 400) < 0.02 * start


@pytest.mark.parametrize("name", RULES)
def test_decay_shrinks_what_it_is_for_and_nothing_else(name: str) -> None:
    needs_library(name)
    ends = []
    for decay in (0.0, 0.5):
        module, inputs, outputs = problem()
        move(module, inputs, outputs, Choice(name, RATE, decay).build(module, {"weight"}), 1)
        ends.append([p.detach().clone() for p in module.parameters()])
    assert not torch.equal(ends[0][0], ends[1][0])
    assert torch.equal(ends[0][1], ends[1][1])


def test_states_of_eight_bits_are_bytes_and_steps_near_those_of_adamw() -> None:
    pytest.importorskip("bitsandbytes")
    ends = []
    for name in ("adamw", "adamw-8bit"):
        module, inputs, outputs = problem(64, 128)
        optimiser = Choice(name, RATE).build(module, ())
        start = module.weight.detach().clone()
        move(module, inputs, outputs, optimiser, 5)
        ends.append(module.weight.detach() - start)
    kept = optimiser.parts[0].state[module.weight]
    assert kept["state1"].dtype == kept["state2"].dtype == torch.uint8
    wrong = (ends[0] - ends[1]).norm() / ends[0].norm()
    assert 0 < wrong < 0.1


@pytest.mark.parametrize("name", RULES)
def test_a_paused_training_goes_on_bit_for_bit(name: str, tmp_path: Path) -> None:
    needs_library(name)
    rate = 2e-4 * OPTIMISERS[name].rate
    settings = TrainSettings(learning_rate=rate, max_steps=6, batch_size=4, optimiser=name, precision="float32")
    ends = []
    for folder, stops in (("straight", (None,)), ("halted", (2, 4, None))):
        for stop in stops:
            module = llama(dropout=0.2)
            result = fit(module, examples(), settings, folder=tmp_path / folder, until=stop)
        ends.append(weights(module))
    assert same(*ends) and not same(ends[0], weights(llama(dropout=0.2)))
    assert result.note == note(name, "cpu")


def test_states_of_eight_bits_go_on_bit_for_bit(tmp_path: Path) -> None:
    """Of weights that are large enough to have such states; they share a table of codes, which a file cannot."""
    pytest.importorskip("bitsandbytes")

    def build() -> torch.nn.Module:
        torch.manual_seed(0)
        size = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}
        return transformers.LlamaForCausalLM(
            transformers.LlamaConfig(vocab_size=50, max_position_embeddings=64, **size)
        )

    settings = TrainSettings(learning_rate=1e-3, max_steps=6, batch_size=4, optimiser="adamw-8bit", precision="float32")
    ends = []
    for folder, stops in (("straight", (None,)), ("halted", (2, 4, None))):
        for stop in stops:
            module = build()
            fit(module, examples(), settings, folder=tmp_path / folder, until=stop)
        ends.append(weights(module))
    assert same(*ends) and not same(ends[0], weights(build()))


def test_gradient_descent_reads_all_examples_at_every_step(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    settings = TrainSettings(learning_rate=0.1, epochs=3, batch_size=2, optimiser="gradient-descent")
    fit(llama(), examples(10), settings, folder=tmp_path, progress=lambda *step: told.append(step))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_tables_are_not_matrices() -> None:
    module = llama()
    names = {name for name, w in module.named_parameters() if id(w) in matrices_of(module)}
    assert len(names) == 2 * 7 and not any("embed" in name or "lm_head" in name or "norm" in name for name in names)
    groups = grouped(module, 0.1, 0.2, {"lm_head.weight"})
    assert [len(g["params"]) for g in groups] == [1, 14, 6] and [g["weight_decay"] for g in groups] == [0.2, 0, 0]


def test_only_what_is_asked_for_makes_another_training() -> None:
    plain = TrainSettings().identity()
    assert "optimiser" not in plain and "eps" not in plain and plain["betas"] == (0.9, 0.999)
    assert TrainSettings(betas=(0.9, 0.999), eps=1e-8).identity() == plain
    others = [TrainSettings(optimiser=name).identity() for name in OPTIMISERS if name != "adamw"]
    others += [TrainSettings(eps=1e-6).identity(), TrainSettings(optimiser="momentum", momentum=0.5).identity()]
    assert all(found != plain for found in others)
    assert len({str(found) for found in others}) == len(others)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"optimiser": "adamv"}, "did you mean adam"),
        ({"optimiser": "sgd", "momentum": 0.9}, "sgd has no option momentum"),
        ({"optimiser": "momentum", "betas": (0.9, 0.99)}, "it has momentum"),
        ({"betas": (0.9, 1.0)}, "no share below 1"),
        ({"eps": 0.0}, "not above 0"),
    ],
)
def test_wrong_choices_are_one_line(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(RungError, match=line):
        TrainSettings(**settings)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtra, match=r"rung\[nf4\]"):
        Choice("adamw-8bit").build(problem()[0], ())


def test_pages_that_are_not_there_are_told() -> None:
    assert "ordinary memory" in note("paged-adamw", "cpu")
    assert not note("paged-adamw", "cuda") and not any(
        note(name, "cpu") for name in OPTIMISERS if name != "paged-adamw"
    )
    assert options_of("lion")["betas"] == (0.9, 0.99)


def test_two_optimisers_at_once_are_refused(tmp_path: Path) -> None:
    from transformers import TrainingArguments

    args = TrainingArguments(output_dir=str(tmp_path), report_to="none")
    with pytest.raises(RungError, match="by name and another by object"):
        Trainer(llama(), args, optimiser="lion", optimizer_cls_and_kwargs=(torch.optim.SGD, {"lr": 0.1}))
