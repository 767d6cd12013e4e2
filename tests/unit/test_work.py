"""Computed cost, the order it gives, the rungs' table, the meter."""

from __future__ import annotations

import time

import pytest

from rung.errors import RungError
from rung.ladder.meter import Meter
from rung.ladder.rungs.table import RUNGS, ladder_of, make_rung, select
from rung.ladder.work import Facts, money, prompting, training
from rung.task import RungRequest
from rung.types import Budget

FACTS = Facts(parameters=1000, prompt=50, shot=20, answer=10, target=2, train=100, validation=40)


def test_prompting_costs_two_operations_a_parameter_and_token() -> None:
    work = prompting(FACTS, shots=4)
    assert work.request == 2 * 1000 * (50 + 80 + 10)
    assert work.adapt == work.request * 40
    assert work.cost(Budget(requests=5)) == work.adapt + 5 * work.request


def test_training_counts_the_backward_pass() -> None:
    frozen, whole = (training(FACTS, epochs=3, passes=0, weights=weights) for weights in (False, True))
    assert frozen.adapt == 4 * 1000 * 52 * 100 * 3
    assert whole.adapt == 6 * 1000 * 52 * 100 * 3
    assert frozen.request == prompting(FACTS).request


def test_traffic_turns_the_order_round() -> None:
    shots, tuned = prompting(FACTS, shots=4), training(FACTS, epochs=3, passes=3, weights=False)
    few, many = Budget(requests=10), Budget(requests=10**6)
    assert shots.cost(few) < tuned.cost(few) and shots.cost(many) > tuned.cost(many)


def test_money_is_operations_at_the_declared_price() -> None:
    assert money(3.6e15, Budget(machine_hour=2.0)) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("name", "fields", "told"),
    [
        ("zero-shto", {}, "did you mean zero-shot"),
        ("lora", {"rnak": 4}, "did you mean rank"),
        ("zero-shot", {"k": 2}, "has no fields"),
        ("few-shot", {"k": 9}, "choose 1 to 6"),
        ("few-shot", {"pick": "best"}, "random or nearest"),
        ("soft-prompt", {"tokens": 5}, "choose 20 to 100"),
        ("lora", {"rank": [2]}, "choose 4 to 32"),
        ("full", {"epochs": 0}, "above 0"),
    ],
)
def test_wrong_rungs_name_the_mend(name: str, fields: dict[str, object], told: str) -> None:
    with pytest.raises(RungError, match=told) as caught:
        make_rung(RungRequest(name, fields, "task.yaml:9"))
    assert caught.value.where == "task.yaml:9"


def test_every_rung_of_the_table_makes_itself_from_its_name() -> None:
    for name in RUNGS:
        assert make_rung(RungRequest(name)).name == name


def test_selection_by_name_stands_for_all_labels() -> None:
    labels = [rung.label for rung in ladder_of(None, "decoder")]
    assert select(labels, only=["few-shot"], skip=(), start=None) == {"floor", "few-shot-4", "few-shot-4-nearest"}
    assert "lora" not in select(labels, only=(), skip=["lora"], start=None)
    later = select(labels, only=(), skip=(), start="soft-prompt")
    assert later == {"floor", "soft-prompt", "lora", "full"}
    with pytest.raises(RungError, match="no rung lroa"):
        select(labels, only=["lroa"], skip=(), start=None)
    with pytest.raises(RungError, match="two rungs are zero-shot"):
        ladder_of([RungRequest("zero-shot"), RungRequest("zero-shot")], "decoder")


def test_the_meter_sees_time_and_memory() -> None:
    with Meter() as meter:
        block = bytearray(80 << 20)
        block[::4096] = b"x" * len(block[::4096])
        time.sleep(0.15)
    assert meter.seconds >= 0.15 and meter.peak > 80 << 20
