"""The `rung` command: the table of verbs, and how errors leave the program."""

from __future__ import annotations

import os
import sys

import typer

from rung.cli.ask import ask
from rung.cli.climb import climb
from rung.cli.convert import convert
from rung.cli.evaluate import evaluate
from rung.cli.init import init
from rung.cli.ledger import ledger
from rung.cli.plan import plan
from rung.cli.pretrain import pretrain
from rung.cli.report import report
from rung.errors import RungError

BAD_INPUT = 2

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
app.add_typer(ledger, name="ledger")
app.command()(pretrain)
app.add_typer(convert, name="import")


def main() -> None:
    """Run a verb; a `RungError` becomes one line and exit code 2."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # must stand before torch is first imported
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        app()
    except RungError as error:
        print(f"rung: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except BrokenPipeError:
        # Whoever read the output has gone; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
