"""The plan as lines of text: what `rung plan` prints."""

from __future__ import annotations

from pathlib import Path

from rung.ladder.ledger import Ledger, default_path
from rung.ladder.plan import Plan, PlannedRung, place_of
from rung.ladder.wording import foresee
from rung.ladder.work import priced
from rung.task import Leak, Task, find_leaks

LISTED = 5
"""Rows of a kind that were set aside, told one by one."""


def plan_lines(plan: Plan, ledger: Ledger | None = None) -> list[str]:
    """Task, base, data, rungs with predicted memory and time, what the test split can show, one prompt.

    Raises RungError where no rung can be built. A ledger that is not there yet is not made.
    """
    plan.check_buildable()
    return [*_task_lines(plan), "", *_rung_lines(plan), "", *_power_lines(plan, ledger), "", *_prompt_lines(plan)]


def leak_lines(path: Path) -> list[str]:
    """Every row that stands in two splits."""
    task = Task.load(path)
    leaks = find_leaks(task)
    count = "1 row stands" if len(leaks) == 1 else f"{len(leaks)} rows stand"
    return [f"{count} in two splits", *(_leak_line(task, leak) for leak in leaks)]


def _leak_line(task: Task, leak: Leak) -> str:
    what = "the same as" if leak.exact else f"{leak.similarity:.2f} like"
    shown = " ".join(leak.text.split())[:70]
    ours, theirs = place_of(task, leak.split, leak.id), place_of(task, leak.held_out, leak.held_out_id)
    return f"  {leak.split} row {ours} is {what} {leak.held_out} row {theirs}: {shown}"


def _task_lines(plan: Plan) -> list[str]:
    task, model = plan.task, plan.body.model
    goal = (
        f"{task.metric} ≥ {task.goal:g}"
        if task.goal is not None
        else f"{task.metric}, within {task.margin:g} of the best rung"
    )
    budget = task.budget
    traffic_price = f"{priced(budget.machine_hour, budget, 6)} a machine hour" if budget.is_priced else "no price given"
    lines = [
        f"task    {task.name} ({task.kind}): train {len(task.train):,}, validation {len(task.validation):,}, test {len(task.test):,}",
        f"goal    {goal}",
        f"base    {model.name} ({model.kind}, {model.parameters / 1e6:,.1f} M parameters, window {model.window:,}, "
        f"{model.precision} on {model.device})",
        f"traffic {budget.requests:,} requests, {traffic_price}",
    ]
    lines += [
        f"guard   {guard.name}: may lose at most {guard.margin:g} ({guard.sample('test').count:,} test items)"
        for guard in plan.guards
    ]
    for reason, count in task.set_aside_counts.items():
        lines.append(f"aside   {count} rows: {reason}")
        told = [row.text for row in task.set_aside if row.reason == reason]
        lines += [f"        {text}" for text in told[:LISTED]]
        lines += [f"        and {count - LISTED} more; the climb keeps them all in set-aside.jsonl"] * (count > LISTED)
    if plan.leaks:
        lines.append(f"leaks   {len(plan.leaks)} rows taken out of train and validation")
    return lines + [f"note    {warning}" for warning in (*task.warnings, *plan.notes)]


def _rung_lines(plan: Plan) -> list[str]:
    wide = max(len(one.label) for one in plan.rungs)
    lines = [f"{'rung':<{wide}}  {'tokens/request':>14}  {'memory':>9}  {'time':>8}  {'cost':>10}"]
    for one in plan.rungs:
        lines.append(
            f"{one.label:<{wide}}  {_numbers(one, plan)}"
            if not one.skipped
            else f"{one.label:<{wide}}  skipped: {one.why_skipped}"
        )
    budget = plan.task.budget
    total = sum(one.forecast.seconds or 0.0 for one in plan.rungs if not one.skipped)
    return [
        *lines,
        f"all of them: about {_seconds(total)}; cost counts adapting once and {budget.requests:,} requests, "
        f"in {'machine hours' if not budget.is_priced else budget.currency or 'the money of machine_hour'}",
    ]


def _numbers(one: PlannedRung, plan: Plan) -> str:
    tokens = one.work.prompt_tokens + one.work.answer_tokens
    memory = f"{(one.forecast.memory or 0) / 2**20:,.0f} MiB" if one.forecast.memory else "-"
    return f"{tokens:>14,.0f}  {memory:>9}  {_seconds(one.forecast.seconds or 0.0):>8}  {one.work.price(plan.task.budget):>10.3g}"


def _power_lines(plan: Plan, ledger: Ledger | None) -> list[str]:
    looks = 0
    if ledger is not None or default_path().exists():
        book = ledger or Ledger()
        try:
            looks = book.looks(plan.question.test.keys)
        finally:
            if book is not ledger:
                book.close()
    return [f"this test split was looked at {looks} times", *foresee(plan.question, 1 + looks)]


def _prompt_lines(plan: Plan) -> list[str]:
    if plan.body.model.kind == "encoder":
        return ["one input:", *(f"  | {line}" for line in plan.sample.splitlines())]
    style = {
        "chat": "the tokenizer's chat template",
        "plain": "plain text (the tokenizer has no chat template)",
        "seq2seq": "plain text",
    }
    head = f"one prompt, by {style[plan.body.layout.style]}; only what stands in ⟦ ⟧ carries loss in training:"
    return [head, *(f"  | {line}" for line in plan.sample.splitlines())]


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if value < 90 else f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"
