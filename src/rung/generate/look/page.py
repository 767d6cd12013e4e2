"""A look as one HTML page: the tokens to point at, what comes next, a map a head to choose from, neighbours by angle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rung.errors import RungError
from rung.generate.look.found import Following, Look, Neighbourhood, Token
from rung.generate.look.maps import attention_section
from rung.generate.look.terminal import percent
from rung.page.axes import Linear
from rung.page.document import card, document, row, section, shortened, table
from rung.page.marks import bar, drawing, rule
from rung.page.markup import Html, Part, join, tag
from rung.run import write_atomic

TOKENS = 400
LEVELS = (2.0, 4.0, 7.0, 11.0)
"""Bits at which a token's surprise is drawn a shade darker."""


def check_new(file: Path) -> None:
    """Raises RungError where something lies at `file` already: nothing is overwritten."""
    if file.exists():
        raise RungError("is there already", where=str(file), mend="name another with --out")


def write(look: Look, file: Path) -> None:
    """Write the page to a new file."""
    check_new(file)
    write_atomic(file, render(look))


def render(look: Look) -> str:
    """The page: self-contained, without scripts."""
    top = card(
        tag("div", f"look · {look.model}", class_="eyebrow"),
        tag("h1", shortened(look.text, 120)),
        tag("p", look.facts, class_="rest"),
        tag("ul", *[tag("li", note[:1].upper() + note[1:] + ".") for note in look.notes], class_="advice") if look.notes else None,
        class_="plainly",
    )  # fmt: skip
    parts: dict[str, tuple[str, Html]] = {"tokens": ("Tokens", _tokens("tokens", "Tokens", look.tokens))}
    if look.answer:
        parts["answer"] = ("Answer", _tokens("answer", "The answer so far", look.answer))
    if look.following:
        parts["next"] = ("Next", _following(look))
    for kind in look.attention:
        parts[kind.kind] = (kind.title, attention_section(kind))
    if look.neighbourhoods:
        parts["neighbours"] = ("Neighbours", _neighbours(look.neighbourhoods))
    names = {place: name for place, (name, _) in parts.items()}
    sections = [made for _, made in parts.values()]
    return document(f"look · {look.model} · Rung", top, *sections, sections=names, brand="Rung")


# -- tokens ------------------------------------------------------------------------------------------------------------


def _tokens(place: str, heading: str, tokens: Sequence[Token]) -> Html:
    predicted = any(token.bits is not None for token in tokens)
    lead = f"{len(tokens):,} tokens. ␣ is a blank, ↵ a line break, ⟨E2 80⟩ bytes of a character cut in two."
    if predicted:
        lead += " The stronger the colour, the more surprising behind what stands before: −log2 P(token), in bits."
    chips = [_chip(token) for token in tokens[:TOKENS]]
    hint = tag("span", "Point at a token to read its id and place.", class_="hint")
    content = card(tag("div", *chips, hint, class_="chips"), _key() if predicted else None)
    rows = [_token_row(token, predicted) for token in tokens[:TOKENS]]
    head = ["Token", "At", "Id", "Characters", *(["Surprise"] if predicted else [])]
    listed = table(head, rows, caption=f"{heading}, one a row", numbers=(1, 2, 3, 4))
    fold = tag("details", tag("summary", "The same as a table"), tag("div", listed, class_="below"), class_="more")
    left = f"The first {TOKENS} are shown." if len(tokens) > TOKENS else None
    return section(place, heading, content, tag("p", left, class_="soft") if left else None, fold, lead=lead)


def _chip(token: Token) -> Html:
    level = 0 if token.bits is None else 1 + sum(token.bits >= limit for limit in LEVELS)
    told = f"token {token.position} · id {token.id}"
    told += "" if token.start is None else f" · characters {token.start}–{token.end}"
    told += "" if token.bits is None else f" · {token.bits:.1f} bits ({percent(2**-token.bits)})"
    kind = "chip special" if token.special else f"chip s{level}"
    return tag("span", token.piece, tag("span", f"{token.piece} · {told}", class_="told"), class_=kind, tabindex=0)


def _key() -> Html:
    names = ["under 2 bits", "2 to 4", "4 to 7", "7 to 11", "11 and more"]
    items = [tag("li", tag("span", "\u2003", class_=f"chip s{n + 1}"), name) for n, name in enumerate(names)]
    return tag("ul", *items, class_="key")


def _token_row(token: Token, predicted: bool) -> Html:
    span = "" if token.start is None else f"{token.start}–{token.end}"
    bits = [] if not predicted else ["" if token.bits is None else f"{token.bits:.1f}"]
    return row(tag("code", token.piece), token.position, token.id, span, *bits, numbers=(1, 2, 3, 4))


# -- what comes next ---------------------------------------------------------------------------------------------------


def _following(look: Look) -> Html:
    made: list[Part] = []
    for found in look.following:
        if found.place is not None:
            words = f"Token {found.place}: the model chooses among {2**found.entropy:,.0f} tokens, so to speak ({found.entropy:.2f} bits)."
            made.append(tag("p", words, class_="label"))
        made.append(_chances(found))
    first = look.following[0]
    lead = "The likeliest tokens in the place of each mask."
    if first.place is None:
        lead = (
            f"By {look.sampling}, {first.kept:,} of {first.vocabulary:,} tokens may be drawn. The entropy is "
            f"{first.entropy:.2f} bits, as if among {2**first.entropy:,.0f} equals; of the draw {first.drawn_entropy:.2f} bits."
        )
    return section("next", "What comes next" if first.place is None else "What the masks hide", *made, lead=lead)


def _chances(found: Following) -> Html:
    draws = found.place is None
    head: list[Part] = ["Token", "Id", "By the model", *(["At the temperature", "In the draw"] if draws else [])]
    rows = []
    for one in found.chances:
        cells: list[Part] = [tag("code", one.piece), one.id, _share(one.model, "by the model")]
        if draws:
            cells += [
                _share(one.tempered, "at the temperature"),
                _share(one.drawn, "in the draw") if one.drawn else "never",
            ]
        rows.append(row(*cells, numbers=(1,), class_="dim" if draws and not one.drawn else None))
    return table(head, rows, caption="Chances of the next token", numbers=(1,))


def _share(share: float, words: str) -> Html:
    return tag("span", bar(share, f"{percent(share)} {words}"), tag("small", percent(share)), class_="share")


# -- neighbours --------------------------------------------------------------------------------------------------------


def _neighbours(found: Sequence[Neighbourhood]) -> Html:
    rows = [
        row(
            tag("code", own.name) if own.id is not None else own.name,
            _angles(own),
            tag("div", *_near(own), class_="near") if own.near else "a vector of zeros has no direction",
        )
        for own in found
    ]
    lead = "The nearest embeddings of the whole vocabulary by angle. The dashed line is the median angle to all of it: only "
    lead += "what lies well left of it is near."
    made = table(["Embedding", "Angles, 0° to 110°", "Nearest"], rows, caption="Nearest neighbours")
    return section("neighbours", "Neighbours of embeddings", made, lead=lead)


def _near(own: Neighbourhood) -> Iterator[Html]:
    for one in own.near:
        yield tag("span", tag("code", one.piece), tag("small", f"{one.degrees:.0f}°"))


def _angles(own: Neighbourhood) -> Html:
    width, height = 170.0, 18.0
    place = Linear(0, 110, 6, width - 6)
    parts: list[Part] = [rule(6, height / 2, width - 6, height / 2, "axis")]
    if own.usual is not None:
        parts.append(rule(place(own.usual), 1, place(own.usual), height - 1, "goal"))
    for one in own.near:
        title = tag("title", f"{one.piece}: {one.degrees:.1f}°")
        parts.append(tag("circle", title, cx=place(one.degrees), cy=height / 2, r=3.4, class_="dot"))
    near = f"{own.near[0].degrees:.0f}° to {own.near[-1].degrees:.0f}°" if own.near else "none"
    usual = "" if own.usual is None else f", usual {own.usual:.0f}°"
    return join(drawing(width, height, f"Neighbours at {near}{usual}", *parts, class_="data"))
