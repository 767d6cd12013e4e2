"""`rung eval`: score a System on a task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from rung.cli.choice import DType


def evaluate(
    system: Annotated[
        str, typer.Argument(help="A folder with system.json, a run directory, a model, or URL#MODEL.", metavar="SYSTEM")
    ],
    task: Annotated[Path, typer.Argument(help="The task file.", metavar="TASK")],
    test: Annotated[bool, typer.Option("--test", help="Score on test; this spends a look.")] = False,
    rung: Annotated[str | None, typer.Option(help="Of a run: this rung instead of the recommended one.")] = None,
    base: Annotated[str | None, typer.Option(help="Where the base model lies, if not where it was.")] = None,
    rows: Annotated[Path | None, typer.Option(help="Write every row as JSONL to this file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write scores, rows and a page into this new folder.")] = None,
    ledger: Annotated[Path | None, typer.Option(help="The ledger of looks (default: the user's own).")] = None,
    measures: Annotated[bool, typer.Option("--measures", help="Take HELM's seven measures.")] = False,
    words: Annotated[Path | None, typer.Option(help="Word lists for the measures (YAML).", metavar="FILE")] = None,
    misspellings: Annotated[Path | None, typer.Option(help="Misspellings for typos (JSON).", metavar="FILE")] = None,
    toxicity: Annotated[
        str | None, typer.Option(help="A System that knows toxic texts.", metavar="SYSTEM[@LABEL]")
    ] = None,
    pii: Annotated[
        str | None, typer.Option(help="A System that knows personal data.", metavar="SYSTEM[@LABEL]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what the measures change in the inputs.")] = 0,
    judge: Annotated[str | None, typer.Option(help="A System that grades answers: folder, model or URL#MODEL.")] = None,
    judge_prompt: Annotated[Path | None, typer.Option(help="The judge's rubric, a text file.", metavar="FILE")] = None,
    reasoned: Annotated[bool, typer.Option("--reasoned", help="Let the judge reason before its grade.")] = False,
    people: Annotated[
        Path | None, typer.Option(help="People's grades: a table of id and label.", metavar="FILE")
    ] = None,
    dtype: DType = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Score any System on any task: on validation, or with a look on test."""
    from rung.ladder.examine import Wanted, examine
    from rung.ladder.examined import all_lines
    from rung.ladder.judging import Judging
    from rung.model.threads import set_threads

    set_threads()
    judging = Judging.given(judge, judge_prompt, reasoned, people)
    wanted = Wanted(measures, words, misspellings, toxicity, pii, seed, judging, out, dtype)
    found = examine(system, task, test=test, rung=rung, base=base, rows=rows, ledger=ledger, wanted=wanted)
    if as_json:
        print(json.dumps(found.to_json(), ensure_ascii=False))
    else:
        for line in all_lines(found):
            print(line)
        if out is not None:
            print(f"wrote {out}/report.html")
