"""Markup that cannot be broken by what models say: every text is escaped unless it is `Html` already.

Only building blocks of HTML and SVG, as strings. How a page looks is in `style`, how numbers are written in `quantities`,
drawings in `plots` and `marks`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_VOID = frozenset({"meta", "br", "hr", "link", "col"})
# SVG shapes close themselves; everything here is drawn, never filled with text.
_SHAPES = frozenset({"line", "rect", "circle", "path", "polyline", "polygon"})
# What has no place in a page: control characters (but tab and line break), lone surrogates, and U+FFFE and U+FFFF.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_NAME = re.compile(r"[a-z][a-z0-9-]*\Z", re.IGNORECASE)


class Html(str):
    """A string that is markup: built by this module, never from what a user or a model said."""

    __slots__ = ()


Part = str | int | float | None | Iterable["Part"]
"""What may stand inside an element: text (escaped), `Html` (kept), numbers, nothing, or several of these."""


def escape(text: str) -> Html:
    """Text as markup, safe inside elements and quoted attributes. Characters that no page may hold become U+FFFD."""
    if isinstance(text, Html):
        return text
    clean = _UNFIT.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        clean = clean.replace(sign, entity)
    return Html(clean)


def join(*parts: Part) -> Html:
    """Several parts as one, nothing in between; None adds nothing."""
    return Html("".join(_flat(parts)))


def _flat(parts: Iterable[Part]) -> Iterable[str]:
    for part in parts:
        if part is None:
            continue
        if isinstance(part, str):
            yield escape(part)
        elif isinstance(part, int | float):
            yield _number(part)
        else:
            yield from _flat(part)


def tag(name: str, /, *parts: Part, **attributes: str | int | float | bool | None) -> Html:
    """An element. `class_` writes class, `aria_label` aria-label; None and False leave an attribute out.

    >>> tag("p", "a < b", class_="soft", hidden=True)
    '<p class="soft" hidden>a &lt; b</p>'
    """
    if not _NAME.match(name):
        raise ValueError(f"{name} is no element")
    written = [
        f" {_attribute(key, value)}" for key, value in attributes.items() if value is not None and value is not False
    ]
    opening = f"<{name}{''.join(written)}"
    if name in _VOID:
        return Html(opening + ">")
    if name in _SHAPES and not parts:
        return Html(opening + "/>")
    return Html(f"{opening}>{join(*parts)}</{name}>")


def _attribute(key: str, value: str | int | float | bool) -> str:
    name = key.rstrip("_").replace("_", "-")
    name = "viewBox" if name == "viewBox" else name
    if not _NAME.match(name) or name.lower().startswith("on") or name.lower() in ("style", "href", "src"):
        raise ValueError(f"a page of Rung has no attribute {name}")
    if value is True:
        return name
    text = _number(value) if isinstance(value, int | float) else value
    return f'{name}="{escape(text)}"'


def _number(value: int | float) -> str:
    """Numbers in markup have two decimals at most: enough for a drawing, and the same on every machine.

    >>> _number(3.14159), _number(2.0), _number(-0.001)
    ('3.14', '2', '0')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return "0" if text == "-0" else text


def anchor(target: str, *parts: Part) -> Html:
    """A link to a place in the same page; no page of Rung links anywhere else."""
    if not _NAME.match(target):
        raise ValueError(f"{target} is no name of a place")
    return Html(f'<a href="#{target}">{join(*parts)}</a>')
