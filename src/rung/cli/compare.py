"""`rung compare`: systems side by side on the same rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def compare(
    sides: Annotated[
        list[str],
        typer.Argument(
            help="Two or more of: a run, RUN/rungs/RUNG, a folder of `rung eval --out`, a System's folder, a model, URL#MODEL.",
            metavar="SIDE...",
        ),
    ],
    task: Annotated[Path | None, typer.Option(help="The task whose validation rows Systems answer.")] = None,
    score: Annotated[str | None, typer.Option(help="Score by this metric.", metavar="METRIC")] = None,
    common: Annotated[bool, typer.Option("--common", help="Where rows differ, compare on the common ones.")] = False,
    judge: Annotated[
        str | None, typer.Option(help="A System that compares answers: folder, model or URL#MODEL.")
    ] = None,
    judge_prompt: Annotated[Path | None, typer.Option(help="The judge's prompt, a text file.", metavar="FILE")] = None,
    reasoned: Annotated[bool, typer.Option("--reasoned", help="Let the judge reason before its verdict.")] = False,
    people: Annotated[
        Path | None, typer.Option(help="People's verdicts: a table of id and label.", metavar="FILE")
    ] = None,
    base: Annotated[str | None, typer.Option(help="Where the base model lies, if not where it was.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write CSV, Markdown, HTML and JSON into this new folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Compare runs or Systems on the same validation rows: scores, paired differences, where they disagree."""
    from rung.ladder.compare.command import compare_places
    from rung.ladder.compare.files import summary_lines
    from rung.ladder.judging import Judging
    from rung.model.threads import set_threads

    set_threads()
    judging = Judging.given(judge, judge_prompt, reasoned, people)
    found = compare_places(sides, task, score=score, common=common, judging=judging, base=base, out=out)
    if as_json:
        print(json.dumps(found.to_json(), ensure_ascii=False))
    else:
        for line in summary_lines(found):
            print(line)
        if out is not None:
            print(f"wrote {out}/comparison.html")
