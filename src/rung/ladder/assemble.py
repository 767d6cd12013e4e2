"""From a plan, what was built and the decision to the record that the report draws. No judging, no drawing."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from itertools import pairwise
from typing import Any

import numpy as np
import psutil

from rung import stats
from rung.ladder import record
from rung.ladder.build import Built, price_in_words
from rung.ladder.meter import Meter
from rung.ladder.plan import Plan, PlannedRung
from rung.ladder.record import Report, RungEntry
from rung.ladder.samples import scheme_by, scheme_of
from rung.ladder.verdict import Decision
from rung.ladder.versus import Versus, versus
from rung.ladder.work import priced
from rung.metrics import METRICS
from rung.metrics.confusion import confusion
from rung.metrics.entities import entity_confusion
from rung.task import Task
from rung.types import Example, Score

ON_VALIDATION = "one pass over validation"
LIBRARIES = ("rung", "torch", "transformers", "peft", "tokenizers", "numpy", "scikit-learn")


def report_of(
    plan: Plan, built: Mapping[str, Built], decision: Decision, ever: int, meter: Meter, command: str, started: str
) -> Report:
    """The whole climb. `ever` counts the looks at this test split so far, `meter` measured the climb."""
    pairs = versus([one.candidate(plan) for one in built.values()], plan.question.validation.scheme)
    entries = []
    below: str | None = None
    for planned in plan.rungs:
        label = planned.label
        entry = entry_of(plan, planned, built.get(label))
        if label in built:
            entry = _compared(entry, below, pairs)
            below = label
        verdicts = {verdict["name"]: verdict for verdict in decision.to_json()["rungs"]}
        entries.append(entry.judged(verdicts[label]) if label in verdicts else entry)
    return Report(
        task=_task(plan),
        base=record.BaseRecord(
            plan.body.model.name,
            plan.body.model.kind,
            plan.body.model.parameters,
            plan.body.model.digest,
            plan.body.model.window,
            plan.body.model.precision,
        ),
        decision=decision.to_json(),
        rungs=tuple(entries),
        items=tuple(item_of(row) for row in plan.task.validation),
        looks=record.LooksRecord(len(decision.looks), ever),
        versions={name: _version(name) for name in LIBRARIES},
        seeds={"rungs": plan.choice.seed},
        measured=record.Measured(
            hardware(),
            started,
            meter.seconds,
            _break_even(plan, [b for b in built.values() if b.planned.label != "floor"]),
        ),
        command=command,
    )


def entry_of(plan: Plan, planned: PlannedRung, built: Built | None) -> RungEntry:
    """One rung before the decision: what it is, costs, scored, and what the clock said."""
    work = planned.work
    cost = record.Cost(
        order=work.cost(plan.task.budget),
        adapt_flops=work.adapt,
        request_flops=work.request,
        prompt_tokens=work.prompt_tokens,
        completion_tokens=work.answer_tokens,
        trainable=None if built is None else (built.notes.get("training") or {}).get("trainable", 0),
        price=price_in_words(work, plan),
    )
    entry = RungEntry(
        name=planned.label,
        fields=dict(vars(planned.rung)),
        state="skipped" if planned.skipped else "",
        reason=planned.skipped,
        floor=planned.label == "floor",
        cost=cost,
        forecast=planned.forecast,
    )
    return entry if built is None else _filled(plan, entry, built)


def _filled(plan: Plan, entry: RungEntry, built: Built) -> RungEntry:
    task, done, notes = plan.task, built.evaluation, built.notes
    prompt_tokens, answer_tokens = done.tokens
    rows = [
        record.Row(row["id"], row["answer"], row["score"], row["prompt_tokens"], row["completion_tokens"], row["error"])
        for row in done.rows()
    ]
    assert entry.cost is not None
    return replace(
        entry,
        validation=_reading(done.score, task, task.validation),
        also={name: _reading(score, task, task.validation, name) for name, score in done.also.items()},
        errors=sum(done.errors),
        cost=replace(entry.cost, prompt_tokens=prompt_tokens, completion_tokens=answer_tokens),
        settings=dict(notes.get("chosen", {})),
        trials=tuple(_trials(notes)),
        curve=tuple(record.CurvePoint(p["step"], p["loss"], p["score"]) for p in notes.get("curve", ())),
        guards_seen=_guards_seen(plan, built),
        seed_values=tuple(score.value for score in (done.score, *built.again)) if built.again else (),
        again=_training_again(plan, built),
        rows=tuple(rows),
        confusion=_confusion(task, done.completions) if task.kind in ("classify", "tag") else None,
        measured=_measured(built, len(task.validation), prompt_tokens + answer_tokens),
    )


def _reading(score: Score, task: Task, rows: Sequence[Example], metric: str | None = None) -> record.Reading:
    scheme = scheme_of(task, rows)
    if metric is not None:
        scheme = scheme_by(METRICS[metric], scheme.groups)
    low, high = stats.shown(score, scheme) or (None, None)
    return record.Reading(stats.estimate(score, scheme), low, high, len(score))


def _guards_seen(plan: Plan, built: Built) -> tuple[record.GuardSeen, ...]:
    """Each guard's change from the base on validation rows, with its paired interval."""
    seen = []
    for guard in plan.guards:
        if guard.name not in built.guards:
            continue
        pair, sample = built.guards[guard.name], guard.sample("validation")
        if pair is None:
            seen.append(record.GuardSeen(guard.name, 0.0, 0.0, 0.0, sample.count, unchanged=True))
            continue
        scheme = sample.scheme
        change = stats.estimate(pair.artefact, scheme) - stats.estimate(pair.base, scheme)
        low: float | None = None
        high: float | None = None
        if stats.refusal(pair.base.kind, sample.count, scheme.groups, scheme.least) is None:
            low, high = stats.paired_interval(pair.artefact, pair.base, scheme)
        seen.append(record.GuardSeen(guard.name, change, low, high, sample.count))
    return tuple(seen)


def _training_again(plan: Plan, built: Built) -> record.Again | None:
    """Seeds and items apart; None where seeds or rows are too few to say anything."""
    scores, scheme = (built.evaluation.score, *built.again), plan.question.validation.scheme
    few = stats.refusal(scores[0].kind, len(scores[0]), scheme.groups, scheme.least) is not None
    if few or len(scores) < stats.SEEDS:
        return None
    found = stats.retraining(scores, scheme)
    return record.Again(found.mean, found.seeds, found.items, stats.retrained_lower(scores, 0.05, scheme))


def _trials(notes: Mapping[str, Any]) -> list[record.Trial]:
    """Everything that was tried on validation, as trials: settings of a search, wordings, normalisations."""
    trials = notes.get("trials", ())
    rounds = sorted({trial["budget"] for trial in trials})
    out = [
        record.Trial(
            trial["settings"],
            trial["score"],
            f"{trial['budget']} steps" if trial["budget"] else "",
            rounds.index(trial["budget"]),
            trial["kept"],
        )
        for trial in trials
    ]
    chosen = notes.get("chosen", {})
    for tried in notes.get("wordings", ()):
        words = tried["instruction"]
        out.append(record.Trial({"wording": words}, tried["score"], ON_VALIDATION, kept=words in chosen.values()))
    for name, score in notes.get("normalise", {}).items():
        out.append(record.Trial({"likelihoods by": name}, score, ON_VALIDATION, kept=chosen.get("normalise") == name))
    for name, score in notes.get("trivial", {}).items():
        out.append(record.Trial({"answer": name}, score, ON_VALIDATION, kept=chosen.get("answer") == name))
    return out


def _confusion(task: Task, completions: Sequence[Any]) -> record.ConfusionRecord:
    answers = [None if said.error else said.text for said in completions]
    count = entity_confusion if task.kind == "tag" else confusion
    found = count(answers, task.validation, task.labels)
    return record.ConfusionRecord.of(found.labels, found.counts.tolist())


def item_of(row: Example) -> record.Item:
    """A row as the report keeps it."""
    return record.Item(row.id, row.text, row.target or "", row.references, str(row.meta.get("group", "")))


def _measured(built: Built, rows: int, tokens: float) -> record.RungMeasured:
    adapt, validation = built.measured["adapt"], built.measured["validation"]
    answering = sum(validation["latencies_s"])
    trained = "training" in built.notes
    return record.RungMeasured(
        train_seconds=adapt["seconds"],
        answer_seconds=answering,
        latency_s=validation["latency_s"],
        peak_memory=max(adapt["peak_memory"], validation["peak_memory"]),
        tokens_per_second=built.notes["training"]["tokens"] / adapt["seconds"]
        if trained
        else tokens * rows / max(answering, 1e-9),
        cpu_seconds=adapt["cpu_seconds"] + validation["cpu_seconds"],
        latencies_s=tuple(validation["latencies_s"]),
    )


def _compared(entry: RungEntry, below: str | None, pairs: Sequence[Versus]) -> RungEntry:
    """The entry with its difference from the rung built just before it."""
    for pair in pairs:
        if below is not None and (pair.first, pair.second) == (below, entry.name):
            turned = record.Versus(below, -pair.difference, -pair.high, -pair.low, pair.adjusted)
            return replace(entry, versus=turned)
    return entry


def _task(plan: Plan) -> record.TaskRecord:
    task, metric = plan.task, METRICS[plan.task.metric]
    return record.TaskRecord(
        name=task.name,
        kind=task.kind,
        metric=task.metric,
        score_kind=metric.kind,
        digest=task.digest,
        goal=task.goal,
        margin=task.margin,
        worst=metric.worst,
        best=metric.best,
        also=task.also,
        guards=tuple(record.GuardRecord(guard.name, guard.margin) for guard in plan.guards),
        splits=tuple(
            record.SplitRecord(name, len(task.split(name)), task.split_digests[name])
            for name in ("train", "validation", "test")
        ),
        labels=task.labels,
        instructions=task.instructions,
        set_aside=task.set_aside_counts,
        leaks=tuple(
            f"{leak.split} row {leak.id} is like {leak.held_out} row {leak.held_out_id}" for leak in plan.leaks
        ),
        warnings=task.warnings,
        requests=task.budget.requests,
        machine_hour=priced(task.budget.machine_hour, task.budget, 6) if task.budget.is_priced else "",
    )


def _break_even(plan: Plan, built: Sequence[Built]) -> tuple[record.BreakEven, ...]:
    """From how many requests a rung that takes longer to adapt has paid for itself, by the clock, neighbours compared.

    The range comes from the spread of the latencies: 95 % of 2,000 bootstrap draws of both rungs' mean seconds a
    request. The price of a machine hour scales both sides alike, so it only moves the totals, never the break-even of
    two rungs on one machine; half, stated and double price are of the adapting side (a training machine's price).
    """
    out = []
    ordered = sorted(built, key=lambda one: one.measured["adapt"]["seconds"])
    for first, second in pairwise(ordered):
        extra = second.measured["adapt"]["seconds"] - first.measured["adapt"]["seconds"]
        draws = [_mean_draws(np.asarray(one.measured["validation"]["latencies_s"])) for one in (first, second)]
        saved = draws[0] - draws[1]
        mean_saved = float(
            np.mean(first.measured["validation"]["latencies_s"]) - np.mean(second.measured["validation"]["latencies_s"])
        )
        for price in (0.5, 1.0, 2.0):
            needed = np.where(saved > 0, price * extra / np.where(saved > 0, saved, 1.0), np.inf)
            low, high = (float(value) for value in np.quantile(needed, [0.025, 0.975], method="nearest"))
            estimate = price * extra / mean_saved if mean_saved > 0 else None
            out.append(
                record.BreakEven(
                    first.planned.label,
                    second.planned.label,
                    price,
                    estimate,
                    low if np.isfinite(low) else None,
                    high if np.isfinite(high) else None,
                )
            )
    return tuple(out)


def _mean_draws(values: np.ndarray, draws: int = 2000) -> np.ndarray:
    chance = np.random.default_rng(0)
    weights = chance.multinomial(len(values), np.full(len(values), 1 / len(values)), size=draws)
    means: np.ndarray = weights @ values / len(values)
    return means


def hardware() -> dict[str, str]:
    """The machine in words: processor, cores, memory, GPU, system."""
    import torch

    told = {
        "processor": _processor(),
        "cores": str(psutil.cpu_count(logical=False) or psutil.cpu_count() or 1),
        "threads": str(torch.get_num_threads()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }
    if torch.cuda.is_available():
        told["gpu"] = torch.cuda.get_device_name(0)
    return told


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 - not a file of the user's
            return next(
                (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()
            )
    except OSError:
        return platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
