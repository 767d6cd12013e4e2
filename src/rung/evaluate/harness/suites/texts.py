"""Benchmarks of plain text: WikiText's perplexity, minimal pairs in BLiMP's form, WinoBias's pairs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from rung.errors import RungError
from rung.evaluate.harness.spec import Metric
from rung.evaluate.harness.suites import forms
from rung.evaluate.harness.suites.suite import Prepared, Row, chosen, home, made, whole

SPACING = (
    ("s '", "s'"), (" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", "."), (" : ", ": "), (" ; ", "; "), (" . ", ". "),
    (" ! ", "! "), (" ? ", "? "), (" , ", ", "),
)  # fmt: skip
INSIDE = ((r"\(\s*([^\)]*?)\s*\)", r"(\1)"), (r"\[\s*([^\]]*?)\s*\]", r"[\1]"), (r"{\s*([^}]*?)\s*}", r"{\1}"),
          (r'"\s*([^"]*?)\s*"', r'"\1"'), (r"'\s*([^']*?)\s*'", r"'\1'"))  # fmt: skip
LAST = (
    ("= = = =", "===="), ("= = =", "==="), ("= =", "=="), (" \u00b0 ", "\u00b0"), (" \n", "\n"), ("\n ", "\n"),
    (" N ", " 1 "), (" 's", "'s"),
)  # fmt: skip
WINOBIAS = ("type1", "type2")


def wikitext(folder: Path, only: str | None) -> Iterator[Prepared]:
    """Merity et al. 2017: perplexity of whole pages by word, by byte, and bits a byte.

    As lm-eval has it, the model reads the text with its spacing undone, and words and bytes are those of the file.
    """
    place = home(folder, ["wikitext2", "wikitext", "wikitext-2"])
    chosen("wikitext", [], only)
    file = forms.found(place, ["test.txt", "wiki.test.raw", "wiki.test.tokens"], "wikitext")
    rows: list[Row] = [{"page": page, "text": _joined(page)} for page in _pages(forms.text(file))]
    if not rows:
        raise RungError("holds no text", where=str(file), mend="fetch it again")
    names = ("word_perplexity", "byte_perplexity", "bits_per_byte")
    metrics = tuple(Metric(name, {}, False, column="page") for name in names)
    yield Prepared(made("wikitext", place, "loglikelihood_rolling", doc_to_target="text", metrics=metrics), rows)


def _pages(text: str) -> list[str]:
    """The file cut at headings of the first order (` = Title = `)."""
    parts = re.split(r"^(?= = [^=].*[^=] = $)", text, flags=re.MULTILINE)
    return [part for part in parts if part.strip()]


def _joined(page: str) -> str:
    """WikiText's page with the spaces around signs taken out again."""
    for spaced, plain in SPACING:
        page = page.replace(spaced, plain)
    for spaced, plain in INSIDE:
        page = re.sub(spaced, plain, page)
    for spaced, plain in LAST:
        page = page.replace(spaced, plain)
    return page


def pairs(folder: Path, only: str | None) -> Iterator[Prepared]:
    """Warstadt et al. 2020 (BLiMP's form): the acceptable sentence of a minimal pair is the likelier one."""
    place = home(folder, ["blimp", "pairs"])
    files = {file.stem: file for file in sorted(place.glob("*.jsonl"))}
    if not files:
        mend = f"put *.jsonl with sentence_good and sentence_bad in {place}, or name its folder with --data"
        raise RungError("the data is not there", where="blimp", mend=mend)
    for name in chosen("blimp", list(files), only):
        task = made(
            f"blimp_{name}", place, "multiple_choice", metrics=(Metric("acc"),),
            doc_to_text="", doc_to_choice="{{[sentence_good, sentence_bad]}}", doc_to_target=0,
        )  # fmt: skip
        yield Prepared(task, forms.json_lines(files[name], ("sentence_good", "sentence_bad")))


def winobias(folder: Path, only: str | None) -> Iterator[Prepared]:
    """Zhao et al. 2018 as minimal pairs: how often the sentence that fits the stereotype is the likelier one.

    0.5 is without preference. A sentence of the one kind stands on the same line as its twin of the other, whose pronoun
    is of the other gender.
    """
    place = home(folder, ["winobias", "WinoBias"])
    names = chosen("winobias", WINOBIAS, only)
    files = {
        name: [place / f"{kind}_stereotyped_{name}.txt.test" for kind in ("pro", "anti")]
        for name in names
    }  # fmt: skip
    whole("winobias", names, [name for name in names if all(file.is_file() for file in files[name])], place)
    for name in names:
        pro, anti = (_sentences(file) for file in files[name])
        if len(pro) != len(anti):
            told = f"{len(pro)} sentences for {len(anti)} of the other kind"
            raise RungError(told, where=str(files[name][0]), mend="fetch both files again")
        task = made(
            f"winobias_{name}", place, "multiple_choice", doc_to_text="", doc_to_choice="choices", doc_to_target=0,
            metrics=(Metric("stereotyped", {}, False, column="stereotyped"),),
        )  # fmt: skip
        yield Prepared(task, [{"choices": list(both), "stereotyped": [1, 0]} for both in zip(pro, anti)])


def _sentences(file: Path) -> list[str]:
    """The sentences without their numbers and brackets."""
    lines = [line for line in forms.text(file).splitlines() if line.strip()]
    return [re.sub(r"[\[\]]", "", re.sub(r"^\d+ ", "", line)).strip() for line in lines]
