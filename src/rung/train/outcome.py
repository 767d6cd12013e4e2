"""The finished folder of a pretraining for people: a model card with front matter, and the curves as a page.

Written from the documents of the run alone (`pretraining.json`, `samples.json`); nothing here measures or trains.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rung.page import quantities as q
from rung.page.document import card, document, pairs, row, said, section, table
from rung.page.markup import Html, join, tag
from rung.page.plots import curve
from rung.run import write_atomic

PIPELINES = {"causal": "text-generation", "prefix-lm": "text-generation", "masked": "fill-mask"}
T = TypeVar("T")
SHOWN = 6  # stretches of the run whose samples are shown
Card = Mapping[str, Any]
Samples = Mapping[str, Sequence[Mapping[str, str]]]


def write_outcome(folder: Path, told: Card, samples: Samples) -> None:
    """Put `README.md`, `pretraining.html`, `pretraining.json` and `samples.json` into a folder of weights."""
    write_atomic(folder / "pretraining.json", json.dumps(told, indent=1, ensure_ascii=False))
    if samples:
        write_atomic(folder / "samples.json", json.dumps(samples, indent=1, ensure_ascii=False))
    write_atomic(folder / "README.md", readme(told, samples))
    write_atomic(folder / "pretraining.html", page(told, samples))


def perplexities(told: Card) -> list[tuple[int, float]]:
    """(step, perplexity of the held-out text), where text was held out."""
    found = [(int(step), losses["text"]) for step, losses in told["validation"].items() if "text" in losses]
    return sorted((step, math.exp(loss)) for step, loss in found)


def facts(told: Card) -> dict[str, str]:
    """What the card and the page both begin with."""
    recipe, corpus, cut = told["recipe"], told["corpus"], told["tokenizer"]
    train, held = recipe["train"], perplexities(told)
    shape = recipe["model"].get("model_type") or f"the model {recipe.get('from', '')[:12]}, gone on with"
    return {
        "Objective": train["objective"],
        "Architecture": f"{shape}, {told['parameters']:,} parameters",
        "Validation perplexity": f"{held[-1][1]:.2f}" if held else "",
        "Tokens read": f"{told['tokens']:,} in {told['curve'][-1][0]:,} steps",
        "Corpus": f"{corpus['documents']:,} documents, {corpus['characters']:,} characters",
        "Tokenizer": _cut(cut),
        "Schedule": f"{train['schedule']}, {train['warmup']} steps of warm-up, {train['optimiser']['name']}",
        "Guard": _guard(told.get("guard")),
    }


def _cut(cut: Mapping[str, Any]) -> str:
    if not cut:
        return ""
    return (
        f"{cut['tokens_per_word']:.2f} tokens a word, {cut['bytes_per_token']:.2f} bytes a token, "
        f"{100 * cut['unknown_share']:.2f} % unknown"
    )


def _guard(guard: Mapping[str, Any] | None) -> str:
    if guard is None:
        return ""
    said_ = "holds" if guard["holds"] else "is BROKEN"
    return (
        f"{said_}: perplexity of general text {guard['before']:.2f} before, {guard['after']:.2f} after "
        f"(at most {guard['margin']:+.1%})"
    )


def readme(told: Card, samples: Samples) -> str:
    """A model card in Markdown, with front matter."""
    recipe = told["recipe"]
    front = ["library_name: transformers", f"tags: [rung, pretrained, {recipe['train']['objective']}]"]
    if recipe["train"]["objective"] in PIPELINES:
        front.append(f"pipeline_tag: {PIPELINES[recipe['train']['objective']]}")
    lines = ["---", *front, "---", "", f"# {recipe['name']}", "", "Pretrained by `rung pretrain`.", ""]
    lines += [f"- {name}: {value}" for name, value in facts(told).items() if value]
    held = perplexities(told)
    if held:
        lines += ["", "| step | validation perplexity |", "| --- | --- |"]
        lines += [f"| {step:,} | {value:.2f} |" for step, value in _thinned(held, 10)]
    if "sources" in told["corpus"]:
        lines += ["", "| source | documents | characters | rounds | copies | near copies | held out |"]
        lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
        lines += [f"| {' | '.join(cells)} |" for cells in _sources(told)]
    if samples:
        last = samples[max(samples, key=int)]
        lines += ["", "## What it writes", ""]
        lines += [f"> {_line(one['given'])} **{_line(one['written'])}**\n" for one in last]
    lines += [
        "",
        "## Limits",
        "",
        "What it learnt is what its corpus says; nothing was filtered but copies. The recipe,",
    ]
    lines += [
        "the curve and the corpus's digest are in `pretraining.json`; the curves are drawn in `pretraining.html`."
    ]
    return "\n".join(lines) + "\n"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("<", "\\<").replace("*", "\\*")


def _sources(told: Card) -> list[list[str]]:
    keys = ("documents", "characters", "rounds", "copies", "near_copies", "held_out")
    return [[name, *(f"{one[key]:,}" for key in keys)] for name, one in told["corpus"]["sources"].items()]


def _thinned(points: Sequence[T], count: int) -> list[T]:
    places = {round(i * (len(points) - 1) / max(1, count - 1)) for i in range(count)}
    return [points[place] for place in sorted(places)]


def page(told: Card, samples: Samples) -> str:
    """The curves, the corpus and the samples as one self-contained page."""
    recipe = told["recipe"]
    top = card(
        tag("div", "pretraining", class_="eyebrow"),
        tag("h1", recipe["name"]),
        pairs({**facts(told)}),
    )
    parts = [("curves", "Curves", _curves(told))]
    if "sources" in told["corpus"]:
        head = ["Source", "Documents", "Characters", "Rounds", "Copies", "Near copies", "Held out"]
        rows = [row(*cells, numbers=range(1, 7)) for cells in _sources(told)]
        parts.append(
            ("corpus", "Corpus", section("corpus", "Corpus", table(head, rows, caption="Sources", numbers=range(1, 7))))
        )
    if samples:
        parts.append(("samples", "Samples", _samples(samples)))
    return document(
        f"{recipe['name']} · Rung",
        top,
        *[part for _, _, part in parts],
        sections={place: words for place, words, _ in parts},
        brand=join("Rung ", tag("span", recipe["name"])),
    )


def _curves(told: Card) -> Html:
    drawn = [
        _plot(
            [(float(s), float(v)) for s, v in told["curve"]],
            "Training loss",
            "Nats a target, the mean since the last point.",
        )
    ]
    held = perplexities(told)
    if len(held) > 1:
        said_ = "Perplexity of documents held out."
        drawn.append(_plot([(float(s), v) for s, v in held], "Validation perplexity", said_))
    return section("curves", "Curves", tag("div", *drawn, class_="grid"))


def _plot(points: Sequence[tuple[float, float]], title: str, words: str) -> Html:
    if len(points) < 2:
        return card(tag("p", f"{title}: {points[0][1]:.3f}" if points else title))
    plot = curve(points, title=title, write_value=lambda v: f"{v:.2f}", write_step=q.count, size=(520.0, 240.0))
    return card(tag("h3", title), tag("figure", plot, tag("figcaption", words)))


def _samples(samples: Samples) -> Html:
    steps = _thinned(sorted(samples, key=int), SHOWN)
    rows = [row(f"{int(step):,}", said(one["given"]), said(one["written"])) for step in steps for one in samples[step]]
    lead = "The same held-out texts, gone on with or mended by the model as it was after some steps."
    return section("samples", "Samples", table(["Step", "Given", "Written"], rows, caption="Samples"), lead=lead)
