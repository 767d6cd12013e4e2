"""The run directory: what proves a climb.

A `Run` holds an identity (what is computed), JSON documents and artefacts that appear whole or not at all, scratch
space for work under way, and a lock. It knows nothing of tasks, models or rungs.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rung.errors import RungError
from rung.types import digest

IDENTITY = "identity.json"
LOCK = ".lock"
SCRATCH = "scratch"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
# What writers in native code say of the same faults: safetensors, torch.save.
_NATIVE = ("I/O error", "PytorchStreamWriter", "inline_container")


class Run:
    """One directory, one identity. Use as a context manager: the lock is given back at the end."""

    def __init__(self, path: Path, identity: Mapping[str, Any], lock: int | None) -> None:
        self.path = path
        self.identity = dict(identity)
        self._lock = lock

    @classmethod
    def check(cls, path: Path, identity: Mapping[str, Any]) -> None:
        """Refuse what `open` would refuse, and write nothing.

        Raises RungError where `path` is a file, holds another run or other files, or another process works in it.
        """
        try:
            cls._check(Path(path), identity)
        except OSError as error:
            raise cannot_write(Path(path), error) from error

    @classmethod
    def _check(cls, path: Path, identity: Mapping[str, Any]) -> None:
        if path.exists() and not path.is_dir():
            raise RungError(
                "is a file where the run directory belongs", where=str(path), mend="name another with --out"
            )
        known = _identity(path)
        if known is None and not cls.is_free(path):
            raise RungError("holds other files and no run", where=str(path), mend="name a new directory with --out")
        if known is not None and digest(known) != digest(dict(identity)):
            changed = ", ".join(_differences(known, dict(identity))) or "its identity"
            raise RungError(
                f"holds another run (other {changed})", where=str(path), mend="name a new directory with --out"
            )
        if (path / LOCK).is_file():
            os.close(_take_lock(path))
        there = next(place for place in (path, *path.absolute().parents) if place.exists())
        if not os.access(there, os.W_OK):
            raise OSError("it is read-only")

    @classmethod
    def is_free(cls, path: Path) -> bool:
        """Whether a new run can begin at `path`: nothing is there, or only what a run left that was killed at once."""
        return not path.is_dir() or all(p.name == LOCK or p.match(f".{IDENTITY}.*.part") for p in path.iterdir())

    @classmethod
    def open(cls, path: Path, identity: Mapping[str, Any]) -> Run:
        """Make the directory, or go on with it.

        Raises RungError where it holds another run or other files, where another process works in it, or where it
        cannot be written; then nothing is left behind.
        """
        path, made = Path(path), False
        cls.check(path, identity)
        try:
            made = not path.exists()
            path.mkdir(parents=True, exist_ok=True)
            run = cls(path, identity, _take_lock(path))
        except OSError as error:
            raise cannot_write(path, error) from error
        try:
            cls._begin(run)
        except BaseException:
            run.close()
            if made:
                shutil.rmtree(path, ignore_errors=True)
            raise
        return run

    def _begin(self) -> None:
        """With the lock in hand: the identity is written or compared, and what a killed process left half done goes."""
        known = _identity(self.path)
        if known is None:
            self.write("identity", self.identity)
        elif digest(known) != digest(self.identity):  # another process began here between the check and the lock
            raise RungError("holds another run", where=str(self.path), mend="name a new directory with --out")
        for left in [*self.path.rglob(".*.part")]:
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)

    @classmethod
    def read_only(cls, path: Path) -> Run:
        """An existing run, to look at; takes no lock."""
        path = Path(path)
        known = _identity(path)
        if known is None:
            raise RungError("no run here", where=str(path), mend="name a directory that `rung climb` made")
        return cls(path, known, None)

    @property
    def digest(self) -> str:
        """SHA-256 of the identity."""
        return digest(self.identity)

    def has(self, key: str) -> bool:
        """Whether the document `key` was written."""
        return self._document(key).is_file()

    def read(self, key: str) -> Any:
        """The document `key`. Raises RungError where it is missing or damaged."""
        return read_json(self._document(key))

    def write(self, key: str, value: Any) -> None:
        """Write the document `key` whole: a reader sees the old one or the new one."""
        write_atomic(self._document(key), dump_json(value))

    def artefact_path(self, key: str) -> Path:
        """Where the artefact `key` lies, or will lie."""
        return self.path / key

    def has_artefact(self, key: str) -> bool:
        """Whether the artefact `key` is complete."""
        return self.artefact_path(key).is_dir()

    @contextlib.contextmanager
    def artefact(self, key: str) -> Iterator[Path]:
        """An empty folder that takes its place as `key` when the block ends without error."""
        final = self.artefact_path(key)
        building = final.with_name(f".{final.name}.part")
        try:
            with writing(final):
                shutil.rmtree(building, ignore_errors=True)
                building.mkdir(parents=True)
                yield building
                for file in building.rglob("*"):
                    _settle(file)
                if final.exists():
                    shutil.rmtree(final)
                building.replace(final)
        finally:
            shutil.rmtree(building, ignore_errors=True)

    def scratch(self, key: str) -> Path:
        """A folder for work under way, kept until `drop_scratch`."""
        folder = self.path / SCRATCH / key
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from error
        return folder

    def drop_scratch(self, key: str) -> None:
        """Remove the scratch folder of finished work."""
        shutil.rmtree(self.path / SCRATCH / key, ignore_errors=True)

    def close(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _document(self, key: str) -> Path:
        return self.path / f"{key}.json"


def dump_json(value: Any) -> str:
    """JSON as Rung writes it: sorted keys, two spaces, a closing line break, no NaN."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(file: Path) -> Any:
    """The content of a JSON file. Raises RungError where it is missing or damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RungError("no such file", where=str(file), mend="check the path") from error
    except OSError as error:
        raise RungError(f"cannot be read ({error.strerror})", where=str(file), mend="check its rights") from error
    except (ValueError, RecursionError) as error:
        raise RungError(f"damaged: {error}", where=str(file), mend="remove it, and its step is done again") from error


def write_atomic(file: Path, text: str) -> None:
    """Write a text file whole or not at all. Raises RungError where the disk refuses."""
    building = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with building.open("w", encoding="utf-8", errors="surrogatepass") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        building.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):  # where there is no folder there is nothing to take back
            building.unlink()
        raise cannot_write(file, error) from error


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """A block that writes to `path`, perhaps by a library: a disk that refuses becomes a RungError, whoever says it."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise cannot_write(Path(error.filename or path), error) from error
        raise
    except Exception as error:
        if not isinstance(error, RungError) and any(sign in str(error) for sign in _NATIVE):
            told = re.search(r"I/O error: (.*?) \(os error", str(error))
            reason = told[1] if told else "the disk took less than was written"
            raise cannot_write(path, OSError(reason)) from error
        raise


def cannot_write(path: Path, error: OSError) -> RungError:
    """The one line for a disk that is full, read-only or forbidden."""
    reason = error.strerror or str(error)
    if isinstance(error, FileExistsError | NotADirectoryError):
        reason = "a file stands where a folder belongs"
    return RungError(
        f"cannot write ({reason})",
        where=str(path),
        mend="make room or name another place; what is finished is kept",
    )


def _settle(file: Path) -> None:
    """Onto the disk, before the folder takes the name that says it is whole."""
    if file.is_file():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())


def _identity(path: Path) -> dict[str, Any] | None:
    file = path / IDENTITY
    return read_json(file) if file.is_file() else None


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]


def _take_lock(path: Path) -> int:
    """An exclusive lock that ends with the process, however it ends."""
    handle = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise RungError(
            "another climb works in this directory", where=str(path), mend="wait for it, or name another with --out"
        ) from error
    return handle
