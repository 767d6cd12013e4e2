"""The file forms in which benchmarks are given away, read as rows: CSV, TSV, JSON lines, BIG-bench's task.json, plain text.

Each reader takes a folder and says in one line what is missing in it. Which benchmark has which form is in `suites`.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rung.errors import RungError

Row = dict[str, Any]


def found(folder: Path, names: Sequence[str], what: str) -> Path:
    """The first of the files that is there. Raises RungError naming all of them."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    looked = " or ".join(str(folder / name) for name in names)
    raise RungError("the data is not there", where=what, mend=f"put {looked} in place, or name its folder with --data")


def table(file: Path, columns: Sequence[str] | None = None) -> list[Row]:
    """A CSV, or TSV by its ending, with a header, or with `columns` where it has none."""
    tabs = file.suffix == ".tsv"
    with file.open(encoding="utf-8", newline="") as lines:
        if tabs:
            return list(csv.DictReader(lines, columns, delimiter="\t", quoting=csv.QUOTE_NONE))
        return list(csv.DictReader(lines, columns))


def json_lines(file: Path) -> list[Row]:
    """One object a line, perhaps packed by gzip. Raises RungError for a line that is none."""
    rows = []
    with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    rows.append(json.loads(line))
                except json.JSONDecodeError as error:
                    raise RungError(
                        f"is no JSON: {error.msg}", where=f"{file}, line {number}", mend="mend it"
                    ) from None
    return rows


def labelled_lines(file: Path) -> list[Row]:
    """`label text` a line, as SST-2 was first given away."""
    split = (line.rstrip("\n").partition(" ") for line in file.open(encoding="utf-8") if line.strip())
    return [{"label": label, "sentence": text.strip()} for label, _, text in split]


def wiki_pages(file: Path) -> list[Row]:
    """WikiText's one file, cut at headings of the first order (` = Title = `): a page a row."""
    pages: list[list[str]] = [[]]
    for line in file.open(encoding="utf-8"):
        if line.startswith(" = ") and not line.startswith(" = = "):
            pages.append([])
        pages[-1].append(line)
    return [{"page": "".join(page)} for page in pages if "".join(page).strip()]


def big_bench(file: Path) -> tuple[Mapping[str, Any], list[Row]]:
    """BIG-bench's task.json: its head, and its examples with `input`, `choices`, `golds` (indices) and `target`.

    Raises RungError where it has no examples. A task whose examples hold `target_scores` is one of choices.
    """
    given = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(given, dict) or not given.get("examples"):
        raise RungError("holds no examples", where=str(file), mend="name a task.json of BIG-bench's JSON form")
    before, behind = given.get("example_input_prefix", "\nQ: "), given.get("example_output_prefix", "\nA: ")
    rows: list[Row] = []
    for example in given["examples"]:
        row: Row = {"input": f"{before}{example['input']}{behind.rstrip(' ')}"}
        if scores := example.get("target_scores"):
            row["choices"] = list(scores)
            row["golds"] = [place for place, value in enumerate(scores.values()) if value == max(scores.values())]
        if "target" in example:
            target = example["target"]
            row["target"] = target if isinstance(target, list) else [target]
        rows.append(row)
    return given, rows


def subjects(folder: Path, part: str, what: str) -> Iterator[tuple[str, Path]]:
    """(subject, file) of every `<part>/<subject>_<part>.csv`. Raises RungError where there is none."""
    files = sorted((folder / part).glob(f"*_{part}.csv"))
    if not files:
        raise RungError("the data is not there", where=what, mend=f"put {folder / part}/*_{part}.csv in place")
    for file in files:
        yield file.name.removesuffix(f"_{part}.csv"), file
