"""A new input for a System, from wherever it is typed, piped or kept."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from rung.errors import RungError


def read_text(text: str | None, file: Path | None, stdin: TextIO, *, verb: str = "ask") -> str:
    """The text given, the whole of `file`, or standard input. Raises RungError for both, neither, or nothing in it.

    `verb` is who reads it, for the errors.
    """
    if text not in (None, "-") and file is not None:
        raise RungError("a text and a file are given", where=verb, mend="give one of them")
    if file is not None:
        try:
            found = file.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise RungError("no such file", where=str(file), mend="check the path") from error
        except IsADirectoryError as error:
            raise RungError("is a folder", where=str(file), mend="name a text file") from error
        except UnicodeDecodeError as error:
            raise RungError("is not UTF-8", where=str(file), mend="save it as UTF-8") from error
        except OSError as error:
            raise RungError(f"cannot be read ({error.strerror})", where=str(file), mend="check the path") from error
    elif text in (None, "-"):
        if stdin.isatty():
            whom = "RUN" if verb == "ask" else "MODEL"
            raise RungError("nothing was asked", where=verb, mend=f'give a text: rung {verb} {whom} "a new input"')
        try:
            found = stdin.read()
        except UnicodeDecodeError as error:
            raise RungError("is not UTF-8", where="standard input", mend="convert it to UTF-8") from error
    else:
        found = text
    try:
        found.encode()
    except UnicodeEncodeError as error:
        raise RungError("is not UTF-8", where="the input", mend="convert it to UTF-8") from error
    if not found.strip():
        raise RungError("the input is empty", where=verb, mend="give a text")
    return found.rstrip("\n")
