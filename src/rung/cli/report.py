"""`rung report`: the table again, and the page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="A run directory.", metavar="RUN")],
    as_json: Annotated[bool, typer.Option("--json", help="Print report.json.")] = False,
) -> None:
    """Show a finished climb, and write its page anew."""
    from rung.ladder.climb import Climb
    from rung.ladder.closing import closing_lines
    from rung.ladder.report import write_report
    from rung.ladder.screen import print_table

    done = Climb.open(run)
    if as_json:
        print(done.report.to_bytes().decode(), end="")
        return
    write_report(done.report, done.path)
    print_table(done.report)
    for line in closing_lines(done.report, done.path):
        print(line)
