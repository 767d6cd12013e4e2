"""The report: its record comes back from JSON, its page holds whatever models say, its rows and lines say the same."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import report_samples as samples
from rich.console import Console

from rung.errors import RungError
from rung.ladder import record as r
from rung.ladder.report import lines, render, rows_csv, summary_html, terminal_table, write_report
from rung.ladder.report.classes import READABLE
from rung.ladder.report.rows import gather
from rung.ladder.report.view import View, setting, settings
from rung.ladder.screen import Clock, Live, Plain, Progress, Silent, screen

EVIL = """</title></style></svg><script>alert("1")</script><img src=x onerror='alert(2)'>\x00\ud800 & "'"""
MAKERS: dict[str, Callable[[], r.Report]] = {
    "classify": samples.classify,
    "many classes": samples.many_classes,
    "generate": samples.generate,
    "nothing recommended": lambda: samples.generate(nothing=True),
    "one rung": samples.bare,
    "no rung": samples.empty,
}


@pytest.fixture(scope="module")
def made() -> dict[str, r.Report]:
    return {name: make() for name, make in MAKERS.items()}


# -- the record --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAKERS)
def test_a_report_comes_back_from_its_bytes(made: dict[str, r.Report], name: str) -> None:
    content = made[name].to_bytes()
    assert r.Report.from_bytes(content) == made[name]
    assert r.Report.from_bytes(content).to_bytes() == content
    assert list(json.loads(content))[:3] == ["version", "task", "base"]


def test_lone_surrogates_come_back_too() -> None:
    report = replace(samples.bare(), items=(r.Item("1", "half a pair \ud83d of text"),))
    assert r.Report.from_bytes(report.to_bytes()) == report


def test_what_does_not_belong_is_refused(made: dict[str, r.Report]) -> None:
    plain = made["one rung"].to_json()
    with pytest.raises(RungError, match="version 99"):
        r.Report.from_json({**plain, "version": 99})
    with pytest.raises(RungError, match="unknown key sede; did you mean seeds"):
        r.Report.from_json({**plain, "sede": 1})
    with pytest.raises(RungError, match=r"report\.json\.task: metric is missing"):
        r.Report.from_json({**plain, "task": {"name": "x", "kind": "classify"}})
    with pytest.raises(RungError, match=r"report\.json\.rungs\[0\]: 7 is no object"):
        r.Report.from_json({**plain, "rungs": [7]})


def keys(value: Any, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """Every key, and whether it stands under `measured`."""
    for key, item in value.items() if isinstance(value, dict) else ():
        yield key, inside
        yield from keys(item, inside or key == "measured")
    for item in value if isinstance(value, list) else ():
        yield from keys(item, inside)


def test_only_what_is_measured_came_from_a_clock(made: dict[str, r.Report]) -> None:
    clocked = {"train_seconds", "answer_seconds", "latencies_s", "peak_memory", "tokens_per_second", "cpu_seconds",
               "hardware", "started", "break_even"}  # fmt: skip
    found = [(key, inside) for key, inside in keys(made["classify"].to_json()) if key in clocked]
    assert {key for key, _ in found} == clocked
    assert all(inside for _, inside in found)


def test_a_verdict_of_the_decision_joins_its_rung() -> None:
    verdict = {
        "name": "lora", "state": "meets", "reason": "passed", "cost": 1.0, "price": "1", "finalist": True,
        "validation": {"value": 0.9, "error": 0.01, "low": 0.86, "high": 0.93, "upper": 0.92, "count": 240, "errors": 0.0, "gap_upper": None},
        "look": {
            "number": 2, "level": 0.0125, "artefact": "x", "value": 0.9, "lower": 0.86, "upper": 0.93, "count": 240, "errors": 0.0,
            "guards": [{"name": "g", "margin": 0.02, "level": 0.01, "count": 9, "gap": {"value": -0.01, "lower": -0.015, "upper": 0.0}, "kept": True, "broken": False}],
            "reference": None, "passed": True,
        },
    }  # fmt: skip
    entry = r.RungEntry("lora").judged(verdict)
    assert (entry.state, entry.reason, entry.validation) == ("meets", "passed", r.Reading(0.9, 0.86, 0.93, 240))
    assert entry.test == r.Tested(0.9, 0.86, 0.93, 0.0125, 240, 2, True)
    assert entry.guards == (r.GuardChange("g", -0.01, -0.015, 0.0, 0.02, True),)
    with pytest.raises(ValueError, match="does not belong"):
        r.RungEntry("full").judged(verdict)


def test_a_confusion_matrix_is_kept_without_its_zeros() -> None:
    found = r.ConfusionRecord.of(["a", "b"], [[3, 0, 1], [0, 2, 0]])
    assert found.cells == ((0, 0, 3), (0, 2, 1), (1, 1, 2))
    assert found.matrix() == [[3, 0, 1], [0, 2, 0]]


# -- the page ----------------------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Checks that a page is well formed and does nothing; gathers its text."""

    VOID = frozenset({"meta", "br", "hr", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.places: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in (
            "script",
            "img",
            "iframe",
            "object",
            "embed",
            "link",
            "base",
            "form",
            "input",
            "audio",
            "video",
        )
        for name, value in attrs:
            assert not name.startswith("on")
            assert name not in ("style", "src", "srcset", "action", "background", "xlink:href")
            if name == "href":
                assert (value or "").startswith("#")
                self.links.append((value or "")[1:])
            if name == "id":
                self.places.append(value or "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    assert len(set(reader.places)) == len(reader.places)
    assert set(reader.links) <= set(reader.places)
    return reader


def spoil(value: Any, key: str = "") -> Any:
    """The same report with every text made hostile."""
    if isinstance(value, dict):
        return {(name if key != "settings" else name + EVIL): spoil(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [spoil(item, key) for item in value]
    return value + EVIL if isinstance(value, str) else value


@pytest.mark.parametrize("name", MAKERS)
def test_every_page_is_well_formed_and_does_nothing(made: dict[str, r.Report], name: str) -> None:
    page = render(made[name])
    text = " ".join(read(page).text)
    assert made[name].task.name in text
    assert not re.search(r"https?://|//[a-z]", page)
    assert "NaN" not in text
    assert "None" not in text


@pytest.mark.parametrize("name", ["classify", "generate"])
def test_nothing_that_anybody_says_becomes_markup(made: dict[str, r.Report], name: str) -> None:
    report = r.Report.from_json(spoil(made[name].to_json()))
    page = render(report)
    page.encode("utf-8")
    read(page)
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("&lt;script&gt;") > 50
    assert "<script" not in summary_html(report)


@pytest.mark.parametrize("name", MAKERS)
def test_the_same_report_gives_the_same_page(made: dict[str, r.Report], name: str) -> None:
    assert render(MAKERS[name]()) == render(made[name])
    assert render(r.Report.from_bytes(made[name].to_bytes())) == render(made[name])


def test_the_page_tells_what_a_reader_asks_first(made: dict[str, r.Report]) -> None:
    text = re.sub(r"\s+", " ", " ".join(read(render(made["classify"])).text))
    for words in (
        "recommended", "goal 85 %", "floor (always refund)", "its 16 shots need 5,120 tokens", "look 2", "general",
        "2 calls returned nothing", "3 × no target", "train row 88 is test row 12", "2 in this climb, 3 ever",
        "rung climb support.yaml", "2 cores, AMX", "Where rungs disagree", "never", "× 0.91", "kept",
    ):  # fmt: skip
        assert words in text, words


def test_sections_without_anything_to_say_are_left_out(made: dict[str, r.Report]) -> None:
    assert set(read(render(made["no rung"])).places) == {"content", "data"}
    assert set(read(render(made["one rung"])).places) == {"content", "rungs", "data"}
    assert "classes" not in read(render(made["generate"])).places


def test_many_classes_show_pairs_and_few_show_the_matrix(made: dict[str, r.Report]) -> None:
    many, few = render(made["many classes"]), render(made["classify"])
    assert len(made["many classes"].task.labels) > READABLE >= len(made["classify"].task.labels)
    assert 'aria-label="Most confused pairs"' in many
    assert 'aria-label="Confusion matrix"' not in many
    assert 'aria-label="Confusion matrix"' in few
    assert len(many) < 1_500_000


def test_test_rows_never_show_and_all_validation_rows_can_be_read(made: dict[str, r.Report]) -> None:
    report = made["generate"]
    found = gather(View(report))
    assert [one.item.id for one in found] == [item.id for item in report.items]
    first = found[0]
    assert [rung.name for rung, _ in first.rungs] == ["zero-shot", "few-shot", "lora"]
    assert first.spread == pytest.approx(max(first.scores) - min(first.scores))
    assert set(first.latencies) == {"zero-shot", "few-shot", "lora"}


def test_rows_where_rungs_disagree_come_first() -> None:
    items = tuple(r.Item(str(n), f"prompt number {n}", "yes") for n in range(3))
    answers = {"a": ["yes", "no", "no"], "b": ["yes", "yes", "no"]}
    rungs = tuple(
        r.RungEntry(
            name, validation=r.Reading(0.5),
            rows=tuple(r.Row(str(n), said, float(said == "yes")) for n, said in enumerate(answers[name])),
        )
        for name in answers
    )  # fmt: skip
    report = replace(samples.bare(), rungs=rungs, items=items)
    text = " ".join(read(render(report)).text)
    assert text.index("1 of 3 rows") < text.index("prompt number 1") < text.index("Where none does well")
    assert text.index("Where none does well") < text.index("prompt number 2")
    assert "prompt number 0" not in text


def test_settings_are_written_for_people() -> None:
    assert setting(5e-05) == "5e-5"
    assert setting(1e10) == "1e10"
    assert settings({"learning_rate": 2e-4, "targets": ["q", "v"], "bias": False}) == (
        "learning rate 0.0002 · targets q, v · bias no"
    )


# -- files -------------------------------------------------------------------------------------------------------------


def test_the_files_of_a_report(made: dict[str, r.Report], tmp_path: Path) -> None:
    write_report(made["classify"], tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["report.html", "report.json", "rows.csv"]
    assert r.Report.from_bytes((tmp_path / "report.json").read_bytes()) == made["classify"]
    assert (tmp_path / "report.html").read_text("utf-8") == render(made["classify"])
    write_report(r.Report.from_json(spoil(made["classify"].to_json())), tmp_path)


def test_rows_csv_holds_every_row_of_every_rung(made: dict[str, r.Report]) -> None:
    report = made["generate"]
    table = list(csv.DictReader(io.StringIO(rows_csv(report))))
    assert len(table) == sum(len(rung.rows) for rung in report.rungs)
    first = report.rungs[0].rows[0]
    assert (table[0]["id"], table[0]["rung"], table[0]["answer"]) == (first.id, "zero-shot", first.answer)
    assert float(table[0]["score"]) == first.score
    assert table[0]["prompt"] == report.items[0].prompt
    assert float(table[0]["measured_latency_s"]) > 0


@pytest.mark.parametrize(
    ("said", "written"),
    [("=1+1", "'=1+1"), ("@SUM(A1)", "'@SUM(A1)"), ("-5", "-5"), ("+1.5e3", "+1.5e3"), ("-x", "'-x"), ("a\x00b", "a\ufffdb"), ("", "")],
)  # fmt: skip
def test_a_spreadsheet_runs_nothing_that_a_model_said(said: str, written: str) -> None:
    rung = r.RungEntry("a", validation=r.Reading(0.5), rows=(r.Row("1", said, 0.0),))
    report = replace(samples.bare(), rungs=(rung,), items=(r.Item("1", 'two\nlines, "quoted"'),))
    (row,) = csv.DictReader(io.StringIO(rows_csv(report)))
    assert row["answer"] == written
    assert row["prompt"] == 'two\nlines, "quoted"'


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAKERS)
def test_lines_and_table_tell_every_rung(made: dict[str, r.Report], name: str) -> None:
    report = made[name]
    told = lines(report)
    assert len(told) == len(report.rungs) + len([report.decision["sentence"]] if report.decision else []) + len(
        report.decision.get("advice", ())
    )
    assert all("\n" not in line for line in told)
    console = Console(file=io.StringIO(), width=200)
    console.print(terminal_table(report))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(rung.name in shown for rung in report.rungs)


def test_lines_say_score_test_and_reason(made: dict[str, r.Report]) -> None:
    told = {line.split(":")[0]: line for line in lines(made["classify"])}
    assert "90.2 % (≥ 86.1 %)" in told["lora"]
    assert "its 16 shots need 5,120 tokens" in told["few-shot-16"]
    assert told["floor"].startswith("floor: floor")


def test_markup_of_the_terminal_is_not_taken_from_names(made: dict[str, r.Report]) -> None:
    report = replace(made["one rung"], rungs=(replace(made["one rung"].rungs[0], name="[bold]x[/bold]"),))
    console = Console(file=io.StringIO(), width=200)
    console.print(terminal_table(report))
    assert "[bold]x[/bold]" in console.file.getvalue()  # type: ignore[attr-defined]


# -- the screen --------------------------------------------------------------------------------------------------------


def plan() -> Any:
    """As much of a plan as a screen reads."""
    ladder = [
        SimpleNamespace(label="floor", skipped="", forecast=r.Forecast(0, 0.0, 0.0)),
        SimpleNamespace(label="zero-shot", skipped="", forecast=r.Forecast(0, 0.0, 0.1)),
        SimpleNamespace(label="lora [r8]", skipped="", forecast=r.Forecast(0, 60.0, 0.1)),
        SimpleNamespace(label="full", skipped="no room", forecast=r.Forecast(0, 600.0, 0.1)),
    ]
    return SimpleNamespace(
        task=SimpleNamespace(name="topics [x]", validation=tuple(range(100))),
        body=SimpleNamespace(model=SimpleNamespace(name="tiny")),
        rungs=tuple(ladder),
        question=SimpleNamespace(metric="accuracy", kind="binary"),
    )


def climb(progress: Progress, report: r.Report) -> None:
    progress.started(plan(), Path("runs/topics"))
    progress.rung_started("zero-shot")
    progress.phase("validation", 40, 100)
    progress.rung_finished(r.RungEntry("zero-shot", validation=r.Reading(0.41, 0.32, 0.5, 100), errors=1))
    progress.message("full: skipped, no room [at all]")
    progress.rung_started("lora [r8]")
    progress.phase("training", 3, 0)
    progress.rung_finished(r.RungEntry("lora [r8]"))
    progress.finished(report, Path("runs/topics"))


def test_plain_lines_tell_a_climb(made: dict[str, r.Report]) -> None:
    out = io.StringIO()
    climb(Plain(out), made["one rung"])
    told = out.getvalue().splitlines()
    assert told[:4] == [
        "climbing topics [x] on tiny in runs/topics",
        "zero-shot: started",
        "zero-shot: 0.410 on 100 validation rows (95 %: 0.320 to 0.500), 1 calls returned nothing",
        "full: skipped, no room [at all]",
    ]
    assert told[-1].startswith("zero-shot: misses")
    assert "No rung was shown" not in out.getvalue()


def test_a_terminal_gets_a_live_table_and_is_left_as_it_was(made: dict[str, r.Report]) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    with screen(console) as progress:
        assert isinstance(progress, Live)
        progress.started(plan(), Path("runs/topics"))
        progress.rung_started("zero-shot")
        progress.phase("validation", 40, 100)
        console.print(progress._drawn())
        shown = console.file.getvalue()  # type: ignore[attr-defined]
        assert "zero-shot …" in shown
        assert "lora [r8]" in shown
        assert "full" not in shown
        assert "validation 40 of 100 (40 %)" in shown
        assert "at most about 1 min 20 s left" in shown
        climb(progress, made["one rung"])
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "no room [at all]" in text
    assert "zero-shot  × misses" in text
    assert text.rstrip().endswith("\x1b[?25h") or text.count("\x1b[?25l") == text.count("\x1b[?25h")


def test_without_a_terminal_the_screen_is_plain_and_silence_is_silent(made: dict[str, r.Report]) -> None:
    console = Console(file=io.StringIO(), force_terminal=False)
    with screen(console) as progress:
        climb(progress, made["no rung"])
    assert "climbing topics" in console.file.getvalue()  # type: ignore[attr-defined]
    climb(Silent(), made["no rung"])


def test_the_time_left_learns_from_what_was_forecast_and_what_it_took() -> None:
    clock = Clock({"a": 10.0, "b": 20.0, "c": 0.0})
    assert clock.left(0.0) == 30.0
    clock.begin("a", 0.0)
    assert clock.left(4.0) == 26.0
    clock.end("a", 20.0)  # twice the forecast
    assert clock.left(20.0) == 40.0
    clock.begin("b", 20.0)
    assert clock.left(100.0) == 0.0
    clock.end("b", 100.0)
    assert clock.left(100.0) is None
    assert Clock({}).left(0.0) is None
