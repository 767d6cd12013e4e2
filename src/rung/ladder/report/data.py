"""What the climb stood on: splits, rows set aside, wordings, guards; and at the foot, how to do it again."""

from __future__ import annotations

from collections.abc import Mapping

from rung.ladder.report.view import View
from rung.page import quantities as q
from rung.page.document import card, pairs, row, said, section, table
from rung.page.markup import Html, Part, join, tag

WORDS: Mapping[str, str] = {"rung": "Rung", "python": "Python", "torch": "PyTorch", "cpu": "CPU", "gpu": "GPU"}


def data_section(view: View) -> Html:
    """The splits with their digests, and everything about the data that a reader should know."""
    task = view.report.task
    rows = [
        row(split.name, q.count(split.size), tag("code", split.digest[:16] or q.NOTHING), numbers=(1,))
        for split in task.splits
    ]
    aside = ", ".join(f"{q.count(n)} × {reason}" for reason, n in task.set_aside.items())
    guards = [tag("div", f"{guard.name}, at most {q.plain(guard.margin, 3)} lost") for guard in task.guards]
    facts: dict[str, Part] = {
        "Asked for": _asked(view),
        "Traffic": None if task.requests is None else f"{q.count(task.requests)} requests",
        "Machine hour": task.machine_hour or "not priced: cost is in machine hours",
        "Guards": guards,
        "Wordings": [tag("div", said(words, 400)) for words in task.instructions],
        "Labels": _labels(task.labels),
        "Rows set aside": aside or "none",
        "Leaks dropped": _leaks(task.leaks),
        "Warnings": tag("ul", [tag("li", said(words)) for words in task.warnings], class_="list")
        if task.warnings
        else None,
    }
    lead = "Splits are frozen by content before anything is measured; the digests say which rows they were."
    splits = table(["Split", "Rows", "Digest"], rows, caption="Splits", numbers=(1,)) if rows else None
    return section("data", "Data and task", splits, card(pairs(facts)), lead=lead)


def _asked(view: View) -> str:
    task = view.report.task
    if task.goal is None:
        return f"the best {task.metric}, or what comes within {view.scores.gap(task.margin).lstrip('+')} {view.scores.gap_unit} of it for less"
    return f"{task.metric} of {view.scores.tick(task.goal)} or more"


def _labels(labels: tuple[str, ...]) -> Part:
    if not labels:
        return None
    if len(labels) <= 12:
        return ", ".join(labels)
    summary = tag("summary", tag("span", ", ".join(labels[:8]), "… "), tag("span", f"all {len(labels)}", class_="all"))
    return tag("details", summary, tag("span", ", ".join(labels), class_="said"), class_="fold")


def _leaks(leaks: tuple[str, ...]) -> Part:
    if not leaks:
        return "none"
    shown = tag("ul", [tag("li", said(words, 200)) for words in leaks], class_="list")
    if len(leaks) <= 3:
        return shown
    return tag("details", tag("summary", f"{q.count(len(leaks))} rows"), shown)


def foot(view: View) -> Html:
    """How to repeat it: command, versions, seeds, digests, hardware, looks."""
    report, base, task = view.report, view.report.base, view.report.task
    parts = [
        base.kind,
        f"{q.scaled(base.parameters)} parameters" if base.parameters else "",
        f"window {q.count(base.window)}" if base.window else "",
        base.precision,
    ]
    looks = report.looks
    ever = f"{q.count(looks.here)} in this climb, {q.count(looks.ever)} ever" if looks.ever or looks.here else "none"
    took = f" · {q.seconds(report.measured.seconds)} of work" if report.measured.seconds is not None else ""
    facts: dict[str, Part] = {
        "Command": tag("code", report.command) if report.command else None,
        "Base": join(base.name, tag("span", [f" · {part}" for part in parts if part], class_="faint")),
        "Looks at the test split": ever,
        "Seeds": ", ".join(f"{name} {seed}" for name, seed in report.seeds.items()),
        "Versions": ", ".join(f"{WORDS.get(name, name)} {version}" for name, version in report.versions.items()),
        "Hardware": ", ".join(f"{WORDS.get(name, name)} {part}" for name, part in report.measured.hardware.items()),
        "Began": f"{report.measured.started}{took}" if report.measured.started else None,
        "Task digest": tag("code", task.digest) if task.digest else None,
        "Base digest": tag("code", base.digest) if base.digest else None,
    }
    return tag("footer", pairs(facts))
