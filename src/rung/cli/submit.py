"""`rung submit`: a command of Rung as a job elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

UNFINISHED, INTERRUPTED = 1, 130


def submit(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(help="The command that the job runs, behind the options.", metavar="RUNG-COMMAND..."),
    ] = None,
    to: Annotated[str, typer.Option(help="Where it runs.", metavar="slurm|sagemaker")] = "",
    settings: Annotated[Path | None, typer.Option(help="A YAML file with a submit: mapping.", metavar="FILE")] = None,
    assign: Annotated[
        list[str] | None, typer.Option("--set", help="A setting, over the file's (repeatable).", metavar="KEY=VALUE")
    ] = None,
    name: Annotated[str, typer.Option(help="The job's name (default: the verb and the time).")] = "",
    out: Annotated[Path | None, typer.Option(help="Where the script or request is written.", metavar="FILE")] = None,
    start: Annotated[bool, typer.Option("--start", help="Start it too.")] = False,
    status: Annotated[str | None, typer.Option(help="Follow the job of this name to its end.", metavar="NAME")] = None,
    once: Annotated[bool, typer.Option("--once", help="With --status: say how it stands, and leave.")] = False,
    stop: Annotated[str | None, typer.Option(help="Stop the job of this name.", metavar="NAME")] = None,
) -> None:
    """Write a Slurm script or a SageMaker training job that runs a command of Rung; start, follow and stop it."""
    from rung.submit import submit as jobs
    from rung.submit.command import Command
    from rung.submit.settings import read_settings

    command = None if stop or status else Command.of(words or [], Path.cwd())
    chosen = read_settings(to, settings, assign or [])
    try:
        if command is not None:
            _check(ctx, command.words)
            jobs.submit(command, chosen, name=name, out=out, begin=start, say=print)
        elif stop:
            jobs.stop(stop, chosen, print)
        elif jobs.follow(status or "", chosen, print, once=once) is False:
            raise typer.Exit(UNFINISHED)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _check(ctx: typer.Context, words: tuple[str, ...]) -> None:
    """Whether the command can be read, before a machine is paid for it."""
    program = ctx.find_root()
    name, verb, rest = program.command.resolve_command(program, list(words))  # type: ignore[attr-defined]
    while hasattr(verb, "commands") and rest:
        name, verb, rest = verb.resolve_command(program, rest)
    verb.make_context(name, rest, parent=program)
