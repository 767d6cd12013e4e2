"""What a task file may say: every key with its type, range and default, checked before any data is read.

The values here are frozen and know no rows. Reading the sources is `sources`, making the task is `load`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from rung.errors import RungError, nearest
from rung.metrics import METRICS
from rung.task.document import Section, read_yaml, show
from rung.task.quantity import read_bytes, read_price, read_seconds
from rung.types import Budget, Sampling, SplitName, TaskKind

KINDS: tuple[TaskKind, ...] = get_args(TaskKind)
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
FORMATS = ("auto", "columns", "alpaca", "sharegpt", "messages", "prompt-completion", "question-answer")
DEFAULT_SIZES: Mapping[SplitName, float] = {"train": 0.7, "validation": 0.15, "test": 0.15}

# Which metrics make sense for which kind: the rest would score every answer alike, or need what the kind lacks.
KIND_METRICS: Mapping[TaskKind, tuple[str, ...]] = {
    "classify": (
        "accuracy", "macro_f1", "exact_match", "balanced_accuracy", "mcc", "macro_precision", "macro_recall",
        "micro_f1", "micro_precision", "micro_recall", "auroc", "average_precision",
    ),
    "choose": ("accuracy", "exact_match"),
    "generate": (
        "rougeL", "rouge1", "rouge2", "rougeLsum", "rouge1_stemmed", "rouge2_stemmed", "rougeL_stemmed",
        "rougeLsum_stemmed", "bleu", "chrf", "one_minus_ter", "exact_match", "squad_match", "token_f1", "field_f1",
    ),
    "tag": ("entity_f1", "entity_macro_f1", "entity_precision", "entity_recall", "word_accuracy", "exact_match"),
}  # fmt: skip
DEFAULT_METRIC: Mapping[TaskKind, str] = {
    "classify": "accuracy", "choose": "accuracy", "generate": "rougeL", "tag": "entity_f1",
}  # fmt: skip
TASK_KEYS = (
    "name", "kind", "data", "instruction", "labels", "score", "also", "goal", "margin", "schema", "guards", "budget",
    "rungs", "max_new_tokens", "sampling", "allow_set_aside",
)  # fmt: skip
DATA_KEYS = (
    "source", "input", "target", "choices", "id", "group", "format", "delimiter", "header", "columns", "quotes", "split",
    "lookup",
)  # fmt: skip
SPLIT_KEYS = (*SPLITS, "stratify", "group", "folds", "seed")
_SPLIT_MENDS = dict.fromkeys(("val", "valid", "dev", "eval"), "did you mean validation?")


@dataclass(frozen=True)
class Guard:
    """Something else that the artefact must not get worse at by more than `margin`: a task by its `path`, or a
    `benchmark` by its name with the folder of its `data`, so many items (`limit`) and worked examples (`shots`)."""

    path: Path | None
    margin: float
    benchmark: str | None = None
    data: Path | None = None
    limit: int | None = None
    shots: int | None = None


@dataclass(frozen=True)
class RungRequest:
    """A rung that the task file asks for, with the fields it sets; `where` is the place in the file."""

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    where: str = field(default="", compare=False)


@dataclass(frozen=True)
class SplitSpec:
    """How rows are divided. `sizes` holds only what the file says: shares below 1, or counts of rows."""

    sizes: Mapping[SplitName, float | int] = field(default_factory=dict)
    stratify: bool | str | None = None
    folds: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class DataSpec:
    """Where rows come from and which columns mean what. `sources` has the key "all" where one source is to be split.

    `lookup` maps a column of numbers (from 0) to the file whose lines they stand for.
    """

    sources: Mapping[str, tuple[Any, ...]]
    input: str | None
    target: tuple[str, ...]
    choices: tuple[str, ...]
    id: str | None
    group: str | None
    format: str
    delimiter: str | None
    header: bool
    columns: tuple[str, ...]
    quotes: bool | None
    split: SplitSpec
    lookup: Mapping[str, str]
    section: Section = field(repr=False, compare=False)


@dataclass(frozen=True)
class TaskSpec:
    """A whole task file. `max_new_tokens` is None where the file does not say it."""

    name: str
    kind: TaskKind
    data: DataSpec
    instructions: tuple[str, ...]
    labels: Mapping[str, str]
    metric: str
    also: tuple[str, ...]
    goal: float | None
    margin: float
    schema: Mapping[str, Any] | None
    guards: tuple[Guard, ...]
    budget: Budget
    sampling: Sampling
    max_new_tokens: int | None
    rungs: tuple[RungRequest, ...] | None
    allow_set_aside: float
    section: Section = field(repr=False, compare=False)


def read_spec(root: Section, folder: Path) -> TaskSpec:
    """Check a task file's keys. Raises RungError naming file, line, key and mend."""
    root.only(TASK_KEYS)
    for key in ("name", "kind", "data"):
        if not root.has(key):
            raise root.refuse(f"the key {key} is missing", mend="a task needs name, kind and data")
    kind = root.one_of("kind", KINDS)
    name = root.text("name")
    assert kind is not None and name is not None
    task_kind = next(known for known in KINDS if known == kind)
    schema = _schema(root, folder, task_kind)
    metric, goal = _metric_and_goal(root, task_kind, schema is not None)
    sampling, most = _sampling(root)
    return TaskSpec(
        name=" ".join(name.split()),
        kind=task_kind,
        data=_data(root.section("data"), task_kind),
        instructions=root.texts("instruction"),
        labels=_labels(root, task_kind),
        metric=metric,
        also=_also(root, task_kind, metric, schema is not None),
        goal=goal,
        margin=_margin(root, metric),
        schema=schema,
        guards=_guards(root, folder),
        budget=_budget(root),
        sampling=sampling,
        max_new_tokens=most,
        rungs=_rungs(root),
        allow_set_aside=_or(root.number("allow_set_aside", 0, 1), 0.01),
        section=root,
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _data(data: Section, kind: TaskKind) -> DataSpec:
    data.only(DATA_KEYS, dict.fromkeys(SPLITS, "put it under source: {train: …, validation: …, test: …}"))
    if not data.has("source"):
        raise data.refuse("the key source is missing", mend="name a file, a glob, a folder or hub:NAME")
    if kind == "choose" and not data.has("choices"):
        raise data.refuse(
            "kind choose needs choices", mend="name the column that holds the list, or one column a choice"
        )
    if kind != "choose" and data.has("choices"):
        raise data.refuse(f"choices belong to kind choose, not {kind}", "choices", mend="for classify, write labels")
    columns = data.texts("columns")
    if len(set(columns)) < len(columns):
        raise data.refuse("names a column twice", "columns", mend="name each once")
    header = data.flag("header")
    if columns and header:
        raise data.refuse("columns names the columns of a file without a header", "columns", mend="drop header: true")
    style = data.one_of("format", FORMATS) or "auto"
    if style not in ("auto", "columns") and (data.has("input") or data.has("target")):
        raise data.refuse(f"format {style} says where input and target are", "format", mend="drop input and target")
    delimiter = data.get("delimiter")
    if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1):
        raise data.refuse("must be one character", "delimiter", mend='a tab is "\\t" in double quotes')
    if kind == "tag" and not (data.has("input") and len(data.texts("target")) == 1):
        key = "target" if data.has("input") else "input"
        raise data.refuse(f"kind tag needs {key}", mend="name the column of texts or words, and that of tags or spans")
    split, split_group = _split(data)
    group = data.text("group")
    if group and split_group and group != split_group:
        raise data.refuse(f"group {split_group} here and {group} under data", "split", "group", mend="keep one")
    return DataSpec(
        sources=_sources(data), input=data.text("input"), target=data.texts("target"), choices=data.texts("choices"),
        id=data.text("id"), group=group or split_group, format=style, delimiter=delimiter,
        header=not columns and header is not False, columns=columns, quotes=data.flag("quotes"), split=split,
        lookup=_lookup(data), section=data,
    )  # fmt: skip


def _lookup(data: Section) -> Mapping[str, str]:
    if not data.has("lookup"):
        return {}
    section = data.section("lookup")
    return {column: section.expand(section.word(column), column) for column in section}


def _sources(data: Section) -> Mapping[str, tuple[Any, ...]]:
    value = data.get("source")
    if not isinstance(value, Mapping):
        return {"all": _source(data, "source")}
    given = data.section("source")
    given.only(SPLITS, _SPLIT_MENDS)
    found: dict[str, tuple[Any, ...]] = {name: _source(given, name) for name in SPLITS if given.has(name)}
    if not found:
        raise data.refuse("names no split", "source", mend="give train, validation and test")
    return {"all": found["train"]} if list(found) == ["train"] else found


def _source(section: Section, key: str) -> tuple[Any, ...]:
    """Paths as text; rows written in place as mappings."""
    value = section.get(key)
    if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
        return tuple(value)
    return tuple(section.expand(text, key) for text in section.texts(key))


def _split(data: Section) -> tuple[SplitSpec, str | None]:
    if not data.has("split"):
        return SplitSpec(), None
    split = data.section("split")
    split.only(SPLIT_KEYS, _SPLIT_MENDS)
    sizes: dict[SplitName, float | int] = {}
    for name in SPLITS:
        size = split.number(name, 0)
        if size is None:
            continue
        if size == 0 or (size > 1 and size != int(size)):
            raise split.refuse(
                f"{size:g} is neither a share below 1 nor a count of rows", name, mend="write 0.15, or 200"
            )
        sizes[name] = split.get(name) if isinstance(split.get(name), int) else size
    shares = sum(size for size in sizes.values() if isinstance(size, float))
    if shares > 1 + 1e-9:
        raise data.refuse(f"the shares add up to {shares:g}", "split", mend="make them add up to 1")
    stratify = split.get("stratify")
    if not isinstance(stratify, bool | None):
        stratify = split.text("stratify")
    folds = split.whole("folds", 2, 100)
    return SplitSpec(sizes, stratify, folds, split.whole("seed") or 0), split.text("group")


def _labels(root: Section, kind: TaskKind) -> Mapping[str, str]:
    if not root.has("labels"):
        return {}
    if kind not in ("classify", "tag"):
        raise root.refuse(f"labels belong to kinds classify and tag, not {kind}", "labels", mend="drop the key")
    value = root.get("labels")
    if isinstance(value, Mapping):
        section = root.section("labels")
        found = {key.strip(): section.word(key).strip() if section.has(key) else "" for key in section}
    else:
        names = [name.strip() for name in root.texts("labels")]
        found = dict.fromkeys(names, "")
        if len(found) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise root.refuse(f"the label {twice} is said twice", "labels", mend="keep one")
    if len(found) < 2 and kind == "classify":
        raise root.refuse("a classification needs two labels or more", "labels", mend="name them all, or drop the key")
    return found


def _metric_and_goal(root: Section, kind: TaskKind, has_schema: bool) -> tuple[str, float | None]:
    said = root.text("score")
    default = "field_f1" if has_schema else DEFAULT_METRIC[kind]
    if not root.has("goal"):
        metric = said or default
        _check_metric(root, metric, kind, has_schema, "score")
        return metric, None
    value = root.get("goal")
    if not isinstance(value, Mapping) or len(value) != 1:
        raise root.refuse(
            f"must be one metric and a number, not {show(value)}", "goal", mend=f"goal: {{{default}: 0.8}}"
        )
    (metric,) = value
    _check_metric(root, metric, kind, has_schema, "goal", metric)
    if said is not None and said != metric:
        raise root.refuse(
            f"the goal is for {metric} but score says {said}", "goal", mend="the goal is of the primary score"
        )
    goal = root.section("goal").number_at(metric)
    low, high = sorted((METRICS[metric].worst, METRICS[metric].best))
    if not low <= goal <= high:
        mend = (
            f"did you mean {goal / 100:g}?"
            if high == 1 and 1 < goal <= 100
            else f"choose one between {low:g} and {high:g}"
        )
        raise root.refuse(f"{goal:g} is outside the range of {metric}, {low:g} to {high:g}", "goal", metric, mend=mend)
    return metric, goal


def _check_metric(root: Section, name: str, kind: TaskKind, has_schema: bool, *below: str | int) -> None:
    if name not in METRICS:
        raise root.refuse(f"unknown metric {name}", *below, mend=nearest(name, METRICS))
    if name not in KIND_METRICS[kind]:
        raise root.refuse(f"{name} does not score kind {kind}", *below, mend=f"use {', '.join(KIND_METRICS[kind])}")
    if name == "field_f1" and not has_schema:
        raise root.refuse("field_f1 compares the fields of JSON answers", *below, mend="give the schema key")


def _also(root: Section, kind: TaskKind, metric: str, has_schema: bool) -> tuple[str, ...]:
    names = root.texts("also")
    for name in names:
        _check_metric(root, name, kind, has_schema, "also")
    return tuple(name for name in dict.fromkeys(names) if name != metric)


def _margin(root: Section, metric: str) -> float:
    span = abs(METRICS[metric].best - METRICS[metric].worst)
    return _or(root.number("margin", 0, span), 0.05 * span)


def _schema(root: Section, folder: Path, kind: TaskKind) -> Mapping[str, Any] | None:
    if not root.has("schema"):
        return None
    if kind != "generate":
        raise root.refuse(f"schema belongs to kind generate, not {kind}", "schema", mend="drop the key")
    value = root.get("schema")
    if not isinstance(value, Mapping):
        path = root.path(folder, "schema")
        try:
            value = json.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            raise root.refuse(
                f"cannot read {path}: {_reason(error)}", "schema", mend="name a JSON file, or write the schema here"
            ) from None
        except json.JSONDecodeError as error:
            raise root.refuse(
                f"{path.name}:{error.lineno} is not JSON: {error.msg}", "schema", mend="mend the line"
            ) from None
        except (ValueError, RecursionError) as error:
            raise root.refuse(
                f"{path.name} cannot be read as JSON: {error}", "schema", mend="write a JSON object"
            ) from None
    if not isinstance(value, Mapping):
        raise root.refuse("a JSON schema is a mapping", "schema", mend="write {type: object, …}")
    _check_plain(root, value, "schema")
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        validator = validator_for(value)
        validator.check_schema(dict(value))
        list(validator(value, registry=Registry()).iter_errors({}))  # finds references that lead nowhere
    except SchemaError as error:
        raise root.refuse(f"is not a JSON schema: {error.message}", "schema", mend="see json-schema.org") from None
    except (Unresolvable, re.error) as error:
        raise root.refuse(f"is not a usable JSON schema: {error}", "schema", mend="see json-schema.org") from None
    return value


def _check_plain(root: Section, value: Any, *below: str | int) -> None:
    """A mapping made in Python may hold what no task file can."""
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise root.refuse(f"cannot be written as JSON: {error}", *below, mend="give plain values") from None


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else f"not UTF-8 (byte {error.start})"


def _guards(root: Section, folder: Path) -> tuple[Guard, ...]:
    found = []
    for index, entry in enumerate(root.items("guards")):
        if not isinstance(entry, Mapping):
            raise root.refuse(f"must be {{task: FILE}}, not {show(entry)}", "guards", index, mend="write - task: FILE")
        guard = root.section("guards", index)
        margin = _or(guard.number("margin", 0), 0.02)
        if guard.has("benchmark"):
            found.append(_benchmark(guard, folder, margin))
            continue
        guard.only(("task", "margin"))
        if not guard.has("task"):
            raise guard.refuse(
                "the key task is missing", mend="name the guard's task file, or a benchmark with benchmark: NAME"
            )
        path = guard.path(folder, "task")
        try:
            path.read_bytes()
        except OSError as error:
            raise guard.refuse(
                f"there is no task file {path}: {error.strerror}", "task", mend="paths are relative to the task file"
            ) from None
        found.append(Guard(path, margin))
    return tuple(found)


def _benchmark(guard: Section, folder: Path, margin: float) -> Guard:
    """A suite or a task of one by its name, or a task file of lm-eval by its path."""
    guard.only(("benchmark", "data", "limit", "shots", "margin"))
    name = guard.word("benchmark")
    if name.endswith((".yaml", ".yml")):
        name = str(guard.path(folder, "benchmark"))
    data = guard.path(folder, "data") if guard.has("data") else None
    return Guard(None, margin, name, data, guard.whole("limit", 1), guard.whole("shots"))


def _budget(root: Section) -> Budget:
    if not root.has("budget"):
        return Budget()
    budget = root.section("budget")
    budget.only(("memory", "time", "requests", "machine_hour"))
    memory = time = None
    if budget.has("memory"):
        try:
            memory = read_bytes(budget.word("memory"))
        except ValueError:
            raise budget.refuse(
                f"{budget.word('memory')} is no amount of memory", "memory", mend="write 16GB"
            ) from None
    if budget.has("time"):
        try:
            time = read_seconds(budget.word("time"))
        except ValueError:
            raise budget.refuse(f"{budget.word('time')} is no time", "time", mend="write 30m or 2h") from None
    requests = budget.whole("requests", 1)
    default = Budget()
    price, currency = default.machine_hour, default.currency
    if budget.has("machine_hour"):
        try:
            price, currency = read_price(budget.word("machine_hour"))
        except ValueError:
            written = budget.word("machine_hour")
            raise budget.refuse(f"{written} is no price", "machine_hour", mend="write 0.40 or 0.40 EUR") from None
    return Budget(memory, time, default.requests if requests is None else requests, price, currency)


SAMPLING_WHOLE = {"top_k": 0, "seed": 0, "beams": 1}  # the least that each may be
SAMPLING_NUMBERS = {
    "temperature": (0, math.inf),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "repetition_penalty": (0, math.inf),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}


def _sampling(root: Section) -> tuple[Sampling, int | None]:
    most = root.whole("max_new_tokens", 1)
    if not root.has("sampling"):
        return Sampling(), most
    section = root.section("sampling")
    section.only(("max_new_tokens", "stop", *SAMPLING_WHOLE, *SAMPLING_NUMBERS))
    inner = section.whole("max_new_tokens", 1)
    if most is not None and inner is not None:
        raise section.refuse("is said at the top of the file too", "max_new_tokens", mend="keep one")
    given: dict[str, Any] = {key: section.whole(key, low) for key, low in SAMPLING_WHOLE.items()}
    given |= {key: section.number(key, *span) for key, span in SAMPLING_NUMBERS.items()}
    for key in ("top_p", "repetition_penalty"):
        if given[key] == 0:
            raise section.refuse("must be above 0", key, mend="1 switches it off")
    try:
        sampling = Sampling(
            stop=section.texts("stop", blank=True), **{key: value for key, value in given.items() if value is not None}
        )
    except ValueError as error:  # settings that each are in range and do not go together
        raise section.refuse(str(error), mend="change one of them") from None
    return sampling, most if most is not None else inner


def _rungs(root: Section) -> tuple[RungRequest, ...] | None:
    if not root.has("rungs"):
        return None
    found = []
    for index, entry in enumerate(root.items("rungs")):
        where = root.where("rungs", index)
        if not isinstance(entry, Mapping):
            found.append(RungRequest(root.word("rungs", index).strip(), {}, where))
            continue
        if len(entry) != 1:
            raise root.refuse("must be a name, or one name with its fields", "rungs", index, mend="{lora: {rank: 8}}")
        ((name, fields),) = entry.items()
        if fields is not None and not isinstance(fields, Mapping):
            raise root.refuse(
                f"the fields of {name} must be a mapping, not {show(fields)}",
                "rungs",
                index,
                name,
                mend="write {name: {field: value}}",
            )
        _check_plain(root, fields, "rungs", index, name)
        found.append(RungRequest(name, dict(fields or {}), where))
    if not found:
        raise root.refuse("is an empty list", "rungs", mend="drop the key for the default ladder")
    return tuple(found)


def read_file(path: Path) -> TaskSpec:
    """`read_spec` of a file on disk."""
    document = read_yaml(path)
    if not isinstance(document.value, Mapping):
        raise RungError("a task file is a mapping of keys", where=str(path), mend="start with name: and kind:")
    return read_spec(Section(document), path.parent)
