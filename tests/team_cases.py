"""What the tests of many processes do in each of them: `python -m team_cases FOLDER WORLD CASE…` runs cases in order.

Each case trains a tiny real model and leaves what it found in FOLDER/CASE.json, written by the first process.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from rung.train.answers import AnswerLoss, ShuffledSteps, choose_layout, mean_loss
from rung.train.keeper import Judgement
from rung.train.parallel.choose import layout_of
from rung.train.parallel.settings import ParallelSettings
from rung.train.parallel.team import Team, joined
from rung.train.settings import FitResult, TrainExample, TrainSettings
from rung.train.trainer import train

STEPS = 6
SETTINGS = TrainSettings(learning_rate=1e-2, max_steps=STEPS, batch_size=6, precision="float32", micro_tokens=40,
                         checkpoint_seconds=None, weight_decay=0.1, batching="padded")  # fmt: skip


def llama(seed: int = 0, tied: bool = False, layers: int = 2) -> Any:
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.2,
        tie_word_embeddings=tied,
    )
    return transformers.AutoModelForCausalLM.from_config(config)


def examples(count: int = 18) -> list[TrainExample]:
    """Say the last digit of the context again, in ragged contexts behind the same start."""
    return [
        TrainExample.of(
            [1, 2, 3, *range(20, 20 + number % 4), 5 + number % 7], [5 + number % 7, 4, 4][: 1 + number % 3]
        )
        for number in range(count)
    ]


def run(
    module: Any,
    folder: Path,
    parallel: ParallelSettings | None = None,
    team: Team | None = None,
    until: int | None = None,
    settings: TrainSettings = SETTINGS,
) -> tuple[FitResult, Any]:
    """Train `module` in the layout of `parallel`, judged after every step; the result, and the layout."""
    rows = examples()
    layout = layout_of(parallel or ParallelSettings(), team or Team())
    steps = ShuffledSteps(rows, choose_layout(module, rows, settings), settings.batch_size, STEPS, settings.seed)
    loss = AnswerLoss(steps.layout)

    def evaluate() -> Judgement:
        return Judgement(None, mean_loss(module, rows[:5], steps.layout))

    folder.mkdir(parents=True, exist_ok=True)
    with layout.placed(module):
        result = train(module, steps, loss, settings, folder=folder, evaluate=evaluate, eval_every=1, until=until,
                       layout=layout)  # fmt: skip
    return result, layout


def found(result: FitResult, module: Any, layout: Any) -> dict[str, Any]:
    traffic = getattr(layout, "traffic", None)
    weights = {name: weight.detach().double().abs().sum().item() for name, weight in module.named_parameters()}
    return {
        "losses": [point.train_loss for point in result.curve],
        "validation": [point.validation_loss for point in result.curve],
        "weights": weights,
        "bytes": traffic.total if traffic else 0,
        "theory": layout.theory.sent if getattr(layout, "theory", None) else 0,
        "kinds": dict(traffic.sent) if traffic else {},
        "parameters": sum(weight.numel() for weight in module.parameters()),
        "trainable": result.trainable,
        "plain": all(type(weight) is torch.nn.Parameter for weight in module.parameters()),
    }


def trained(parallel: ParallelSettings, **model: Any) -> Callable[[Team, Path], dict[str, Any]]:
    def case(team: Team, folder: Path) -> dict[str, Any]:
        module = llama(**model)
        result, layout = run(module, folder / "run", parallel, team)
        return found(result, module, layout)

    return case


def begun(parallel: ParallelSettings) -> Callable[[Team, Path], dict[str, Any]]:
    """Half of the steps, to be gone on with in another layout."""

    def case(team: Team, folder: Path) -> dict[str, Any]:
        module = llama()
        result, layout = run(module, folder / "run", parallel, team, until=STEPS // 2)
        return found(result, module, layout)

    return case


def resumed(parallel: ParallelSettings, begun_in: str) -> Callable[[Team, Path], dict[str, Any]]:
    def case(team: Team, folder: Path) -> dict[str, Any]:
        module = llama(seed=9)  # what it held before must not matter
        result, layout = run(module, folder.parent / begun_in / "run", parallel, team)
        return found(result, module, layout)

    return case


TWO = {
    "ddp": ParallelSettings(),
    "zero1": ParallelSettings(data="zero1"),
    "zero2": ParallelSettings(data="zero2"),
    "zero3": ParallelSettings(data="zero3"),
    "tensor": ParallelSettings(tensor=2),
}
FOUR = {
    "hybrid": ParallelSettings(data="hybrid", shard=2),
    "zero3-tensor": ParallelSettings(data="zero3", tensor=2),
    "ddp-tensor": ParallelSettings(tensor=2),
}
CASES: dict[str, Callable[[Team, Path], dict[str, Any]]] = {
    **{name: trained(settings) for name, settings in (TWO | FOUR).items()},
    **{f"{name}-begun": begun(settings) for name, settings in (TWO | FOUR).items()},
    **{f"{name}-after-{other}": resumed(settings, f"{other}-begun") for name, settings in (TWO | FOUR).items()
       for other in TWO | FOUR},
}  # fmt: skip


def main(words: Sequence[str]) -> None:
    with joined(60) as team:
        for name in words[1:]:
            result = CASES[name](team, Path(words[0]) / name)
            if team.lead:
                (Path(words[0]) / f"{name}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1:])
