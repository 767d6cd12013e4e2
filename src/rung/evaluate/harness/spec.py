"""A task of lm-eval's form as a checked value: which keys are known, what they may hold, what is not supported.

Whatever would change a number and is not supported is refused by name; nothing is ignored in silence. How files are found
and joined is in `reading`; rows, templates and scores live beside.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rung.errors import RungError, nearest
from rung.evaluate.harness.filters import FILTERS

OUTPUT_TYPES = ("multiple_choice", "loglikelihood", "loglikelihood_rolling", "generate_until")
AGGREGATIONS = {
    "acc": "mean", "acc_norm": "mean", "acc_bytes": "mean", "exact_match": "mean", "f1": "f1", "mcc": "matthews_corrcoef",
    "brier_score": "brier_score", "perplexity": "perplexity", "word_perplexity": "weighted_perplexity",
    "byte_perplexity": "weighted_perplexity", "bits_per_byte": "bits_per_byte", "bleu": "bleu", "chrf": "chrf", "ter": "ter",
}  # fmt: skip
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
LOWER_IS_BETTER = ("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "brier_score", "ter")
MATCHING = ("ignore_case", "ignore_punctuation", "ignore_numbers", "regexes_to_ignore")  # settings of exact_match
MOST_NEW = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")  # the first that is given counts
GENERATION = (*MOST_NEW, "until", "do_sample", "temperature", "top_p", "top_k")
NOT_SUPPORTED = (
    "custom_dataset", "process_docs", "process_results", "use_prompt", "doc_to_image", "doc_to_audio", "unsafe_code",
)  # fmt: skip
WITHOUT_EFFECT = (
    "task_alias", "tag", "metadata", "should_decontaminate", "doc_to_decontamination_query", "group_alias",
)  # fmt: skip
TEXTS = (
    "dataset_path", "training_split", "validation_split", "test_split", "fewshot_split", "description",
    "target_delimiter", "fewshot_delimiter", "gen_prefix",
)  # fmt: skip
MAPPINGS = ("dataset_kwargs", "generation_kwargs", "fewshot_config")
LISTS = ("metric_list", "filter_list")

Filters = tuple[tuple[str, tuple[Mapping[str, Any], ...]], ...]


class Function(str):
    """A `!function` of a task file: its name, never its code."""


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
    """One score of a task: its name and settings.

    `column` is for suites: it names a column with a grade for each choice, so that an item's score is the grade of the
    likeliest one; for perplexities, the column whose words or bytes count.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    higher_is_better: bool = True
    column: str | None = None


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
    filters: Filters = (("none", ({"function": "take_first"},)),)

    @property
    def split(self) -> str:
        """The split whose items are scored."""
        split = self.test_split or self.validation_split
        assert split is not None
        return split


def task_of(given: Mapping[str, Any], folder: Path, name: str, where: str) -> HarnessTask:
    """The task of a file's content; `name` serves where it names itself nowhere.

    Raises RungError for what is wrong or not supported, in one line.
    """
    for path, function in functions(given):
        raise RungError(
            f"{path} is a Python function ({function}), which does not run here", where=where, mend="use a template"
        )
    own = {one.name for one in fields(HarnessTask)} - {"folder", "shots", "metrics", "filters"}
    _known_keys(given, {*own, "fewshot_config", *LISTS, *WITHOUT_EFFECT}, where)
    _kinds(given, where)
    values: dict[str, Any] = {key: given[key] for key in own if given.get(key) is not None}
    kind = str(values.get("output_type", "generate_until"))
    if kind not in OUTPUT_TYPES:
        raise RungError(f"unknown output_type {kind!r}", where=where, mend=nearest(kind, OUTPUT_TYPES))
    if not (given.get("test_split") or given.get("validation_split")):
        raise RungError("names no split to score", where=where, mend="give test_split or validation_split")
    for key in ("dataset_path", "doc_to_target"):
        if given.get(key) is None:
            raise RungError(f"has no {key}", where=where, mend="add the key")
    if kind == "multiple_choice" and given.get("doc_to_choice") is None:
        raise RungError("multiple_choice without doc_to_choice", where=where, mend="add the key")
    for key in ("doc_to_text", "doc_to_target", "doc_to_choice"):
        if isinstance(given.get(key), float):
            raise RungError(f"{key} is a number", where=where, mend="write a column, a template or an index")
    values |= {"task": str(values.get("task", name)), "folder": folder}
    values |= {"shots": _shots(given, where), "metrics": _metrics(given, kind, where)}
    _generation(values.get("generation_kwargs", {}), where)
    if given.get("filter_list"):
        values["filters"] = _filters(given["filter_list"], kind, where)
    return HarnessTask(**values)


def functions(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(where, name) of each `!function` in a file's content."""
    if isinstance(value, Function):
        yield path, str(value)
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from functions(one, f"{path}.{key}".lstrip("."))


def _known_keys(given: Mapping[str, Any], known: set[str], where: str) -> None:
    for key, value in given.items():
        if key in NOT_SUPPORTED:
            if value:
                mend = "prepare the data beforehand, and drop the key"
                raise RungError(f"{key} is not supported", where=where, mend=mend)
        elif key not in known:
            raise RungError(f"unknown key {str(key)!r}", where=where, mend=nearest(str(key), known))


def _kinds(given: Mapping[str, Any], where: str) -> None:
    """Refuse values of the wrong kind."""
    rules: list[tuple[Sequence[str], Callable[[Any], bool], str]] = [
        (TEXTS, lambda value: isinstance(value, str), "a text"),
        (MAPPINGS, lambda value: isinstance(value, Mapping), "a mapping of keys"),
        (LISTS, lambda value: isinstance(value, list) and all(isinstance(e, Mapping) for e in value),
         "a list of mappings, each with its name"),
        (("num_fewshot",), lambda value: _whole(value, 0), "a whole number from 0 on"),
        (("repeats",), lambda value: _whole(value, 1), "a whole number from 1 on"),
        (("task", "dataset_name"), lambda value: isinstance(value, str | int), "a name"),
    ]  # fmt: skip
    for keys, fits, wanted in rules:
        for key in keys:
            if given.get(key) is not None and not fits(given[key]):
                raise RungError(f"{key} is {given[key]!r:.60}", where=where, mend=f"write {wanted}")


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _shots(given: Mapping[str, Any], where: str) -> Shots:
    config = dict(given.get("fewshot_config") or {})
    known = [one.name for one in fields(Shots)]
    for key in config:
        if key not in known:
            raise RungError(f"fewshot_config.{key} is not supported", where=where, mend=nearest(key, known))
    if config.get("sampler", "default") not in ("default", "first_n"):
        raise RungError(f"sampler {config['sampler']!r} is not supported", where=where, mend="default or first_n")
    samples = config.get("samples") or []
    if not (isinstance(samples, list) and all(isinstance(sample, Mapping) for sample in samples)):
        raise RungError("fewshot_config.samples is no list of rows", where=where, mend="write a mapping a row")
    config["samples"] = tuple(samples)
    return Shots(**{"split": given.get("fewshot_split"), **{k: v for k, v in config.items() if v is not None}})


def _metrics(given: Mapping[str, Any], kind: str, where: str) -> tuple[Metric, ...]:
    found = []
    for entry in given.get("metric_list") or [{"metric": name} for name in DEFAULT_METRICS[kind]]:
        name = entry.get("metric")
        if name not in METRICS[kind]:
            known = ", ".join(METRICS[kind])
            raise RungError(f"metric {name!r} of {kind} is not supported", where=where, mend=f"known: {known}")
        settings = {k: v for k, v in entry.items() if k not in ("metric", "aggregation", "higher_is_better")}
        allowed = MATCHING if (name, kind) == ("exact_match", "generate_until") else ()
        for key, value in settings.items():
            if key not in allowed and not (key == "hf_evaluate" and not value):
                raise RungError(
                    f"{key} of metric {name} is not supported", where=where,
                    mend=nearest(key, allowed) if allowed else "drop it",
                )  # fmt: skip
        _expressions(settings.get("regexes_to_ignore") or (), f"regexes_to_ignore of {name}", where)
        if (way := entry.get("aggregation", AGGREGATIONS[name])) != AGGREGATIONS[name]:
            raise RungError(
                f"aggregation {way!r} of {name} is not supported", where=where, mend=f"{AGGREGATIONS[name]}, or drop it"
            )
        found.append(Metric(str(name), settings, bool(entry.get("higher_is_better", name not in LOWER_IS_BETTER))))
    return tuple(found)


def _generation(given: Mapping[str, Any], where: str) -> None:
    for key, value in given.items():
        if key not in GENERATION:
            raise RungError(
                f"generation_kwargs.{key} is not supported", where=where, mend=f"known: {', '.join(GENERATION)}"
            )
        texts = isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value))
        fits = {
            "until": texts,
            "do_sample": isinstance(value, bool),
            "top_k": _whole(value, 0),
            **dict.fromkeys(MOST_NEW, _whole(value, 1)),
        }.get(key, isinstance(value, int | float) and not isinstance(value, bool) and value >= 0)
        if value is not None and not fits:
            raise RungError(f"generation_kwargs.{key} is {value!r:.60}", where=where, mend="see lm-eval's task guide")
    if given.get("do_sample") and not given.get("temperature"):
        raise RungError("do_sample without a temperature", where=where, mend="give generation_kwargs.temperature")


def _filters(given: Sequence[Mapping[str, Any]], kind: str, where: str) -> Filters:
    found = []
    for entry in given:
        steps = entry.get("filter")
        if not isinstance(entry.get("name"), str) or not isinstance(steps, list) or not steps:
            raise RungError("a filter without name or steps", where=where, mend="give each name: and filter: [...]")
        for place, step in enumerate(steps):
            name = str(step.get("function")) if isinstance(step, Mapping) else str(step)
            if not isinstance(step, Mapping) or name not in FILTERS:
                raise RungError(f"filter {name!r} is not supported", where=where, mend=nearest(name, FILTERS))
            _filter_settings(step, name, where)
            # lm-eval takes the text apart into letters behind take_first; only for `map` of letters it comes to the same.
            later = [after.get("function") for after in steps[place + 1 :] if isinstance(after, Mapping)]
            if name == "take_first" and not {*later} <= {"map", "take_first"}:
                raise RungError("take_first is not the last step", where=where, mend="move it behind the others")
            if kind != "generate_until" and name != "take_first":
                raise RungError(f"filter {name!r} of {kind} has no answers to work on", where=where, mend="drop it")
        found.append((entry["name"], tuple(steps)))
    return tuple(found)


def _filter_settings(step: Mapping[str, Any], name: str, where: str) -> None:
    known = list(inspect.signature(FILTERS[name]).parameters)[1:]
    for key in step:
        if key not in known and key != "function":
            mend = nearest(key, known) if known else "drop it"
            raise RungError(f"{key} of filter {name} is not supported", where=where, mend=mend)
    if name == "regex":
        _expressions([step["regex_pattern"]] if "regex_pattern" in step else (), "regex_pattern", where)
        if not isinstance(step.get("group_select", 0), int):
            raise RungError(f"group_select is {step['group_select']!r}", where=where, mend="write a whole number")
    if name == "map" and not isinstance(step.get("mapping_dict", {}), Mapping):
        raise RungError("mapping_dict is no mapping", where=where, mend="write key: value")
    if name == "take_first_k" and not _whole(step.get("k"), 1):
        raise RungError("take_first_k without k", where=where, mend="give k: a whole number from 1 on")


def _expressions(patterns: Any, what: str, where: str) -> None:
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise RungError(
                f"{what}: {pattern!r:.60} is no regular expression ({error})", where=where, mend="mend it"
            ) from None
