"""The ledger counts looks: across runs, processes, kills, overlapping splits, merges and moves."""

from __future__ import annotations

import multiprocessing
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from rung.errors import RungError
from rung.ladder.ledger import PROMISE, Ledger, default_path, item_keys, look_level
from rung.types import Example, Message


def items(start: int, stop: int) -> frozenset[str]:
    return frozenset(f"item {i}" for i in range(start, stop))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


# -- counting ----------------------------------------------------------------------------------------------------------


def test_levels_halve_and_add_up_to_less_than_the_promise() -> None:
    assert look_level(1) == 0.025
    assert look_level(2) == 0.0125
    assert sum(look_level(j) for j in range(1, 2000)) <= PROMISE
    assert look_level(5000) == 0.0
    with pytest.raises(ValueError, match="from 1"):
        look_level(0)


def test_each_new_artefact_is_a_look(ledger: Ledger) -> None:
    assert ledger.looks(items(0, 50)) == 0
    numbers = [ledger.reserve(items(0, 50), [f"artefact {i}"]).number for i in range(4)]
    assert numbers == [1, 2, 3, 4]
    assert ledger.looks(items(0, 50)) == 4


def test_a_cached_repeat_is_free_and_carries_its_result(ledger: Ledger) -> None:
    first = ledger.reserve(items(0, 50), ["a"], run="run one")
    assert ledger.complete(first, "a", {"value": 0.5}) == {"value": 0.5}
    again = ledger.reserve(items(0, 50), ["a"], run="run two")
    assert (again.number, again.run, again.results) == (1, "run one", {"a": {"value": 0.5}})
    assert ledger.looks(items(0, 50)) == 1
    assert ledger.find(items(0, 50), ["a"]) == again
    assert ledger.find(items(0, 50), ["b"]) is None


def test_another_question_or_another_guard_is_another_look(ledger: Ledger) -> None:
    numbers = [
        ledger.reserve(items(0, 50), ["a"]).number,
        ledger.reserve(items(0, 50), ["a"], question="other").number,
        ledger.reserve(items(0, 50), ["a"], guards=items(500, 550)).number,
        ledger.reserve(items(0, 50), ["a", "b"]).number,
        ledger.reserve(items(0, 50), ["b", "a"]).number,
    ]
    assert numbers == [1, 2, 3, 4, 5]


def test_the_first_result_stands(ledger: Ledger) -> None:
    look = ledger.reserve(items(0, 5), ["a"])
    ledger.complete(look, "a", 0.7)
    assert ledger.complete(look, "a", 0.9) == 0.7


def test_a_sequence_of_artefacts_is_one_look_with_a_result_each(ledger: Ledger) -> None:
    look = ledger.reserve(items(0, 5), ["a", "b", "c"])
    ledger.complete(look, "a", 1)
    ledger.complete(look, "b", 2)
    again = ledger.reserve(items(0, 5), ["a", "b", "c"])
    assert again.results == {"a": 1, "b": 2}
    assert again.number == 1
    with pytest.raises(ValueError, match="not part of look"):
        ledger.complete(look, "d", 4)


def test_looks_that_make_no_sense_are_defects(ledger: Ledger) -> None:
    for tested, artefacts in (((), ["a"]), (["i"], []), (["i"], ["a", "a"])):
        with pytest.raises(ValueError):
            ledger.reserve(tested, artefacts)
    with Ledger(":memory:") as other:
        stranger = other.reserve(["i"], ["a"])
    with pytest.raises(ValueError, match="not reserved"):
        ledger.complete(stranger, "a", 1)
    with pytest.raises(ValueError, match="JSON"):
        ledger.complete(ledger.reserve(["i"], ["a"]), "a", float("nan"))


# -- which splits share a count ----------------------------------------------------------------------------------------


def test_wholly_fresh_items_start_anew(ledger: Ledger) -> None:
    ledger.reserve(items(0, 50), ["a"])
    assert ledger.reserve(items(50, 100), ["a"]).number == 1


def test_one_shared_item_shares_the_count(ledger: Ledger) -> None:
    ledger.reserve(items(0, 50), ["a"])
    assert ledger.reserve(items(49, 100), ["a"]).number == 2


def test_a_growing_split_never_starts_anew(ledger: Ledger) -> None:
    assert [ledger.reserve(items(0, 50 + 10 * i), ["a"]).number for i in range(5)] == [1, 2, 3, 4, 5]


def test_a_sliding_split_never_starts_anew(ledger: Ledger) -> None:
    """Each split shares half its items with the one before, the third none with the first."""
    assert [ledger.reserve(items(25 * i, 25 * i + 50), ["a"]).number for i in range(6)] == [1, 2, 3, 4, 5, 6]


def test_a_subset_and_a_bridge_count_every_look_of_what_they_touch(ledger: Ledger) -> None:
    ledger.reserve(items(0, 50), ["a"])
    ledger.reserve(items(0, 50), ["b"])
    ledger.reserve(items(100, 150), ["a"])
    assert ledger.reserve(items(10, 20), ["c"]).number == 3
    assert ledger.reserve(items(40, 110), ["d"]).number == 5
    assert ledger.looks(items(0, 1)) == ledger.looks(items(149, 150)) == 5


def test_guards_have_a_count_of_their_own(ledger: Ledger) -> None:
    guard = items(1000, 1050)
    first = ledger.reserve(items(0, 50), ["a"], guards=guard)
    fresh = ledger.reserve(items(50, 100), ["b"], guards=guard)
    assert (first.number, first.guard_number, fresh.number, fresh.guard_number) == (1, 1, 1, 2)
    assert (fresh.level, fresh.guard_level) == (0.025, 0.0125)
    other = ledger.reserve(items(50, 100), ["c"], guards=items(1050, 1100))
    assert (other.number, other.guard_number) == (2, 1)
    assert other.guard_level == other.level == 0.0125  # never looser than the look itself


def test_items_that_serve_as_test_and_as_guard_count_in_both_roles(ledger: Ledger) -> None:
    ledger.reserve(items(0, 50), ["a"])
    look = ledger.reserve(items(100, 150), ["b"], guards=items(0, 50))
    assert (look.number, look.guard_number) == (1, 2)
    assert ledger.looks(items(0, 50)) == 2
    mixed = ledger.reserve(items(200, 250), ["c"], guards=items(240, 260))
    assert (mixed.number, mixed.guard_number) == (1, 1)
    assert ledger.looks(items(259, 260)) == 1


def test_items_are_known_by_what_they_ask() -> None:
    def example(text: str, target: str | None = "yes", choices: tuple[str, ...] = ()) -> Example:
        return Example("id", (Message("user", text),), target, choices=choices)

    (key,) = item_keys([example("Is it?")])
    assert item_keys([example("Is it?", target="no")]) == {key}  # a corrected label does not make it fresh
    assert item_keys([example("Is it not?")]) != {key}
    assert item_keys([example("Is it?")], scope="other task") != {key}
    assert item_keys([example("Pick", choices=("a", "b"))]) == item_keys([example("Pick", choices=("b", "a"))])
    assert len(item_keys([example("Pick", choices=("a", "b")), example("Pick", choices=("a", "c"))])) == 2
    assert len(item_keys([example("", target="one text"), example("", target="another")])) == 2


# -- retiring ----------------------------------------------------------------------------------------------------------


def test_shown_items_carry_no_further_look(ledger: Ledger) -> None:
    done = ledger.reserve(items(0, 50), ["a"])
    assert ledger.retire(items(0, 2), "shown in the studio") == 2
    assert ledger.retire(items(0, 3), "again") == 1
    assert ledger.retired(items(1, 4)) == {"item 1": "shown in the studio", "item 2": "again"}
    with pytest.raises(RungError, match=r"3 of 50 test items were shown \(shown in the studio\)"):
        ledger.reserve(items(0, 50), ["b"])
    with pytest.raises(RungError, match="guard items were shown"):
        ledger.reserve(items(100, 150), ["b"], guards=items(0, 50))
    assert ledger.looks(items(100, 150)) == 0  # a refused look leaves no trace
    assert ledger.complete(ledger.reserve(items(0, 50), ["a"]), "a", 1) == 1  # fixed before the rows were seen
    assert done.number == 1
    assert ledger.reserve(items(3, 50), ["b"]).number == 2


# -- kills and processes -----------------------------------------------------------------------------------------------


def test_a_kill_cannot_hide_a_look(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    code = (
        "import os, signal\nfrom rung.ladder.ledger import Ledger\n"
        f"Ledger({str(path)!r}).reserve(['i', 'j'], ['a'])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    with Ledger(path) as ledger:
        assert ledger.looks(["i", "j"]) == 1
        resumed = ledger.reserve(["i", "j"], ["a"])
        assert (resumed.number, resumed.results) == (1, {})
        assert ledger.complete(resumed, "a", 0.5) == 0.5
        assert ledger.reserve(["i", "j"], ["b"]).number == 2


def _reserve_five(path: str, worker: int) -> list[int]:
    with Ledger(path) as ledger:
        return [ledger.reserve(items(0, 40), [f"{worker} {i}"]).number for i in range(5)]


def test_processes_at_once_never_share_a_number(tmp_path: Path) -> None:
    path = str(tmp_path / "new" / "ledger.sqlite")
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        found = pool.starmap(_reserve_five, [(path, worker) for worker in range(4)], chunksize=1)
    assert sorted(number for numbers in found for number in numbers) == list(range(1, 21))


def test_a_failure_inside_leaves_nothing_half_written(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError), ledger._transaction(write=True) as database:
        database.execute("INSERT INTO items VALUES ('x', 1)")
        raise RuntimeError
    assert ledger.looks(["x"]) == 0


# -- the whole file ----------------------------------------------------------------------------------------------------


def test_history_tells_every_look_in_order(ledger: Ledger) -> None:
    ledger.reserve(items(0, 5), ["a"], run="r1", purpose="early: lora")
    ledger.reserve(items(0, 5), ["b"], run="r2", purpose="evaluate")
    assert [(look.number, look.run, look.purpose) for look in ledger.history()] == [
        (1, "r1", "early: lora"),
        (2, "r2", "evaluate"),
    ]


def test_merging_counts_the_looks_of_both_machines(tmp_path: Path, ledger: Ledger) -> None:
    ledger.complete(ledger.reserve(items(0, 50), ["both"]), "both", 1)
    ledger.reserve(items(0, 50), ["here"])
    with Ledger(tmp_path / "there.sqlite") as there:
        there.reserve(items(0, 10), ["elsewhere"])
        there.complete(there.reserve(items(0, 50), ["both"]), "both", 2)
        there.reserve(items(200, 250), ["apart"])
        there.retire(["item 7"], "shown there")
        there.export(tmp_path / "export.sqlite")
    merged = ledger.merge(tmp_path / "export.sqlite")
    assert (merged.new, merged.known, merged.conflicts) == (2, 1, 1)
    assert ledger.looks(items(0, 50)) == 3
    assert ledger.looks(items(200, 250)) == 1
    both = ledger.find(items(0, 50), ["both"])
    assert both is not None and (both.number, both.results) == (1, {"both": 1})
    assert set(ledger.retired(items(0, 50))) == {"item 7"}
    assert ledger.merge(tmp_path / "export.sqlite").new == 0
    assert ledger.looks(items(0, 50)) == 3
    assert ledger.reserve(items(8, 50), ["next"]).number == 4


def test_merging_joins_pools_that_only_the_other_file_joined(tmp_path: Path, ledger: Ledger) -> None:
    ledger.reserve(items(0, 50), ["a"])
    ledger.reserve(items(50, 100), ["a"])
    with Ledger(tmp_path / "there.sqlite") as there:
        there.reserve(items(40, 60), ["a"], guards=items(900, 910))
    ledger.merge(tmp_path / "there.sqlite")
    assert ledger.looks(items(0, 1)) == ledger.looks(items(99, 100)) == 3
    assert ledger.looks(items(900, 901)) == 1


def test_an_export_overwrites_nothing(tmp_path: Path, ledger: Ledger) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RungError, match="already there"):
        ledger.export(tmp_path / "mine.txt")
    assert (tmp_path / "mine.txt").read_text() == "mine"
    with pytest.raises(RungError, match="no such file"):
        ledger.merge(tmp_path / "absent.sqlite")


def test_a_moved_ledger_is_followed_and_its_old_place_refused(tmp_path: Path) -> None:
    old, new = tmp_path / "old.sqlite", tmp_path / "disk" / "new.sqlite"
    lingering = Ledger(old)
    with Ledger(old) as ledger:
        ledger.reserve(items(0, 5), ["a"])
        ledger.move(new)
        assert ledger.path == str(new)
        assert ledger.reserve(items(0, 5), ["b"]).number == 2
    with pytest.raises(RungError, match="moved to"):
        lingering.reserve(items(0, 5), ["c"])
    with Ledger(old) as followed:
        assert followed.path == str(new)
        assert followed.looks(items(0, 5)) == 2
        followed.move(old)  # and back again
        assert followed.reserve(items(0, 5), ["c"]).number == 3
    with Ledger(new) as followed:
        assert (followed.path, followed.looks(items(0, 5))) == (str(old), 3)
    old.unlink()
    with pytest.raises(RungError, match="which is not there"):
        Ledger(new)


def test_the_default_place_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNG_LEDGER", str(tmp_path / "named.sqlite"))
    assert default_path() == tmp_path / "named.sqlite"
    with Ledger() as ledger:
        assert ledger.path == str(tmp_path / "named.sqlite")
    monkeypatch.delenv("RUNG_LEDGER")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_path() == tmp_path / "data" / "rung" / "ledger.sqlite"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_path().parts[-4:] == ("Library", "Application Support", "rung", "ledger.sqlite")


# -- files that are no ledgers -----------------------------------------------------------------------------------------


def test_other_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be mistaken for one\n" * 40)
    with pytest.raises(RungError, match="cannot be used"):
        Ledger(text)
    assert text.read_text().startswith("not a database")
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE customers (name TEXT)")
    with pytest.raises(RungError, match="no ledger"):
        Ledger(other)
    newer = tmp_path / "newer.sqlite"
    Ledger(newer).close()
    with sqlite3.connect(newer) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(RungError, match="newer than"):
        Ledger(newer)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RungError, match="RUNG_LEDGER"):
        Ledger(tmp_path / "file" / "ledger.sqlite")


def test_a_closed_ledger_says_so(ledger: Ledger) -> None:
    ledger.close()
    ledger.close()
    with pytest.raises(ValueError, match="is closed"):
        ledger.looks(["i"])


def test_looks_survive_closing(tmp_path: Path) -> None:
    for expected in range(1, 4):
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            assert ledger.reserve(items(0, 700), [str(expected)]).number == expected
    assert (tmp_path / "ledger.sqlite").stat().st_size > 0
