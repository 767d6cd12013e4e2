"""The page kit: nothing a model says becomes markup, nothing is loaded, numbers and labels come out as meant."""

from __future__ import annotations

import base64
import doctest
import hashlib
import re
import subprocess
import sys
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest

from rung.page import markup, quantities
from rung.page.axes import Box, Label, Linear, Logarithmic, clipped, place_labels, text_width
from rung.page.document import document, pairs, row, said, section, table, tip
from rung.page.marks import bar, bars, strip, tick
from rung.page.markup import Html, anchor, escape, join, tag
from rung.page.plots import Line, Point, against_cost, curve, heat_map, value_range
from rung.page.style import CSS

EVIL = """</title></style><script>alert("1")</script><img src=x onerror='alert(2)'>&amp;"'"""


@pytest.mark.parametrize("module", [quantities, markup])
def test_the_examples_in_the_docs_hold(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted > 0
    assert found.failed == 0


# -- markup ------------------------------------------------------------------------------------------------------------


def test_text_never_becomes_markup() -> None:
    made = tag("p", EVIL, title=EVIL)
    assert "<script" not in made
    assert "<img" not in made
    assert ElementTree.fromstring(made).text == EVIL
    assert ElementTree.fromstring(made).get("title") == EVIL


def test_markup_is_kept_and_only_markup() -> None:
    assert tag("p", Html("<b>x</b>"), "<b>") == "<p><b>x</b>&lt;b&gt;</p>"
    assert escape(escape("<")) == "&lt;"
    assert join("a", None, ["<", [1, 2.5]]) == "a&lt;12.5"


@pytest.mark.parametrize("text", ["a\x00b", "a\x1bb", "a\ud800b", "a\uffffb", "a\x85b"])
def test_characters_that_no_page_may_hold_are_replaced(text: str) -> None:
    assert escape(text) == "a\ufffdb"
    escape(text).encode("utf-8")


@pytest.mark.parametrize("name", ["onclick", "onerror", "style", "href", "src", 'x"y', "a b"])
def test_attributes_that_could_act_are_refused(name: str) -> None:
    with pytest.raises(ValueError):
        tag("p", **{name: "x"})  # type: ignore[arg-type]


def test_elements_and_places_need_plain_names() -> None:
    with pytest.raises(ValueError):
        tag("p onload=x")
    with pytest.raises(ValueError):
        anchor("javascript:x", "y")


# -- the document ------------------------------------------------------------------------------------------------------


def test_the_policy_allows_this_style_sheet_and_nothing_else() -> None:
    page = document("t", tag("p", "x"), sections={"a": "A"})
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert styles == [CSS]
    seal = base64.b64encode(hashlib.sha256(styles[0].encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].replace("&#39;", "'") == (
        f"default-src 'none'; style-src 'sha256-{seal}'; base-uri 'none'; form-action 'none'"
    )
    assert page.index("Content-Security-Policy") < page.index("<title>") < page.index("<style>")
    assert "url(" not in CSS
    assert "@import" not in CSS


def test_a_title_cannot_close_itself() -> None:
    page = document(EVIL, EVIL)
    assert page.count("</title>") == 1
    assert "<script" not in page


def test_long_texts_fold_and_empty_ones_are_told() -> None:
    assert said("") == '<span class="faint">(empty)</span>'
    assert "3 characters of white space" in said(" \n ")
    long = said("x" * 5000)
    assert long.startswith("<details")
    assert "show all 5,000 characters" in long
    assert "x" * 5000 in long


def test_tables_say_what_is_a_head() -> None:
    made = ElementTree.fromstring(table(["a", "b"], [row("x", 1, numbers=[1])], caption="c", numbers=[1]))
    assert [cell.get("scope") for cell in made.iter("th")] == ["col", "col", "row"]
    assert made.get("tabindex") == "0"
    assert [cell.get("class") for cell in made.iter("td")] == ["number"]


def test_facts_that_are_not_known_are_left_out() -> None:
    assert "b" not in re.sub("<[^>]*>", "", pairs({"a": "1", "b": None, "bb": "", "bbb": []}))


def test_hints_and_sections_are_named_for_those_who_cannot_see() -> None:
    assert 'role="tooltip"' in tip("words", "hint")
    assert 'aria-label="Heading"' in section("place", "Heading")


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize("name", ["ink", "soft", "faint", "data", "meets", "misses", "unclear", "quiet"])
def test_colours_of_text_can_be_read(scheme: int, name: str) -> None:
    """WCAG 2 AA: 4.5 to 1 on the page and on cards, in light and in dark."""
    block = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)[scheme]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})\b", block))
    for ground in ("paper", "card"):
        bright, dark = sorted((luminance(colours[name]), luminance(colours[ground])), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5


# -- scales and labels -------------------------------------------------------------------------------------------------


def test_ticks_are_round_and_inside() -> None:
    assert Linear(0.12, 0.93, 0, 100).ticks(5) == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert Linear(0, 10, 0, 1).ticks(5) == [0, 2, 4, 6, 8, 10]
    assert Linear(3, 3, 0, 1).ticks() == [3]
    assert Logarithmic(1e12, 1e16, 0, 1).ticks() == pytest.approx([1e12, 1e13, 1e14, 1e15, 1e16])
    assert Logarithmic(1e12, 6e12, 0, 1).ticks() == pytest.approx([1e12, 2e12, 5e12])


def test_what_costs_nothing_stands_apart() -> None:
    across = Logarithmic(1, 100, 50, 150, zero=10)
    assert across(0) == 10
    assert across(1) == 50
    assert across(100) == pytest.approx(150)


def test_clipped_text_fits() -> None:
    assert clipped("short", 100) == "short"
    assert text_width(clipped("a very long text indeed, truly", 60)) <= 60
    assert clipped("a\nb", 100) == "a b"


def test_labels_keep_off_each_other_and_inside() -> None:
    frame = Box(0, 0, 800, 400)
    generator = np.random.default_rng(4)
    for _ in range(20):
        spots = generator.uniform([60, 40], [740, 360], (9, 2))
        labels = [Label(float(x), float(y), ("some rung", "81.2 %")) for x, y in spots]
        dots = [Box(x - 6, y - 6, x + 6, y + 6) for x, y in spots]
        placed = [one.box for one in place_labels(labels, dots, frame)]
        assert sum(first.overlap(second) for first, second in combinations(placed, 2)) == 0
        assert all(box.outside(frame) == 0 for box in placed)
        assert place_labels(labels, dots, frame) == place_labels(labels, dots, frame)


# -- drawings ----------------------------------------------------------------------------------------------------------


def drawn(svg: str) -> ElementTree.Element:
    element = ElementTree.fromstring(svg)
    assert element.tag == "svg"
    assert element.get("role") == "img"
    assert element.find("title") is not None
    for one in element.iter():
        for name, value in one.attrib.items():
            assert not name.startswith("on")
            assert name != "style"
            if name in ("x", "y", "cx", "cy", "x1", "x2", "y1", "y2", "width", "height"):
                assert np.isfinite(float(value))
    return element


def words(svg: str) -> str:
    return " ".join(text for text in drawn(svg).itertext() if text)


def points(costs: list[float], **changes: object) -> list[Point]:
    return [Point(f"rung {n}", cost, 0.2 + 0.1 * n, 0.15 + 0.1 * n, 0.25 + 0.1 * n) for n, cost in enumerate(costs)]


@pytest.mark.parametrize("costs", [[0.0], [5.0], [0.0, 0.0], [1e3, 1e3], [0.0, 1e3, 1e12, 1e18]])
@pytest.mark.parametrize("size", [(1020.0, 420.0), (340.0, 320.0)])
def test_any_costs_can_be_drawn(costs: list[float], size: tuple[float, float]) -> None:
    made = points(costs)
    svg = against_cost(
        made, [Line(0.8, "goal", "goal")], title="t", cost_words="cost", write_cost=str, write_value=str, size=size
    )
    told = words(svg)
    assert "goal" in told
    assert all(point.name in told for point in made)
    assert ("nothing" in told) == (0.0 in costs)


def test_points_without_interval_and_equal_scores_can_be_drawn() -> None:
    made = [Point("a", 1.0, 0.5), Point("b", 2.0, 0.5, test=(0.5, 0.4), chosen=True, state="meets", note="n")]
    assert "a" in words(against_cost(made, [], title="t", cost_words="c", write_cost=str, write_value=str))


def test_a_floor_far_below_is_pointed_at_and_a_goal_far_above_is_shown() -> None:
    made = [Point("a", 1.0, 0.80), Point("b", 2.0, 0.82)]
    lines = [Line(0.05, "floor", "floor", needed=False), Line(0.99, "goal", "goal")]
    svg = against_cost(made, lines, title="t", cost_words="c", write_cost=str, write_value=str)
    assert "floor ↓" in words(svg)
    assert len([line for line in drawn(svg).iter("line") if line.get("class") == "floor"]) == 0
    assert len([line for line in drawn(svg).iter("line") if line.get("class") == "goal"]) == 1


def test_a_better_score_stands_higher_and_a_higher_cost_further_right() -> None:
    svg = drawn(against_cost(points([1e3, 1e6]), [], title="t", cost_words="c", write_cost=str, write_value=str))
    marks = [group.find("circle") for group in svg.iter("g") if group.find("circle") is not None]
    x = [float(mark.get("cx", "nan")) for mark in marks if mark is not None]
    y = [float(mark.get("cy", "nan")) for mark in marks if mark is not None]
    assert x[0] < x[1]
    assert y[0] > y[1]


@pytest.mark.parametrize(
    "values", [[(0.0, 1.0)], [(5.0, 2.0), (5.0, 2.0)], [(float(n), 1.0 / (n + 1)) for n in range(300)]]
)
def test_any_curve_can_be_drawn(values: list[tuple[float, float]]) -> None:
    drawn(curve(values, title="t", write_value=str, write_step=str, marked=values[0][0]))


def test_heat_map_shows_every_count_and_escapes_labels() -> None:
    svg = heat_map([EVIL, "b"], [EVIL, "b", "other"], [[3, 0, 1], [2, 7, 0]], title="t")
    assert {"3", "1", "2", "7"} <= set(words(svg).split())
    assert "<script" not in svg


def test_small_signs_can_be_drawn() -> None:
    for right in (True, False, None):
        drawn(tick(right, "lora"))
    drawn(strip(0.5, None, None, (0.5, 0.5), "t"))
    drawn(strip(0.9, 0.1, 2.0, (0.4, 0.6), "t", goal=0.5))
    drawn(bar(1.7, "t"))
    assert "1,234" in words(bars([("a", 1234.0, "1,234"), ("b", 0.0, "0")], "t"))
    drawn(bars([], "t"))


def test_value_range_shows_all_and_stays_near_the_scale() -> None:
    low, high = value_range([0.2, 0.99], (0.0, 1.0))
    assert low < 0.2
    assert 0.99 < high < 1.02
    low, high = value_range([0.5], (0.0, 1.0))
    assert low < 0.5 < high


def test_importing_the_kit_loads_nothing_heavy() -> None:
    heavy = "'torch', 'transformers', 'scipy', 'numpy', 'rich'"
    code = f"import rung.page.document, rung.page.plots, sys; print([m for m in ({heavy}) if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
