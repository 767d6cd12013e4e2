"""The `rung` command: the table of verbs, and how errors leave the program."""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import sys
from typing import Any

import typer

from rung.cli.ask import ask
from rung.cli.benchmark import benchmark
from rung.cli.climb import climb
from rung.cli.compare import compare
from rung.cli.convert import convert
from rung.cli.evaluate import evaluate
from rung.cli.export import export
from rung.cli.init import init
from rung.cli.ledger import ledger
from rung.cli.look import look
from rung.cli.merge import merge
from rung.cli.plan import plan
from rung.cli.pretrain import pretrain
from rung.cli.prune import prune
from rung.cli.quantize import quantize
from rung.cli.report import report
from rung.cli.size import size
from rung.cli.submit import submit
from rung.cli.tune import tune
from rung.errors import RungError, nearest
from rung.model.threads import prepare_environment

BAD_INPUT = 2
UsageError: Any = typer.BadParameter.__bases__[0]
"""What typer raises for a command line that it cannot read; it gives the class no public name."""

app = typer.Typer(
    help="Climb only as high as your task needs: find by measurement how far a language model must be adapted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(init)
app.command()(plan)
app.command()(climb)
app.command()(report)
app.command()(ask)
app.command("eval")(evaluate)
app.command()(benchmark)
app.command()(compare)
app.add_typer(ledger, name="ledger")
app.command()(look)
app.command()(tune)
app.command()(pretrain)
app.command(context_settings={"allow_interspersed_args": False})(submit)
app.command()(quantize)
app.command()(merge)
app.command()(prune)
app.command()(size)
app.command()(export)
app.add_typer(convert, name="import")


def main() -> None:
    """Run a verb; a `RungError` or a command line that cannot be read becomes one line and exit code 2."""
    prepare_environment()
    # Hints about kernels for other machines, once these are installed.
    for name in ("torchao", "torch.utils._pytree", "bitsandbytes.backends.cpu.ops"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without a sign shows its number
    try:
        sys.exit(app(prog_name="rung", standalone_mode=False) or 0)
    except UsageError as error:
        if "\n" in error.message:  # no words at all: typer's message is the help page
            print(error.message, file=sys.stderr)
        else:
            print(f"rung: {_misread(error)}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except RungError as error:
        print(f"rung: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except BrokenPipeError:
        # Whoever read the output has gone; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        # A text where a path belongs: even asking whether such a file exists fails, so no room behind has told it.
        if error.errno != errno.ENAMETOOLONG:
            raise
        print(f"rung: {str(error.filename)[:60]}…: {error.strerror}; name a path here", file=sys.stderr)
        sys.exit(BAD_INPUT)


def _misread(error: Any) -> RungError:
    """A command line that cannot be read, as one line that names the verb, and the nearest known word."""
    path = " ".join(["rung", *sys.argv[1:2]]) if error.ctx is None else error.ctx.command_path
    verb, mend = path.removeprefix("rung").strip(), f"see {path} --help"
    told = error.format_message()
    if (option := getattr(error, "option_name", None)) and "No such option" in told:
        known = [name for param in error.ctx.command.params for name in param.opts if name.startswith("--")]
        return RungError(f"no such option {option}", where=verb, mend=nearest(option, known) if known else mend)
    if unknown := re.match(r"No such command '(.*?)'", told):
        known = list(error.ctx.command.commands)
        return RungError(f"no such verb {unknown[1]}", where=verb, mend=nearest(unknown[1], known))
    told = told.rstrip(".")
    return RungError(told[:1].lower() + told[1:], where=verb, mend=mend)
