"""A task file of lm-eval as a checked value: which keys are known, what they may hold, what is not supported.

YAML is read as lm-eval reads it (version 1.1, `include`), but nothing of a file runs: a `!function` is refused by name.
Rows, templates and scores live beside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from rung.errors import RungError, nearest

OUTPUT_TYPES = ("multiple_choice", "loglikelihood", "loglikelihood_rolling", "generate_until")
METRICS = {
    "multiple_choice": ("acc", "acc_norm", "acc_bytes", "exact_match", "f1", "mcc", "brier_score"),
    "loglikelihood": ("acc", "perplexity"),
    "loglikelihood_rolling": ("word_perplexity", "byte_perplexity", "bits_per_byte"),
    "generate_until": ("exact_match", "bleu", "chrf", "ter"),
}
DEFAULT_METRICS = {
    "multiple_choice": ("acc", "acc_norm"),
    "loglikelihood": ("perplexity", "acc"),
    "loglikelihood_rolling": METRICS["loglikelihood_rolling"],
    "generate_until": ("exact_match",),
}
NOT_SUPPORTED = (
    "custom_dataset", "process_docs", "process_results", "use_prompt", "doc_to_image", "doc_to_audio", "unsafe_code",
)  # fmt: skip
WITHOUT_EFFECT = (
    "task_alias", "tag", "metadata", "should_decontaminate", "doc_to_decontamination_query", "group_alias",
)  # fmt: skip
LISTED = {"metric", "aggregation", "higher_is_better"}  # keys of a metric that are not settings of it


class Function(str):
    """A `!function` of a task file: its name, never its code."""


class _Loader(yaml.SafeLoader):
    """YAML 1.1 without code."""


def _function(loader: _Loader, node: yaml.ScalarNode) -> Function:
    return Function(loader.construct_scalar(node))


_Loader.add_constructor("!function", _function)


@dataclass(frozen=True, slots=True)
class Shots:
    """Where worked examples come from and how they are written; what is None is as for the items."""

    sampler: str = "default"
    split: str | None = None
    samples: tuple[Mapping[str, Any], ...] = ()
    doc_to_text: Any = None
    doc_to_choice: Any = None
    doc_to_target: Any = None
    gen_prefix: str | None = None
    fewshot_delimiter: str | None = None
    target_delimiter: str | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One score of a task: its name and settings."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    higher_is_better: bool = True


@dataclass(frozen=True)
class HarnessTask:
    """A task of lm-eval's form. `folder` is what its relative paths start from."""

    task: str
    folder: Path
    output_type: str = "generate_until"
    dataset_path: str | None = None
    dataset_name: str | None = None
    dataset_kwargs: Mapping[str, Any] = field(default_factory=dict)
    training_split: str | None = None
    validation_split: str | None = None
    test_split: str | None = None
    fewshot_split: str | None = None
    doc_to_text: Any = None
    doc_to_target: Any = None
    doc_to_choice: Any = None
    description: str = ""
    target_delimiter: str = " "
    fewshot_delimiter: str = "\n\n"
    num_fewshot: int = 0
    shots: Shots = Shots()
    gen_prefix: str | None = None
    generation_kwargs: Mapping[str, Any] = field(default_factory=dict)
    repeats: int = 1
    metrics: tuple[Metric, ...] = ()
    filters: tuple[tuple[str, tuple[Mapping[str, Any], ...]], ...] = (("none", ({"function": "take_first"},)),)

    @property
    def split(self) -> str:
        """The split whose items are scored."""
        split = self.test_split or self.validation_split
        assert split is not None
        return split


@dataclass(frozen=True)
class HarnessGroup:
    """Several tasks whose scores are averaged, by their sizes or each alike."""

    name: str
    tasks: tuple[HarnessTask, ...]
    by_size: bool = True


def read_task(path: Path) -> HarnessTask | HarnessGroup:
    """The task, or the group of tasks, of a file. Raises RungError for what is wrong or not supported, in one line."""
    return from_mapping(_mapping(path, ()), path.parent, path.stem, str(path))


def from_mapping(given: Mapping[str, Any], folder: Path, name: str, where: str) -> HarnessTask | HarnessGroup:
    """The same for a file's content; `name` serves where it names itself nowhere."""
    if "group" in given or isinstance(given.get("task"), list):
        return _group(given, folder, name, where)
    return _task(given, folder, name, where)


def _mapping(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """A file with what it includes; its own keys win."""
    place = path.resolve()
    if place in above:
        raise RungError("includes itself", where=str(path), mend="break the circle of include")
    try:
        text = path.read_text(encoding="utf-8")
        given = yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
        json.dumps(given, default=str)  # an alias inside itself would never end
    except OSError as error:
        raise RungError(f"cannot be read ({error.strerror})", where=str(path), mend="check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        told = " ".join(str(error).split())[:200]
        raise RungError(f"is no task file: {told}", where=str(path), mend="correct the YAML") from None
    if not isinstance(given, dict):
        raise RungError("a task file is a mapping of keys", where=str(path), mend="start with task: and dataset_path:")
    base: dict[str, Any] = {}
    included = given.pop("include", [])
    for other in [included] if isinstance(included, str) else included:
        base |= _mapping(path.parent / other, (*above, place))
    return base | given


def _group(given: Mapping[str, Any], folder: Path, name: str, where: str) -> HarnessGroup:
    tasks: list[HarnessTask] = []
    for entry in given.get("task") or []:
        if isinstance(entry, str):
            file = next((f for f in (folder / entry, folder / f"{entry}.yaml") if f.is_file()), None)
            if file is None:
                raise RungError(f"no file of the task {entry!r}", where=where, mend=f"put {entry}.yaml beside it")
            found = read_task(file)
        else:
            found = from_mapping(entry, folder, str(entry.get("task", name)), where)
        tasks += found.tasks if isinstance(found, HarnessGroup) else [found]
    if not tasks:
        raise RungError("a group without tasks", where=where, mend="list some under task:")
    rules = given.get("aggregate_metric_list") or [{}]
    return HarnessGroup(str(given.get("group", name)), tuple(tasks), bool(rules[0].get("weight_by_size", True)))


def _task(given: Mapping[str, Any], folder: Path, name: str, where: str) -> HarnessTask:
    _refuse_code(given, where)
    own = {one.name for one in fields(HarnessTask)} - {"folder", "shots", "metrics", "filters"}
    known = {*own, "fewshot_config", "metric_list", "filter_list", *WITHOUT_EFFECT}
    for key in given:
        if key in NOT_SUPPORTED and not given[key]:
            continue
        if key in NOT_SUPPORTED:
            raise RungError(
                f"{key} is not supported", where=where, mend="prepare the data beforehand, and drop the key"
            )
        if key not in known:
            raise RungError(f"unknown key {key!r}", where=where, mend=nearest(key, known))
    values: dict[str, Any] = {key: given[key] for key in own if given.get(key) is not None}
    kind = values.get("output_type", "generate_until")
    if kind not in OUTPUT_TYPES:
        raise RungError(f"unknown output_type {kind!r}", where=where, mend=nearest(str(kind), OUTPUT_TYPES))
    if not (given.get("test_split") or given.get("validation_split")):
        raise RungError("names no split to score", where=where, mend="give test_split or validation_split")
    for key in ("dataset_path", "doc_to_target") if kind != "loglikelihood_rolling" else ("dataset_path",):
        if given.get(key) is None:
            raise RungError(f"has no {key}", where=where, mend="add the key")
    if kind == "multiple_choice" and given.get("doc_to_choice") is None:
        raise RungError("multiple_choice without doc_to_choice", where=where, mend="add the key")
    values |= {"task": str(values.get("task", name)), "folder": folder}
    values |= {"shots": _shots(given, where), "metrics": _metrics(given, str(kind), where)}
    if given.get("filter_list"):
        values["filters"] = _filters(given["filter_list"], where)
    return HarnessTask(**values)


def _refuse_code(value: Any, where: str, path: str = "") -> None:
    if isinstance(value, Function):
        raise RungError(
            f"{path} is a Python function ({value}), which does not run here", where=where, mend="use a template"
        )
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _refuse_code(inner, where, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            _refuse_code(inner, where, path)


def _shots(given: Mapping[str, Any], where: str) -> Shots:
    config = dict(given.get("fewshot_config") or {})
    known = [one.name for one in fields(Shots)]
    for key in config:
        if key not in known:
            raise RungError(f"unknown key fewshot_config.{key}", where=where, mend=nearest(key, known))
    if config.get("sampler", "default") not in ("default", "first_n"):
        raise RungError(f"sampler {config['sampler']!r} is not supported", where=where, mend="default or first_n")
    config["samples"] = tuple(config.get("samples") or ())
    return Shots(**{"split": given.get("fewshot_split"), **{k: v for k, v in config.items() if v is not None}})


def _metrics(given: Mapping[str, Any], kind: str, where: str) -> tuple[Metric, ...]:
    found = []
    for entry in given.get("metric_list") or [{"metric": name} for name in DEFAULT_METRICS[kind]]:
        name = entry.get("metric") if isinstance(entry, Mapping) else entry
        if name not in METRICS[kind]:
            raise RungError(
                f"metric {name!r} of {kind} is not supported", where=where, mend=f"known: {', '.join(METRICS[kind])}"
            )
        settings = {key: value for key, value in entry.items() if key not in LISTED and key != "hf_evaluate"}
        usual = name not in ("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "brier_score", "ter")
        found.append(Metric(str(name), settings, bool(entry.get("higher_is_better", usual))))
    return tuple(found)


def _filters(given: Any, where: str) -> tuple[tuple[str, tuple[Mapping[str, Any], ...]], ...]:
    from rung.evaluate.harness.filters import FILTERS

    found = []
    for entry in given:
        steps = tuple(entry.get("filter") or ())
        for step in steps:
            if step.get("function") not in FILTERS:
                name = str(step.get("function"))
                raise RungError(f"filter {name!r} is not supported", where=where, mend=nearest(name, FILTERS))
        found.append((str(entry["name"]), steps))
    return tuple(found)
