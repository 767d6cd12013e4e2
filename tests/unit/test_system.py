"""Systems: floors, shots, prompts that do not fit, bundles that load elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rung.errors import RungError
from rung.model.load import Model
from rung.system.body import Body
from rung.system.bundle import Defaults, bundle_digest, load, save
from rung.system.encoded import Headed, NearestLabelled, Similar
from rung.system.floor import Constant, Echo, Lead, Position
from rung.system.inputs import read_text
from rung.system.prompted import Prompted
from rung.system.shots import FixedShots, NearestShots
from rung.types import Completion, Message, Prompt, Sampling, System

LABELS = ("red", "green", "blue film")


def prompt(text: str, choices: tuple[str, ...] = ()) -> Prompt:
    return Prompt((Message("user", text),), choices, sampling=Sampling(max_new_tokens=5))


def test_floors_say_what_they_say() -> None:
    asked = [prompt("First one. Second one! Third?", ("a", "b")), prompt("No stop here", ("c",))]
    assert [c.text for c in Constant("x").answer(asked)] == ["x", "x"]
    assert [c.text for c in Lead(2).answer(asked)] == ["First one. Second one!", "No stop here"]
    assert [c.text for c in Echo().answer(asked)] == [asked[0].text, asked[1].text]
    assert [c.text for c in Position(1).answer(asked)] == ["b", "c"]


def test_nearest_shots_put_the_most_similar_last() -> None:
    pool = [("my parcel is late", "d"), ("the lamp is broken", "b"), ("parcel never came", "d2"), ("kettle size", "q")]
    shots = NearestShots(tuple(((Message("user", text),), label) for text, label in pool), 2)
    (picked,) = shots.pick([(Message("user", "my parcel never came"),)])
    assert {answer for _, answer in picked} == {"d", "d2"}
    assert picked[-1][1] == "d2"
    assert FixedShots(picked).pick([(), ()]) == [picked, picked]


def test_choices_are_ranked_and_normalised_by_bytes(base: Callable[[str], Path]) -> None:
    body = Body(Model.load(str(base("llama"))))
    plain = Prompted(body.engine, body.layout, "red or green")
    by_bytes = Prompted(body.engine, body.layout, "red or green", normalise="bytes")
    (said,), (weighed,) = plain.answer([prompt("kettle", LABELS)]), by_bytes.answer([prompt("kettle", LABELS)])
    assert said.choice_scores is not None and weighed.choice_scores is not None
    for label in LABELS:
        assert weighed.choice_scores[label] == pytest.approx(said.choice_scores[label] / len(label.encode()))
        (alone,) = plain.loglikelihood([(prompt("kettle"), label)])
        assert alone == pytest.approx(said.choice_scores[label], abs=1e-4)
    assert said.text == max(said.choice_scores, key=lambda c: said.choice_scores[c])


def test_what_does_not_fit_is_an_error_and_the_rest_is_answered(base: Callable[[str], Path]) -> None:
    body = Body(Model.load(str(base("llama"))))
    system = Prompted(body.engine, body.layout)
    long, short = system.answer([prompt("parcel " * 400), prompt("parcel")])
    assert long.error is not None and "too long for the window of 256" in long.error and long.text == ""
    assert short.error is None
    with pytest.raises(RungError, match="too long"):
        next(system.stream(prompt("parcel " * 400)))


def test_a_stream_is_the_answer(base: Callable[[str], Path]) -> None:
    body = Body(Model.load(str(base("llama"))))
    system = Prompted(body.engine, body.layout, "say")
    assert "".join(system.stream(prompt("kettle"))).strip() == system.answer([prompt("kettle")])[0].text


def made(kind: str, base: Callable[[str], Path]) -> tuple[System, Body]:
    body = Body(Model.load(str(base("bert" if kind in ("similar", "nearest", "headed") else "llama"))))
    shots = FixedShots((((Message("user", "lamp broke"),), "red"),))
    pool = NearestShots(tuple(((Message("user", w),), "red") for w in ("lamp", "kettle", "card")), 2)
    systems: dict[str, Callable[[], System]] = {
        "fixed": lambda: Prompted(body.engine, body.layout, "choose", shots, "bytes"),
        "nearest-shots": lambda: Prompted(body.engine, body.layout, "choose", pool),
        "similar": lambda: Similar(body.embedder, LABELS, LABELS),
        "nearest": lambda: NearestLabelled(body.embedder, LABELS, (("lamp", "red"), ("card", "green")), 2),
        "headed": lambda: head(body),
        "constant": lambda: Constant("red"),
    }
    return systems[kind](), body


def head(body: Body) -> Headed:
    import numpy as np

    chance = np.random.default_rng(0)
    return Headed(body.embedder, LABELS, chance.normal(size=(3, 32)).astype("f4"), np.zeros(3, "f4"))


@pytest.mark.parametrize("kind", ["fixed", "nearest-shots", "similar", "nearest", "headed", "constant"])
def test_a_bundle_moves_and_answers_the_same(kind: str, base: Callable[[str], Path], tmp_path: Path) -> None:
    system, body = made(kind, base)
    asked = [prompt("kettle never came", LABELS), prompt("lamp", LABELS)]
    before = system.answer(asked)
    (tmp_path / "here").mkdir()
    save(system, tmp_path / "here", body=body, defaults=Defaults(LABELS))
    digest = bundle_digest(tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert bundle_digest(tmp_path / "there") == digest
    loaded = load(tmp_path / "there")
    assert same(loaded.answer(asked), before)
    assert loaded.ask("kettle never came").text == before[0].text  # the choices are the bundle's own


def same(first: list[Completion], second: list[Completion]) -> bool:
    return [(c.text, c.choice_scores) for c in first] == [(c.text, c.choice_scores) for c in second]


def test_an_encoder_refuses_labels_it_does_not_know(base: Callable[[str], Path]) -> None:
    system, _ = made("similar", base)
    with pytest.raises(RungError, match="no label 'violet'"):
        system.answer([prompt("lamp", ("red", "violet"))])


def test_inputs_come_from_one_place(tmp_path: Path) -> None:
    import io

    (tmp_path / "in.txt").write_text("from a file\n")
    assert read_text("typed", None, io.StringIO()) == "typed"
    assert read_text(None, tmp_path / "in.txt", io.StringIO()) == "from a file"
    assert read_text("-", None, io.StringIO("piped\n")) == "piped"
    with pytest.raises(RungError, match="empty"):
        read_text(None, None, io.StringIO("  \n"))
