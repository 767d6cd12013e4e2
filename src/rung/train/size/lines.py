"""What `rung size` prints: the tables of a sizing as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rung.page import quantities as q
from rung.train.size.compute import PETAFLOP_DAY, Optimum
from rung.train.size.demand import Setting
from rung.train.size.sizing import Sizing


def lines(found: Sizing) -> Iterator[str]:
    """The whole answer."""
    yield from _parameters(found)
    yield ""
    yield from _training(found)
    yield ""
    yield from _choices(found)
    yield ""
    yield from aligned(("method", "numbers", "layers", "parameters that move", "peak"), way_rows(found))
    if found.setting.devices > 1:
        yield ""
        counts = list(found.stages[0])
        rows = [(f"ZeRO {stage}", *(q.memory(row[n]) for n in counts)) for stage, row in found.stages.items()]
        yield from aligned(("a device", *(f"{n} devices" if n > 1 else "1 device" for n in counts)), rows)
    if found.card is not None:
        yield ""
        yield from _card(found)
    if found.duration is not None:
        yield ""
        yield from duration_lines(found)


def _parameters(found: Sizing) -> Iterator[str]:
    parts = found.parts
    yield f"{found.model}: {q.count(parts.total)} parameters ({q.scaled(parts.total)}), {parts.layers} layers"
    shown = [
        (name, q.count(count), q.percent(count / parts.total)) for name, count in parts.components.items() if count
    ]
    if parts.tied:
        shown.append(("head", "shared with the embeddings", ""))
    if parts.active != parts.total:
        shown.append(("active in a token", q.count(parts.active), q.percent(parts.active / parts.total)))
    yield from aligned(("part", "parameters", "share"), shown)
    yield "weights alone: " + ", ".join(f"{name} {q.memory(size)}" for name, size in found.stored.items())


def _training(found: Sizing) -> Iterator[str]:
    use, rules = found.use, found.rules
    yield f"training, {described(found.setting)}: peak {q.memory(use.total)}"
    parts = [
        ("weights", use.weights), ("gradients", use.gradients), ("optimiser states", use.optimizer),
        ("activations", use.activations), ("logits", use.logits), ("in use at once within a step", use.moving),
        ("held by the allocator beside", use.slack), ("peak", use.total),
    ]  # fmt: skip
    yield from aligned(("of it", "bytes"), [(name, q.memory(size)) for name, size in parts])
    ratio = use.total / rules["train"]
    yield (
        f"rule of thumb: {q.memory(rules['hold'])} to hold (4 bytes a parameter), {q.memory(rules['train'])} to train all of it in "
        f"float32 (six times that; 24 GB a billion); the sum above is {q.plain(ratio, 2)} of the latter"
    )


def _choices(found: Sizing) -> Iterator[str]:
    yield "optimiser states: " + ", ".join(f"{name} {q.memory(size)}" for name, size in found.states.items())
    yield "activations: " + ", ".join(f"{name} {q.memory(size)}" for name, size in found.activations.items())
    yield f"logits: {q.memory(found.logits['full'])} at once, {q.memory(found.logits['chunked'])} in pieces of 1,024 tokens"
    tokens = found.setting.rows * found.setting.length
    if any(found.cache.values()):
        told = ", ".join(f"{name} {q.memory(size)}" for name, size in found.cache.items())
        yield f"keys and values of {q.count(tokens)} tokens when answering: {told}"
    else:
        yield "no keys and values grow with the text when answering"


def way_rows(found: Sizing) -> list[tuple[str, ...]]:
    """A row a way to train: method, numbers, whether layers are kept, what moves, peak."""
    return [
        (
            way.setting.method, way.setting.precision, "computed again" if way.setting.checkpointing else "kept",
            q.scaled(way.moved), q.memory(way.use.total),
        )
        for way in found.ways
    ]  # fmt: skip


def fit_rows(found: Sizing) -> list[tuple[str, ...]]:
    """A row a way to train: how much one row takes on the card, and how many fit."""
    return [
        (
            fit.setting.method, fit.setting.precision, "computed again" if fit.setting.checkpointing else "kept",
            q.memory(fit.one_row), q.count(fit.rows) if fit.rows else "none", q.memory(fit.peak) if fit.rows else q.NOTHING,
        )
        for fit in found.fits
    ]  # fmt: skip


def _card(found: Sizing) -> Iterator[str]:
    assert found.card is not None
    yield f"on {found.card.name} ({q.memory(found.card.memory)}), rows of {found.setting.length} tokens:"
    yield from aligned(("method", "numbers", "layers", "one row", "most rows", "peak then"), fit_rows(found))
    best, free = found.cheapest, found.freest
    if best is None or free is None:
        yield "nothing fits: take a larger card, more devices with --stage 3, or shorter rows"
    else:
        yield f"moves most: {described(free.setting)}"
        yield f"least work a token: {described(best.setting)} ({q.plain(best.work, 1)} passes forward)"


def duration_lines(found: Sizing) -> Iterator[str]:
    """How long a budget of tokens takes."""
    own = found.duration
    assert own is not None
    rate = f"{q.scaled(own.rate, 'FLOP/s')} at {q.percent(own.utilisation)}"
    where = rate if own.devices == 1 else f"{own.devices} × {rate}"
    yield f"{q.scaled(own.tokens)} tokens: {own.operations:.3g} operations, {own.petaflop_days:.3g} petaFLOP/s-days"
    yield f"on {where}: {q.scaled(own.tokens_per_second)} tokens a second, {q.seconds(own.seconds)}"


def optimum_lines(found: Sequence[Optimum]) -> Iterator[str]:
    """The compute-optimal sizes for a budget."""
    yield f"{found[0].operations:.3g} operations ({found[0].operations / PETAFLOP_DAY:.3g} petaFLOP/s-days), spent best on:"
    rows = [
        (
            one.source,
            q.scaled(one.parameters),
            q.scaled(one.tokens),
            q.plain(one.tokens / one.parameters, 1),
            f"{one.loss:.3f}",
        )
        for one in found
    ]
    yield from aligned(("by", "parameters", "tokens", "tokens a parameter", "loss"), rows)
    yield "from 6 operations a parameter and token; losses are of the paper's data and tokenizer, in nats a token"


def described(setting: Setting) -> str:
    """A setting in words."""
    told = [setting.method, setting.precision, setting.optimiser, f"{setting.rows} × {setting.length} tokens"]
    told += [f"in {setting.pieces} pieces"] if setting.pieces > 1 else []
    told += ["layers computed again"] if setting.checkpointing else []
    told += [f"{setting.devices} devices, ZeRO {setting.stage}"] if setting.devices > 1 else []
    return ", ".join(told)


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table in columns; the first is left-aligned as words are, those of amounts right."""
    widths = [max(len(row[n]) for row in [head, *rows]) for n in range(len(head))]
    right = [all(not row[n] or row[n][0] in "0123456789−–n" for row in rows) for n in range(len(head))]
    for row in [head, *rows]:
        cells = (cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right))
        yield ("  " + "  ".join(cells)).rstrip()
