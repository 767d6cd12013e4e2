"""How long a climb of `triage` on `tiny` takes, rung by rung, against the same rungs as plain scripts in the same run.

Ends in one JSON line. `ratio` is peer time / our time over all rungs; `prompting` and `training` split it; in
`like_for_like` one setting of a training rung is trained by both. `--quick` takes fewer rows and epochs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "5000")  # Rung's own policy for both sides, set before torch is loaded
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

import plain
from rung.ladder.assemble import hardware
from rung.ladder.build import build
from rung.ladder.choice import Choice
from rung.ladder.plan import Plan, plan_task
from rung.ladder.rungs.moving import Lora, SoftPrompt
from rung.ladder.rungs.prompting import FewShot
from rung.ladder.rungs.trained import epochs_for
from rung.model.load import Model
from rung.model.threads import set_threads
from rung.run import Run
from rung.task import Task
from rung.task.task import Splits

PROMPTING = ("zero-shot", "one-shot", "few-shot-4", "few-shot-4-nearest")
TRAINING = ("soft-prompt", "lora", "full")
SAME_ANSWERS = 0.01  # accuracy: a few rows of validation where bfloat16 rounds two near choices differently


def smaller(task: Task, rows: int) -> Task:
    """The first rows of each split."""
    return replace(
        task, splits=Splits(task.train[:rows], task.validation[: rows // 2], task.test[: rows // 2]), goal=None
    )


def tell(line: str) -> None:
    """One line of progress, beside the result."""
    print(line, file=sys.stderr, flush=True)


def ours(plan: Plan, folder: Path) -> dict[str, dict[str, Any]]:
    """Each rung of the plan, built in a run of its own."""
    found = {}
    with Run.open(folder, plan.identity) as run:
        for planned in plan.rungs:
            wall, cpu = time.perf_counter(), time.process_time()
            built = build(plan, planned, run, lambda *_: None)
            tokens = built.notes.get("training", {}).get("tokens")
            spent = sum(built.measured["validation"]["latencies_s"])  # 0 for a floor: it computes nothing
            found[planned.label] = {
                "wall_s": time.perf_counter() - wall,
                "cpu_s": time.process_time() - cpu,
                "score": built.evaluation.score.value,
                # The scripts rank by likelihoods as they are; Rung also tries them by bytes and keeps the better.
                "as_it_is": built.notes.get("normalise", {}).get("none", built.evaluation.score.value),
                "examples_per_s": len(plan.task.validation) / spent if spent else None,
                "tokens_per_s": None if tokens is None else tokens / built.measured["adapt"]["seconds"],
                "peak_bytes": max(built.measured[part]["peak_memory"] for part in ("adapt", "validation")),
                "predicted_s": planned.forecast.seconds,
                "predicted_bytes": planned.forecast.memory,
                "chosen": built.notes.get("chosen", {}),
            }
            tell(
                f"rung   {planned.label:18} {found[planned.label]['wall_s']:7.1f} s  {found[planned.label]['score']:.3f}"
            )
    return found


def peer(plan: Plan, label: str, instruction: str) -> tuple[float, float]:
    """One rung as a plain script: its validation score and seconds. The weights are loaded anew, as a script would."""
    task, model = plan.task, Model.load(plan.body.model.name)
    rung = next(planned.rung for planned in plan.rungs if planned.label == label)
    started = time.perf_counter()
    scorer = plain.PlainScorer(model, task)
    rows = task.validation
    if label == "zero-shot":
        module = model.fresh()
        scores = {
            wording: plain.accuracy(scorer.answers(module, wording, [()] * len(rows), rows), rows)
            for wording in task.instructions or ("",)
        }
        score = scores[instruction]
    elif label in PROMPTING:
        shots = (rung if isinstance(rung, FewShot) else FewShot(1))._shots(task, 0)
        own = shots.pick([row.prompt for row in rows])
        score = plain.accuracy(scorer.answers(model.fresh(), instruction, own, rows), rows)
    else:
        score = max(
            _trained(plan, model, rung, instruction, settings)[0] for settings in settings_of(rung, model.parameters)
        )
    seconds = time.perf_counter() - started
    tell(f"plain  {label:18} {seconds:7.1f} s  {score:.3f}")
    return score, seconds


def settings_of(rung: Any, parameters: int) -> list[dict[str, Any]]:
    """Every setting that a training rung tries."""
    if isinstance(rung, SoftPrompt):
        return [{"tokens": rung.tokens, **settings} for settings in rung.settings(parameters)]
    return list(rung.settings(parameters))


def _trained(plan: Plan, model: Model, rung: Any, instruction: str, settings: dict[str, Any]) -> tuple[float, int]:
    module = plain.tuned(model, rung.name, settings, 0)
    return plain.train(
        module,
        model,
        plan.task,
        instruction,
        settings["learning_rate"],
        epochs_for(len(plan.task.train), rung.epochs),
        rung.batch_size,
        seed=0,
    )


def single(plan: Plan, rung: Any) -> Any:
    """The training rung with one setting only."""
    first = settings_of(rung, plan.body.model.parameters)[-1]
    if isinstance(rung, Lora):
        return replace(rung, rank=first["rank"], learning_rate=first["learning_rate"])
    return replace(rung, learning_rate=first["learning_rate"])


def like_for_like(plan: Plan, folder: Path, instruction: str) -> dict[str, float]:
    """Peer seconds / our seconds for one setting of each training rung: same steps, same evaluations."""
    ratios = {}
    for planned in plan.rungs:
        if planned.label in TRAINING:
            one = replace(planned, rung=single(plan, planned.rung))
            with Run.open(folder / planned.label, {"single": planned.label}) as run:
                started = time.perf_counter()
                build(plan, one, run, lambda *_: None)
                mine = time.perf_counter() - started
            started = time.perf_counter()
            _trained(
                plan,
                Model.load(plan.body.model.name),
                one.rung,
                instruction,
                settings_of(one.rung, plan.body.model.parameters)[0],
            )
            ratios[planned.label] = (time.perf_counter() - started) / mine
            tell(f"single {planned.label:18} {mine:7.1f} s  plain / ours {ratios[planned.label]:.2f}")
    return ratios


def main() -> None:
    """Run both sides and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows: ends within a minute or two")
    parser.add_argument("--base", default="tiny")
    options = parser.parse_args()
    threads = set_threads()
    task = Task.load(Path(__file__).parents[1] / "examples" / "triage" / "task.yaml")
    if options.quick:
        task = smaller(task, 96)
    plan = plan_task(task, Model.load(options.base), Choice(everything=True))
    with tempfile.TemporaryDirectory() as folder:
        mine = ours(plan, Path(folder) / "whole")
        instruction = mine["zero-shot"]["chosen"]["instruction"]
        theirs = {label: peer(plan, label, instruction) for label in mine if label != "floor"}
        single_ratios = {} if options.quick else like_for_like(plan, Path(folder), instruction)
    for label, (score, seconds) in theirs.items():
        mine[label] |= {"peer_s": seconds, "peer_score": score, "ratio": seconds / mine[label]["wall_s"]}
    print(json.dumps(summary(mine, single_ratios, threads, len(task.validation)), ensure_ascii=False))


def summary(
    mine: dict[str, dict[str, Any]], single_ratios: dict[str, float], threads: int, rows: int
) -> dict[str, Any]:
    """The one JSON line. `rows` of validation were scored by both sides."""

    def over(labels: tuple[str, ...]) -> float:
        present = [label for label in labels if label in mine]
        return sum(mine[label]["peer_s"] for label in present) / sum(mine[label]["wall_s"] for label in present)

    whole = PROMPTING + TRAINING
    # Both train by one recipe, in other orders of rows: alike within two standard errors of an accuracy, or better.
    same_training = 2 * (0.25 / rows) ** 0.5
    gaps = {label: mine[label]["as_it_is"] - mine[label]["peer_score"] for label in whole if label in mine}
    return {
        "benchmark": "climb",
        "ours": sum(mine[label]["wall_s"] for label in whole if label in mine),
        "peer": sum(mine[label]["peer_s"] for label in whole if label in mine),
        "peer_name": "plain transformers and peft scripts",
        "unit": "s",
        "ratio": over(whole),
        "goal": 2.0,
        "prompting": over(PROMPTING),
        "training": over(TRAINING),
        "like_for_like": single_ratios,
        "median_rung_ratio": statistics.median(mine[label]["ratio"] for label in whole if label in mine),
        "same_result": all(
            abs(gap) <= SAME_ANSWERS if label in PROMPTING else gap >= -same_training for label, gap in gaps.items()
        ),
        "gaps": gaps,
        "threads": threads,
        "rungs": mine,
        "hardware": hardware(),
        "torch": torch.__version__,
        "date": date.today().isoformat(),
    }


if __name__ == "__main__":
    main()
