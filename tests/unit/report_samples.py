"""Reports to draw in tests: numbers come from random draws and the real statistics, texts from small lists of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rung import stats
from rung.ladder import record as r
from rung.metrics import METRICS, score
from rung.metrics.confusion import confusion
from rung.types import Example, Message, Score

TOPICS = ("refund", "late parcel", "cancel", "password", "invoice", "opening hours", "complaint", "praise")
WORDS = ["my", "the", "a", "where", "is", "order", "parcel", "please", "money", "back", "still", "waiting", "since", "Monday", "login", "does", "not", "work", "bill", "twice", "open", "Sunday", "terrible", "great", "thank", "you", "service", "again", "card", "charged", "address", "wrong", "change", "when", "will", "arrive", "account", "closed"]  # fmt: skip


def sentence(generator: np.random.Generator, words: int) -> str:
    return " ".join(generator.choice(WORDS, words)).capitalize() + "."


def reading(metric: str, answers: Sequence[str | None], examples: Sequence[Example]) -> r.Reading:
    made = score(metric, answers, examples)
    scheme = stats.Scheme(value=METRICS[metric].value)
    low, high = stats.interval(made, scheme) if stats.refusal(made.kind, len(made)) is None else (None, None)
    return r.Reading(made.value, low, high, len(examples))


LADDER: tuple[tuple[str, float, float, dict[str, Any]], ...] = (
    ("zero-shot", 0.46, 2.1e15, {}),
    ("few-shot", 0.61, 9.4e15, {"k": 8, "choose": "random"}),
    ("nearest", 0.74, 3.3e14, {"k": 5, "encoder": "all-MiniLM-L6-v2"}),
    ("probe", 0.845, 3.6e14, {"c": 1.0}),
    ("soft-prompt", 0.80, 6.5e15, {"tokens": 20}),
    ("lora", 0.905, 8.8e15, {"rank": 8, "alpha": 16, "learning_rate": 2e-4}),
    ("full", 0.915, 1.9e16, {"learning_rate": 5e-5, "epochs": 3}),
)


def cost(order: float, place: int) -> r.Cost:
    return r.Cost(
        order, "FLOPs", order / 3 if place > 2 else 0.0, order / 15_000, 64.0 + 180 * (place == 1), 1.0,
        None if place < 4 else 10_000 * 4**place, f"{order / 1e15:.2g} PFLOPs for 10,000 requests",
    )  # fmt: skip


def measured(generator: np.random.Generator, place: int, rows: int) -> r.RungMeasured:
    latency = 0.008 * (1 + place) * float(generator.uniform(0.8, 1.3))
    return r.RungMeasured(
        train_seconds=None if place < 2 else float(generator.uniform(2, 40)) * place, answer_seconds=latency * rows,
        latency_s=latency, peak_memory=int(4e8 * (1 + 0.4 * place)), tokens_per_second=900.0, cpu_seconds=latency * rows * 2,
        latencies_s=tuple(float(x) for x in generator.gamma(4, latency / 4, rows)),
    )  # fmt: skip


def trials(generator: np.random.Generator, settings: dict[str, Any]) -> tuple[r.Trial, ...]:
    made = []
    for stage, (count, budget) in enumerate(((6, "80 steps"), (3, "240 steps"), (1, "720 steps"))):
        for n in range(count):
            tried = {**settings, "learning_rate": float(f"{2e-5 * 2 ** (n + stage):.1g}")}
            made.append(r.Trial(tried, float(generator.uniform(0.7, 0.9)), budget, stage, n < max(1, count // 2)))
    return tuple(made)


def curve(generator: np.random.Generator, top: float) -> tuple[r.CurvePoint, ...]:
    steps = range(40, 721, 40)
    return tuple(
        r.CurvePoint(
            step, 2.2 * float(np.exp(-step / 180)) + 0.35 + float(generator.normal(0, 0.03)),
            top - 0.45 * float(np.exp(-step / 140)) + float(generator.normal(0, 0.012)),
        )
        for step in steps
    )  # fmt: skip


def classify(labels: Sequence[str] = TOPICS, rows: int = 240, seed: int = 3) -> r.Report:
    """A ladder of seven rungs and a floor with one skipped; lora is recommended."""
    generator = np.random.default_rng(seed)
    targets = [labels[n] for n in generator.integers(0, len(labels), rows)]
    items = tuple(
        r.Item(f"row-{n}", sentence(generator, int(generator.integers(6, 22))), target)
        for n, target in enumerate(targets)
    )
    examples = [Example(item.id, (Message("user", item.prompt),), item.target) for item in items]
    hardness = generator.uniform(0, 1, rows)
    entries = [
        r.RungEntry(
            "floor",
            floor=True,
            settings={"answer": "always refund"},
            cost=r.Cost(0.0),
            validation=reading("accuracy", [labels[0]] * rows, examples),
        )
    ]
    for place, (name, accuracy, order, settings) in enumerate(LADDER):
        noise = generator.normal(0, 0.12, rows)
        wrong = [labels[(labels.index(t) + 1 + int(generator.integers(0, 2))) % len(labels)] for t in targets]
        answers = [t if h + e < accuracy else w for t, w, h, e in zip(targets, wrong, hardness, noise)]
        scored = score("accuracy", answers, examples).items
        tuned = place >= 5
        entries.append(
            r.RungEntry(
                name,
                settings,
                validation=reading("accuracy", answers, examples),
                also={"macro_f1": r.Reading(score("macro_f1", answers, examples).value, count=rows)},
                cost=cost(order, place),
                forecast=r.Forecast(
                    int(4.4e8 * (1 + 0.4 * place)), None if place < 2 else 30.0 * place, 0.01 * (1 + place)
                ),
                settings=settings,
                trials=trials(generator, settings) if tuned else (),
                curve=curve(generator, accuracy) if place >= 4 else (),
                rows=tuple(
                    r.Row(i.id, a, float(s), 64 + 180 * (place == 1), 1) for i, a, s in zip(items, answers, scored)
                ),
                confusion=r.ConfusionRecord.of(*_confusion(answers, examples, labels)),
                measured=measured(generator, place, rows),
                errors=2 if place == 4 else 0,
            )
        )
    return _judged(entries, items, labels, generator)


def _confusion(answers: Sequence[str], examples: Sequence[Example], labels: Sequence[str]) -> tuple[Any, Any]:
    found = confusion(answers, examples, labels)
    return found.labels, found.counts.tolist()


def _judged(
    entries: list[r.RungEntry], items: tuple[r.Item, ...], labels: Sequence[str], generator: np.random.Generator
) -> r.Report:
    entries.sort(key=lambda entry: entry.cost.order if entry.cost else 0.0)
    states = {"zero-shot": "misses", "few-shot": "misses", "nearest": "misses", "probe": "cannot tell",
              "soft-prompt": "misses", "lora": "meets", "full": "not tested"}  # fmt: skip
    entries = [entry for entry in entries if entry.rows or entry.floor]
    reasons = {"probe": "its true score may lie on either side of the goal", "full": "a cheaper rung meets the goal"}
    made: list[r.RungEntry] = []
    for entry in entries:
        before = next((other for other in reversed(made) if other.validation and not other.floor), None)
        versus = None
        if before is not None:
            told = stats.compare(*(Score("accuracy", "binary", 0.0, scores_of(one)) for one in (entry, before)))
            versus = r.Versus(before.name, told.difference, told.low, told.high, min(1.0, 6 * told.p))
        test, guards = None, ()
        if entry.name == "lora":
            test = r.Tested(0.902, 0.861, 0.93, 0.0125, 240, 2, True)
            guards = (r.GuardChange("general", -0.004, -0.013, 0.006, 0.02, True),)
        if entry.name == "probe":
            test = r.Tested(0.84, 0.79, 0.88, 0.025, 240, 1, False)
        made.append(
            replace(
                entry,
                state="" if entry.floor else states[entry.name],
                reason=reasons.get(entry.name, ""),
                versus=versus,
                test=test,
                guards=guards,
            )
        )
    skipped = "its 16 shots need 5,120 tokens and the window holds 2,048"
    made.insert(-1, r.RungEntry("few-shot-16", {"k": 16}, "skipped", skipped, cost=r.Cost(1.4e16)))
    words = (
        "Use lora: on 240 unseen examples it was right 90.2 % of the time, and its true score is at least 86.1 % "
        "(98.75 % sure), which reaches the goal of 85 %. It keeps the guard general (at most 0.013 below the base; the margin "
        "is 0.02). It costs 8.8 PFLOPs for 10,000 requests. The cheaper probe was not shown to miss the goal."
    )
    return r.Report(
        task(labels), base(), {"recommended": "lora", "sentence": words, "advice": [], "rungs": []}, tuple(made), items,
        r.LooksRecord(2, 3), "rung climb support.yaml --base qwen3-0.6b --seed 7",
        {"rung": "0.1.0", "python": "3.11.9", "torch": "2.13.0", "transformers": "5.23.0"}, {"split": 7, "training": 0},
        measured=everything(),
    )  # fmt: skip


def scores_of(entry: r.RungEntry) -> np.ndarray:
    return np.array([[row.score] for row in entry.rows], dtype=float)


def task(labels: Sequence[str]) -> r.TaskRecord:
    return r.TaskRecord(
        "support-topics", "classify", "accuracy", "binary", "3f9a" * 16, 0.85, also=("macro_f1",),
        guards=(r.GuardRecord("general", 0.02),),
        splits=(r.SplitRecord("train", 1120, "a1b2" * 16), r.SplitRecord("validation", 240, "c3d4" * 16), r.SplitRecord("test", 240, "e5f6" * 16)),
        labels=tuple(labels), instructions=("Which topic is this message about?", "Name the topic of the customer's message."),
        set_aside={"no target": 3, "longer than the window": 1}, leaks=("train row 88 is test row 12", "train row 91 is nearly validation row 7"),
        warnings=("the label praise was seen once and stays in train",), requests=10_000, machine_hour="0.4 EUR",
    )  # fmt: skip


def base() -> r.BaseRecord:
    return r.BaseRecord("qwen3-0.6b", "decoder", 596_049_920, "9c1d" * 16, 40_960)


def everything() -> r.Measured:
    even = [
        r.BreakEven("few-shot", "lora", price, 21_000 / price, 15_000 / price, None if price < 1 else 60_000 / price)
        for price in (0.5, 1.0, 2.0)
    ] + [r.BreakEven("nearest", "full", price, None, 900_000.0, None) for price in (0.5, 1.0, 2.0)]
    return r.Measured({"cpu": "2 cores, AMX", "memory": "24 GiB"}, "2026-11-20T09:12:44Z", 1834.0, tuple(even))


def many_classes() -> r.Report:
    """150 intents, as CLINC has them."""
    labels = [f"{first} {second}" for first in WORDS[:15] for second in TOPICS for _ in (0,)][:118]
    labels += [f"a rather long intent name number {n} about {WORDS[n]}" for n in range(32)]
    return classify(tuple(dict.fromkeys(labels)), rows=600, seed=5)


def generate(nothing: bool = False) -> r.Report:
    """Summaries with long texts and no goal; with `nothing`, no rung is recommended."""
    generator = np.random.default_rng(8)
    items = tuple(
        r.Item(f"dialogue {n}", "\n".join(f"#Person{1 + k % 2}#: {sentence(generator, 12)}" for k in range(10 + 60 * (n == 0))),
               sentence(generator, 18), (sentence(generator, 15),))
        for n in range(60)
    )  # fmt: skip
    examples = [Example(i.id, (Message("user", i.prompt),), i.target, i.references) for i in items]
    entries = []
    for place, (name, quality, order, settings) in enumerate((LADDER[0], LADDER[1], LADDER[5])):
        answers = []
        for item in items:
            words = item.target.split()
            kept = [word if generator.random() < quality - 0.2 else str(generator.choice(WORDS)) for word in words]
            answers.append(" ".join(kept))
        scored = score("rougeL", answers, examples).items
        entries.append(
            r.RungEntry(
                name,
                settings,
                "cannot tell" if nothing else "not tested",
                "the evidence decides neither" if nothing else "",
                validation=reading("rougeL", answers, examples),
                also={"chrf": reading("chrf", answers, examples)},
                cost=cost(order, place),
                curve=curve(generator, 0.4) if place == 2 else (),
                rows=tuple(r.Row(i.id, a, float(s), 410, 31) for i, a, s in zip(items, answers, scored)),
                measured=measured(generator, place, len(items)),
            )
        )
    asked = r.TaskRecord(
        "summaries",
        "generate",
        "rougeL",
        "graded",
        splits=(r.SplitRecord("train", 400), r.SplitRecord("validation", 60)),
    )
    words = "No rung can be recommended. The best was lora: its lower bound stays below the goal. Not settled: zero-shot, few-shot and lora."
    advice = [
        "1,400 test examples would give 80 % power if the truth lies 2 points above the goal.",
        "More examples will probably not help few-shot.",
    ]
    decided: dict[str, Any] = {"recommended": None, "sentence": words, "advice": advice, "rungs": []}
    if not nothing:
        words = "Use few-shot: on 60 unseen examples it scored 0.412 (rougeL), at most 0.04 below the best rung, lora (97.5 % sure; the margin is 0.05)."
        decided = {"recommended": "few-shot", "sentence": words, "advice": [], "rungs": []}
        entries[1] = replace(entries[1], state="meets", test=r.Tested(0.412, 0.377, 0.44, 0.025, 60, 1, True))
    return r.Report(asked, base(), decided, tuple(entries), items)


def bare() -> r.Report:
    """One rung, nothing else known."""
    rung = r.RungEntry("zero-shot", state="misses", validation=r.Reading(0.41, 0.36, 0.46, 400))
    decided = {"recommended": None, "sentence": "No rung was shown to reach the goal of 80 %.", "advice": []}
    return r.Report(
        r.TaskRecord("one", "classify", "accuracy", "binary", goal=0.8), r.BaseRecord("tiny"), decided, (rung,)
    )


def empty() -> r.Report:
    """Not even a rung."""
    return r.Report(r.TaskRecord("none", "generate", "rougeL"), r.BaseRecord("tiny"))
