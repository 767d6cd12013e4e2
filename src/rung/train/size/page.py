"""A sizing as one HTML page: what each way to train takes, drawn part by part, and every table of it."""

from __future__ import annotations

from collections.abc import Sequence

from rung.model.memory import MemoryUse
from rung.page import quantities as q
from rung.page.document import card, document, pairs, row, section, table
from rung.page.markup import Html, Part, join, tag
from rung.page.stacked import stacked
from rung.train.size.compute import PETAFLOP_DAY, Optimum
from rung.train.size.lines import described, fit_rows, way_rows
from rung.train.size.sizing import Sizing

WAY_HEAD = ("Method", "Numbers", "Layers", "Parameters that move", "Peak")
FIT_HEAD = ("Method", "Numbers", "Layers", "One row", "Most rows", "Peak then")
OPTIMUM_HEAD = ("By", "Parameters", "Tokens", "Tokens a parameter", "Loss")


def render(found: Sizing, optima: Sequence[Optimum] = ()) -> str:
    """The page: self-contained, without scripts."""
    parts = [("memory", "Memory", _memory(found)), ("parameters", "Parameters", _parameters(found))]
    if found.setting.devices > 1:
        parts.append(("devices", "Devices", _devices(found)))
    if found.card is not None:
        parts.append(("card", "What fits", _fits(found)))
    if found.duration is not None:
        parts.append(("time", "Time", _time(found)))
    if optima:
        parts.append(("compute", "Compute", _compute(optima)))
    top = card(
        tag("div", f"size · {found.model}", class_="eyebrow"),
        tag("h1", f"{q.scaled(found.parts.total)} parameters; {q.memory(found.use.total)} to train"),
        tag("p", f"{described(found.setting)}.", class_="rest"),
    )
    sections = {place: words for place, words, _ in parts}
    return document(f"{found.model} · size · Rung", top, *[p for _, _, p in parts], sections=sections, brand="Rung")


def _memory(found: Sizing) -> Html:
    drawn = [
        (f"{way.setting.method}, {way.setting.precision}{', again' if way.setting.checkpointing else ''}", shares(way.use))
        for way in found.ways
    ]  # fmt: skip
    limit = (float(found.card.memory), found.card.name) if found.card else None
    plot = stacked(drawn, title="Peak memory of each way to train", write=q.memory, limit=limit)
    words = "“again”: layers are computed again on the way back instead of being kept."
    facts: dict[str, Part] = {
        "to hold, by rule of thumb": f"{q.memory(found.rules['hold'])} (4 bytes a parameter)",
        "to train, by rule of thumb": f"{q.memory(found.rules['train'])} (six times that; 24 GB a billion)",
        "optimiser states": ", ".join(f"{name} {q.memory(size)}" for name, size in found.states.items()),
        "activations": ", ".join(f"{name} {q.memory(size)}" for name, size in found.activations.items()),
        "logits": f"{q.memory(found.logits['full'])} at once, {q.memory(found.logits['chunked'])} in pieces of 1,024",
        "keys and values": ", ".join(f"{name} {q.memory(size)}" for name, size in found.cache.items()),
    }
    rows = [row(*cells, numbers=(3, 4)) for cells in way_rows(found)]
    return section(
        "memory", "Memory", card(tag("figure", plot, tag("figcaption", words))), card(pairs(facts)),
        table(WAY_HEAD, rows, caption="Ways to train", numbers=(3, 4)),
        lead="Counted by running one step on tensors that have shapes and no numbers; weights were not loaded.",
    )  # fmt: skip


def shares(use: MemoryUse) -> dict[str, float]:
    """A peak as parts that add up to it."""
    gradients = min(use.gradients, use.moving)
    return {
        "weights": use.weights,
        "optimiser states": use.optimizer + use.best_weights,
        "gradients": gradients,
        "activations and logits": use.moving - gradients,
        "allocator": max(0.0, use.slack),
    }


def _parameters(found: Sizing) -> Html:
    parts = found.parts
    rows = [row(n, q.count(c), q.percent(c / parts.total), numbers=(1, 2)) for n, c in parts.components.items()]
    rows.append(row("all", q.count(parts.total), q.percent(1.0), numbers=(1, 2)))
    stored = ", ".join(f"{name} {q.memory(size)}" for name, size in found.stored.items())
    tied = "The head shares the embeddings’ matrix, which is counted once." if parts.tied else None
    shown = table(("Part", "Parameters", "Share"), rows, caption="Parameters", numbers=(1, 2))
    return section("parameters", "Parameters", shown, tag("p", f"Weights alone: {stored}."), lead=tied)


def _devices(found: Sizing) -> Html:
    counts = list(found.stages[0])
    numbers = tuple(range(1, len(counts) + 1))
    rows = [
        row(f"ZeRO {stage}", *(q.memory(own[n]) for n in counts), numbers=numbers)
        for stage, own in found.stages.items()
    ]
    head = ("Stage", *(f"{n} devices" if n > 1 else "1 device" for n in counts))
    lead = "Peak of one device. Stage 1 shares the optimiser’s states, 2 the gradients too, 3 also the weights."
    return section("devices", "Devices", table(head, rows, caption="Devices", numbers=numbers), lead=lead)


def _fits(found: Sizing) -> Html:
    assert found.card is not None
    rows = [row(*cells, numbers=(3, 4, 5)) for cells in fit_rows(found)]
    best, free = found.cheapest, found.freest
    told = "Nothing fits." if best is None or free is None else join(
        f"Moves most: {described(free.setting)}. Least work a token: {described(best.setting)}."
    )  # fmt: skip
    shown = table(FIT_HEAD, rows, caption="What fits", numbers=(3, 4, 5))
    lead = f"{found.card.name}: {q.memory(found.card.memory)}; rows of {found.setting.length:,} tokens."
    return section("card", "What fits", card(tag("p", told)), shown, lead=lead)


def _time(found: Sizing) -> Html:
    own = found.duration
    assert own is not None
    facts: dict[str, Part] = {
        "tokens": q.scaled(own.tokens),
        "operations": f"{own.operations:.3g} ({own.petaflop_days:.3g} petaFLOP/s-days)",
        "rate": f"{own.devices} × {q.scaled(own.rate, 'FLOP/s')} at {q.percent(own.utilisation)}",
        "tokens a second": q.scaled(own.tokens_per_second),
        "time": q.seconds(own.seconds),
    }
    return section("time", "Time", card(pairs(facts)))


def _compute(optima: Sequence[Optimum]) -> Html:
    rows = [
        row(one.source, q.scaled(one.parameters), q.scaled(one.tokens), q.plain(one.tokens / one.parameters, 1),
            f"{one.loss:.3f}", numbers=(1, 2, 3, 4))
        for one in optima
    ]  # fmt: skip
    lead = f"{optima[0].operations:.3g} operations: {optima[0].operations / PETAFLOP_DAY:.3g} petaFLOP/s-days."
    shown = table(OPTIMUM_HEAD, rows, caption="Compute-optimal sizes", numbers=(1, 2, 3, 4))
    return section("compute", "Compute", shown, lead=lead)
