"""One source of text as a stream of documents: plain text, JSON lines, Parquet, a data set of the Hub, a named corpus.

A file is read in pieces and never held whole. In which order documents are used, and how much of each source, is decided
in `blend`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rung.data.corpora import CORPORA, NamedCorpus
from rung.errors import RungError, nearest

CHUNK = 1 << 20  # characters of a plain text at hand


@dataclass(frozen=True)
class Source:
    """Where documents come from, and the `weight` of the source in the mixture, by characters.

    `place` is a file, a folder, a glob, `hub:OWNER/NAME[:CONFIG][#SPLIT]`, or the name of a corpus in `CORPORA`.
    `column` holds the text of JSON lines, Parquet and Hub rows; plain text is cut at `separator`.
    """

    place: str
    folder: Path = Path()
    column: str = "text"
    separator: str = "\n\n"
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise RungError(
                f"weight is {self.weight}", where=f"corpus source {self.place}", mend="give a number above 0"
            )
        if not self.separator:
            raise RungError(
                "separator is empty", where=f"corpus source {self.place}", mend="give the text between documents"
            )
        if self.corpus is None and not self.place.startswith("hub:"):
            self.files()

    @property
    def corpus(self) -> NamedCorpus | None:
        """The data set of the Hub that is meant, where it is one."""
        if self.place.startswith("hub:"):
            name, _, split = self.place[4:].partition("#")
            dataset, _, config = name.partition(":")
            return NamedCorpus(dataset, config or None, split or "train", self.column, "")
        return None if self._exists() else CORPORA.get(self.place)

    def _exists(self) -> bool:
        return (self.folder / self.place).exists()

    def files(self) -> list[Path]:
        """The files that are meant, sorted by name. Raises RungError where there are none."""
        path = self.folder / Path(self.place).expanduser()
        if path.is_file():
            return [path]
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.is_file() and _reader(file) is not None)
        else:
            root = Path(path.anchor)
            found = sorted(file for file in root.glob(str(path.relative_to(root))) if file.is_file())
        if not found:
            if "/" not in self.place and "." not in self.place and "*" not in self.place:
                mend = nearest(self.place, CORPORA)
                raise RungError(f"unknown corpus {self.place!r}", where="corpus", mend=f"{mend}; or name a file")
            raise RungError(f"no such file {path}", where="corpus", mend="check the path and RUNG_DATA")
        return found

    def documents(self) -> Iterator[str]:
        """The texts in the order of the source, white space around them taken off, empty ones left out."""
        if (corpus := self.corpus) is not None:
            yield from _stripped(_hub(corpus, self.place))
            return
        for file in self.files():
            reader = _reader(file)
            if reader is None:
                raise RungError(
                    f"cannot be read ({file.suffix or 'no ending'})",
                    where=str(file),
                    mend=f"give one of {', '.join(READERS)}, also with .gz",
                )
            yield from _stripped(reader(file, self))


def _stripped(texts: Iterator[str]) -> Iterator[str]:
    return (text for one in texts if (text := one.strip()))


def _open(file: Path) -> IO[str]:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8")
    return file.open(encoding="utf-8")


def _plain(file: Path, source: Source) -> Iterator[str]:
    """Documents of a plain text, a stretch of it at hand at a time."""
    rest = ""
    try:
        with _open(file) as stream:
            while chunk := stream.read(CHUNK):
                *whole, rest = (rest + chunk).split(source.separator)
                yield from whole
    except UnicodeDecodeError as error:
        raise RungError(f"is not UTF-8: {error.reason}", where=str(file), mend="convert it to UTF-8") from None
    except (gzip.BadGzipFile, EOFError) as error:
        raise RungError(f"is no gzip file: {error}", where=str(file), mend="fetch or pack it again") from None
    yield rest


def _json_lines(file: Path, source: Source) -> Iterator[str]:
    try:
        with _open(file) as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield _column(json.loads(line), source.column, f"{file}:{number}")
    except json.JSONDecodeError as error:
        raise RungError(f"is not JSON: {error.msg}", where=f"{file}:{number}", mend="mend the line") from None
    except UnicodeDecodeError as error:
        raise RungError(f"is not UTF-8: {error.reason}", where=str(file), mend="convert it to UTF-8") from None
    except (gzip.BadGzipFile, EOFError) as error:
        raise RungError(f"is no gzip file: {error}", where=str(file), mend="fetch or pack it again") from None


def _parquet(file: Path, source: Source) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
        names = table.schema_arrow.names
        if source.column not in names:
            raise _no_column(source.column, names, str(file))
        row = 0
        for batch in table.iter_batches(columns=[source.column], batch_size=1024):
            for value in batch.column(0).to_pylist():
                row += 1
                yield _text(value, source.column, f"{file}:{row}")
    except (pa.ArrowException, OSError) as error:
        raise RungError(f"is no Parquet file: {_first_line(error)}", where=str(file), mend="write it again") from None


def _hub(corpus: NamedCorpus, place: str) -> Iterator[str]:
    """Rows of a data set of the Hub as they arrive."""
    from datasets import load_dataset

    rows: Any
    try:
        rows = load_dataset(corpus.dataset, corpus.config, split=corpus.split, streaming=True)
        for number, row in enumerate(rows, 1):
            yield _column(row, corpus.column, f"{place}:{number}")
    except (OSError, ValueError, RuntimeError) as error:
        raise RungError(
            f"cannot be streamed from the Hub: {_first_line(error)}",
            where=f"corpus {place}",
            mend=f"check the connection and {corpus.dataset}, or name a file",
        ) from error


def _column(row: Any, column: str, place: str) -> str:
    if not isinstance(row, dict):
        raise RungError("the row is no object", where=place, mend='write {"text": …}')
    if column not in row:
        raise _no_column(column, list(row), place)
    return _text(row[column], column, place)


def _text(value: Any, column: str, place: str) -> str:
    if not isinstance(value, str):
        raise RungError(f"{column} is {value!r}"[:120], where=place, mend="name a column of text")
    return value


def _no_column(column: str, known: list[str], place: str) -> RungError:
    return RungError(f"no column {column!r}", where=place, mend=nearest(column, known))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


READERS: dict[str, Callable[[Path, Source], Iterator[str]]] = {
    ".txt": _plain,
    ".md": _plain,
    ".text": _plain,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
}


def _reader(file: Path) -> Callable[[Path, Source], Iterator[str]] | None:
    return READERS.get(Path(file.name.removesuffix(".gz")).suffix.lower())
