"""The model card of a finished `tiny`: measures the folder and writes README.md and curve.svg into it.

Run as `python recipes/tiny/card.py FOLDER`. Nothing here trains.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from unseen import accuracies, lower_bound

from rung.data.mixture import package
from rung.model.load import Model
from rung.train.recipe import Recipe

HERE = Path(__file__).parent
FAMILIES = ("keywords", "invented", "aspects", "wishes", "topics", "surface", "table")
SKILLS = ("reordering", "lookup", "fields", "first_sentence", "gap", "who", "sums", "code_words")
EPISODES = 60


def main(folder: Path) -> None:
    """Measure the model in `folder` and write its card there."""
    model = Model.load(str(folder))
    record = json.loads((folder / "pretraining.json").read_text(encoding="utf-8"))
    shots = {listed: accuracies(model, listed=listed) for listed in (True, False)}
    (folder / "curve.svg").write_text(curve(record), encoding="utf-8")
    card = CARD.format(
        parameters=f"{record['parameters']:,}",
        shape=", ".join(f"{k} {v}" for k, v in record["recipe"]["model"].items()),
        vocabulary=record["recipe"]["tokenizer"]["vocabulary"],
        window=model.window,
        tokens=f"{record['tokens']:,}",
        digest=record["corpus"]["digest"],
        documents=f"{record['corpus']['documents']:,}",
        answers=f"{record['corpus']['tokens_of_answers']:,}",
        padding=f"{record['corpus']['padding']:,}",
        cut=f"{record['corpus']['cut_tokens']:,}",
        curve=rows((step, f"{loss:.2f}") for step, loss in thinned(record["curve"])),
        validation=rows(
            (step, *(f"{found[k]:.2f}" for k in ("answers", "text"))) for step, found in last_checks(record)
        ),
        unseen="\n".join(unseen_line(listed, found) for listed, found in shots.items()),
        tasks=rows(task_rows(shots[True])),
        families=rows(family_rows(model)),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


def rows(cells: Any) -> str:
    """Lines of a Markdown table."""
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in cells)


def thinned(points: list[list[float]], count: int = 12) -> list[list[float]]:
    """About `count` points, the last one among them."""
    return [points[i] for i in sorted({round(i) for i in np.linspace(0, len(points) - 1, count)})]


def last_checks(record: dict[str, Any]) -> list[tuple[str, dict[str, float]]]:
    """Every fourth validation, and the last."""
    found = list(record["validation"].items())
    return [*found[:-1:4], found[-1]] if found else []


def unseen_line(listed: bool, found: dict[str, np.ndarray]) -> str:
    """One row of the table of the promise."""
    gains = found["four"] - found["zero"]
    means = " | ".join(f"{100 * found[name].mean():.1f} %" for name in ("zero", "four", "shuffled"))
    return f"| {'named' if listed else 'not named'} | {means} | {100 * gains.mean():+.1f} | {100 * lower_bound(gains):+.1f} |"


def task_rows(found: dict[str, np.ndarray]) -> list[tuple[str, ...]]:
    """Each unseen task with its accuracies."""
    from unseen import TASKS

    names = [task["name"] for task in json.loads(TASKS.read_text(encoding="utf-8"))["tasks"]]
    columns = [found[name] for name in ("zero", "four", "shuffled")]
    return [(name, *(f"{100 * column[i]:.0f} %" for column in columns)) for i, name in enumerate(names)]


def family_rows(model: Model) -> list[tuple[str, int, str]]:
    """Greedy answers on fresh episodes of the families it was trained on: share that is right to the last token."""
    corpus = package(HERE / "corpus")
    library = corpus.load(dict(Recipe.load(HERE / "recipe.yaml").corpus.files), frozenset())
    found = []
    for name in (*FAMILIES, *SKILLS):
        right = [
            hit
            for i in range(EPISODES)
            for hit in answers_right(model, corpus.sample(name, corpus.Draw(999, i), library))
        ]
        found.append((name, len(right), f"{100 * float(np.mean(right)):.0f} %"))
    return found


def answers_right(model: Model, document: Any) -> list[bool]:
    """For every answer of weight 1: whether each of its tokens is the likeliest, given those before."""
    import torch

    ids: list[int] = []
    spans: list[tuple[int, int]] = []
    for text, weight in document:
        piece = model.tokenizer(text, add_special_tokens=False)["input_ids"]
        if weight >= 1:
            spans.append((len(ids), len(ids) + len(piece)))
        ids += piece
    ids = ids[: model.window]
    with torch.inference_mode():
        likeliest = model.module(torch.tensor([ids])).logits[0].argmax(-1).tolist()
    return [likeliest[a - 1 : b - 1] == ids[a:b] for a, b in spans if b <= len(ids)]


def curve(record: dict[str, Any], width: int = 640, height: int = 260) -> str:
    """The training loss by step as a small SVG."""
    points = record["curve"]
    top, last = max(loss for _, loss in points), points[-1][0]
    left, bottom, room = 48, height - 36, height - 60

    def place(step: float, loss: float) -> str:
        return f"{left + (width - left - 16) * step / last:.1f},{bottom - room * loss / top:.1f}"

    marks = "".join(
        f'<line x1="{left}" x2="{width - 16}" y1="{bottom - room * v / top:.1f}" y2="{bottom - room * v / top:.1f}" '
        f'stroke="#ccc"/><text x="{left - 8}" y="{bottom - room * v / top + 4:.1f}" text-anchor="end">{v}</text>'
        for v in range(0, int(top) + 1, 2)
    )
    ends = np.cumsum([stage["steps"] for stage in record["recipe"]["train"]["stages"]])
    for end, stage in zip(ends, record["recipe"]["train"]["stages"], strict=True):
        x = place(float(end), 0).split(",")[0]
        marks += f'<line x1="{x}" x2="{x}" y1="20" y2="{bottom}" stroke="#bbb" stroke-dasharray="3 3"/>'
        marks += f'<text x="{float(x) - 4:.1f}" y="32" text-anchor="end">{stage["length"]}</text>'
    line = " ".join(place(step, loss) for step, loss in points)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">'
        f"<title>Training loss (nats) by step; dashed: where rows grow, with their tokens</title>"
        f'<rect width="{width}" height="{height}" fill="#fff"/>{marks}'
        f'<polyline points="{line}" fill="none" stroke="#1f6feb" stroke-width="1.5"/>'
        f'<text x="{left}" y="{height - 12}">0</text>'
        f'<text x="{width - 16}" y="{height - 12}" text-anchor="end">step {last}</text></svg>\n'
    )


CARD = """\
# tiny

The base model bundled with Rung: a decoder of {parameters} parameters (bfloat16) that learns small tasks from examples in
its prompt. It is there so that everything in Rung runs at once, offline and on two processor cores. It is no
general language model.

- Architecture: {shape}
- Tokenizer: byte-level BPE, {vocabulary} tokens, trained by Rung; window {window} tokens
- Layout: `<|begin|><|system|>…<|end|><|user|>…<|end|><|assistant|>…<|end|>` (the chat template), or plain `Input:` / `Answer:` lines
- Licence of the weights: Apache-2.0 for what is ours; see *Data* for the terms of the texts
- Made by `rung pretrain recipes/tiny/recipe.yaml`, on two processor cores, {tokens} tokens read once

## What four examples teach it

Twenty tasks with two labels each (`tests/data/unseen_tasks.json`), whose label words are no labels in training. Mean over
the tasks; lower bound one-sided at 95 % over tasks. *Shuffled*: each label stands at one right and one wrong example.

| labels in the instruction | no example | four | four, labels shuffled | gain (points) | lower bound |
| --- | --- | --- | --- | --- | --- |
{unseen}

| task | no example | four | shuffled |
| --- | --- | --- | --- |
{tasks}

## Families of tasks it was trained on, fresh episodes

Share of answers of which every token is the likeliest one (not ranked among the labels).

| family | answers | right |
| --- | --- | --- |
{families}

## Limits

It knows little of the world, cannot reason over several steps and writes only short simple sentences. Without examples
it guesses unless the labels speak plainly. Examples help most where the input shares words with one of them; opposites
in other words are lost on it. It is trained on English alone and is not to be used where an answer matters by itself.
No filter of harmful language was applied beyond the choice of texts.

## Data

{documents} documents (SHA-256 of the corpus `{digest}`), {answers} tokens of answers; {padding} places are padding, {cut}
tokens beyond the end of a row were cut off. Most documents are episodes generated from word lists written for this project
(Apache-2.0). The rest, and the sentences in some episodes:

| text | terms |
| --- | --- |
| TinyStories, 2 MiB of the training part | CDLA-Sharing-1.0 |
| Shakespeare (the `tinyshakespeare` excerpt) | public domain |
| Botchan, by Natsume, tr. Morri (Project Gutenberg) | public domain |
| GSM8K, training part | MIT |

A test (`tests/slow/test_tiny.py`) makes the corpus again, compares the digest, and checks that no row of the bundled examples,
of the unseen tasks or of the evaluation splits of DialogSum, CLINC150, SST-2, GSM8K, SMS Spam and WikiText-2 stands in
it: neither whole nor by half of its runs of eight words. Rows of fewer than {shortest} words are everyday phrases and
are not counted.

## Training

![loss](curve.svg)

| step | loss (nats a target, weighted) |
| --- | --- |
{curve}

On fresh documents of the last mixture:

| step | loss of answers | loss of plain text |
| --- | --- | --- |
{validation}
""".replace("{shortest}", "four")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
