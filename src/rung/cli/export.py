"""`rung export`: a model for other programs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from rung.cli.artefact import Accept, Base, Margin, OfRun, Out, Scored, SourceName
from rung.errors import RungError, nearest


def export(
    source: SourceName,
    out: Out,
    to: Annotated[str, typer.Option("--to", help="hf (a Hugging Face folder) or gguf (llama.cpp).")] = "hf",
    kind: Annotated[
        str | None, typer.Option("--type", help="Of gguf: f32, f16, bf16, q8_0 or q4_0; of hf, as for `rung quantize`.")
    ] = None,
    task: Scored = None,
    accept: Accept = False,
    margin: Margin = None,
    rung: OfRun = None,
    base: Base = None,
) -> None:
    """Write a run, a System or a model for other programs, adapters merged; read back and scored before it counts."""
    from rung.cli.artefact import made, source_and_task
    from rung.ladder.artefacts.made import Wanted
    from rung.model.export.folder import write_folder
    from rung.model.export.gguf.file import write_file

    if to not in ("hf", "gguf"):
        raise RungError(f"unknown form {to!r}", where="--to", mend=nearest(to, ("hf", "gguf")))
    with source_and_task(source, task, rung, base) as (found, read), tempfile.TemporaryDirectory() as scratch:
        wanted = Wanted(out, read, accept, margin)

        def build(own: Any, folder: Path) -> Any:
            if to == "hf":
                return write_folder(own.model, folder, to=kind)
            return write_file(own.model, folder, Path(scratch), kind or "f16")

        made(found, wanted, {"export": to, "type": kind or ("f16" if to == "gguf" else "as it was")}, build)
