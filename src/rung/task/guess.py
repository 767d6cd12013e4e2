"""A first task file for unknown data: what `rung init` writes. Every guess is explained, every doubt is told.

Guesses are made from names and looks of columns (`columns`); the file is then read back, so that what is written loads.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rung.errors import RungError
from rung.task.columns import Column, by_name, look_at
from rung.task.delimited import Reading
from rung.task.document import Section, parse_yaml, show
from rung.task.guess_tags import guess_tags
from rung.task.shapes import SHAPES, detect
from rung.task.sniff import sniff
from rung.task.sources import SPLIT_NAMES, Row, read_source
from rung.task.spec import KIND_METRICS, read_spec
from rung.task.task import Task

_LABEL_NAMES = ("label", "labels", "class", "category", "intent", "sentiment", "topic", "gold", "y")
_ANSWER_NAMES = (
    "target",
    "summary",
    "answer",
    "output",
    "completion",
    "response",
    "reply",
    "translation",
    "headline",
    "solution",
    "canonicalsolution",
)
_INPUT_NAMES = (
    "text", "input", "dialogue", "dialog", "document", "article", "question", "prompt", "sentence", "review", "message",
    "content", "body", "query", "utterance", "tweet", "sms", "comment", "description", "source", "instruction", "x",
)  # fmt: skip
_RIGHT_NAMES = ("answer", "answerkey", "correct", "answeridx", "answerindex", "label", "target", "gold")
_PAIRS = (("premise", "hypothesis"), ("context", "question"), ("title", "body"), ("title", "text"), ("subject", "body"),
          ("sentence1", "sentence2"), ("question1", "question2"), ("text1", "text2"))  # fmt: skip
_GROUP_NAMES = (
    "group", "customer", "customerid", "user", "userid", "author", "authorid", "account", "accountid", "patient",
    "patientid", "session", "sessionid", "conversationid", "dialogueid", "threadid", "thread", "documentid", "docid",
)  # fmt: skip
_ID_NAMES = ("id", "uid", "uuid", "guid", "fname", "rowid", "exampleid", "key")
_CHOICE = re.compile(r"(choice|option|answer|ending|solution|opt|sol)[ _]?([0-9]|[a-h])\Z", re.IGNORECASE)
_SHOWN_LABELS = 50


@dataclass(frozen=True)
class Guess:
    """The text of a task file, and what the guesser was unsure of, a line each."""

    text: str
    unsure: tuple[str, ...]


@dataclass
class _Draft:
    """The file as it grows: lines of (key, value, comment) and doubts."""

    rows: list[Row]
    columns: dict[str, Column]
    kind: str = "generate"
    input: str | None = None
    target: str | None = None
    data: list[tuple[str, Any, str]] = field(default_factory=list)
    top: list[tuple[str, Any, str]] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    why_kind: str = ""


def guess_task(sources: Sequence[str | Path], folder: str | Path = ".", name: str | None = None) -> Guess:
    """Look at data files and propose a task file to be saved in `folder`.

    `sources` are paths as for `data.source` (relative to the working directory, or hub:NAME); several whose names say
    train, dev and test are taken for the splits. Raises RungError where the data cannot be read at all.
    """
    folder = Path(folder)
    if not all(str(source) for source in sources):
        raise RungError("a name is empty", where="data", mend="name a file, a folder or hub:NAME")
    written = {str(source): _relative(str(source), folder) for source in sources}
    reading, how = _reading([str(source) for source in sources])
    rows: list[Row] = []
    members: list[str] = []
    for source in written.values():
        for member, part in read_source(source, folder, reading).items():
            members += [member] if member else []
            if not member or member.lower() in SPLIT_NAMES:
                rows += part
    if not rows:
        raise RungError(f"holds several members and none is a split: {', '.join(members)}", where=str(sources[0]),
                        mend="pick one with #")  # fmt: skip
    draft = _Draft(rows, look_at(rows))
    split_names = _split_names(list(written.values()))
    draft.data.append(("source", *_source(list(written.values()), split_names)))
    draft.data += how
    _guess_columns(draft)
    _guess_extras(draft)
    if not split_names and not any(member.lower() in SPLIT_NAMES for member in members):
        why = (
            "labels in equal shares; near duplicates stay together"
            if draft.kind == "classify"
            else "at random, by seed"
        )
        draft.data.append(("split", {"train": 0.7, "validation": 0.15, "test": 0.15, "seed": 0}, why))
    _guess_rest(draft)
    return _proved(draft, name or _name(str(sources[0])), folder)


def _relative(source: str, folder: Path) -> str:
    beneath = Path(source).is_relative_to(folder.absolute())
    if source.startswith("hub:") or (Path(source).is_absolute() and not beneath):
        return source
    return os.path.relpath(source, folder)


def _name(source: str) -> str:
    stem = Path(source.partition("#")[0].removeprefix("hub:").partition(":")[0]).name.split(".")[0]
    if stem.lower() in SPLIT_NAMES:
        stem = Path(source).absolute().parent.name
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "task"


def _reading(sources: Sequence[str]) -> tuple[Reading, list[tuple[str, Any, str]]]:
    """How to read delimited text, with the keys that say so where the default would not do."""
    for source in sources:
        path = Path(source)
        if path.is_file():
            return sniff(path)
    return Reading(), []


def _split_names(sources: Sequence[str]) -> dict[str, str]:
    """The split that each file's name says, where all say one and no two the same."""
    found: dict[str, str] = {}
    for source in sources:
        name, _, member = source.partition("#")
        words = [member.lower(), *re.split(r"[^a-z0-9]+", Path(name).name.lower())]
        split = next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)
        if split is None or split in found:
            return {}
        found[split] = source
    return found if len(found) > 1 else {}


def _source(sources: Sequence[str], splits: Mapping[str, str]) -> tuple[Any, str]:
    if splits and "train" not in splits:
        splits = {"train": splits["validation"], "test": splits["test"]}
        return splits, "no file of train: the rows of the other one serve as train and validation"
    if splits:
        ordered = {name: splits[name] for name in ("train", "validation", "test") if name in splits}
        return ordered, "the file names say which split is which"
    return (sources[0], "") if len(sources) == 1 else (list(sources), "")


def _guess_columns(draft: _Draft) -> None:
    """Input and target, choices, and the kind that follows."""
    columns = draft.columns
    if tagged := guess_tags(columns):
        draft.input, draft.target, draft.why_kind = tagged
        draft.kind = "tag"
        draft.data += [("input", draft.input, ""), ("target", draft.target, "")]
        return
    if _guess_choices(draft):
        return
    shape = detect(columns)
    if shape is not None:
        last = SHAPES[shape][0][-1]
        draft.target = last
        if shape in ("prompt-completion", "question-answer") and columns[last].are_classes:
            draft.kind, draft.why_kind = "classify", f"{last} has {len(columns[last].counts)} values"
        draft.data.append(("format", shape, f"read from {' and '.join(SHAPES[shape][0])}"))
        return
    target = _guess_target(draft)
    draft.target = target
    if columns[target].are_classes:
        draft.kind, draft.why_kind = "classify", f"{target} has {len(columns[target].counts)} values"
    else:
        draft.why_kind = f"{target} is free text: {len(columns[target].counts)} values in {len(draft.rows)} rows"
    _guess_input(draft)
    family = [name for name in columns if _base(name) == _base(target) and name != draft.input]
    if draft.kind == "generate" and len(family) > 1:
        draft.data.append(("target", family, "several right answers: each counts"))
    else:
        draft.data.append(("target", target, ""))


def _guess_choices(draft: _Draft) -> bool:
    """Choices are a column of lists, or columns named choice0, option_b, …, beside a column that says the right one."""
    columns = draft.columns
    right = by_name(columns, _RIGHT_NAMES)
    lists = next((name for name, column in columns.items() if _holds_choices(column)), None)
    families: dict[str, list[str]] = {}
    for name in columns:
        if match := _CHOICE.match(name):
            families.setdefault(match.group(1).lower(), []).append(name)
    letters = [name for name in columns if name in tuple("ABCDEFGH")]
    family = max([*families.values(), letters], key=len)
    if right is None or (lists is None and len(family) < 2) or right in family or lists == right:
        return False
    draft.kind, draft.target = "choose", right
    draft.why_kind = f"the choices are in {lists or ', '.join(family)}"
    nested = next((name for name, column in columns.items() if column.objects and "stem" in column.objects[0]), None)
    if nested is not None:
        draft.input = f"{nested}.stem"
        draft.data.append(("input", draft.input, ""))
    else:
        _guess_input(draft, exclude=(right, lists or "", *family))
    if lists is not None and nested == lists:
        lists = f"{nested}.choices"
    draft.data.append(("choices", lists or family, ""))
    draft.data.append(
        ("target", right, f"the text, letter or index (from 0) of the right one: {_some(columns[right])}")
    )
    return True


def _holds_choices(column: Column) -> bool:
    nested = column.objects
    if nested and all(isinstance(cell.get("choices"), list) for cell in nested):
        return True
    return column.holds_lists and re.sub(r"[^a-z]", "", column.name.lower()) in (
        "choices",
        "options",
        "endings",
        "answers",
    )


def _guess_target(draft: _Draft) -> str:
    columns = draft.columns
    classes = [n for n, column in columns.items() if column.are_classes and not _is_named(n, _GROUP_NAMES)]
    named = by_name(columns, _LABEL_NAMES, classes) or by_name(columns, (*_ANSWER_NAMES, *_LABEL_NAMES))
    if named is None:  # label_text, is_toxic, summary1 …
        near = [
            n
            for n in columns
            if re.search(r"(^is_|_label|label_|_class$)|^(label|summary|answer|target|output)", n.lower())
        ]
        named = next((n for n in near if columns[n].texts), None)
    if named is not None:
        others = [n for n in columns if _base(n) != _base(named) and _could_be_target(n, columns[n])]
        if others:
            draft.unsure.append(f"the target: {named} was taken, {', '.join(others)} could be meant too")
        return named
    filled = [n for n, column in columns.items() if column.texts]
    if len(filled) < 2:
        where = draft.rows[0].file
        raise RungError(
            f"has one column with text ({', '.join(filled)}), no input and target",
            where=where,
            mend="give a column of inputs and one of answers",
        )
    classes = [n for n in classes if columns[n].filled == 1] or classes
    chosen = min(classes, key=lambda n: len(columns[n].counts)) if classes else filled[-1]
    looks = "the column with fewest values" if classes else "the last column"
    rivals = f"; {', '.join(n for n in classes if n != chosen)} could be meant too" if len(classes) > 1 else ""
    draft.unsure.append(f"the target: no column has a telling name, {chosen} is {looks}{rivals}")
    return chosen


def _could_be_target(name: str, column: Column) -> bool:
    if _is_named(name, _LABEL_NAMES):
        return bool(column.texts)
    return bool(column.texts) and any(word in _ANSWER_NAMES for word in re.split(r"[^a-z]+", name.lower()))


def _guess_input(draft: _Draft, exclude: Sequence[str] = ()) -> None:
    columns = draft.columns
    taken = (draft.target, *exclude)
    free = [n for n, column in columns.items() if n not in taken and column.texts and not _is_reference(n, draft)]
    lower = {name.lower(): name for name in free}
    pair = next(((lower[a], lower[b]) for a, b in _PAIRS if a in lower and b in lower), None)
    if pair is not None:
        heads = [name.replace("_", " ").capitalize() for name in pair]
        draft.input = f"{heads[0]}: {{{pair[0]}}}\n{heads[1]}: {{{pair[1]}}}"
        draft.data.insert(1, ("input", draft.input, "a template: both columns go in"))
        return
    if not free:
        raise RungError(
            f"has no column for the input beside {draft.target}",
            where=draft.rows[0].file,
            mend="give a column of texts",
        )
    named = by_name(columns, _INPUT_NAMES, free)
    longest = max(free, key=lambda n: columns[n].words)
    draft.input = named or longest
    why = f"{columns[draft.input].words:.0f} words on average"
    if named is None:
        draft.unsure.append(f"the input: no column has a telling name, {longest} has the longest texts")
    elif columns[longest].words > 2 * columns[named].words + 5:
        draft.unsure.append(f"the input: {named} was taken for its name, {longest} has longer texts")
    draft.data.append(("input", draft.input, why))


def _is_reference(name: str, draft: _Draft) -> bool:
    return draft.target is not None and _base(name) == _base(draft.target)


def _base(name: str) -> str:
    """`summary2` and `summary` are of one family, `0` and `1` are not."""
    return re.sub(r"(?<=\D)\d+\Z", "", name)


def _is_named(name: str, names: Sequence[str]) -> bool:
    return re.sub(r"[^a-z0-9]", "", name.lower()) in names


def _guess_extras(draft: _Draft) -> None:
    """Columns that identify rows or groups of rows."""
    used = {draft.target, draft.input}
    for name, column in draft.columns.items():
        if name in used or column.filled < 1:
            continue
        if _is_named(name, _ID_NAMES) and column.is_unique:
            draft.data.append(("id", name, "one value a row"))
            break
    for name, column in draft.columns.items():
        if name not in used and _is_named(name, _GROUP_NAMES) and 10 <= len(column.counts) < 0.9 * len(draft.rows):
            draft.data.append(("group", name, f"{len(column.counts)} groups, none is cut by the splits"))
            draft.unsure.append(f"the group: rows of one {name} stay in one split; drop the key if they are unrelated")
            break


def _guess_rest(draft: _Draft) -> None:
    """Instruction, labels, schema, score: what stands at the top of the file."""
    target = draft.columns.get(draft.target or "")
    if draft.kind == "tag":
        draft.top.append(
            ("score", "entity_f1", f"exactly the right words and type; of: {', '.join(KIND_METRICS['tag'])}")
        )
        return
    if not any(key == "format" and value in ("alpaca", "messages", "sharegpt") for key, value, _ in draft.data):
        why = "say what a good answer is, as you would tell a colleague"
        draft.top.append(("instruction", _instruction(draft), why))
    if draft.kind == "classify" and target is not None:
        _guess_labels(draft, target)
    objects = target.objects if draft.kind == "generate" and target is not None else None
    if objects:
        draft.top.append(("schema", _schema(objects), f"inferred from {len(objects)} targets; loosen or tighten it"))
    score, why = _score(draft, target, bool(objects))
    draft.top.append(("score", score, why))


def _guess_labels(draft: _Draft, target: Column) -> None:
    counts = target.counts
    labels = sorted(counts)
    if len(labels) <= _SHOWN_LABELS:
        draft.top.append(("labels", labels, "write {label: what it means} to describe them"))
    if all(re.fullmatch(r"[-0-9.]+", label) for label in labels):
        draft.unsure.append(
            f"the labels {show(', '.join(labels))} are numbers: a prompted model guesses better from words"
        )
    folded: dict[str, str] = {}
    for label in labels:
        if label.lower() in folded:
            draft.unsure.append(
                f"the labels {folded[label.lower()]} and {label} differ in case only: one may be a slip"
            )
        folded[label.lower()] = label


def _instruction(draft: _Draft) -> str:
    if draft.kind == "choose":
        return "Choose the right answer."
    thing = (draft.input or "text").split(".")[0].lower()
    thing = (
        thing if re.fullmatch(r"[a-z]{3,}", thing) and thing not in ("input", "content", "body", "source") else "text"
    )
    if draft.kind == "classify":
        return f"Give the label of the {thing}."
    told = (draft.target or "").lower()
    if "summary" in told or told == "headline":
        return f"Summarise the {thing}."
    if "answer" in told:
        return "Answer the question."
    if "translation" in told:
        return f"Translate the {thing}."
    return "Answer as in the examples."


def _score(draft: _Draft, target: Column | None, has_schema: bool) -> tuple[str, str]:
    others = ", ".join(KIND_METRICS[draft.kind])  # type: ignore[index]
    if draft.kind == "classify" and target is not None:
        label, count = target.counts.most_common(1)[0]
        share = count / len(target.texts)
        if share > 0.6:
            return "macro_f1", f"{share:.0%} of the rows are {show(label, 20)}: accuracy would flatter"
        return "accuracy", f"of: {others}"
    if draft.kind == "choose":
        return "accuracy", ""
    if has_schema:
        return "field_f1", "right fields of the JSON answer"
    if target is not None and target.words <= 3:
        return "exact_match", f"answers have {target.words:.1f} words on average"
    return "rougeL", f"shared words in order; of: {others}"


def _schema(objects: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The JSON schema that all objects fit: types of each key, keys that are always there."""
    keys = dict.fromkeys(key for value in objects for key in value)
    properties = {key: {"type": _types([value[key] for value in objects if key in value])} for key in keys}
    return {"type": "object", "properties": properties, "required": [k for k in keys if all(k in v for v in objects)]}


def _types(values: Sequence[Any]) -> Any:
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    found = sorted({names.get(type(value), "null") for value in values})
    return found[0] if len(found) == 1 else found


def _some(column: Column) -> str:
    return show(", ".join(sorted(column.counts)[:5]), 40)


def _proved(draft: _Draft, name: str, folder: Path) -> Guess:
    """Read the file back; what is set aside or warned of becomes a key or a doubt."""
    text = _write(draft, name, {})
    try:
        spec = read_spec(Section(parse_yaml(_write(draft, name, {"allow_set_aside": 1.0}), "task.yaml")), folder)
        task = Task.from_spec(spec, folder)
    except RungError as error:
        return _told(text, [*draft.unsure, f"the file does not load as it stands: {error}"])
    count = len(task.set_aside)
    share = count / len(draft.rows)
    if share > 0.01:
        draft.unsure.append(f"{count} of {len(draft.rows)} rows cannot be used; is the {draft.target} column right?")
        text = _write(draft, name, {"allow_set_aside": round(share + 0.005, 2)})
    doubts = [warning for warning in task.warnings if "cannot be used" not in warning]
    return _told(text, [*draft.unsure, *doubts])


def _told(text: str, unsure: Sequence[str]) -> Guess:
    return Guess(text + "".join(f"# Unsure: {' '.join(doubt.split())}\n" for doubt in unsure), tuple(unsure))


def _write(draft: _Draft, name: str, more: Mapping[str, Any]) -> str:
    lines = ["# Written by `rung init`: guesses from the data, to be checked. Only name, kind and data are needed."]
    lines += [_line("name", name, ""), _line("kind", draft.kind, draft.why_kind), "data:"]
    lines += [f"  {_line(*entry)}" for entry in draft.data]
    lines += [_line(*entry) for entry in draft.top]
    score = next(value for key, value, _ in draft.top if key == "score")
    some = 0.8 if score in ("accuracy", "macro_f1", "exact_match", "field_f1", "entity_f1") else 0.3
    lines.append(f"# goal: {{{score}: {some}}}  # without a goal, the best rung, or what ties with it for less")
    lines += [_line(key, value, "the share of rows that may be set aside") for key, value in more.items()]
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any, why: str) -> str:
    return f"{key}: {_yaml(value)}" + (f"  # {' '.join(why.split())}" if why else "")


def _yaml(value: Any) -> str:
    """A value as YAML in one line; text without quotes where it reads back as itself."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_yaml(str(key))}: {_yaml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_yaml(inner) for inner in value) + "]"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_.][A-Za-z0-9_./+-]*( [A-Za-z0-9_./+-]+)*[.]?", value):
        same = parse_yaml(value, "").value == yaml.safe_load(value) == value  # other readers take `no` for false
        return value if same else json.dumps(value)
    return json.dumps(value, ensure_ascii=False)
