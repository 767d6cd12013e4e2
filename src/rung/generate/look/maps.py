"""The attention of a look, drawn: a small map for every head, a large one for the head that is chosen, and the mean of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rung.generate.look.found import Attention, Head
from rung.page.document import card, pairs, section
from rung.page.markup import Html, Part, anchor, tag
from rung.page.matrix import matrix, thumbnail

LARGE = 144
"""Heads that have a large map; for more the page would grow too big."""


def attention_section(kind: Attention) -> Html:
    """The maps of one kind of attention."""
    mean = [[sum(cells) / len(kind.heads) for cells in zip(*rows)] for rows in zip(*(h.weights for h in kind.heads))]
    whole = "Mean of all heads shown" if len(kind.heads) > 1 else _name(kind.heads[0])
    lead = "A row is a token that looks, a column a token that is looked at; the stronger the colour, the more of the row's weight. "
    lead += "Choose a head to see it large; point at a row to read its weights. Layers and heads are counted from 0."
    many = len(kind.heads) > LARGE
    left = f"The first {LARGE} heads have a large map; choose others by --layer and --head." if many else None
    return section(
        kind.kind,
        kind.title,
        tag(
            "div",
            card(tag("h3", whole), _large(kind, mean, whole), class_="sideways"),
            _standing_out(kind),
            class_="beside",
        ),
        card(*[_layer(kind, layer) for layer in kind.layers], class_="layers"),
        tag("p", left, class_="soft") if left else None,
        lead=lead,
    )


def _standing_out(kind: Attention) -> Html | None:
    """The heads with the strongest habits, to go to."""
    if kind.heads[0].first is None or len(kind.heads) == 1:
        return None
    habits: Sequence[tuple[str, Callable[[Head], float | None]]] = (
        ("the first token", lambda head: head.first),
        ("the token before", lambda head: head.previous),
        ("the token itself", lambda head: head.own),
    )
    facts: dict[str, Part] = {}
    for words, of in habits:
        best = sorted(kind.heads, key=lambda head: (-(of(head) or 0.0), head.layer, head.head))[:3]
        lines = [tag("div", anchor(_place(kind, head), _name(head)), f" {of(head) or 0.0:.2f}") for head in best]
        facts[f"Mostly on {words}"] = lines
    return card(
        tag("h3", "Heads with habits"),
        pairs(facts),
        tag("p", "Mean weight, over all tokens but the first.", class_="soft small"),
        class_="habits",
    )


def _layer(kind: Attention, layer: int) -> Html:
    heads = kind.of(layer)
    small = [_thumb(kind, head) for head in heads]
    allowed = {id(head) for head in kind.heads[:LARGE]}
    large: list[Part] = []
    for head in heads:
        if id(head) in allowed:
            back = tag("p", _habits(head), " ", anchor(kind.kind, "Back to all heads"), class_="soft small")
            large.append(tag("div", tag("h3", _name(head)), _large(kind, head.weights, _name(head)), back, class_="large sideways", id=_place(kind, head)))  # fmt: skip
    return tag("div", tag("h3", f"Layer {layer}"), tag("div", *small, class_="thumbs"), *large, class_="layer")


def _thumb(kind: Attention, head: Head) -> Html:
    words = [thumbnail(head.weights, _name(head), _habits(head)), f"head {head.head}"]
    return anchor(_place(kind, head), *words)


def _large(kind: Attention, weights: Sequence[Sequence[float]], title: str) -> Html:
    def told(n: int) -> str:
        order = sorted(range(len(weights[n])), key=lambda k: (-weights[n][k], k))
        best = [k for k in order[:5] if weights[n][k] >= 0.01]
        return f"{kind.queries[n]} looks at " + ", ".join(f"{kind.keys[k]} {weights[n][k]:.2f}" for k in best)

    return matrix(weights, kind.queries, kind.keys, title=title, row_told=told)


def _name(head: Head) -> str:
    return f"Layer {head.layer}, head {head.head}"


def _place(kind: Attention, head: Head) -> str:
    return f"{kind.kind}-{head.layer}-{head.head}"


def _habits(head: Head) -> str:
    if head.first is None or head.previous is None or head.own is None:
        return ""
    return (
        f"Mean weight on the first token {head.first:.2f}, on the one before {head.previous:.2f}, "
        f"on the token itself {head.own:.2f}."
    )
