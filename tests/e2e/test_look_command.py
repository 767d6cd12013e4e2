"""`rung look` through the real command line: the terminal, the numbers, the page, saved Systems, and every slip."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tickets import Command

TEXT = "where is my parcel"


def test_look_prints_numbers_and_writes_a_page(place: Path, rung: Command) -> None:
    said = rung("look", "llama", TEXT, "--top-k", "3", "--out", "look.html")
    assert said.code == 0 and not said.err
    assert said.out.startswith("llama: decoder, 2 layers × 4 heads, ")
    assert said.out.splitlines()[-1] == "wrote look.html"
    page = (place / "look.html").read_text()
    assert page.startswith("<!doctype html>") and "What comes next" in page
    again = rung("look", "llama", TEXT, "--out", "look.html")
    assert (again.code, again.err) == (2, "rung: look.html: is there already; name another with --out\n")
    assert (place / "look.html").read_text() == page


def test_look_as_json_is_the_same_twice(place: Path, rung: Command) -> None:
    (place / "text.txt").write_text(TEXT + "\n")
    one, two = rung("look", "llama", TEXT, "--json"), rung("look", "llama", "--file", "text.txt", "--json")
    assert one.code == 0 and one.out == two.out
    found = json.loads(one.out)
    assert [token["piece"] for token in found["tokens"]][-1] == "␣parcel"
    assert sum(one["drawn"] for one in found["following"][0]["chances"]) <= 1
    assert len(found["attention"][0]["heads"]) == 8


def test_a_prompt_is_laid_out_as_it_would_be_asked(place: Path, rung: Command) -> None:
    found = json.loads(rung("look", "llama", TEXT, "--as-prompt", "--json").out)
    assert found["text"] == f"<|user|>{TEXT}<|end|><|assistant|>"
    assert found["tokens"][0]["piece"] == "<|user|>" and found["tokens"][0]["special"]


def test_a_saved_system_is_looked_at_with_its_own_weights_and_prompt(climbed: Path, rung: Command) -> None:
    (manifest,) = (climbed / "run").glob("rungs/lora/**/system.json")
    folder = manifest.parent
    tuned = json.loads(rung("look", folder, TEXT, "--json", "--shown", "600").out)
    bare = json.loads(rung("look", "llama", TEXT, "--json", "--shown", "600").out)
    assert tuned["tokens"][0]["id"] == bare["tokens"][0]["id"]
    assert tuned["following"][0]["chances"] != bare["following"][0]["chances"]
    asked = json.loads(rung("look", folder, TEXT, "--as-prompt", "--json").out)
    assert "Answer refund or login." in asked["text"] and TEXT in asked["text"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("nothere x", "MODEL: no base model 'nothere'; name a folder, a Hub id such as owner/name, `tiny` or `minilm`"),
        ("rows.csv x", "MODEL: rows.csv is a file; name the folder that holds config.json and *.safetensors"),
        ("llama ' '", "look: the input is empty; give a text"),
        ("llama x --temperature 0", "--temperature: is 0: nothing is drawn then, …; give one above 0, such as 0.7"),
        ("llama x --top-p 1.2", "--top-p: is 1.2; give a share above 0, at most 1"),
        ("llama x --layer 2", "--layer: there is no layer 2: the model has 2, counted from 0; give 0 to 1"),
        ("llama x --word qqq", "--word: 'qqq' is no token of the vocabulary (3 tokens: q q q); ask for one of these"),
        ("llama x --file rows.csv", "look: a text and a file are given; give one of them"),
        ("llama x --dtype int3", "--dtype: unknown dtype 'int3'; …"),
    ],
)
def test_a_slip_is_one_line(words: str, line: str, place: Path, rung: Command) -> None:
    import shlex

    before = sorted(place.rglob("*"))
    said = rung("look", *shlex.split(words))
    assert (said.code, said.out) == (2, "")
    assert re.fullmatch(".*".join(map(re.escape, f"rung: {line}\n".split("…"))), said.err), said.err
    assert sorted(place.rglob("*")) == before


def test_a_text_beyond_the_window_is_one_line(place: Path, rung: Command) -> None:
    said = rung("look", "llama", "where " * 300)
    assert said.code == 2 and re.fullmatch(r"rung: text: has 30\d tokens and llama reads 256; shorten it\n", said.err)
