"""`rung ledger`: show, move, merge and export the counts of looks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ledger = typer.Typer(help="The ledger of looks at test splits: show, move, merge, export.", no_args_is_help=True)
New = Annotated[Path, typer.Argument(help="The new file.", metavar="FILE")]
Place = Annotated[Path | None, typer.Option("--ledger", help="The ledger (default: the user's own).")]


@ledger.command()
def show(place: Place = None) -> None:
    """Every look: when, at which level, which artefacts, for what."""
    from rung.ladder.ledger import Ledger, default_path
    from rung.ladder.ledger_lines import ledger_lines

    if place is None and not default_path().exists():
        print("no looks at any test split yet")
        return
    with Ledger(_there(place)) as book:
        for line in ledger_lines(book):
            print(line)


@ledger.command()
def move(target: New, place: Place = None) -> None:
    """Move the ledger to another file; the old place points to it."""
    from rung.ladder.ledger import Ledger

    with Ledger(_there(place)) as book:
        book.move(target)
    print(f"moved to {target}")


@ledger.command()
def merge(
    other: Annotated[Path, typer.Argument(help="A ledger, perhaps of another machine.", metavar="FILE")],
    place: Place = None,
) -> None:
    """Take in every look of another ledger file."""
    from rung.ladder.ledger import Ledger

    _there(other)
    with Ledger(other, follow=False), Ledger(place) as book:
        merged = book.merge(other)
    print(f"{merged.new} new looks, {merged.known} known, {merged.conflicts} results that differed (ours were kept)")


@ledger.command()
def export(target: New, place: Place = None) -> None:
    """Write a copy that another machine can merge."""
    from rung.ladder.ledger import Ledger

    with Ledger(_there(place)) as book:
        book.export(target)
    print(f"wrote {target}")


def _there(place: Path | None) -> Path:
    """The ledger's file, which must be there: opening one that is not would make it."""
    from rung.errors import RungError
    from rung.ladder.ledger import default_path

    file = (place or default_path()).expanduser()
    if not file.is_file():
        raise RungError("there is no ledger", where=str(file), mend="name one with --ledger, or climb first")
    return file
