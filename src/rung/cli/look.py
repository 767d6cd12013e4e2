"""`rung look`: what a model does with one text."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from rung.cli.choice import DType, RemoteCode

Looked = Annotated[
    str, typer.Argument(help="A folder, a Hub id, `tiny`, `minilm`, or a folder of a saved System.", metavar="MODEL")
]


def look(
    model: Looked,
    text: Annotated[str | None, typer.Argument(help="The text; `-` or nothing reads standard input.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file whose whole text is read.")] = None,
    as_prompt: Annotated[
        bool, typer.Option("--as-prompt", help="Lay the text out as an input to be answered.")
    ] = False,
    answer: Annotated[str, typer.Option(help="What an encoder–decoder has said already.")] = "",
    word: Annotated[list[str] | None, typer.Option(help="Show this word's neighbours (repeatable).")] = None,
    token: Annotated[
        list[int] | None, typer.Option(help="Show the neighbours of this token of the text (repeatable).", metavar="N")
    ] = None,
    neighbours: Annotated[int, typer.Option(help="How many neighbours.", metavar="N")] = 8,
    layer: Annotated[
        list[int] | None, typer.Option(help="Only this layer's attention (repeatable).", metavar="N")
    ] = None,
    head: Annotated[
        list[int] | None, typer.Option(help="Only this head's attention (repeatable).", metavar="N")
    ] = None,
    temperature: Annotated[float, typer.Option(help="Divides the logits before a draw.")] = 1.0,
    top_k: Annotated[int, typer.Option(help="Draw from the likeliest K tokens (0: all).", metavar="K")] = 0,
    top_p: Annotated[float, typer.Option(help="Draw from the likeliest tokens that hold this share.")] = 1.0,
    min_p: Annotated[float, typer.Option(help="Draw from tokens with this share of the likeliest's chance.")] = 0.0,
    shown: Annotated[int, typer.Option(help="How many next tokens are listed.", metavar="N")] = 12,
    base: Annotated[str | None, typer.Option(help="Where a System's base lies, if not where it was.")] = None,
    dtype: DType = "auto",
    trust_remote_code: RemoteCode = False,
    out: Annotated[Path | None, typer.Option(help="Write a page to this new file.", metavar="FILE.html")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """See a text as a model does: tokens, neighbours, attention, and what would come next."""
    from rung.generate.look.page import check_new, write
    from rung.generate.look.settings import Wanted
    from rung.system.inputs import read_text

    wanted = Wanted(
        tuple(word or ()), tuple(token or ()), neighbours, tuple(layer or ()), tuple(head or ()), temperature, top_k,
        top_p, min_p, shown, answer,
    )  # fmt: skip
    given = read_text(text, file, sys.stdin, verb="look")
    if out is not None:
        check_new(out)
    from rung.model.threads import set_threads
    from rung.system.looking import look_at

    set_threads()
    found = look_at(
        model, given, wanted, as_prompt=as_prompt, base=base, dtype=dtype, trust_remote_code=trust_remote_code
    )
    if out is not None:
        write(found, out)
    if as_json:
        print(json.dumps(found.to_json(), ensure_ascii=False, allow_nan=False))
    else:
        from rung.generate.look.terminal import show

        show(found)
        if out is not None:
            print(f"wrote {out}")
