"""A whole page in one file: nothing is loaded, nothing can run, whatever a model said.

The content security policy allows one thing only, the style sheet of `style` by its hash. There are no scripts:
folding is `<details>`, hints are CSS.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence

from rung.page.markup import Html, Part, anchor, escape, join, tag
from rung.page.style import CSS


def document(
    title: str, *content: Part, sections: Mapping[str, str] | None = None, brand: Part = None, end: Part = None
) -> str:
    """The page as text. `sections` maps names of places to the words that lead there, for the line at the top; `end` is
    the foot of the page."""
    seal = base64.b64encode(hashlib.sha256(CSS.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{seal}'; base-uri 'none'; form-action 'none'"
    head = join(
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Html(CSS)),
    )
    links = [anchor(place, words) for place, words in (sections or {}).items()]
    top = tag(
        "header",
        tag("div", brand or title, class_="brand"),
        tag("nav", *links, aria_label="Sections") if links else None,
        class_="top",
    )
    body = tag("body", anchor_skip(), top, tag("main", *content, id="content"), end)
    return f"<!doctype html>\n{tag('html', tag('head', head), body, lang='en')}\n"


def anchor_skip() -> Html:
    """For readers by keyboard: straight to the content."""
    return Html(str(anchor("content", "Skip to the content")).replace("<a ", '<a class="skip" ', 1))


def section(place: str, heading: str, *content: Part, lead: Part = None) -> Html:
    """A part of the page under a heading, with a line on how to read it."""
    return tag(
        "section",
        tag("h2", heading),
        tag("p", lead, class_="lead") if lead is not None else None,
        *content,
        id=place,
        aria_label=heading,
    )


def card(*content: Part, class_: str = "") -> Html:
    """A box."""
    return tag("div", *content, class_=f"card {class_}".strip())


def table(head: Sequence[Part], rows: Sequence[Html], *, caption: str, numbers: Sequence[int] = ()) -> Html:
    """A table in a box that scrolls sideways where it must. `numbers` are the places of right-aligned columns."""
    cells = [tag("th", cell, scope="col", class_="number" if n in numbers else None) for n, cell in enumerate(head)]
    body = tag("table", tag("thead", tag("tr", *cells)), tag("tbody", *rows), aria_label=caption)
    return tag("div", body, class_="scroll", tabindex=0, role="region", aria_label=caption)


def row(*cells: Part, numbers: Sequence[int] = (), class_: str | None = None) -> Html:
    """A row of a table; its first cell names it."""
    made = [
        tag("th", cell, scope="row") if n == 0 else tag("td", cell, class_="number" if n in numbers else None)
        for n, cell in enumerate(cells)
    ]
    return tag("tr", *made, class_=class_)


def pairs(facts: Mapping[str, Part]) -> Html:
    """Names and what goes with them; empty ones are left out."""
    shown = [
        join(tag("dt", name), tag("dd", value)) for name, value in facts.items() if value not in (None, "", [], ())
    ]
    return tag("dl", *shown, class_="pairs")


def tip(words: Part, hint: str) -> Html:
    """Words with a hint that opens where they are pointed at or focused."""
    return tag("span", words, tag("span", hint, role="tooltip"), class_="tip", tabindex=0)


def said(text: str, fold: int = 700) -> Html:
    """What somebody or a model said, line breaks kept. Beyond `fold` characters the rest opens on demand."""
    if not text.strip():
        return tag("span", "(empty)" if not text else f"({len(text)} characters of white space)", class_="faint")
    if len(text) <= fold * 1.25:
        return tag("span", text, class_="said")
    start = text[:fold].rstrip()
    summary = tag(
        "summary",
        tag("span", start, "… ", class_="said"),
        tag("span", f"show all {len(text):,} characters", class_="all"),
    )
    return tag("details", summary, tag("span", text, class_="said"), class_="fold")


def shortened(text: str, length: int = 160) -> Html:
    """The beginning of a text on one line."""
    line = " ".join(text.split())
    return escape(line if len(line) <= length else line[:length].rstrip() + "…")
