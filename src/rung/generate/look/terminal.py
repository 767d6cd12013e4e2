"""A look in the terminal: tables, and heat strips of block characters. The page shows more; the numbers are the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from rung.generate.look.found import Attention, Following, Head, Look, Neighbourhood, Token

TOKENS = 48
HEADS = 36
NEIGHBOURHOODS = 16
BLOCKS = " ▁▂▃▄▅▆▇█"
BAR = 12


def show(look: Look, console: Console | None = None) -> None:
    """Print a look."""
    console = console or Console(highlight=False)
    for part in _parts(look):
        console.print(part)


def _parts(look: Look) -> Iterator[RenderableType]:
    yield Text(f"{look.model}: {look.facts}", style="bold")
    yield from _tokens("tokens", look.tokens)
    if look.answer:
        yield from _tokens("answer", look.answer)
    if look.neighbourhoods:
        yield from _neighbours(look.neighbourhoods)
    for kind in look.attention:
        yield from _attention(kind)
    for following in look.following:
        yield from _following(following, look)
    for note in look.notes:
        yield Text(f"note    {note}")


def _table(*columns: str, right: Sequence[str] = ()) -> Table:
    made = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        strips = column.endswith(" keys")
        made.add_column(column, justify="right" if column in right else "left", overflow="fold", no_wrap=strips)
    return made


def _head(name: str, told: str) -> Text:
    return Text.assemble("\n", (name, "bold"), f"  {told}" if told else "")


def _tokens(name: str, tokens: Sequence[Token]) -> Iterator[RenderableType]:
    predicted = any(token.bits is not None for token in tokens)
    told = f"{len(tokens):,} tokens" + (", surprise in bits: −log2 P(token | those before)" if predicted else "")
    yield _head(name, told)
    columns = ["at", "id", "token", "characters", *(["surprise", ""] if predicted else [])]
    table = _table(*columns, right=("at", "id", "surprise"))
    most = max((token.bits or 0 for token in tokens), default=0) or 1
    for token in tokens[:TOKENS]:
        span = "" if token.start is None else f"{token.start}–{token.end}"
        cells = [Text(str(token.position)), Text(str(token.id)), Text(token.piece, "dim" if token.special else "")]
        cells.append(Text(span, "dim"))
        if predicted:
            cells += [Text("" if token.bits is None else f"{token.bits:.1f}"), _bar((token.bits or 0) / most)]
        table.add_row(*cells)
    yield table
    if len(tokens) > TOKENS:
        yield Text(f"the first {TOKENS} are shown; --json has all", "dim")


def _bar(share: float) -> Text:
    """A bar of up to `BAR` characters, by eighths."""
    eighths = round(min(max(share, 0.0), 1.0) * BAR * 8)
    part = "▏▎▍▌▋▊▉"[eighths % 8 - 1] if eighths % 8 else ""
    return Text("█" * (eighths // 8) + part, "blue")


def _neighbours(found: Sequence[Neighbourhood]) -> Iterator[RenderableType]:
    yield _head("neighbours", "nearest embeddings of the vocabulary by angle; usual: the median angle to all of it")
    table = _table("embedding", "usual", "nearest", right=("usual",))
    for own in found[:NEIGHBOURHOODS]:
        near = Text()
        for one in own.near:
            near.append(one.piece)
            near.append(f" {one.degrees:.0f}°  ", "dim")
        table.add_row(Text(own.name), "" if own.usual is None else f"{own.usual:.0f}°", near)
    yield table
    if len(found) > NEIGHBOURHOODS:
        yield Text(f"the first {NEIGHBOURHOODS} of {len(found)} are shown; --out and --json have all", "dim")


def strip(weights: Sequence[float]) -> str:
    """A row of weights as block characters, a character a key, the full block from 0.5 on.

    >>> strip([0.0, 0.02, 0.25, 0.9])
    ' ▁▄█'
    """
    # Half of a row's weight on one key is as much as an eye needs told; a trace still shows.
    levels = (0 if w < 0.005 else min(8, math.ceil(16 * w)) for w in weights)
    return "".join(BLOCKS[level] for level in levels)


def _attention(kind: Attention) -> Iterator[RenderableType]:
    layers = len(kind.layers)
    per = len(kind.heads) // layers
    yield _head(kind.title.lower(), f"{layers} layers × {per} heads; where the last token {kind.queries[-1]} looks")
    habits = kind.heads[0].first is not None
    names = ["first", "previous", "own"] if habits else []
    table = _table("layer", "head", f"{len(kind.keys)} keys", "most on", *names, right=("layer", "head", *names))
    for head in kind.heads[:HEADS]:
        row = head.weights[-1]
        shares = [Text(f"{value:.2f}", _shade(value)) for value in _habits(head)] if habits else []
        table.add_row(str(head.layer), str(head.head), Text(f"▕{strip(row)}▏", "blue"), _most(row, kind.keys), *shares)
    yield table
    if habits:
        yield Text("first, previous, own: mean weight of all tokens on the first, the one before, themselves", "dim")
    if len(kind.heads) > HEADS:
        yield Text(f"the first {HEADS} of {len(kind.heads)} heads are shown; choose by --layer and --head", "dim")


def _habits(head: Head) -> list[float]:
    return [value for value in (head.first, head.previous, head.own) if value is not None]


def _shade(value: float) -> str:
    return "bold" if value >= 0.5 else "" if value >= 0.1 else "dim"


def _most(row: Sequence[float], keys: Sequence[str]) -> Text:
    """The keys with the most weight."""
    order = sorted(range(len(row)), key=lambda n: (-row[n], n))[:3]
    out = Text()
    for place in order:
        if row[place] >= 0.05 or place == order[0]:
            out.append(keys[place])
            out.append(f" {row[place]:.2f}  ", "dim")
    return out


def _following(found: Following, look: Look) -> Iterator[RenderableType]:
    if found.place is None:
        told = f"{look.sampling}: {found.kept:,} of {found.vocabulary:,} tokens may be drawn; "
        told += f"entropy {found.entropy:.2f} bits, of the draw {found.drawn_entropy:.2f}"
        yield _head("next", told)
        tempered = look.sampling.partition(",")[0]
        table = _table("token", "id", "model", "", tempered, "drawn", right=("id", "model", tempered, "drawn"))
    else:
        yield _head("mask", f"at token {found.place}; entropy {found.entropy:.2f} bits")
        table = _table("token", "id", "model", "", right=("id", "model"))
    top = found.chances[0].model or 1
    for one in found.chances:
        cells = [Text(one.piece), Text(str(one.id)), Text(percent(one.model)), _bar(one.model / top)]
        if found.place is None:
            cells += [Text(percent(one.tempered)), Text(percent(one.drawn) if one.drawn else "–")]
        table.add_row(*cells)
    yield table
    if found.place is None:
        yield Text("drawn: after the filters, as an answer is drawn", "dim")


def percent(share: float) -> str:
    """A probability, small ones with more digits.

    >>> percent(0.25), percent(0.00123), percent(1e-7)
    ('25.0 %', '0.12 %', '< 0.01 %')
    """
    if share >= 0.01:
        return f"{100 * share:.1f} %"
    return f"{100 * share:.2f} %" if share >= 0.0001 else "< 0.01 %"
