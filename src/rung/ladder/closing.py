"""The last lines of a climb: the decision, the report, and what to do next."""

from __future__ import annotations

import shlex
from pathlib import Path

from rung.ladder.record import Report


def closing_lines(report: Report, path: Path) -> list[str]:
    """The sentence of the decision, the report's path, the `ask` line, and Python that loads the System."""
    lines = ["", str(report.decision["sentence"])]
    lines += [f"  · {line}" for line in report.decision["advice"]]
    lines += ["", f"report  {path / 'report.html'}"]
    if report.recommended is None:
        return lines
    sample = " ".join(report.items[0].prompt.split())
    sample = sample if len(sample) <= 60 else sample[:57] + "..."
    folder = path / "rungs" / report.recommended / "system"
    return [
        *lines,
        f"ask     rung ask {shlex.quote(str(path))} {shlex.quote(sample)}",
        "python  import rung",
        f'        system = rung.load("{folder}")',
        '        print(system.ask("a new input").text)',
    ]
