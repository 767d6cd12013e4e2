"""Sources: every format, every usual shape, and the one line that a broken file gets."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from rung.errors import RungError
from rung.task import Task
from rung.types import Example, Message

PAIRS = [(f"how do I reach desk {n} from door {n * 3}", "left" if n % 2 else "right") for n in range(30)]
RECORDS = [{"text": text, "label": label} for text, label in PAIRS]


def load(folder: Path, source: Any, kind: str = "classify", **data: Any) -> Task:
    columns = {} if data.pop("bare", False) else {"input": "text", "target": "label"}
    return Task.from_mapping({"name": "t", "kind": kind, "data": {"source": source, **columns, **data}}, folder)


def rows(task: Task) -> list[Example]:
    return [*task.train, *task.validation, *task.test]


def write(path: Path, name: str) -> None:
    """The same thirty rows in each format."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    lines = "\n".join(json.dumps(record) for record in RECORDS)
    texts = {
        "rows.csv": "text,label\r\n" + "".join(f'"{text}",{label}\r\n' for text, label in PAIRS),
        "rows.tsv": "\ufefftext\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in PAIRS),
        "rows.jsonl": lines + "\n\n",
        "rows.json": json.dumps(RECORDS),
        "rows.psv": "".join(f"{label}|{text}\n" for text, label in PAIRS),
    }
    if name in texts:
        (path / name).write_text(texts[name], encoding="utf-8", newline="")
    elif name == "rows.jsonl.gz":
        (path / name).write_bytes(gzip.compress(lines.encode(), mtime=0))
    else:
        pq.write_table(pa.Table.from_pylist(RECORDS), path / name)


FORMATS = ["rows.csv", "rows.tsv", "rows.jsonl", "rows.json", "rows.jsonl.gz", "rows.parquet", "rows.psv"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_holds_the_same_task(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    more: dict[str, Any] = {"delimiter": "|", "columns": ["label", "text"]} if name == "rows.psv" else {}
    assert load(tmp_path, name, **more).digest == load(tmp_path, RECORDS).digest


def test_a_saved_dataset_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    whole = datasets.Dataset.from_list(RECORDS)
    whole.save_to_disk(str(tmp_path / "whole"))
    assert load(tmp_path, "whole").digest == load(tmp_path, RECORDS).digest
    parts = datasets.DatasetDict({"train": whole.select(range(20)), "test": whole.select(range(20, 30))})
    parts.save_to_disk(str(tmp_path / "parts"))
    task = load(tmp_path, "parts")
    assert len(task.test) == 10 and len(task.train) + len(task.validation) == 20
    assert len(rows(load(tmp_path, "parts#test"))) == 10


def test_a_glob_a_list_and_a_folder_join_files(tmp_path: Path) -> None:
    for n in range(3):
        lines = [json.dumps(record) for record in RECORDS[n * 10 : n * 10 + 10]]
        (tmp_path / f"part{n}.jsonl").write_text("\n".join(lines))
    whole = load(tmp_path, RECORDS).digest
    assert load(tmp_path, "part*.jsonl").digest == whole
    assert load(tmp_path, ["part2.jsonl", "part0.jsonl", "part1.jsonl"]).digest == whole
    assert load(tmp_path.parent, tmp_path.name).digest == whole


def test_the_files_of_a_folder_may_be_the_splits(tmp_path: Path) -> None:
    for name, part in (("train", RECORDS[:20]), ("dev", RECORDS[20:25]), ("test", RECORDS[25:])):
        (tmp_path / f"{name}.json").write_text(json.dumps(part))
    task = load(tmp_path.parent, tmp_path.name)
    assert [len(task.split(name)) for name in ("train", "validation", "test")] == [20, 5, 5]


def test_json_members_are_reached_and_lists_get_numbered_columns(tmp_path: Path) -> None:
    pairs = [list(pair) for pair in PAIRS]
    (tmp_path / "all.json").write_text(
        json.dumps({"train": pairs[:20], "val": pairs[20:25], "test": pairs[25:], "x": []})
    )
    named = {"train": "all.json#train", "validation": "all.json#val", "test": "all.json#test"}
    first = load(tmp_path, named, bare=True, input=0, target="1")
    assert first.train[0].target in ("left", "right") and len(first.train) == 20
    whole = load(tmp_path, "all.json", bare=True, input=0, target=1)
    assert whole.digest == first.digest
    assert whole.warnings == ("not used of the source: x",)
    with pytest.raises(RungError, match=r"all\.json#valid: holds no member valid; did you mean val\?"):
        load(tmp_path, {**named, "validation": "all.json#valid"}, bare=True, input=0, target=1)


def test_text_without_header_quotes_or_regular_spaces(tmp_path: Path) -> None:
    lines = [f'{n % 2} "it said {n} times , and {n * 7} more' for n in range(30)]
    (tmp_path / "st.binary").write_text("\n".join(lines))
    task = load(tmp_path, "st.binary", delimiter=" ", columns=["label", "text"])
    assert {row.target for row in rows(task)} == {"0", "1"}
    assert {row.text for row in rows(task)} == {line[2:] for line in lines}
    bare = load(tmp_path, "st.binary", delimiter=" ", header=False, bare=True, input="1", target="0")
    assert bare.digest == task.digest


def test_a_quoted_cell_may_hold_delimiters_and_lines(tmp_path: Path) -> None:
    cells = "".join(f'"line {n}\nsays ""{n * 3}"", twice",{n % 2}\n' for n in range(30))
    (tmp_path / "rows.csv").write_text("text,label\n" + cells)
    found = {row.text: row.meta["row"] for row in rows(load(tmp_path, "rows.csv"))}
    assert found['line 4\nsays "12", twice'] == "rows.csv:10"  # the line on which the record begins


def test_a_long_cell_is_read(tmp_path: Path) -> None:
    cells = "".join(f"{'word ' * 40_000}{n},{n % 2}\n" for n in range(4))
    (tmp_path / "rows.csv").write_text("text,label\n" + cells)
    assert len(rows(load(tmp_path, "rows.csv", split={"test": 1, "validation": 1}))[0].text) > 200_000


SHAPES: list[tuple[dict[str, Any], tuple[Message, ...], str]] = [
    ({"instruction": "Add # and 1.", "input": "", "output": "# it is"}, (Message("user", "Add # and 1."),), "# it is"),
    (
        {"instruction": "Add one.", "input": "To #.", "output": "# ok", "system": "Be brief."},
        (Message("system", "Be brief."), Message("user", "Add one.\n\nTo #.")), "# ok",
    ),
    (
        {"instruction": "And #?", "output": "# no", "history": [["Hello.", "Hi."]]},
        (Message("user", "Hello."), Message("assistant", "Hi."), Message("user", "And #?")), "# no",
    ),
    (
        {"conversations": [{"from": "system", "value": "S"}, {"from": "human", "value": "q#"}, {"from": "gpt", "value": "a#"}]},
        (Message("system", "S"), Message("user", "q#")), "a#",
    ),
    (
        {"messages": [{"role": "user", "content": "q #"}, {"role": "assistant", "content": [{"type": "text", "text": "a #"}]}]},
        (Message("user", "q #"),), "a #",
    ),
    ({"prompt": "say #", "completion": " #!"}, (Message("user", "say #"),), "#!"),
    (
        {"prompt": [{"role": "user", "content": "go #"}], "completion": [{"role": "assistant", "content": "# gone"}]},
        (Message("user", "go #"),), "# gone",
    ),
    ({"question": "what is #", "answer": "a #"}, (Message("user", "what is #"),), "a #"),
]  # fmt: skip


@pytest.mark.parametrize(("record", "prompt", "target"), SHAPES)
def test_the_usual_shapes_are_read(record: dict[str, Any], prompt: tuple[Message, ...], target: str) -> None:
    records = [json.loads(json.dumps(record).replace("#", str(n))) for n in range(10)]
    found = rows(Task.from_mapping({"name": "t", "kind": "generate", "data": {"source": records}}))
    wanted = tuple(Message(message.role, message.content.replace("#", "3")) for message in prompt)
    assert [row.target for row in found if row.prompt == wanted] == [target.replace("#", "3")]


def test_turns_of_tools_are_set_aside_with_the_role() -> None:
    turns = [{"from": "human", "value": "q"}, {"from": "function_call", "value": "{}"}, {"from": "gpt", "value": "a"}]
    records = [{"question": f"q{n}", "answer": f"a{n}"} for n in range(3)]
    with pytest.raises(RungError, match=r"1 × a turn has a role that is not read .*function_call"):
        Task.from_mapping({"name": "t", "kind": "generate", "data": {"source": [{"conversations": turns}]}})
    assert len(rows(Task.from_mapping({"name": "t", "kind": "generate", "data": {"source": records}}))) == 3


GOOD = "text,label\n" + "".join(f"{text},{label}\n" for text, label in PAIRS)
BROKEN: list[tuple[str, bytes, str]] = [
    ("empty.csv", b"", "data.source: empty.csv: the file is empty"),
    ("blank.jsonl", b"\n \n", "blank.jsonl: the file is empty"),
    ("header.csv", b"text,label\n", "header.csv: holds no rows"),
    ("latin.csv", GOOD.encode() + "Zo\u00eb,left\n".encode("latin-1"), "latin.csv:32: is not UTF-8"),
    ("rows.txt", GOOD.encode(), "cannot tell the format from the name rows.txt"),
    ("table.csv", b"PAR1\x00", "is named .csv but holds Parquet"),
    ("sheet.csv", b"PK\x03\x04", "is named .csv but holds a zip archive or a spreadsheet"),
    ("rows.parquet", b"no", "is not a Parquet file"),
    ("cells.csv", GOOD.encode() + b"a,b,c\n", "cells.csv:32: 3 cells for 2 columns"),
    ("quote.csv", GOOD.encode() + b'"open,left\n', "quote.csv:32: is not CSV"),
    ("twice.csv", b"text,text\na,b\n", "twice.csv:1: the column text is there twice"),
    ("line.jsonl", b'{"text": "a", "label": "b"}\n{"text": \n', "line.jsonl:2: is not JSON"),
    ("pretty.jsonl", b'[\n{"text": "a"}\n]', "pretty.jsonl:1: is not JSON: Expecting value; name the file .json"),
    ("lines.json", b'{"a": 1}\n{"a": 2}\n', "lines.json:2: is not JSON: Extra data; name the file .jsonl"),
    ("one.json", b'{"text": "a"}', "one.json: holds no list of rows"),
    ("word.jsonl", b'"word"\n', 'word.jsonl:1: the row is "word"'),
    ("cut.jsonl.gz", gzip.compress(b'{"text": "a"}', mtime=0)[:-9], "is not a whole gzip file"),
]


@pytest.mark.parametrize(("name", "content", "told"), BROKEN)
def test_a_broken_file_is_one_line(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RungError) as caught:
        load(tmp_path, name)
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_the_hub_out_of_reach_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(RungError, match="hub:nobody/nothing-of-this-name: cannot be loaded"):
        load(tmp_path, "hub:nobody/nothing-of-this-name")
