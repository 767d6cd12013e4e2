"""The folder that goes along with a job: which files are sent, and that the command needs none beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from rung.errors import RungError
from rung.submit.command import Command

MOST_BYTES = 5 * 10**9
MOST_FILES = 10_000


@dataclass(frozen=True)
class Sent:
    """The files of a folder, by their paths in it, and their bytes together."""

    folder: Path
    files: tuple[Path, ...]
    size: int


def sent(command: Command, leave: Sequence[str]) -> Sent:
    """Every file of the command's folder but hidden ones and those that a pattern of `leave` names, whole or by a part of
    their path.

    Raises RungError where that is too much to send, or where the command names a file that is not among them.
    """
    root = command.folder
    found, size = [], 0
    for file in sorted(root.rglob("*")):
        path = file.relative_to(root)
        if _is_left(path, leave) or not file.is_file():
            continue
        found.append(path)
        size += file.stat().st_size
        if size > MOST_BYTES or len(found) > MOST_FILES:
            told = f"holds more than {MOST_FILES:,} files or {MOST_BYTES / 10**9:g} GB to send"
            raise RungError(told, where=str(root), mend="start from a smaller folder, or name what to leave: --set 'leave=[runs, data]'")  # fmt: skip
    for path in command.paths():
        _check_goes_along(path, root, leave)
    return Sent(root, tuple(found), size)


def _is_left(path: Path, leave: Sequence[str]) -> bool:
    if any(part.startswith(".") or part == "__pycache__" for part in path.parts):
        return True
    return any(fnmatch(path.as_posix(), one) or any(fnmatch(part, one) for part in path.parts) for one in leave)


def _check_goes_along(path: Path, root: Path, leave: Sequence[str]) -> None:
    """A path of the command must mean the same where the job runs."""
    inside = not path.is_absolute() and (root / path).resolve().is_relative_to(root)
    if not inside:
        told = f"{path} lies outside of the folder that is sent"
        raise RungError(told, where=str(root), mend="start from a folder that holds it, and name it from there")
    if _is_left(path, leave):
        raise RungError(f"{path} is not sent", where=str(root), mend="take it out of leave, or name another place")
