"""The seven measures: perturbations change words and no meaning, worst cases count, distances and confidences are right."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from rung.errors import RungError
from rung.evaluate import evaluate
from rung.evaluate.measures import Detector, Settings, Words, measure
from rung.evaluate.measures.bias import bias, distance
from rung.evaluate.measures.calibration import calibrated, confidence
from rung.evaluate.measures.fairness import fairness_perturbations
from rung.evaluate.measures.invariance import invariance
from rung.evaluate.measures.perturbation import Change, Perturbation, Perturbed, perturb
from rung.evaluate.measures.robustness import robustness_perturbations
from rung.evaluate.measures.toxicity import flags
from rung.system.floor import Constant, Echo
from rung.task import Task
from rung.types import Completion, Example, Message, Prompt, TokenChance

WORDS = Words()
ROBUST = {one.name: one for one in robustness_perturbations(WORDS)}
FAIR = {one.name: one for one in fairness_perturbations(WORDS)}


def example(text: str, target: str = "x", **more: object) -> Example:
    return Example("1", (Message("user", text),), target, **more)  # type: ignore[arg-type]


def changed(
    perturbation: Perturbation, text: str, target: str = "x", kind: str = "classify", seed: int = 0
) -> Perturbed:
    return perturb(perturbation, example(text, target), kind, seed)  # type: ignore[arg-type]


# -- perturbations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("case", "The Parcel from NASA", "the parcel from nasa"),
        ("contractions", "I do not know. It's late, DO NOT wait", "I don't know. It is late, DON'T wait"),
        ("gender", "He gave her his hat and thanked her", "She gave his her hat and thanked him"),
        ("gender", "The waitress and HER brother", "The waiter and HIS sister"),
        ("dialect", "They are not going to the shop", "Dey ain't finna da shop"),
    ],
)
def test_what_a_perturbation_writes(name: str, before: str, after: str) -> None:
    done = changed({**ROBUST, **FAIR}[name], before)
    assert done.example.text == after and done.changes and done.example.target == "x"


@pytest.mark.parametrize("name", [*ROBUST, *FAIR])
def test_a_seed_repeats_and_nothing_to_change_is_no_change(name: str) -> None:
    one = {**ROBUST, **FAIR}[name]
    text = "Emily does not like the lamp that her father bought, because they never fixed it."
    first = changed(one, text, seed=3)
    assert first == changed(one, text, seed=3) and first.changes and first.example.text != text
    assert changed(one, "7 + 7") == Perturbed(example("7 + 7"), ()) or name == "spacing"


def test_typos_are_few_and_small() -> None:
    text = " ".join(["customers complained about missing packages yesterday"] * 10)
    done = changed(ROBUST["typos"], text)
    pairs = list(zip(text.split(), done.example.text.split(), strict=True))
    wrong = [(right, typo) for right, typo in pairs if right != typo]
    assert 2 <= len(wrong) <= 20
    assert all(right[0] == typo[0] and abs(len(right) - len(typo)) <= 1 for right, typo in wrong)
    assert set(done.changes) == {Change(*pair) for pair in wrong}


def test_spaces_only_grow() -> None:
    done = changed(ROBUST["spacing"], "one two three four five six seven eight")
    assert done.example.text.split() == "one two three four five six seven eight".split()  # noqa: SIM905
    assert {len(gap) for gap in re.findall(" +", done.example.text)} <= {1, 2, 3}


def test_names_stay_the_same_person_throughout_and_in_free_answers() -> None:
    text = "Emily met Peter. Later Emily called Peter again; a rachel is no name."
    done = changed(FAIR["names"], text, target="Emily called Peter.", kind="generate")
    names = {change.before: change.after for change in done.changes}
    assert names.keys() == {"Emily", "Peter"} and len(done.changes) == 2
    assert names["Emily"] in WORDS.names[1][1] and names["Peter"] in WORDS.names[0][1]
    assert done.example.target == f"{names['Emily']} called {names['Peter']}."
    assert changed(FAIR["names"], text, target="Emily").example.target == "Emily"  # a label stays


def test_an_answer_that_stands_in_the_input_is_left() -> None:
    text = "Please note that the customer Josephine Miller complained"
    for name in ("typos", "case"):
        done = changed(ROBUST[name], text, target="Josephine Miller", kind="generate")
        assert "Josephine Miller" in done.example.text and done.changes
    done = changed(ROBUST["case"], "ORDER Lamp 12", target='{"item": "Lamp", "count": 12}', kind="generate")
    assert done.example.text == "order Lamp 12"


def test_choices_that_would_become_one_leave_the_row_alone() -> None:
    row = example("Who won, he or she?", "her", choices=("her", "him", "his"))
    assert perturb(FAIR["gender"], row, "choose", 0).changes == ()
    row = example("Who won, he or she?", "she", choices=("he", "she"))
    done = perturb(FAIR["gender"], row, "choose", 0).example
    assert (done.text, done.choices, done.target) == ("Who won, she or he?", ("she", "he"), "he")


def test_exchanging_gender_turns_stereotyped_sentences_into_their_counterparts(real_data: Path) -> None:
    folder = real_data / "winobias"
    if not folder.is_dir():
        pytest.skip("no winobias in the folder of real data")

    def sentences(name: str) -> list[str]:
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        return [re.sub(r"^\d+ |[\[\]]", "", line).strip() for line in lines if line.strip()]

    right = total = 0
    for part in ("type1.txt.dev", "type2.txt.dev"):
        pro, anti = sentences(f"pro_stereotyped_{part}"), sentences(f"anti_stereotyped_{part}")
        for one, other in zip(pro, anti, strict=True):
            right += changed(FAIR["gender"], one).example.text == other
            total += 1
    assert total > 700 and right / total > 0.95, (right, total)


def test_misspellings_of_a_file_are_used(real_data: Path) -> None:
    folder = real_data / "helm_misspellings"
    if not folder.is_dir():
        pytest.skip("no helm_misspellings in the folder of real data")
    words = Words().misspelt(folder)
    assert len(words.misspellings) > 3_000
    typos = robustness_perturbations(words)[0]
    done = changed(typos, "the accommodation was absolutely wonderful", seed=1)
    assert done.changes and all(change.after in words.misspellings[change.before] for change in done.changes)


def test_words_of_a_file(tmp_path: Path, real_data: Path) -> None:
    (tmp_path / "pairs.txt").write_text("cat\tdog\ntom\tbella\n")
    (tmp_path / "words.yaml").write_text(
        "gender: pairs.txt\ngroups: {pets: {cats: [cat, Tom], dogs: [dog]}}\ntargets: {looks: [fat]}\n"
        "names: [[[Ann], [Bea]]]\n"
    )
    words = Words.read(tmp_path / "words.yaml")
    names, _, gender = fairness_perturbations(words)
    assert changed(gender, "A cat named Tom").example.text == "A dog named Bella"
    assert changed(names, "Ann").example.text == "Bea" and words.dialect == WORDS.dialect
    found = bias(["the fat cat", "a cat, a dog, Tom"], words)
    assert found.representation["pets"].counts == {"cats": 3, "dogs": 1}
    swaps = real_data / "winobias" / "generalized_swaps.txt"
    if swaps.is_file():
        (tmp_path / "swaps.yaml").write_text(f"gender: {swaps}\n")
        assert len(Words.read(tmp_path / "swaps.yaml").gender) > 100


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("gendr: []", "words.yaml:1 gendr: unknown key gendr; did you mean gender?"),
        ("gender: [[he]]", "words.yaml:1 gender: must be pairs of words; "),
        ("gender: nowhere.txt", "nowhere.txt: cannot be read (No such file or directory); "),
        ("groups: {pets: {cats: [cat]}}", "words.yaml:1 groups: pets is one group; "),
        ("names: [Ann]", "words.yaml:1 names: must be pairs of lists of names; "),
        ("misspellings: words.yaml", "words.yaml: is not JSON: "),
    ],
)
def test_word_lists_that_make_no_sense_are_one_line(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "words.yaml").write_text(text + "\n")
    with pytest.raises(RungError) as caught:
        Words.read(tmp_path / "words.yaml")
    assert line in str(caught.value)


# -- worst case --------------------------------------------------------------------------------------------------------

ROWS = [{"text": f"Is NUMBER {n} good, {name}?", "label": "yes"} for n in range(15) for name in ("Emily", "Mother")]
OTHERS = [{"text": f"other question {n}", "label": ("yes", "no")[n % 2]} for n in range(8)]


def task(**more: object) -> Task:
    source = {"train": OTHERS[:4], "validation": ROWS, "test": OTHERS[4:]}
    data = {"source": source, "input": "text", "target": "label"}
    return Task.from_mapping({"name": "t", "kind": "classify", "data": data, "labels": ["yes", "no"], **more})


@dataclass
class Touchy:
    """Right as long as the input shouts NUMBER; crashes on the name Tia; remembers what it was asked."""

    asked: list[str] = field(default_factory=list)

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        self.asked += [prompt.text for prompt in prompts]
        if any("Tia" in prompt.text for prompt in prompts):
            raise ZeroDivisionError("no Tia")
        return [
            Completion("yes" if "NUMBER" in p.text else "no", choice_scores={"yes": -0.1, "no": -2.4}) for p in prompts
        ]


def test_the_worst_case_counts_each_item_as_its_worst_form() -> None:
    system = Touchy()
    done = evaluate(system, task())
    found = invariance(system, task(), done, [ROBUST["case"], ROBUST["contractions"]])
    assert (found.original.value, found.worst.value) == (1.0, 0.0)
    assert {name: score.value for name, score in found.scores.items()} == {"case": 0.0, "contractions": 1.0}
    assert found.changed == {"case": 30, "contractions": 0} and len(system.asked) == 60  # unchanged: not asked again
    assert len(found.worsened) == 30 and found.worsened[0].before == "yes" and found.worsened[0].after == "no"
    assert found.interval is not None and found.interval[0] == 0.0


def test_a_crash_on_one_changed_row_loses_no_other() -> None:
    done = evaluate(Touchy(), task())
    found = invariance(Touchy(), task(), done, [FAIR["names"]], seed=1)
    crashed = [row for row in found.worsened if row.error]
    assert found.changed == {"names": sum("Emily" in row.text for row in done.examples)}
    assert len(crashed) == found.errors < found.changed["names"]
    assert all(row.error == "crashed (ZeroDivisionError: no Tia)" for row in crashed)


def test_scores_of_a_whole_split_are_measured_row_by_row() -> None:
    graded = task(score="macro_f1")
    done = evaluate(Touchy(), graded)
    found = invariance(Touchy(), graded, done, [ROBUST["case"]])
    assert found.worst.metric == "accuracy" and found.worst.value == 0.0


# -- calibration, bias, toxicity, all seven ----------------------------------------------------------------------------


def test_confidence_is_the_probability_of_what_was_said() -> None:
    said = Completion("b", choice_scores={"a": math.log(0.2), "b": math.log(0.6), "c": math.log(0.2)})
    assert confidence(said) == pytest.approx(0.6)
    chances = (TokenChance("x", math.log(0.5)), TokenChance("y", math.log(0.4)))
    assert confidence(Completion("xy", logprobs=chances)) == pytest.approx(0.2)
    assert confidence(Completion("a")) is None and confidence(Completion("", error="lost")) is None


def test_calibration_of_known_confidences() -> None:
    sure = [Completion("a", choice_scores={"a": math.log(p), "b": math.log(1 - p)}) for p in np.repeat([0.9, 0.6], 50)]
    right = [n % 10 != 0 for n in range(50)] + [n % 5 < 3 for n in range(50)]  # 90 % and 60 % right
    found = calibrated(sure, right)
    assert found is not None and found.error == pytest.approx(0.0, abs=1e-9) and found.count == 100
    over = calibrated(sure, [False] * 100)
    assert over is not None and over.error == pytest.approx(0.75) and over.area == over.surest == 0.0
    assert calibrated([Completion("a")], [True]) is None


def test_distance_from_uniform_by_hand() -> None:
    assert distance(np.array([1.0, 1.0])) == 0.0
    assert distance(np.array([3.0, 1.0])) == pytest.approx(0.25)  # ½ (|¾ - ½| + |¼ - ½|)
    assert distance(np.array([1.0, 0.0, 0.0])) == pytest.approx(2 / 3)
    assert distance(np.zeros(2)) is None


def test_bias_counts_words_and_what_stands_with_them() -> None:
    words = Words(
        groups={"gender": {"female": ("she", "her"), "male": ("he",)}}, targets={"job": ("nurse", "chef", "judge")}
    )
    found = bias(["She is a nurse.", "he he is a chef", "HER nurse and he", "nobody"], words)
    seen = found.representation["gender"]
    assert seen.counts == {"female": 2, "male": 3}
    assert seen.distance == pytest.approx(abs((2 / 2) / (2 / 2 + 3 / 1) - 0.5))  # counts per word of the list
    one = found.association["gender", "job"]
    nurse, chef = abs((2 / 2) / (2 / 2 + 1) - 0.5), 0.5  # nurse: 2 female, 1 male; chef: male alone; judge: nobody
    assert one.words == 2 and one.distance == pytest.approx((nurse + chef) / 2)


def test_flags_of_a_classifier_and_their_known_error() -> None:
    @dataclass
    class Rude:
        def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
            out = []
            for prompt in prompts:
                p = 0.9 if "idiot" in prompt.text else 0.2
                scores = {"toxic": math.log(p), "fine": math.log(1 - p)}
                long = len(prompt.text) > 50
                out.append(Completion("", error="too long") if long else Completion("fine", choice_scores=scores))
            return out

    detector = Detector("rude", Rude(), "toxic", ("toxic", "fine"), known_error="accuracy 0.9 on 50 rows")
    found = flags(detector, ["you idiot", "hello", "", "x" * 60])
    assert (found.share, found.flagged, found.errors) == (pytest.approx(1 / 3), (0,), 1)
    assert found.to_json()["known_error"] == "accuracy 0.9 on 50 rows" and found.chances[3] is None
    with pytest.raises(RungError, match="has no label bad"):
        Detector("rude", Rude(), "bad", ("toxic", "fine"))
    blind = flags(Detector("echo", Echo(), "toxic", ("toxic", "fine")), ["hello"])
    assert (blind.share, blind.errors) == (None, 1)  # neither label: unread, never harmless


def test_all_seven_at_once() -> None:
    system = Touchy()
    done = evaluate(system, task())
    detector = Detector("always", Constant("toxic"), "toxic", ("toxic", "fine"))
    found = measure(system, task(), done, Settings(detectors={"toxicity": detector}), peak_memory=5)
    told = found.to_json()
    assert list(told) == ["accuracy", "calibration", "robustness", "fairness", "bias", "toxicity", "efficiency"]
    assert told["robustness"]["worst"] == 0.0 and told["toxicity"]["share"] == 1.0
    assert told["efficiency"]["measured"]["peak_memory"] == 5
    assert {"seconds", "request_s"} <= told["efficiency"]["measured"].keys()
