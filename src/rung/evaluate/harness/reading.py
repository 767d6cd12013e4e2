"""Task files of lm-eval on disk: YAML 1.1 as lm-eval reads it, `include`, and groups whose tasks are named.

Nothing of a file runs: a `!function` becomes its name, which `spec` refuses. A name in a group is looked for beside the
group's file and below its folder, by what files call themselves, their group or their tag.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from rung.errors import RungError, nearest
from rung.evaluate.harness.spec import Function, HarnessTask, task_of

GROUP_KEYS = ("group", "group_alias", "task", "aggregate_metric_list", "metadata", "tag", "include")
AVERAGE_KEYS = ("metric", "aggregation", "weight_by_size", "filter_list")
Given = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Average:
    """How a group's score is made of its tasks': of which metric (None: of each), behind which filters, by size or not."""

    metric: str | None = None
    filters: tuple[str, ...] | None = None
    by_size: bool = True


@dataclass(frozen=True)
class HarnessGroup:
    """Tasks, and groups of tasks, that belong together; `averages` says which scores the group has of its own."""

    name: str
    members: tuple[HarnessTask | HarnessGroup, ...]
    averages: tuple[Average, ...] = ()

    @property
    def tasks(self) -> tuple[HarnessTask, ...]:
        """All its tasks, those of groups inside too."""
        inside = [one.tasks if isinstance(one, HarnessGroup) else (one,) for one in self.members]
        return tuple(task for tasks in inside for task in tasks)

    @property
    def groups(self) -> tuple[HarnessGroup, ...]:
        """Itself and the groups inside."""
        inside = [one.groups for one in self.members if isinstance(one, HarnessGroup)]
        return (self, *(group for groups in inside for group in groups))


class _Loader(yaml.SafeLoader):
    """YAML 1.1 without code."""


def _function(loader: _Loader, node: yaml.ScalarNode) -> Function:
    return Function(loader.construct_scalar(node))


_Loader.add_constructor("!function", _function)


def read_task(path: Path) -> HarnessTask | HarnessGroup:
    """The task, or the group of tasks, of a file. Raises RungError for what is wrong or not supported, in one line."""
    return _Folder(path.parent).made(mapping_of(path), path.parent, path.stem, str(path), ())


def mapping_of(path: Path, above: tuple[Path, ...] = ()) -> Given:
    """A file's content with what it includes; its own keys win. Raises RungError where a file is none, or a circle."""
    place = path.resolve()
    if place in above:
        raise RungError("includes itself", where=str(path), mend="break the circle of include")
    try:
        given = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (a SafeLoader)
        json.dumps(given, default=str)  # an alias inside itself would never end
    except OSError as error:
        raise RungError(f"cannot be read ({error.strerror})", where=str(path), mend="check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, TypeError, RecursionError) as error:
        told = " ".join(str(error).split())[:200]
        raise RungError(f"is no task file: {told}", where=str(path), mend="correct the YAML") from None
    if not isinstance(given, dict):
        raise RungError("a task file is a mapping of keys", where=str(path), mend="start with task: and dataset_path:")
    return _joined(given, path.parent, str(path), (*above, place))


def _joined(given: Given, folder: Path, where: str, above: tuple[Path, ...]) -> Given:
    included = given.pop("include", None) or []
    base: Given = {}
    for other in [included] if isinstance(included, str) else included:
        if not isinstance(other, str):
            raise RungError(f"include is {other!r:.60}", where=where, mend="name files")
        base |= mapping_of(folder / other, above)
    return base | given


class _Folder:
    """The task files below a folder, found by the names that they give themselves."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def _index(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for file in sorted(self._folder.rglob("*.yaml")):
            try:
                given = mapping_of(file)
            except RungError:  # a file that nobody asked for may be wrong
                continue
            tags = given.get("tag") or []
            own = given.get("group") or given.get("task")
            for name in [own, *([tags] if isinstance(tags, str) else tags)]:
                if isinstance(name, str):
                    found.setdefault(name, []).append(file)
        return found

    def made(self, given: Given, folder: Path, name: str, where: str, above: tuple[str, ...]) -> Any:
        """The task or group of a content."""
        if "group" not in given and not isinstance(given.get("task"), list):
            return task_of(given, folder, name, where)
        own = str(given.get("group") or name)
        if own in above:
            raise RungError(f"the group {own} holds itself", where=where, mend="break the circle")
        for key in given:
            if key not in GROUP_KEYS:
                mend = f"set it in the tasks; {nearest(str(key), GROUP_KEYS)}"
                raise RungError(f"{key} of a group is not supported", where=where, mend=mend)
        listed = given.get("task") or []
        members: list[HarnessTask | HarnessGroup] = []
        for entry in [listed] if isinstance(listed, str) else listed:
            members += self._entry(entry, folder, where, (*above, own))
        if not members:
            raise RungError("a group without tasks", where=where, mend="list some under task:")
        return HarnessGroup(own, tuple(members), tuple(_averages(given, where)))

    def _entry(
        self, entry: Any, folder: Path, where: str, above: tuple[str, ...]
    ) -> Iterator[HarnessTask | HarnessGroup]:
        if isinstance(entry, str):
            files = self._files(entry, folder)
            if not files:
                known = sorted(self._index)
                mend = nearest(entry, known) if known else f"put {entry}.yaml beside it"
                raise RungError(f"no file of the task {entry!r}", where=where, mend=mend)
            for file in files:
                yield self.made(mapping_of(file), file.parent, file.stem, str(file), above)
        elif isinstance(entry, Mapping):
            given = _joined(dict(entry), folder, where, ())
            named = given.get("task")
            if "group" not in given and isinstance(named, str) and (files := self._files(named, folder)):
                given, folder = mapping_of(files[0]) | given, files[0].parent  # a known task, some keys changed
            yield self.made(given, folder, str(named or "task"), where, above)
        else:
            raise RungError(f"task lists {entry!r:.60}", where=where, mend="write names, or mappings of keys")

    def _files(self, name: str, folder: Path) -> list[Path]:
        beside = [file for file in (folder / name, folder / f"{name}.yaml") if file.is_file()]
        return beside[:1] or self._index.get(name, [])


def _averages(given: Mapping[str, Any], where: str) -> Iterator[Average]:
    rules = given.get("aggregate_metric_list") or []
    for rule in [rules] if isinstance(rules, Mapping) else rules:
        if not isinstance(rule, Mapping) or not isinstance(rule.get("metric"), str):
            raise RungError("aggregate_metric_list without metric", where=where, mend="give each entry metric:")
        for key in rule:
            if key not in AVERAGE_KEYS:
                mend = nearest(str(key), AVERAGE_KEYS)
                raise RungError(f"{key} of aggregate_metric_list is not supported", where=where, mend=mend)
        if (way := rule.get("aggregation", "mean")) != "mean":
            raise RungError(f"aggregation {str(way)!r} of a group is not supported", where=where, mend="mean")
        names = rule.get("filter_list")
        filters = None if names is None else tuple([names] if isinstance(names, str) else map(str, names))
        yield Average(rule["metric"], filters, bool(rule.get("weight_by_size", True)))
