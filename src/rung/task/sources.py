"""Sources to rows: which files a source means, and what each file holds.

A source is a file, a glob, a folder, a saved dataset, `hub:NAME`, `lines:` (files side by side), or rows written in
place. What the columns mean is not known here. `delimited` reads CSV and TSV, `words` what comes word by word.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.errors import RungError, nearest
from rung.task.delimited import Reading, read_delimited
from rung.task.document import show
from rung.task.words import SUFFIXES as WORD_SUFFIXES
from rung.task.words import beside, conll

# Names under which files, folders and hubs keep the three splits.
SPLIT_NAMES: Mapping[str, str] = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation",
    "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", *WORD_SUFFIXES)
_SCHEME = re.compile(r"[a-z][a-z0-9+]+:")
_MAGIC = {b"PAR1": "Parquet", b"\x1f\x8b": "gzip", b"PK\x03\x04": "a zip archive or a spreadsheet"}


@dataclass(frozen=True, slots=True)
class Row:
    """A row as read. `line` counts from 1: the line of a text file, else the number of the row."""

    values: Mapping[str, Any]
    file: str
    line: int

    @property
    def place(self) -> str:
        """`dialogues.jsonl:12`."""
        return f"{self.file}:{self.line}"


Members = dict[str, list[Row]]  # by name; a source that is one plain list of rows has the name ""


def read_source(
    source: str | Mapping[str, Any], folder: Path, reading: Reading, cache: dict[Path, Members] | None = None
) -> Members:
    """The rows of one source; several members where it keeps its splits apart (JSON mapping, dataset, folder).

    `source` is relative to `folder`; `FILE#member` takes one member. Raises RungError naming the file, and the line
    where there is one. A `cache` spares a file with several members a second reading.
    """
    if isinstance(source, Mapping):
        return {"": [Row(source, "rows", 1)]}
    if source.startswith("hub:"):
        name, _, member = source[4:].partition("#")
        return _pick(_hub(name), member, source)
    if source.startswith("lines:"):
        return {"": _beside(source, folder)}
    if _SCHEME.match(source):
        scheme = source.split(":")[0]
        raise RungError(f"sources by {scheme}: are not read", where=source, mend="name a file, a folder or hub:NAME")
    path, member = _locate(source, folder)
    try:
        files = _files(path, source)
    except OSError as error:
        raise RungError(f"cannot be looked up: {error.strerror}", where=show(source), mend="check the path") from None
    found: Members = {}
    for file in files:
        members = cache.get(file) if cache is not None else None
        if members is None:
            members = _read(file, _shown(file, folder), reading, path.is_dir())
        if cache is not None:
            cache[file] = members
        for name, rows in members.items():
            found.setdefault(name, []).extend(rows)
    return _pick(found, member, source)


def _beside(source: str, folder: Path) -> list[Row]:
    """The rows of `lines:words=seq.in;tags=seq.out`: a column a file, a row a line."""
    texts: dict[str, tuple[str, str]] = {}
    for part in source.removeprefix("lines:").split(";"):
        name, equals, path = part.partition("=")
        if not equals or not name.strip() or name.strip() in texts:
            raise RungError("is not columns and files", where=show(source), mend="write lines:words=FILE;tags=FILE")
        (file,) = _files(folder / Path(path.strip()).expanduser(), path.strip())
        shown = _shown(file, folder)
        texts[name.strip()] = read_text(file, shown), shown
    first = next(shown for _, shown in texts.values())
    return [Row(values, first, line) for line, values in beside(texts)]


def _locate(source: str, folder: Path) -> tuple[Path, str]:
    """The path and the member after `#`, where no file has the `#` in its own name."""
    path = folder / Path(source).expanduser()
    if "#" not in source or os.path.exists(path):  # noqa: PTH110, since Path.exists raises on names that are too long
        return path, ""
    stem, _, member = source.rpartition("#")
    return folder / Path(stem).expanduser(), member


def _shown(file: Path, folder: Path) -> str:
    return str(file.relative_to(folder)) if file.is_relative_to(folder) else str(file)


def _files(path: Path, source: str) -> list[Path]:
    if path.is_file() or _is_saved_dataset(path):
        return [path]
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if _suffix(file) in _SUFFIXES)
        if not found:
            raise RungError("the folder holds no data files", where=source, mend=f"Rung reads {', '.join(_SUFFIXES)}")
        return found
    if any(sign in source for sign in "*?["):
        root = Path(path.anchor)
        found = sorted(file for file in root.glob(str(path.relative_to(root))) if file.is_file())
        if not found:
            raise RungError("no file has such a name", where=source, mend="check the pattern and the folder")
        return found
    siblings = [file.name for file in path.parent.iterdir() if file.is_file()] if path.parent.is_dir() else []
    if not path.parent.is_dir():
        raise RungError(f"there is no folder {path.parent}", where=source, mend="paths are relative to the task file")
    close = nearest(path.name, siblings)
    raise RungError("there is no such file", where=source, mend=close if close.startswith("did") else "check the path")


def _is_saved_dataset(path: Path) -> bool:
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def _suffix(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def _read(file: Path, shown: str, reading: Reading, in_folder: bool) -> Members:
    if file.is_dir():
        return _saved(file, shown)
    suffix = _suffix(file)
    if suffix == ".parquet":
        members = {"": _parquet(file, shown)}
    elif suffix in (".csv", ".tsv") or (suffix not in _SUFFIXES and reading.delimiter):
        delimiter = reading.delimiter or ("\t" if suffix == ".tsv" else ",")
        text = read_text(file, shown)
        if text.lstrip().startswith(('{"', "[{")):
            mend = "name it .jsonl (an object a line) or .json (one list)"
            raise RungError(f"is named {suffix} but holds JSON", where=shown, mend=mend)
        records = read_delimited(text, shown, delimiter, reading)
        members = {"": [Row(values, shown, line) for line, values in records]}
    elif suffix in (".jsonl", ".ndjson"):
        members = {"": _json_lines(read_text(file, shown), shown)}
    elif suffix in WORD_SUFFIXES:
        sentences = conll(read_text(file, shown), shown, reading.columns)
        members = {"": [Row(values, shown, line) for line, values in sentences]}
    elif suffix == ".json":
        members = _json(read_text(file, shown), shown)
    else:
        mend = f"Rung reads {', '.join(_SUFFIXES)} (and .gz); for delimited text under another name set data.delimiter"
        raise RungError(f"cannot tell the format from the name {file.name}", where=shown, mend=mend)
    if not any(members.values()):
        raise RungError("holds no rows", where=shown, mend="give a file with rows")
    if in_folder and list(members) == [""]:  # a folder of train.csv, test.csv: the file's name is the split's
        members = {SPLIT_NAMES.get(file.name.split(".")[0].lower(), ""): members[""]}
    return members


def _pick(members: Members, member: str, source: str) -> Members:
    if not member:
        return members
    if member not in members:
        known = [name for name in members if name]
        mend = nearest(member, known) if known else "drop the # and what follows"
        raise RungError(f"holds no member {member}", where=source, mend=mend)
    return {"": members[member]}


def read_text(file: Path, shown: str) -> str:
    """The text of a file (gzip unpacked), which is UTF-8. Raises RungError where it cannot be read or is empty."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise RungError(
            f"cannot be read: {error.strerror}", where=shown, mend="check the path and its rights"
        ) from None
    if file.name.endswith(".gz"):
        try:
            data = gzip.decompress(data)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise RungError(f"is not a whole gzip file: {error}", where=shown, mend="fetch or pack it again") from None
    for magic, name in _MAGIC.items():
        if data.startswith(magic):
            raise RungError(f"is named {_suffix(file)} but holds {name}", where=shown, mend="give it its right name")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        mend = "convert it, for example: iconv -f latin1 -t utf-8"
        raise RungError("is not UTF-8", where=f"{shown}:{line}", mend=mend) from None
    if not text.strip():
        raise RungError("the file is empty", where=shown, mend="give a file with rows")
    return text


def _json_lines(text: str, shown: str) -> list[Row]:
    rows = []
    for line, record in enumerate(text.split("\n"), 1):
        if not record.strip():
            continue
        try:
            value = json.loads(record)
        except json.JSONDecodeError as error:
            mend = (
                "name the file .json if it holds one list" if line == 1 and record.strip() in "[{" else "mend the line"
            )
            raise RungError(f"is not JSON: {error.msg}", where=f"{shown}:{line}", mend=mend) from None
        except (ValueError, RecursionError) as error:
            raise RungError(f"cannot be read as JSON: {error}", where=f"{shown}:{line}", mend="mend the line") from None
        rows.append(Row(_record(value, f"{shown}:{line}"), shown, line))
    return rows


def _json(text: str, shown: str) -> Members:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        mend = "name the file .jsonl if each line is a row" if error.msg == "Extra data" else "mend the line"
        raise RungError(f"is not JSON: {error.msg}", where=f"{shown}:{error.lineno}", mend=mend) from None
    except (ValueError, RecursionError) as error:
        raise RungError(f"cannot be read as JSON: {error}", where=shown, mend="write a list of objects") from None
    if isinstance(value, list):
        return {"": _records(value, shown)}
    if isinstance(value, Mapping):
        lists = {name: rows for name, rows in value.items() if isinstance(rows, list)}
        if lists:
            return {name: _records(rows, f"{shown}#{name}") for name, rows in lists.items()}
    raise RungError("holds no list of rows", where=shown, mend="write a list of objects, or .jsonl with one a line")


def _records(values: Sequence[Any], shown: str) -> list[Row]:
    return [Row(_record(value, f"{shown}:{line}"), shown, line) for line, value in enumerate(values, 1)]


def _record(value: Any, place: str) -> Mapping[str, Any]:
    """A JSON object as it is; a list gets the columns "0", "1", …"""
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return {str(index): cell for index, cell in enumerate(value)}
    raise RungError(f"the row is {json.dumps(value, ensure_ascii=False)[:40]}", where=place, mend="a row is an object")


def _parquet(file: Path, shown: str) -> list[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        records = pq.read_table(file).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise RungError(
            f"is not a Parquet file: {_first_line(error).rstrip('.')}",
            where=shown,
            mend="give it its right name, or write it again",
        ) from None
    return _numbered(records, shown)


def _numbered(records: Iterable[Mapping[str, Any]], shown: str) -> list[Row]:
    return [Row(values, shown, line) for line, values in enumerate(records, 1)]


def _saved(folder: Path, shown: str) -> Members:
    from datasets import DatasetDict, load_from_disk

    try:
        found = load_from_disk(str(folder))
    except (OSError, ValueError, KeyError) as error:
        raise RungError(
            f"is not a saved dataset: {error}", where=shown, mend="save it again with save_to_disk"
        ) from None
    if isinstance(found, DatasetDict):
        return {str(name): _numbered(part, f"{shown}#{name}") for name, part in found.items()}
    return {"": _numbered(found, shown)}


def _hub(name: str) -> Members:
    """`owner/name` or `owner/name:configuration` from the Hub (or its cache on disk)."""
    from datasets import load_dataset

    path, _, configuration = name.partition(":")
    where = f"hub:{name}"
    try:
        found = load_dataset(path, configuration or None)
    except (OSError, ValueError, RuntimeError) as error:
        mend = "check the name and the connection, or download it and name the folder"
        raise RungError(f"cannot be loaded: {_first_line(error)}", where=where, mend=mend) from error
    return {str(split): _numbered(part, f"{where}#{split}") for split, part in found.items()}


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
