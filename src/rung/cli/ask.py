"""`rung ask`: the recommended System answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def ask(
    run: Annotated[Path, typer.Argument(help="A run directory, or a folder of a saved System.", metavar="RUN")],
    text: Annotated[str | None, typer.Argument(help="The input; `-` or nothing reads standard input.")] = None,
    rung: Annotated[str | None, typer.Option(help="Ask this rung instead of the recommended one.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file whose whole text is the input.")] = None,
    base: Annotated[str | None, typer.Option(help="Where the base model lies, if not where it was.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer with scores and tokens as JSON.")] = False,
) -> None:
    """Let the recommended System answer one new input."""
    from rung.ladder.climb import recommended_system
    from rung.model.threads import set_threads
    from rung.system.bundle import MANIFEST, load
    from rung.system.inputs import read_text

    given = read_text(text, file, sys.stdin)
    set_threads()
    system = load(run, base=base) if (run / MANIFEST).is_file() else recommended_system(run, rung, base=base)
    said = system.ask(given)
    if as_json:
        shown = {"answer": said.text, "error": said.error, "scores": said.choice_scores}
        print(
            json.dumps(
                {**shown, "prompt_tokens": said.prompt_tokens, "completion_tokens": said.completion_tokens},
                ensure_ascii=False,
            )
        )
    else:
        print(said.text if said.error is None else f"no answer: {said.error}")
    raise typer.Exit(0 if said.error is None else 1)
