"""What four shots teach `tiny` about tasks and label words it never saw: the measurement behind its promise.

Every row of every task is a query three times, with shots drawn from the task's other rows, two a label. The answer is
the label with the greatest summed log-likelihood.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from rung.generate.engine import Engine
from rung.model.layout import Layout
from rung.model.load import Model
from rung.types import Message

TASKS = Path(__file__).parents[2] / "tests" / "data" / "unseen_tasks.json"
DRAWS = 3
Prompts = dict[str, list[tuple[list[Any], str, str]]]


def accuracies(model: Model, *, listed: bool) -> dict[str, np.ndarray]:
    """Accuracy of each unseen task, shape (20,): without shots, with four, and with four whose labels say nothing.

    `listed`: whether an instruction names the labels.
    """
    layout, engine = Layout.of(model), Engine(model)
    found: dict[str, list[float]] = {"zero": [], "four": [], "shuffled": []}
    for number, task in enumerate(json.loads(TASKS.read_text(encoding="utf-8"))["tasks"]):
        labels = sorted(task["labels"])
        instruction = f"Answer with one of: {', '.join(labels)}." if listed else ""
        answers = [layout.answer(label, end=True) for label in labels]
        for name, rows in prompts(number, task).items():
            contexts = [layout.context(instruction, shots, (Message("user", text),)) for shots, text, _ in rows]
            scores = np.array(engine.choose(contexts, [answers] * len(contexts)))
            right = np.array([labels.index(label) for _, _, label in rows])
            found[name].append(float((scores.argmax(axis=1) == right).mean()))
    return {name: np.array(values) for name, values in found.items()}


def prompts(number: int, task: dict[str, Any]) -> Prompts:
    """Shots, text and right label of every query; `number` seeds the draws."""
    made: Prompts = {"zero": [], "four": [], "shuffled": []}
    for row, (text, label) in enumerate(task["rows"]):
        made["zero"].append(([], text, label))
        for draw in range(DRAWS):
            rng = np.random.default_rng([11, number, row, draw])
            shots = []
            for known in task["labels"]:
                pool = [other for other in task["rows"] if other[1] == known and other[0] != text]
                first, second = (pool[i][0] for i in rng.permutation(len(pool))[:2])
                # Shuffled: each label stands at one right and one wrong shot, so that it says nothing.
                wrong = next(other for other in task["labels"] if other != known)
                shots += [(first, known, known), (second, known, wrong)]
            shots = [shots[i] for i in rng.permutation(len(shots))]
            for name, place in (("four", 1), ("shuffled", 2)):
                made[name].append(([((Message("user", s[0]),), s[place]) for s in shots], text, label))
    return made


def lower_bound(gains: np.ndarray) -> float:
    """One-sided 95 % lower bound of the mean over tasks, by t."""
    spread = gains.std(ddof=1) / np.sqrt(len(gains))
    return float(gains.mean() - stats.t.ppf(0.95, len(gains) - 1) * spread)
