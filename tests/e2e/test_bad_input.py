"""Bad input through the real command line: exit code 2, one line that names what, where and the mend, nothing written.

In an expected line `…` stands for anything: what a library says, a path of this machine, a count of tokens.
"""

from __future__ import annotations

import ast
import fcntl
import json
import os
import re
import resource
import shlex
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tickets import TASK, Command, Said, csv, rows, tree

import rung as library
from rung.ladder.screen import Silent

CLIMB = "climb task.yaml --base llama --out run"
PLAN = "plan task.yaml --base llama"
DATA_LINE = TASK.splitlines()[2]
Prepare = Callable[[Path], None]


def same(line: str, expected: str) -> bool:
    """Whether the line is the expected one, `…` standing for anything."""
    return re.fullmatch(".*".join(re.escape(part) for part in expected.split("…")), line) is not None


def refused(said: Said, expected: str) -> None:
    """Exit code 2 and the one expected line, with a place, a fault and a mend, and nothing else on either stream."""
    lines = said.err.splitlines()
    assert (said.code, len(lines), said.out) == (2, 1, ""), said
    assert same(lines[0], f"rung: {expected}"), lines[0]
    assert re.fullmatch(r"rung: (\S.*: |no such verb)\S?.*; \S.*", lines[0]), f"no place, fault and mend in: {lines[0]}"


@dataclass(frozen=True)
class Case:
    """A slip: what is changed in the folder, the command, and the line it earns."""

    name: str
    words: str
    line: str
    prepare: Prepare = field(default=lambda folder: None)


def text(name: str, content: str | bytes) -> Prepare:
    """Writes a file."""

    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def task(old: str, new: str) -> Prepare:
    """Changes the task file."""

    def change(folder: Path) -> None:
        assert old in TASK
        (folder / "task.yaml").write_text(TASK.replace(old, new))

    return change


def both(*steps: Prepare) -> Prepare:
    """One after another."""

    def all_of(folder: Path) -> None:
        for step in steps:
            step(folder)

    return all_of


def base(change: Prepare) -> Prepare:
    """A copy of the base in `own`, changed."""

    def copy(folder: Path) -> None:
        shutil.copytree(folder / "llama", folder / "own")
        change(folder / "own")

    return copy


def config(**keys: object) -> Prepare:
    """Changes keys of a base's configuration."""

    def change(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | keys))

    return change


def gone(*names: str) -> Prepare:
    """Removes files."""
    return lambda folder: [(folder / name).unlink() for name in names] and None


def splits(train: list[tuple[str, str]], validation: list[tuple[str, str]], test: list[tuple[str, str]]) -> Prepare:
    """Three files and a task that names them."""
    given = "{source: {train: a.csv, validation: b.csv, test: c.csv}, input: text, target: label}"
    return both(
        task(DATA_LINE, f"data: {given}"),
        text("a.csv", csv(train)),
        text("b.csv", csv(validation)),
        text("c.csv", csv(test)),
    )


MANY = rows(90, seed=2)
GENERATE = "name: json\nkind: generate\ndata: {source: rows.csv, input: text, target: label}\n"

TASK_FILE = [
    Case("missing", "plan tsk.yaml --base llama",
         "tsk.yaml: there is no such task file; `rung init DATA` writes one"),
    Case("below a file", "plan task.yaml/x.yaml --base llama",
         "task.yaml/x.yaml: cannot be read (Not a directory); check the path"),
    Case("folder", "plan . --base llama", ".: is a folder; name the task file in it"),
    Case("not YAML", PLAN, "task.yaml:3: is not YAML: …; mend the line, or quote a text that holds : { [ # or &",
         text("task.yaml", "name: a\nkind: [\n")),
    Case("not UTF-8", PLAN, "task.yaml: is not UTF-8 (byte 6); save it as UTF-8",
         text("task.yaml", b"name: \xe9t\xe9\n")),
    Case("empty", PLAN, "task.yaml: the file is empty; it needs at least name, kind and data", text("task.yaml", "")),
    Case("a list", PLAN, "task.yaml: a task file is a mapping of keys; start with name: and kind:",
         text("task.yaml", "- a\n")),
    Case("key twice", PLAN, "task.yaml:8: name is said twice (first on line 1); keep one",
         text("task.yaml", TASK + "name: b\n")),
    Case("unknown key", PLAN, "task.yaml:5 gaol: unknown key gaol; did you mean goal?", task("goal:", "gaol:")),
    Case("unknown key of data", PLAN, "task.yaml:3 data.sorce: unknown key sorce; did you mean source?",
         task("source:", "sorce:")),
    Case("key missing", PLAN, "task.yaml:1: the key kind is missing; a task needs name, kind and data",
         task("kind: classify\n", "")),
    Case("unknown kind", PLAN, "task.yaml:2 kind: unknown kind clasify; did you mean classify?",
         task("classify", "clasify")),
    Case("unknown metric", PLAN, "task.yaml:5 goal.acuracy: unknown metric acuracy; did you mean accuracy?",
         task("{accuracy", "{acuracy")),
    Case("metric of another kind", PLAN,
         "task.yaml:5 goal.bleu: bleu does not score kind classify; use accuracy, macro_f1, exact_match, …",
         task("{accuracy", "{bleu")),
    Case("goal beyond the scale", PLAN,
         "task.yaml:5 goal.accuracy: 80 is outside the range of accuracy, 0 to 1; did you mean 0.8?",
         task("0.2}", "80}")),
    Case("goal below the scale", PLAN,
         "task.yaml:5 goal.accuracy: -1 is outside the range of accuracy, 0 to 1; choose one between 0 and 1",
         task("0.2}", "-1}")),
    Case("goal at the end of the scale", PLAN,
         "goal accuracy: a goal of 1.0 can be neither missed nor shown on a scale from 0.0 to 1.0; choose a goal between the two ends",
         task("0.2}", "1}")),
    Case("goal is a word", PLAN, "task.yaml:5 goal.accuracy: must be a number, not high; give a number, such as 0.8",
         task("0.2}", "high}")),
    Case("budget unit", PLAN, "task.yaml:6 budget.memory: 16 apples is no amount of memory; write 16GB",
         task("requests: 100", "memory: 16 apples")),
    Case("budget time", PLAN, "task.yaml:6 budget.time: soon is no time; write 30m or 2h",
         task("requests: 100", "time: soon")),
    Case("budget price", PLAN, "task.yaml:6 budget.machine_hour: cheap is no price; write 0.40 or 0.40 EUR",
         task("requests: 100", "machine_hour: cheap")),
    Case("budget key", PLAN, "task.yaml:6 budget.request: unknown key request; did you mean requests?",
         task("requests: 100", "request: 100")),
    Case("guard missing", PLAN,
         "task.yaml:8 guards.0.task: there is no task file g.yaml: No such file or directory; paths are relative to the task file",
         text("task.yaml", TASK + "guards: [{task: g.yaml}]\n")),
    Case("RUNG_DATA unset", PLAN,
         "task.yaml:3 data.source: ${RUNG_NO_SUCH} is not set; set it: export RUNG_NO_SUCH=FOLDER",
         task("rows.csv", '"${RUNG_NO_SUCH}/rows.csv"')),
]  # fmt: skip

DATA = [
    Case("missing", PLAN, "task.yaml:3 data.source: row.csv: there is no such file; did you mean rows.csv?",
         task("rows.csv", "row.csv")),
    Case("no folder", PLAN,
         "task.yaml:3 data.source: data/rows.csv: there is no folder data; paths are relative to the task file",
         task("rows.csv", "data/rows.csv")),
    Case("wrong extension", PLAN,
         "task.yaml:3 data.source: rows.xlsx: cannot tell the format from the name rows.xlsx; Rung reads .csv, .tsv, .jsonl, …",
         both(task("rows.csv", "rows.xlsx"), text("rows.xlsx", b"PK\x03\x04"))),
    Case("CSV named Parquet", PLAN,
         "task.yaml:3 data.source: rows.parquet: is not a Parquet file: …; give it its right name, or write it again",
         both(task("rows.csv", "rows.parquet"), text("rows.parquet", csv(rows())))),
    Case("Parquet named CSV", PLAN,
         "task.yaml:3 data.source: rows.csv: is named .csv but holds Parquet; give it its right name",
         text("rows.csv", b"PAR1....")),
    Case("JSON named CSV", PLAN,
         "task.yaml:3 data.source: rows.csv: is named .csv but holds JSON; name it .jsonl (an object a line) or .json (one list)",
         text("rows.csv", '{"text": "a", "label": "b"}\n')),
    Case("not UTF-8", PLAN, "rows.csv:3: is not UTF-8; convert it, for example: iconv -f latin1 -t utf-8",
         text("rows.csv", b"text,label\na,b\n\xe9t\xe9,b\n")),
    Case("empty", PLAN, "task.yaml:3 data.source: rows.csv: the file is empty; give a file with rows",
         text("rows.csv", "")),
    Case("header only", PLAN, "task.yaml:3 data.source: rows.csv: holds no rows; give a file with rows",
         text("rows.csv", "text,label\n")),
    Case("one row", PLAN, "task.yaml:3 data.source: holds 1 row; train, validation and test need one each",
         text("rows.csv", "text,label\na b,refund\n")),
    Case("ragged row", PLAN,
         "rows.csv:2: 3 cells for 2 columns; quote a cell that holds the delimiter or a line break",
         text("rows.csv", "text,label\na,b,c\n")),
    Case("JSONL line broken", PLAN, "rows.jsonl:2: is not JSON: …; …",
         both(task("rows.csv", "rows.jsonl"), text("rows.jsonl", '{"text": "a", "label": "b"}\n{"text": \n'))),
    Case("missing column", PLAN, "task.yaml:3 data.target: there is no column lable in rows.csv; did you mean label?",
         task("target: label", "target: lable")),
    Case("missing column in a template", PLAN,
         "task.yaml:3 data.input: there is no column txt in rows.csv; did you mean text?",
         task("input: text", 'input: "{txt}!"')),
    Case("ids twice", PLAN,
         "task.yaml:3 data.id: the id refund is there twice, in rows.csv:2 and rows.csv:4; name a column with one value a row, or drop the key",
         task("target: label", "target: label, id: label")),
    Case("empty targets", PLAN,
         "task.yaml:3 data: 60 of 60 rows cannot be used: 60 × the target is empty (first: rows.csv:2: the target is empty); check input and target, or mend the rows",
         text("rows.csv", csv([(a, "") for a, _ in rows()]))),
    Case("some empty targets", PLAN,
         "task.yaml:3 data: 2 of 60 rows cannot be used: 2 × the target is empty (first: rows.csv:2: the target is empty); mend the rows, or allow it with allow_set_aside: 0.034",
         text("rows.csv", csv([(a, b if n > 1 else "") for n, (a, b) in enumerate(rows())]))),
    Case("targets all equal", PLAN, "task.yaml:3 data.target: all 60 targets are refund; check the column",
         text("rows.csv", csv([(a, "refund") for a, _ in rows()]))),
    Case("labels of free text", PLAN,
         "task.yaml:3 data.target: 60 labels in 60 rows are no classes; use kind: generate for free text",
         text("rows.csv", csv([(a, f"l{n}") for n, (a, _) in enumerate(rows())]))),
    Case("too few rows for the split", PLAN,
         "task.yaml:3 data.split: 60 usable rows are too few for train 50, validation 20, test 20 and a row of train; ask for fewer, or give more",
         task("{train: 0.34, validation: 0.33, test: 0.33}", "{train: 50, validation: 20, test: 20}")),
    Case("choices of another kind", PLAN,
         "task.yaml:3 data.choices: choices belong to kind choose, not classify; for classify, write labels",
         task("target: label", "target: label, choices: label")),
    Case("choices are no list", PLAN, "…",
         both(task("kind: classify", "kind: choose"), task("target: label", "target: label, choices: text"))),
    Case("schema missing", PLAN,
         "task.yaml:4 schema: cannot read s.json: No such file or directory; name a JSON file, or write the schema here",
         text("task.yaml", GENERATE + "schema: s.json\n")),
    Case("schema is no JSON", PLAN, "task.yaml:4 schema: s.json:1 is not JSON: …; …",
         both(text("task.yaml", GENERATE + "schema: s.json\n"), text("s.json", "{"))),
    Case("schema is no schema", PLAN, "task.yaml:4 schema: is not a JSON schema: …; …",
         both(text("task.yaml", GENERATE + "schema: s.json\n"), text("s.json", '{"type": "objekt"}'))),
    Case("targets do not fit the schema", PLAN,
         "task.yaml:3 data: 60 of 60 rows cannot be used: 60 × the target is not JSON (first: …); …",
         both(text("task.yaml", GENERATE + "schema: s.json\n"), text("s.json", '{"type": "object"}'))),
    Case("exact leak", PLAN,
         "tickets: 1 row stands in two splits (first: train row a.csv:32 is like test row c.csv:12: …); list them with `rung plan --leaks`, or take them out of train with --drop-leaks",
         splits([*MANY[:30], MANY[70]], MANY[30:60], MANY[60:])),
    Case("near leak", PLAN,
         "tickets: 1 row stands in two splits (first: validation row b.csv:32 is like test row c.csv:12: …); list them …",
         splits(MANY[:30], [*MANY[30:60], (MANY[70][0].upper() + "!", "refund")], MANY[60:])),
    Case("empty split", PLAN, "task.yaml:3 data.source.test: c.csv: holds no rows; give a file with rows",
         splits(MANY[:30], MANY[30:60], [])),
    Case("one validation row", PLAN, "validation split: 1 validation items show no scatter; add examples",
         splits(MANY[:30], MANY[30:31], MANY[60:])),
    Case("neither train nor test", PLAN, "task.yaml:3 data.source: neither train nor test is given; …",
         task(DATA_LINE, "data: {source: {validation: rows.csv}, input: text, target: label}")),
]  # fmt: skip

LADDER = [
    Case("unknown rung", PLAN, "task.yaml:7 rungs.2: unknown rung lorra; did you mean lora?",
         task("{lora:", "{lorra:")),
    Case("unknown field", PLAN, "task.yaml:7 rungs.2: unknown field rnk of lora; did you mean rank?",
         task("{rank:", "{rnk:")),
    Case("field of a rung without fields", PLAN,
         "task.yaml:7 rungs.0: unknown field k of zero-shot; zero-shot has no fields",
         task("[zero-shot", "[{zero-shot: {k: 1}}")),
    Case("field out of range", PLAN, "task.yaml:7 rungs.2: lora: rank is 999; choose 4 to 32",
         task("rank: 4", "rank: 999")),
    Case("field is a word", PLAN, "task.yaml:7 rungs.2: epochs of lora is many; give a whole number",
         task("epochs: 1", "epochs: many")),
    Case("field is a mapping", PLAN,
         "task.yaml:7 rungs.2: rank of lora is a mapping; give a whole number, or a list of such",
         task("rank: 4", "rank: {a: 1}")),
    Case("field is an empty list", PLAN,
         "task.yaml:7 rungs.2: rank of lora is a list; give a whole number, or a list of such",
         task("rank: 4", "rank: []")),
    Case("few-shot k is a fraction", PLAN, "task.yaml:7 rungs.1: k of few-shot is 2.5; give a whole number",
         task("k: 2", "k: 2.5")),
    Case("epochs is a fraction", PLAN, "task.yaml:7 rungs.2: epochs of lora is 0.5; give a whole number",
         task("epochs: 1", "epochs: 0.5")),
    Case("rung twice", PLAN, "task.yaml:7 rungs.1: two rungs are zero-shot; name each once",
         task("[zero-shot", "[zero-shot, zero-shot")),
    Case("--only unknown", f"{CLIMB} --only lorra", "--only: no rung lorra on this ladder; did you mean lora?"),
    Case("--skip unknown", f"{CLIMB} --skip full",
         "--skip: no rung full on this ladder; known: few-shot-2, floor, lora, zero-shot"),
    Case("--from unknown", f"{CLIMB} --from zeroshot",
         "--from: no rung zeroshot on this ladder; did you mean zero-shot?"),
    Case("--skip everything", f"{CLIMB} --skip lora --skip zero-shot --skip few-shot",
         "tickets: no rung can be built (none is left); …"),
    Case("--only and --skip the same", f"{CLIMB} --only lora --skip lora",
         "tickets: no rung can be built (none is left); …"),
    Case("budget of memory too small", CLIMB,
         "tickets: no rung can be built (zero-shot: over the budget of 0.001 GB of memory: it needs about … GB; …",
         task("requests: 100", "memory: 1MB")),
    Case("budget of time too small", CLIMB, "tickets: no rung can be built (zero-shot: over the budget of 1e-06 s…",
         task("requests: 100", "time: 0.000001")),
    Case("every prompt too long", CLIMB,
         "tickets: every prompt is longer than the window of 256 tokens; use a base with a longer window",
         text("rows.csv", csv([(f"{a} " * 60, b) for a, b in rows()]))),
    Case("some prompts too long", CLIMB,
         "tickets: 2 of 60 rows do not fit the window of 256 tokens (first: … row rows.csv:… is … tokens too long: …); use a base with a longer window, shorten them, or set allow_set_aside: 0.034",
         text("rows.csv", csv([(f"{a} " * (60 if n < 2 else 1), b) for n, (a, b) in enumerate(rows())]))),
]  # fmt: skip

BASE = [
    Case("no such folder", "plan task.yaml --base ./lama",
         "--base: no base model './lama'; name a folder, a Hub id such as owner/name, `tiny` or `minilm`"),
    Case("no such name", "plan task.yaml --base lama", "--base: no base model 'lama'; …"),
    Case("a file", "plan task.yaml --base rows.csv",
         "--base: rows.csv is a file; name the folder that holds config.json and *.safetensors"),
    Case("Hub, offline", "plan task.yaml --base nobody/nothing",
         "--base: cannot fetch 'nobody/nothing' from the Hub (…); check the name and the connection, or name a local folder"),
    Case("no config", "plan task.yaml --base own", "…own: no config.json; name a folder in Hugging Face form",
         base(gone("config.json"))),
    Case("config is no JSON", "plan task.yaml --base own",
         "…own/config.json: not valid JSON: …; save the model again with save_pretrained",
         base(text("config.json", "{"))),
    Case("config without a type", "plan task.yaml --base own", "…own/config.json: names no model_type; …",
         base(text("config.json", "{}"))),
    Case("unknown architecture", "plan task.yaml --base own", "…own: …; …", base(config(model_type="nonsense"))),
    Case("no weights", "plan task.yaml --base own",
         "…own: no *.safetensors weights; name a folder written by save_pretrained", base(gone("model.safetensors"))),
    Case("pickled weights", "plan task.yaml --base own",
         "…own: only pickled weights (pytorch_model.bin), which can run code when loaded; convert them to safetensors",
         base(both(gone("model.safetensors"), text("pytorch_model.bin", b"x")))),
    Case("weights cut short", "plan task.yaml --base own",
         "…own: the weights do not load (…incomplete metadata…); save it again with save_pretrained",
         base(lambda own: os.truncate(own / "model.safetensors", 9000))),
    Case("weights of another shape", "plan task.yaml --base own",
         "…own: 1 weights that config.json asks for are missing or of another shape (first: model.embed_tokens.weight); …",
         base(config(vocab_size=700))),
    Case("layers without weights", "plan task.yaml --base own",
         "…own: … weights that config.json asks for are missing or of another shape (first: model.layers.2.…); …",
         base(config(num_hidden_layers=3))),
    Case("no tokenizer", "plan task.yaml --base own",
         "…own: no tokenizer files; save the tokenizer beside the weights", base(gone("tokenizer.json"))),
    Case("tokenizer is no JSON", "plan task.yaml --base own", "…own: the tokenizer does not load (…); …",
         base(text("tokenizer.json", "{"))),
    Case("chat template broken", "plan task.yaml --base own",
         "chat template: the chat template refuses the prompt: …; mend chat_template.jinja",
         base(text("chat_template.jinja", "{% for %}"))),
    Case("code of its own", "plan task.yaml --base own",
         "…own: this model brings code of its own; allow it by name with --trust-remote-code, if you trust it",
         base(config(auto_map={"AutoModel": "code.Model"}))),
]  # fmt: skip

COMMAND = [
    Case("unknown verb", "clmb task.yaml", "no such verb clmb; did you mean climb?"),
    Case("unknown option", "climb task.yaml --bas llama", "climb: no such option --bas; did you mean --base?"),
    Case("option without a value", "climb task.yaml --base",
         "climb: option '--base' requires an argument; see rung climb --help"),
    Case("option missing", "climb task.yaml", "climb: missing option '--base'; see rung climb --help"),
    Case("argument missing", "ask", "ask: missing argument 'RUN'; see rung ask --help"),
    Case("argument too many", "report run run",
         "report: got unexpected extra argument(s) (run); see rung report --help"),
    Case("seed is a word", "climb task.yaml --base llama --seed x",
         "climb: invalid value for '--seed': …; see rung climb --help"),
    Case("seed below 0", "climb task.yaml --base llama --seed -1",
         "climb: invalid value for '--seed': …; see rung climb --help"),
    Case("a question for a run", f"ask {'why ' * 99}".replace("why ", "why-") + " run", "why-…why-…: File name too long; name a path here"),
    Case("a text for a base", f"plan task.yaml --base {'x' * 300}", "xxx…: File name too long; name a path here"),
    Case("unknown verb of the ledger", "ledger shw", "ledger: no such verb shw; did you mean show?"),
]  # fmt: skip


RUN = [
    Case("of another task", CLIMB, "run: holds another run (other everything, task); name a new directory with --out",
         task("0.2}", "0.3}")),
    Case("of another seed", f"{CLIMB} --all --seed 1",
         "run: holds another run (other seed); name a new directory with --out"),
    Case("a file", "climb task.yaml --base llama --out rows.csv",
         "rows.csv: is a file where the run directory belongs; name another with --out"),
    Case("below a file", "climb task.yaml --base llama --out rows.csv/run",
         "rows.csv/run: cannot write (a file stands where a folder belongs); make room or name another place; what is finished is kept"),
    Case("foreign folder", "climb task.yaml --base llama --out notes",
         "notes: holds other files and no run; name a new directory with --out",
         text("notes/thesis.txt", "dear reader")),
    Case("identity damaged", CLIMB, "run/identity.json: damaged: …; remove it, and its step is done again",
         text("run/identity.json", "{")),
    Case("ledger is no database", "climb task.yaml --base llama --out new --ledger rows.csv",
         "rows.csv: the ledger cannot be used: file is not a database; name a file that can be written in RUNG_LEDGER"),
    Case("ledger below a file", "climb task.yaml --base llama --out new --ledger rows.csv/l",
         "rows.csv/l: the ledger cannot be used: …; name a file that can be written in RUNG_LEDGER"),
]  # fmt: skip

REPORT = [
    Case("no run", "report nowhere", "nowhere: no run here; name a directory that `rung climb` made"),
    Case("a file", "report rows.csv", "rows.csv: no run here; name a directory that `rung climb` made"),
    Case("unfinished", "report run", "run: the climb is not finished; run the same `rung climb` again",
         gone("run/report.json")),
    Case("damaged", "report run", "run/report.json: damaged: …; remove it and run the same `rung climb` again",
         text("run/report.json", '{"version": 1')),
    Case("cut to a shell", "report run --json", "report.json: task is missing; climb again",
         text("run/report.json", '{"version": 1}')),
    Case("of another version", "report run", "report.json: version 99, not 1; use the rung that wrote it",
         text("run/report.json", '{"version": 99}')),
]  # fmt: skip

ASK = [
    Case("no run", "ask nowhere hello", "nowhere: no run here; name a directory that `rung climb` made"),
    Case("a base", "ask llama hello", "llama: no run here; name a directory that `rung climb` made"),
    Case("unfinished", "ask run hello", "run: the climb is not finished; run the same `rung climb` again",
         gone("run/report.json")),
    Case("unknown rung", "ask run hello --rung lorra", "run: no rung lorra was built; did you mean lora?"),
    Case("empty", "ask run ' '", "ask: the input is empty; give a text"),
    Case("text and file", "ask run hello --file rows.csv", "ask: a text and a file are given; give one of them"),
    Case("half a character", "ask run \udcff", "the input: is not UTF-8; convert it to UTF-8"),
    Case("file missing", "ask run --file tickets.txt", "tickets.txt: no such file; check the path"),
    Case("file is a folder", "ask run --file run", "run: is a folder; name a text file"),
    Case("file not UTF-8", "ask run --file x.txt", "x.txt: is not UTF-8; save it as UTF-8",
         text("x.txt", b"\xff\xfe")),
    Case("file empty", "ask run --file x.txt", "ask: the input is empty; give a text", text("x.txt", "\n")),
    Case("base gone", "ask run hello", "--base: no base model 'llama'; name …", gone("llama")),
    Case("base with other weights", "ask run hello --base own",
         "run/rungs/zero-shot/system: was made on other weights than own; name its own base with --base",
         base(config(rope_theta=5000.0))),
    Case("adapter gone", "ask run hello --rung lora",
         "run/rungs/lora/system: its weights are gone (soft_prompt, prefix, adapter, bottleneck, delta, weights); …",
         lambda folder: shutil.rmtree(folder / "run/rungs/lora/system/adapter")),
    Case("adapter cut short", "ask run hello --rung lora", "run/rungs/lora/system: the system is damaged (…); …",
         text("run/rungs/lora/system/adapter/adapter_model.safetensors", b"12345")),
    Case("shots damaged", "ask run hello --rung few-shot-2",
         "run/rungs/few-shot-2/system: the system is damaged (…); …",
         text("run/rungs/few-shot-2/system/shots.jsonl", "{}\n")),
]  # fmt: skip

SYSTEM = "run/rungs/zero-shot/system"
EVAL = [
    Case("no task", f"eval {SYSTEM} tsk.yaml", "tsk.yaml: there is no such task file; `rung init DATA` writes one"),
    Case("no system.json", "eval run/rungs/zero-shot task.yaml", "run/rungs/zero-shot: holds no System; name a run, …"),
    Case("system.json is no JSON", f"eval {SYSTEM} task.yaml", f"{SYSTEM}/system.json: damaged: …; …",
         text(f"{SYSTEM}/system.json", "{")),
    Case("system.json is a list", f"eval {SYSTEM} task.yaml",
         f"{SYSTEM}/system.json: made by another version of Rung; climb again", text(f"{SYSTEM}/system.json", "[]")),
    Case("unknown form", f"eval {SYSTEM} task.yaml",
         f"{SYSTEM}/system.json: unknown kind of system 'promted'; did you mean prompted?",
         text(f"{SYSTEM}/system.json", '{"format": 1, "form": "promted"}')),
    Case("system.json cut", f"eval {SYSTEM} task.yaml", f"{SYSTEM}: the system is damaged (…); …",
         text(f"{SYSTEM}/system.json", '{"format": 1, "form": "prompted"}')),
    Case("base with other weights", f"eval {SYSTEM} task.yaml --base own",
         f"{SYSTEM}: was made on other weights than own; name its own base with --base",
         base(config(rope_theta=5000.0))),
    Case("rows onto a file", f"eval {SYSTEM} task.yaml --test --rows rows.csv",
         "rows.csv: is there already; name another with --rows"),
    Case("rows into no folder", f"eval {SYSTEM} task.yaml --test --rows rows.csv/x",
         "rows.csv: there is no such folder; make it, or name another with --rows"),
]  # fmt: skip

INIT = [
    Case("onto a file", "init rows.csv", "task.yaml: is there already; name another with --out"),
    Case("missing data", "init tickets.csv --out new.yaml", "tickets.csv: there is no such file; …"),
    Case("bytes", "init x.csv --out new.yaml",
         "x.csv:1: is not UTF-8; convert it, for example: iconv -f latin1 -t utf-8",
         text("x.csv", bytes(range(128, 256)))),
    Case("empty", "init x.csv --out new.yaml", "x.csv: the file is empty; give a file with rows", text("x.csv", "")),
    Case("one column", "init x.csv --out new.yaml",
         "x.csv: has one column with text (a), no input and target; give a column of inputs and one of answers",
         text("x.csv", "a\n" + "".join(f"line {n}\n" for n in range(9)))),
    Case("nothing", "init '' --out new.yaml", "data: a name is empty; name a file, a folder or hub:NAME"),
    Case("a word", "init x.txt --out new.yaml", "x.txt: …; …", text("x.txt", "nonsense")),
    Case("a folder without data", "init docs --out new.yaml", "docs: the folder holds no data files; Rung reads …",
         text("docs/a.md", "# a")),
    Case("out below a file", "init rows.csv --out rows.csv/task.yaml",
         "rows.csv/task.yaml: cannot write (a file stands where a folder belongs); …"),
]  # fmt: skip

LEDGER = [
    Case("no ledger", "ledger show --ledger l.sqlite",
         "l.sqlite: there is no ledger; name one with --ledger, or climb first"),
    Case("no database", "ledger show --ledger rows.csv",
         "rows.csv: the ledger cannot be used: file is not a database; …"),
    Case("another database", "ledger show --ledger other.db",
         "other.db: this is a database, but no ledger; name another file",
         lambda folder: _database(folder / "other.db")),
    Case("merge missing", "ledger merge l.sqlite", "l.sqlite: there is no ledger; …"),
    Case("merge no database", "ledger merge rows.csv --ledger new.sqlite",
         "rows.csv: the ledger cannot be used: file is not a database; …"),
    Case("export onto a file", "ledger export rows.csv", "rows.csv: the file is already there; choose another name"),
    Case("move onto another database", "ledger move other.db",
         "…other.db: this is a database, but no ledger; name another file",
         lambda folder: _database(folder / "other.db")),
    Case("move no ledger", "ledger move new.sqlite --ledger l.sqlite", "l.sqlite: there is no ledger; …"),
]  # fmt: skip


def _database(file: Path) -> None:
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE songs (name TEXT)")
    other.close()


def named(**groups: list[Case]) -> list[object]:
    """The cases as parameters, each with its group in its id."""
    return [pytest.param(c, id=f"{g}: {c.name}") for g, cases in groups.items() for c in cases]


@pytest.mark.parametrize("case", named(task=TASK_FILE, data=DATA, ladder=LADDER, base=BASE, command=COMMAND, init=INIT))
def test_a_slip_earns_one_line_and_nothing_is_written(case: Case, place: Path, rung: Command) -> None:
    case.prepare(place)
    before = tree(place)
    refused(rung(*shlex.split(case.words)), case.line)
    assert tree(place) == before


@pytest.mark.parametrize("case", named(run=RUN, report=REPORT, ask=ASK, eval=EVAL, ledger=LEDGER))
def test_a_slip_about_a_run_leaves_it_as_it_was(case: Case, climbed: Path, rung: Command) -> None:
    case.prepare(climbed)
    before = tree(climbed)
    refused(rung(*shlex.split(case.words)), case.line)
    assert tree(climbed) == before


def test_every_error_names_a_place_and_a_mend() -> None:
    """Wherever the rooms behind the command line refuse something."""
    source = Path(library.__file__).parent
    rooms = ("cli", "ladder", "system", "task", "run.py", "model/load.py", "model/layout.py")
    files = [file for room in rooms for file in ([source / room] if "." in room else (source / room).rglob("*.py"))]
    calls = [
        (file, node) for file in files for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)
    ]
    bare = []
    for file, call in calls:
        name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        wanted = {"RungError": {"where", "mend"}, "refuse": {"mend"}}.get(name, set())
        given = {keyword.arg for keyword in call.keywords}
        if not wanted <= given and not (name == "refuse" and file.name == "cells.py" and len(call.args) == 2):
            bare.append(f"{file.relative_to(source)}:{call.lineno}")
    assert len(calls) > 1000 and not bare


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file grows beyond `size` bytes: what a full disk does, at a chosen moment."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def without_measured(value: Any) -> Any:
    """A report without what the clock said."""
    if isinstance(value, dict):
        return {key: without_measured(inner) for key, inner in value.items() if key not in ("measured", "command")}
    return [without_measured(inner) for inner in value] if isinstance(value, list) else value


def stopped_by(said: Said, expected: str) -> None:
    """Exit code 2 in the middle of a climb: the expected line comes last, and no other is an error."""
    lines = said.err.splitlines()
    assert said.code == 2 and same(lines[-1], f"rung: {expected}"), said
    assert not any(line.startswith("rung: ") or "Traceback" in line for line in lines[:-1]), said


def ends_like(folder: Path, finished: Path) -> None:
    """The run of `folder` has the report of one that was never disturbed, and nothing half written in it."""
    reports = [json.loads((place / "run" / "report.json").read_bytes()) for place in (folder, finished)]
    assert without_measured(reports[0]) == without_measured(reports[1])
    assert not [*(folder / "run").rglob("*.part")]


@pytest.mark.parametrize(
    ("size", "ledger", "line"),
    [
        (3_000, ":memory:", "run/shared/wording-0.json: cannot write (File too large); make room …"),
        (9_000, ":memory:", "run/rungs/lora/system: cannot write (File too large); make room …"),
        (30_000, ":memory:", "run/rungs/lora/system: cannot write (File too large); make room …"),
        (60_000, ":memory:", "run/report.html: cannot write (File too large); make room …"),
        (20_000, "own.sqlite", "own.sqlite: the ledger cannot be used: …; name …"),
        (60_000, "own.sqlite", "own.sqlite: the ledger cannot be used: …; name …"),
    ],
    ids=["a document", "weights", "a checkpoint", "the page", "a new ledger", "a look"],
)
def test_a_full_disk_is_told_and_the_climb_goes_on(
    size: int, ledger: str, line: str, place: Path, finished: Path, rung: Command
) -> None:
    command = (*CLIMB.split(), "--all", "--ledger", ledger)
    with files_of_at_most(size):
        stopped_by(rung(*command), line)
    assert not [*place.rglob("*.part")] and not (place / "run" / "report.json").exists()
    assert rung(*command).code == 0
    ends_like(place, finished)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.name != "posix" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_without_room_is_told(small_disk: Path, place: Path, rung: Command) -> None:
    command = ("climb", "task.yaml", "--base", "llama", "--out", str(small_disk / "run"), "--all")
    stopped_by(rung(*command), "…: cannot write (No space left on device); make room or name another place; …")
    assert not [*small_disk.rglob("*.part")]
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert rung(*command).code == 0


def test_a_read_only_place_is_told(small_disk: Path, place: Path, rung: Command) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    told = "cannot write (Read-only file system); make room or name another place; what is finished is kept"
    before = tree(place)
    said = rung("climb", "task.yaml", "--base", "llama", "--out", str(small_disk / "run"))
    refused(said, f"{small_disk}/run: {told.replace('Read-only file system', 'it is read-only')}")
    refused(rung("init", "rows.csv", "--out", str(small_disk / "t.yaml")), f"{small_disk}/t.yaml: {told}")
    assert tree(place) == before
    assert rung(*CLIMB.split(), "--only", "zero-shot").code == 0
    told = "the ledger cannot be used: …Read-only file system…; name a file that can be written in RUNG_LEDGER"
    refused(rung("ledger", "export", str(small_disk / "l")), f"…: {told}")


def test_a_damaged_step_names_itself(climbed: Path, rung: Command) -> None:
    (climbed / "run/rungs/lora/validation.json").write_text("{")
    stopped_by(
        rung(*CLIMB.split(), "--all"), "run/rungs/lora/validation.json: damaged: …; remove it, and its step is …"
    )
    (climbed / "run/rungs/lora/validation.json").unlink()
    assert rung(*CLIMB.split(), "--all").code == 0


def test_a_climb_that_goes_on_keeps_what_the_budget_skipped(
    place: Path, rung: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forecasts rest on the clock and the memory in use, so only those of the first start count."""

    class Impatient(Silent):
        def rung_started(self, name: str) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        library.climb("task.yaml", "llama", out="run", choice=library.Choice(everything=True), progress=Impatient())
    file = place / "run" / "measured-forecasts.json"
    told = json.loads(file.read_text())
    assert [name for name in told if told[name]["skipped"]] == []
    told["lora"]["skipped"] = "over the budget of 1 s, of which cheaper rungs need the rest"
    file.write_text(json.dumps(told))
    assert rung(*CLIMB.split(), "--all").code == 0
    report = json.loads((place / "run" / "report.json").read_bytes())
    lora = next(one for one in report["rungs"] if one["name"] == "lora")
    assert lora["reason"] == told["lora"]["skipped"] and not (place / "run/rungs/lora").exists()


def test_a_second_climb_in_one_directory_is_refused(climbed: Path, rung: Command) -> None:
    before = tree(climbed)
    with (climbed / "run" / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = rung(*CLIMB.split(), "--all")
    refused(said, "run: another climb works in this directory; wait for it, or name another with --out")
    assert tree(climbed) == before


def test_an_encoder_writes_nothing(place: Path, base: Callable[[str], Path], rung: Command) -> None:
    (place / "bert").symlink_to(base("bert"))
    (place / "task.yaml").write_text("name: t\nkind: generate\ndata: {source: rows.csv, input: text, target: label}\n")
    before = tree(place)
    refused(
        rung("climb", "task.yaml", "--base", "bert"),
        "--base: … is an encoder and cannot generate; use a decoder for this task",
    )
    assert tree(place) == before


CHOOSE = "name: t\nkind: choose\ndata: {source: rows.jsonl, input: q, target: a, choices: c}\n"


@pytest.mark.parametrize(
    ("choices", "target", "line"),
    [
        ("no list", "x", "task.yaml:3 data: 30 of 30 rows cannot be used: 30 × the choices are not a list (first: rows.jsonl:1: …); …"),
        (["x"], "x", "task.yaml:3 data: 30 of 30 rows cannot be used: 30 × a row needs two choices or more, none empty …"),
        (["x", "x"], "x", "task.yaml:3 data: 30 of 30 rows cannot be used: 30 × two choices are the same …"),
        (["x", "y"], "z", "task.yaml:3 data: 30 of 30 rows cannot be used: 30 × the target is none of the choices (first: rows.jsonl:1: …"),
        (["x", "y"], "12", "task.yaml:3 data.target: the targets count the choices from 1; write the index from 0, or the letter"),
    ],
)  # fmt: skip
def test_wrong_choices_are_told(choices: object, target: str, line: str, place: Path, rung: Command) -> None:
    (place / "task.yaml").write_text(CHOOSE)
    lines = [
        json.dumps({"q": text, "a": target[n % len(target)], "c": choices}) for n, (text, _) in enumerate(rows(30))
    ]
    (place / "rows.jsonl").write_text("\n".join(lines))
    before = tree(place)
    refused(rung(*PLAN.split()), line)
    assert tree(place) == before


# -- what is no reason to stop -----------------------------------------------------------------------------------------


def test_a_few_rows_that_do_not_fit_are_set_aside_and_listed(place: Path, rung: Command) -> None:
    table = [*rows(200), ("never " * 300, "refund")]
    (place / "rows.csv").write_text(csv(table))
    said = rung(*PLAN.split())
    assert said.code == 0 and not said.err
    assert "aside   1 rows: longer than the window" in said.out
    assert re.search(r"\n        \w+ row rows\.csv:202 is \d+ tokens too long: never never", said.out)
    assert re.search(r"note    1 of 201 rows do not fit the window of 256 tokens and are set aside \(first: ", said.out)
    assert rung(*CLIMB.split(), "--only", "zero-shot").code == 0
    kept = [json.loads(line) for line in (place / "run" / "set-aside.jsonl").read_text().splitlines()]
    assert [(row["reason"], row["row"]["prompt"]) for row in kept] == [("longer than the window", ("never " * 300))]


def test_more_rows_may_be_set_aside_where_the_task_allows_it(place: Path, rung: Command) -> None:
    (place / "rows.csv").write_text(csv([*rows(58), ("never " * 300, "refund"), ("came " * 300, "login")]))
    (place / "task.yaml").write_text(TASK + "allow_set_aside: 0.034\n")
    said = rung(*PLAN.split())
    assert said.code == 0 and "aside   2 rows: longer than the window" in said.out


def test_unusable_rows_are_listed(place: Path, rung: Command) -> None:
    (place / "rows.csv").write_text(csv([*rows(200), ("a question without an answer", "")]))
    said = rung(*PLAN.split())
    assert said.code == 0 and "        rows.csv:202: the target is empty" in said.out


def test_a_label_seen_once_stays_in_train_with_a_warning(place: Path, rung: Command) -> None:
    (place / "rows.csv").write_text(csv([*rows(60), ("the kettle is too small", "size")]))
    said = rung(*PLAN.split())
    assert said.code == 0 and "note    seen once, so only in train: size" in said.out


def test_a_label_that_train_lacks_is_told(place: Path, rung: Command) -> None:
    splits(MANY[:30], MANY[30:60], [*MANY[60:], ("the kettle is too small", "size")])(place)
    said = rung(*PLAN.split())
    assert said.code == 0 and "note    not in train: the label size" in said.out


def test_leaks_are_listed_and_taken_out_on_request(place: Path, rung: Command) -> None:
    splits([*MANY[:30], MANY[70], MANY[35]], MANY[30:60], MANY[60:])(place)
    said = rung("plan", "task.yaml", "--base", "nowhere", "--leaks")
    assert said.code == 0
    assert "2 rows stand in two splits" in said.out
    assert "train row a.csv:32 is the same as test row c.csv:12: " in said.out
    assert "train row a.csv:33 is the same as validation row b.csv:7: " in said.out
    said = rung(*CLIMB.split(), "--drop-leaks", "--only", "zero-shot")
    assert said.code == 0
    assert len((place / "run" / "leaks.jsonl").read_text().splitlines()) == 2
