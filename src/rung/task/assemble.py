"""From a checked task file to the parts of a Task: sources read, rows turned to Examples, splits made, faults told.

This is the one place that knows the whole way; each step lives in its own module.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rung.errors import RungError, nearest
from rung.task.cohort import units_of
from rung.task.delimited import Reading
from rung.task.document import show
from rung.task.rows import Finished, Finisher, SetAside, draft_rows, lay_out, said_labels
from rung.task.sources import SPLIT_NAMES, Members, Row, read_source, read_text
from rung.task.spec import DEFAULT_SIZES, SPLITS, TaskSpec
from rung.task.splits import divide, make_units
from rung.task.words import looked_up
from rung.types import Example, Sampling, SplitName, digest

_LINE = re.compile(r":\d+\Z")
_MOST_LABELS = 20  # this many are labels even where each is rare
_TOKENS_OF_BYTES = 1 / 3  # a cautious guess: small vocabularies have some three bytes a token


@dataclass(frozen=True)
class Splits:
    """The rows of each split, ordered by content hash. `test` is None where it is out of reach."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...] | None


@dataclass(frozen=True)
class Assembled:
    """What reading the data adds to the task file."""

    splits: Splits
    labels: tuple[str, ...]
    sampling: Sampling
    guard_digests: tuple[str, ...]
    set_aside: tuple[SetAside, ...]
    warnings: tuple[str, ...]


@dataclass
class _Assembly:
    """The state of one assembly: what was found out so far and is to be said."""

    spec: TaskSpec
    folder: Path
    warnings: list[str] = field(default_factory=list)

    def refuse(self, what: str, *below: str, mend: str = "") -> RungError:
        return self.spec.data.section.refuse(what, *below, mend=mend)


def assemble(spec: TaskSpec, folder: Path) -> Assembled:
    """Read the data and make the splits. Raises RungError for whatever is wrong with them."""
    work = _Assembly(spec, folder)
    tables = _read_tables(work)
    layouts = lay_out(spec, tables)
    aside: list[SetAside] = []
    drafts = {name: draft_rows(layouts[name], rows, aside) for name, rows in tables.items()}
    finisher = Finisher(spec, aside)
    finished = finisher.finish(drafts)
    _check_set_aside(work, aside, sum(len(rows) for rows in tables.values()))
    _check_targets(work, finished)
    splits = _split(work, finished)
    labels = _labels(work, splits)
    _warn_of_rare_labels(work, splits)
    _warn_of_contradictions(work, splits)
    return Assembled(
        splits=splits, labels=labels, sampling=_sampling(spec, splits), guard_digests=_guard_digests(spec),
        set_aside=tuple(aside), warnings=tuple(work.warnings),
    )  # fmt: skip


def _read_tables(work: _Assembly) -> dict[str, list[Row]]:
    """Rows by split name, or under "all" where they are to be divided."""
    data = work.spec.data
    reading = Reading(data.delimiter, data.header, data.columns, data.quotes)
    found: dict[str, list[Row]] = {}
    cache: dict[Path, Members] = {}
    for name, sources in data.sources.items():
        key = ("source",) if name == "all" else ("source", name)
        members: Members = {}
        try:
            for source in sources:
                for member, rows in read_source(source, work.folder, reading, cache).items():
                    members.setdefault(member, []).extend(rows)
        except RungError as error:
            if _LINE.search(error.where):
                raise  # the mend is in the data file, and its line is told
            what = f"{error.where}: {error.what}"
            raise RungError(what, where=data.section.where(*key), mend=error.mend) from None
        for split, rows in _by_split(work, name, members, key).items():
            found.setdefault(split, []).extend(rows)
    if data.lookup:
        found = {name: _looked_up(work, rows) for name, rows in found.items()}
    if all(isinstance(source, Mapping) for sources in data.sources.values() for source in sources):
        found = {name: [replace(row, line=n) for n, row in enumerate(rows, 1)] for name, rows in found.items()}
    for name, rows in found.items():
        if not rows:
            raise work.refuse(
                f"the split {name} has no rows", "source", mend="give it rows, or drop it from the source"
            )
    return found


def _looked_up(work: _Assembly, rows: Sequence[Row]) -> list[Row]:
    """The rows with numbers replaced by the lines that they stand for."""
    lists: dict[str, list[str]] = {}
    for column, name in work.spec.data.lookup.items():
        if rows and all(column not in row.values for row in rows):
            raise work.refuse(f"there is no column {column}", "lookup", column, mend=nearest(column, rows[0].values))
        file = work.folder / Path(name).expanduser()
        if not file.is_file():
            raise work.refuse(f"there is no file {file}", "lookup", column, mend="name a file with one entry a line")
        lists[column] = read_text(file, name).rstrip("\n").split("\n")
    found = []
    for row in rows:
        cells = {
            name: looked_up(cell, lists[name], row.place, name) if name in lists else cell
            for name, cell in row.values.items()
        }
        found.append(replace(row, values=cells))
    return found


def _by_split(work: _Assembly, name: str, members: Members, key: tuple[str, ...]) -> dict[str, list[Row]]:
    """The members of a source under the names of the splits; those of other names stay out, and that is said."""
    if list(members) == [""]:
        return {name: members[""]}
    found: dict[str, list[Row]] = {}
    others = []
    for member, rows in members.items():
        split = SPLIT_NAMES.get(member.lower())
        if split is None or (name not in ("all", split)) or split in found:
            others.append(member or "(without a name)")
        else:
            found[split] = rows
    if not found:
        mend = f"pick one with #, for example #{others[0]}"
        raise work.refuse(f"holds several members and none is a split: {show(', '.join(others))}", *key, mend=mend)
    if others and name == "all":
        work.warnings.append(f"not used of the source: {show(', '.join(others), 120)}")
    return {"all": found["train"]} if list(found) == ["train"] and name == "all" else found


def _check_set_aside(work: _Assembly, aside: Sequence[SetAside], count: int) -> None:
    if not aside:
        return
    reasons = Counter(row.reason for row in aside)
    told = "; ".join(f"{number} × {reason}" for reason, number in reasons.most_common(3))
    share = len(aside) / count
    said = f"{len(aside)} of {count} rows cannot be used: {told} (first: {aside[0].text})"
    allowed = work.spec.allow_set_aside
    if len(aside) == count or share > allowed:
        need = math.ceil(share * 1000) / 1000
        mend = (
            "check input and target, or mend the rows"
            if len(aside) == count
            else f"mend the rows, or allow it with allow_set_aside: {need:g}"
        )
        raise work.refuse(said, mend=mend)
    work.warnings.append(said)


def _check_targets(work: _Assembly, tables: Mapping[str, Finished]) -> None:
    """Refuse data from which nothing can be learnt or told: too few rows, one target, as many labels as rows."""
    examples = [example for table in tables.values() for example in table.examples]
    if "all" in tables and len(examples) < 3:
        rows = f"{len(examples)} row{'s' if len(examples) > 1 else ''}"
        raise work.refuse(f"holds {rows}", "source", mend="train, validation and test need one each")
    if work.spec.kind == "choose":
        return
    targets = Counter(example.target for example in examples)
    if len(targets) == 1 and len(examples) > 1:
        raise work.refuse(
            f"all {len(examples)} targets are {show(examples[0].target)}", "target", mend="check the column"
        )
    if work.spec.kind != "classify" or work.spec.labels:
        return
    if len(targets) > max(_MOST_LABELS, len(examples) / 2):
        mend = "use kind: generate for free text"
        raise work.refuse(f"{len(targets)} labels in {len(examples)} rows are no classes", "target", mend=mend)


def _split(work: _Assembly, tables: Mapping[str, Finished]) -> Splits:
    """Made splits where one source was given; else the given ones, with what is missing carved from train."""
    if "all" in tables:
        return _made(work, tables["all"])
    sizes = work.spec.data.split.sizes
    for name in tables:
        if name in sizes:
            raise work.refuse(f"{name} is given by the source and sized here too", "split", name, mend="keep one")
    for name, table in tables.items():
        if not table.examples:
            raise work.refuse(
                f"the split {name} has no usable rows", "source", name, mend="see which rows are set aside"
            )
    given: dict[SplitName, tuple[Example, ...]] = {
        name: tables[name].examples if name in tables else () for name in SPLITS
    }  # fmt: skip
    missing: tuple[SplitName, ...] = tuple(name for name in SPLITS if name != "train" and name not in tables)
    if "train" not in tables:
        if "test" not in tables:
            raise work.refuse(
                "neither train nor test is given", "source", mend="give test, or all rows as source: FILE"
            )
        lacks = " and ".join(name for name in SPLITS if name not in tables)
        work.warnings.append(f"{lacks} not given: the task can guard another, but not be climbed")
        return Splits(**given)
    if missing:
        given |= _carved(work, tables["train"], missing)
    return Splits(**given)


def _carved(work: _Assembly, train: Finished, missing: Sequence[SplitName]) -> dict[SplitName, tuple[Example, ...]]:
    sizes = {name: work.spec.data.split.sizes.get(name, DEFAULT_SIZES[name]) for name in missing}
    made = _divide(work, train, sizes)
    for name in missing:
        work.warnings.append(
            f"{name} is not given: {len(made[name])} of {len(train.examples)} train rows were taken for it"
        )
    return made


def _made(work: _Assembly, table: Finished) -> Splits:
    said = work.spec.data.split.sizes
    sizes: dict[SplitName, float | int] = {
        name: said.get(name, DEFAULT_SIZES[name]) for name in SPLITS if name != "train" or name in said
    }  # fmt: skip
    if isinstance(sizes.get("train"), float) and all(isinstance(size, float) for size in sizes.values()):
        total = sum(sizes.values())
        if total > 1 + 1e-9:
            mend = "say all three, or only validation and test"
            raise work.refuse(f"the shares add up to {total:g} with the defaults", "split", mend=mend)
        if total > 1 - 1e-9:
            del sizes["train"]  # train takes the rest, so that rounding leaves no row over
    made = _divide(work, table, sizes)
    unused = len(table.examples) - sum(len(rows) for rows in made.values())
    if unused:
        work.warnings.append(f"{unused} of {len(table.examples)} rows are in no split, as its sizes say")
    return Splits(**made)


def _divide(
    work: _Assembly, table: Finished, sizes: Mapping[SplitName, float | int]
) -> dict[SplitName, tuple[Example, ...]]:
    split = work.spec.data.split
    count = len(table.examples)
    counts = {name: max(round(size * count), 1) if isinstance(size, float) else size for name, size in sizes.items()}
    if sum(counts.values()) + ("train" not in counts) > count:
        told = ", ".join(f"{name} {number}" for name, number in counts.items())
        raise work.refuse(
            f"{count} usable rows are too few for {told} and a row of train",
            "split",
            mend="ask for fewer, or give more",
        )
    examples = table.examples
    stratify = split.stratify if split.stratify is not None else work.spec.kind == "classify"
    if stratify is True and work.spec.kind != "classify":
        work.warnings.append(f"stratify: true changes nothing for kind {work.spec.kind}; name a column to stratify by")
    strata = table.strata if stratify else [""] * count
    units = make_units(table.keys, units_of(examples), strata, split.seed)
    rows = divide(units, counts)
    for name in (*counts, "train"):
        if not rows[name]:
            mend = "take another group, other sizes, or more rows"
            raise work.refuse(f"groups and near duplicates leave no rows for {name}", "split", mend=mend)
    largest = max(len(unit.rows) for unit in units)
    if largest > count / 2:
        work.warnings.append(f"{largest} of {count} rows are one group of near duplicates or of the group column")
    return {name: tuple(examples[n] for n in sorted(chosen)) for name, chosen in rows.items()}


def _labels(work: _Assembly, splits: Splits) -> tuple[str, ...]:
    """The labels of a classification, or of marks: in the file's order where it names them, else sorted."""
    kind = work.spec.kind
    if kind not in ("classify", "tag"):
        return ()
    seen = {
        name: {label for row in getattr(splits, name) for label in said_labels(kind, str(row.target))}
        for name in SPLITS
    }
    if not seen["train"] and kind == "tag" and splits.train:
        raise work.refuse("no row of train has anything marked", "target", mend="check the columns")
    everywhere = seen["train"] | seen["validation"] | seen["test"]
    labels = tuple(work.spec.labels) or tuple(sorted(everywhere))
    untaught = sorted(everywhere - seen["train"]) if splits.train else []
    if untaught:
        work.warnings.append(
            f"not in train: the label{'s' if len(untaught) > 1 else ''} {show(', '.join(untaught), 120)}"
        )
    absent = [label for label in labels if label not in everywhere]
    if absent:
        close = nearest(absent[0], everywhere)
        hint = f"; {close}" if close.startswith("did") else ""
        work.warnings.append(
            f"no row has the label{'s' if len(absent) > 1 else ''} {show(', '.join(absent), 120)}{hint}"
        )
    return labels


def _warn_of_rare_labels(work: _Assembly, splits: Splits) -> None:
    if work.spec.kind != "classify":
        return
    counts = Counter(row.target for name in SPLITS for row in getattr(splits, name))
    once = sorted(str(label) for label, count in counts.items() if count == 1)
    if once and "all" in work.spec.data.sources:
        work.warnings.append(f"seen once, so only in train: {show(', '.join(once), 120)}")


def _warn_of_contradictions(work: _Assembly, splits: Splits) -> None:
    """The same input under different labels bounds what any rung can reach."""
    if work.spec.kind != "classify":
        return
    labels: dict[str, set[str | None]] = {}
    for name in SPLITS:
        for row in getattr(splits, name):
            labels.setdefault(row.text, set()).add(row.target)
    torn = [text for text, said in labels.items() if len(said) > 1]
    if torn:
        work.warnings.append(f"{len(torn)} inputs are there under different labels, for example: {show(min(torn))}")


def _sampling(spec: TaskSpec, splits: Splits) -> Sampling:
    """Where the file does not say it, as many new tokens as the longest answers of train and validation may need."""
    if spec.max_new_tokens is not None:
        return replace(spec.sampling, max_new_tokens=spec.max_new_tokens)
    rows = [*splits.train, *splits.validation]
    lengths = sorted(max(len(answer.encode()) for answer in row.answers) for row in rows)
    if spec.kind not in ("generate", "tag") or not lengths:
        return spec.sampling
    tokens = lengths[min(int(len(lengths) * 0.995), len(lengths) - 1)] * _TOKENS_OF_BYTES
    return replace(spec.sampling, max_new_tokens=min(max(16 * math.ceil(tokens / 16) + 16, 32), 1024))


def _guard_digests(spec: TaskSpec) -> tuple[str, ...]:
    """SHA-256 of each guard's task file, or of a benchmark's name; its rows are digested by whoever loads it."""
    return tuple(
        digest([Path(str(guard.benchmark)).name, guard.limit, guard.shots])
        if guard.path is None
        else hashlib.sha256(guard.path.read_bytes()).hexdigest()
        for guard in spec.guards
    )
