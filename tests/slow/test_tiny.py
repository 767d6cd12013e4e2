"""The bundled base `tiny`: its size, what it learns from examples in the prompt, and what its training text is free of."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from rung.data.mixture import documents
from rung.model.load import Model
from rung.train.recipe import Recipe

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "recipes" / "tiny"))

from unseen import TASKS as UNSEEN  # noqa: E402
from unseen import accuracies, lower_bound  # noqa: E402

RECIPE = ROOT / "recipes" / "tiny" / "recipe.yaml"
GRAM = 8  # words
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tiny() -> Model:
    return Model.load("tiny")


def test_tiny_is_small_and_loads(tiny: Model) -> None:
    files = [file for file in tiny.folder.iterdir() if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 16 * 2**20
    assert tiny.kind == "decoder"
    assert tiny.window >= 1024
    assert tiny.tokenizer.chat_template
    assert str(tiny.module.dtype) == "torch.bfloat16"
    assert all(bool(weight.isfinite().all()) for weight in tiny.module.parameters())


def test_card_tells_the_truth(tiny: Model) -> None:
    record = json.loads((tiny.folder / "pretraining.json").read_text())
    card = (tiny.folder / "README.md").read_text(encoding="utf-8")
    assert record["corpus"]["digest"] in card
    assert f"{record['parameters']:,}" in card
    assert record["parameters"] == tiny.module.num_parameters()


@pytest.mark.parametrize("listed", [True, False])
def test_four_shots_teach_unseen_tasks(tiny: Model, listed: bool) -> None:
    found = accuracies(tiny, listed=listed)
    gains = found["four"] - found["zero"]
    print({name: round(float(values.mean()), 3) for name, values in found.items()}, round(lower_bound(gains), 3))
    assert len(gains) == 20
    assert gains.mean() >= 0.10
    assert lower_bound(gains) > 0
    shuffled = found["shuffled"] - found["zero"]
    assert shuffled.mean() < gains.mean() / 3
    assert lower_bound(shuffled) < 0 < lower_bound(found["four"] - found["shuffled"])


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return re.findall(r"[a-z0-9]+", text.lower())


def grams(text: str) -> Iterator[int]:
    """A number for each run of eight words."""
    parts = words(text)
    for i in range(len(parts) - GRAM + 1):
        yield int.from_bytes(hashlib.blake2b(" ".join(parts[i : i + GRAM]).encode(), digest_size=8).digest(), "big")


def strings(value: object) -> Iterator[str]:
    """Every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)


def bundled_rows() -> dict[str, list[str]]:
    """The inputs of the examples in this repository, and of the unseen tasks."""
    rows: dict[str, list[str]] = {}
    for file in sorted((ROOT / "examples").glob("*/*")):
        if file.suffix == ".jsonl":
            rows[str(file)] = [s for line in file.read_text().splitlines() for s in strings(json.loads(line))]
        elif file.suffix == ".csv":
            with file.open(newline="", encoding="utf-8") as stream:
                rows[str(file)] = [cell for row in csv.reader(stream) for cell in row]
    rows[str(UNSEEN)] = [text for task in json.loads(UNSEEN.read_text())["tasks"] for text, _ in task["rows"]]
    return rows


def evaluation_rows(data: Path) -> dict[str, list[str]]:
    """The inputs of the evaluation splits among the real data."""

    def json_lines(path: str, *keys: str) -> list[str]:
        lines = (data / path).read_text(encoding="utf-8").splitlines()
        return [row[key] for row in map(json.loads, lines) for key in keys if isinstance(row.get(key), str)]

    clinc = json.loads((data / "clinc150/data_full.json").read_text())
    sentences = (data / "fewshot_bundle/sst2/stsa.binary.test").read_text(encoding="utf-8").splitlines()
    wiki = [(data / f"wikitext2/{split}.txt").read_text(encoding="utf-8").splitlines() for split in ("valid", "test")]
    return {
        "dialogsum": json_lines("dialogsum/dialogsum.test.jsonl", "dialogue", "summary1", "summary2", "summary3")
        + json_lines("dialogsum/dialogsum.dev.jsonl", "dialogue", "summary"),
        "clinc150": [row[0] for split in ("test", "val", "oos_test", "oos_val") for row in clinc[split]],
        "sst2": [line[2:] for line in sentences],
        "gsm8k": json_lines("gsm8k/test.jsonl", "question"),
        "sms_spam": [line.split("\t", 1)[1] for line in (data / "sms_spam/SMSSpamCollection").read_text().splitlines()],
        "wikitext2": [line for lines in wiki for line in lines],
    }


def leaks(rows: dict[str, list[str]], texts: Iterable[str]) -> list[tuple[str, str]]:
    """Rows of four words or more that stand in `texts` whole, or half of whose runs of eight words do."""
    whole, wanted = set(), set()
    for text in (text for group in rows.values() for text in group):
        whole.add(" ".join(words(text)))
        wanted.update(grams(text))
    seen_whole: set[str] = set()
    seen: set[int] = set()
    for text in texts:
        joined = " ".join(words(text))
        if joined in whole:
            seen_whole.add(joined)
        seen.update(gram for gram in grams(text) if gram in wanted)
    found = []
    for name, group in rows.items():
        for text in group:
            parts, runs = words(text), set(grams(text))
            if (len(parts) > 3 and " ".join(parts) in seen_whole) or (runs and len(runs & seen) >= len(runs) / 2):
                found.append((name, text))
    return found


def test_leaks_are_found() -> None:
    rows = {
        "a": ["Where is my blue umbrella?"],
        "b": ["one two three four five six seven eight nine ten"],
        "c": ["no no"],
    }
    texts = ["where is MY blue umbrella", "so: two three four five six seven eight nine ten, and on", "no no"]
    assert leaks(rows, texts) == [("a", rows["a"][0]), ("b", rows["b"][0])]
    assert leaks(rows, ["is my blue umbrella", "three four five six seven eight nine eleven"]) == []


def test_training_text_is_the_one_of_the_card_and_free_of_test_rows(
    tiny: Model, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNG_DATA", str(real_data))
    record = json.loads((tiny.folder / "pretraining.json").read_text())["corpus"]
    recipe = Recipe.load(RECIPE)
    whole = hashlib.sha256()

    def texts() -> Iterator[str]:
        for _, document in zip(range(record["documents"]), documents(recipe.corpus, recipe.seed), strict=False):
            whole.update(json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass"))
            yield " ".join(re.sub(r"<\|\w+\|>", " ", text) for text, _ in document)
            yield from (
                re.sub(r"<\|\w+\|>|^Input:|^Text:|^Q:|Answer:$|Label:$|A:$|=>$", " ", text) for text, _ in document
            )

    assert leaks({**bundled_rows(), **evaluation_rows(real_data)}, texts()) == []
    assert whole.hexdigest() == record["digest"]


def test_labels_of_unseen_tasks_are_no_labels_in_training(
    tiny: Model, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNG_DATA", str(real_data))
    record = json.loads((tiny.folder / "pretraining.json").read_text())["corpus"]
    recipe = Recipe.load(RECIPE)
    unseen = {label for task in json.loads(UNSEEN.read_text())["tasks"] for label in task["labels"]}
    for _, document in zip(range(record["documents"]), documents(recipe.corpus, recipe.seed), strict=False):
        for text, weight in document:
            if weight >= 1 or (weight == 0 and len(text) < 30):
                assert re.sub(r"<\|\w+\|>", " ", text).strip().lower() not in unseen
