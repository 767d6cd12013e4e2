"""Kind tag: marks and tags, entity scores against hand cases, reading every form, heads that train, save and load."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from rung.errors import RungError
from rung.metrics import METRICS, score
from rung.metrics.bio import decode, encode
from rung.metrics.confusion import OTHER
from rung.metrics.entities import NOTHING, entity_confusion
from rung.metrics.marked import Span, mark, unmark
from rung.model.load import Model
from rung.model.words import word_ids, word_vectors
from rung.system.body import Body
from rung.system.bundle import Defaults, load, save
from rung.system.tagging import Lexicon, Tagger, best_tags, gold_tags
from rung.task import Task
from rung.task.tags import read_tagged
from rung.train.classes import ClassLoss
from rung.train.losses import ClassObjective, row_loss
from rung.train.tokens import EncoderTagger, TaggedIds, TagRows, fit_tag_head, word_logits
from rung.types import Example, Message, Prompt

Base = Callable[[str], Path]


def example(marked: str) -> Example:
    return Example(marked, (Message("user", unmark(marked)[0]),), marked)


# -- marks and tags ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["fly to boston", "a [b] c", "back\\slash [x](y) \\[z", "ünï 東京 [", "two\nlines (x)", "]( [ ]"]
)
def test_marks_come_back_whatever_the_text_holds(text: str) -> None:
    for start, end in ((0, 1), (2, len(text)), (0, len(text))):
        spans = (Span(start, end, "to.city name"),)
        assert unmark(mark(text, spans)) == (text, spans)
    assert unmark(mark(text, ())) == (text, ())


def test_overlapping_and_empty_spans_are_no_marks() -> None:
    for spans in ([Span(0, 3, "a"), Span(2, 4, "b")], [Span(1, 1, "a")], [Span(0, 9, "a")]):
        with pytest.raises(ValueError, match="overlaps"):
            mark("four", spans)


@pytest.mark.parametrize(
    ("tags", "default", "strict"),
    [
        ("B-a I-a O", [(0, 2, "a")], [(0, 2, "a")]),
        ("O I-a I-a", [(1, 3, "a")], []),
        ("B-a I-b O", [(0, 1, "a"), (1, 2, "b")], [(0, 1, "a")]),
        ("B-a B-a", [(0, 1, "a"), (1, 2, "a")], [(0, 1, "a"), (1, 2, "a")]),
        ("I-a B-a I-a I-b I-a", [(0, 1, "a"), (1, 3, "a"), (3, 4, "b"), (4, 5, "a")], [(1, 3, "a")]),
        ("B-a I-a I-b I-b", [(0, 2, "a"), (2, 4, "b")], [(0, 2, "a")]),
        ("B-a E-a I-a S-b", [(0, 2, "a"), (2, 3, "a"), (3, 4, "b")], [(0, 2, "a"), (3, 4, "b")]),
        ("O O", [], []),
        ("", [], []),
    ],
)
def test_tags_mean_spans_as_in_seqevals_two_modes(tags: str, default: list[tuple], strict: list[tuple]) -> None:
    assert [(s.start, s.end, s.label) for s in decode(tags.split())] == default
    assert [(s.start, s.end, s.label) for s in decode(tags.split(), "strict")] == strict


def test_encoding_is_the_inverse_of_decoding_and_both_modes_agree_on_it() -> None:
    spans = (Span(0, 1, "a"), Span(1, 3, "a"), Span(4, 5, "b"))
    assert encode(spans, 6) == ["B-a", "B-a", "I-a", "O", "B-b", "O"]
    assert decode(encode(spans, 6)) == decode(encode(spans, 6), "strict") == spans


# -- scores ------------------------------------------------------------------------------------------------------------

ROWS = [
    example("fly from [new york](from) to [boston](to) on [monday](day)"),
    example("what does it cost"),
    example("[delta](line) to [denver](to)"),
]


def test_entities_count_where_words_and_type_are_exactly_right() -> None:
    said = [
        "fly from [new york](from) to [boston](from) [on monday](day)",  # 1 right, 2 wrong, 2 missed
        "what does it [cost](price)",  # 1 wrong, of no known type
        "[delta](line)  to [denver](to)",  # white space is free: 2 right
    ]
    assert score("entity_f1", said, ROWS).value == pytest.approx(2 * 3 / (2 * 3 + 3 + 2))
    assert score("entity_precision", said, ROWS).value == pytest.approx(3 / 6)
    assert score("entity_recall", said, ROWS).value == pytest.approx(3 / 5)
    by_type = [2 / 3, 2 / 3, 0, 1, 0]  # from, to, day, line, and what has no type
    assert score("entity_macro_f1", said, ROWS).value == pytest.approx(np.mean(by_type))
    words = 8 - 3 + 3 + 3  # boston, on and monday are wrong; cost too
    assert score("word_accuracy", said, ROWS).value == pytest.approx(words / (8 + 4 + 3))
    table = METRICS["entity_f1"].statistics(said, ROWS)
    draws = np.random.default_rng(0).multinomial(3, [1 / 3] * 3, size=5)
    again = [
        score("entity_f1", np.repeat(said, draw).tolist(), np.repeat(ROWS, draw).tolist(), labels=LABELS)
        for draw in draws
    ]
    assert METRICS["entity_f1"].value(draws @ table, 3).tolist() == pytest.approx([one.value for one in again])


LABELS = ("from", "to", "day", "line")


def test_an_answer_that_is_not_the_text_finds_nothing_and_an_error_is_the_worst() -> None:
    other = ["fly from [new york](from) to [boston](to) on [tuesday](day)", "", "[delta](line)"]
    assert score("entity_f1", other, ROWS).value == 0
    assert score("entity_precision", ["", "", "[delta](line) to [denver](to)"], ROWS).value == 1
    right = [str(row.target) for row in ROWS]
    broken = score("entity_f1", right, ROWS, errors=[False, True, False]).value
    assert broken == pytest.approx(2 * 5 / (2 * 5 + 1)) and score("entity_f1", right, ROWS).value == 1
    assert score("entity_f1", right, ROWS, errors=[True, False, False]).value == pytest.approx(4 / (4 + 3 + 3))


def test_the_table_of_types_has_the_entities_precision_and_recall() -> None:
    said = ["fly from [new york](from) to [boston](from) [on monday](day)", "what does it [cost](price)", ""]
    found = entity_confusion(said, ROWS)
    classes = {one.label: one for one in found.classes}
    assert (classes["from"].support, classes["from"].answered, classes["from"].right) == (1, 2, 1)
    assert (classes["to"].support, classes["to"].answered) == (2, 0)
    assert (classes["day"].support, classes["day"].answered, classes["day"].right) == (1, 1, 0)
    assert ("to", "from", 1) in found.most_confused() and ("to", OTHER, 1) in found.most_confused()
    assert classes[NOTHING].support == 2


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("fly to new york now", "O O B-city I-city O"),
        ("fly to new york now", ["O", "O", "I-city", "I-city", "O"]),
        (["fly", "to", "new", "york", "now"], ["O", "O", "B-city", "E-city", "O"]),
        ('["fly", "to", "new", "york", "now"]', '["O", "O", "B-city", "I-city", "O"]'),
        ("fly to new york now", [[7, 15, "city"]]),
        ("fly to new york now", '[{"start": 6, "end": 16, "type": "city"}]'),
        ("fly to new york now", "fly  to [new york](city) now"),
    ],
)
def test_every_form_of_target_becomes_the_same_marked_text(source: object, target: object) -> None:
    text, marked = read_tagged(source, target)
    assert (text, marked) == ("fly to new york now", "fly to [new york](city) now")


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("fly to boston", "O O", "numbers of words and tags differ"),
        ("fly to boston", "O O X-city", "is not B-"),
        ("fly to boston", [[0, 99, "a"]], "outside"),
        ("fly to boston", [[0, 3, "a"], [2, 5, "b"]], "overlap"),
        ("fly to boston", [[0, 3]], "start, end and label"),
        ("fly to boston", "fly to [denver](city)", "not the input"),
        ("fly to boston", [[0, 3, "a(b)"]], "holds brackets"),
        (["fly", "to"], [[0, 3, "a"]], "list of words"),
        (["fly to"], ["O"], "holds a space"),
    ],
)
def test_what_cannot_be_read_says_why(source: object, target: object, said: str) -> None:
    from rung.task.cells import Unusable

    with pytest.raises(Unusable) as caught:
        read_tagged(source, target)
    assert said in f"{caught.value.reason} {caught.value.detail}" or said in caught.value.reason


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)


WORDS = ["good", "film", "red", "lamp", "blue", "kettle", "north", "parcel"]


def sentences(count: int = 200) -> list[tuple[list[str], list[str]]]:
    chance = np.random.default_rng(3)
    rows = []
    for _ in range(count):
        things = chance.permutation(WORDS)[:4].tolist()
        town = ["east", "west"] if chance.random() < 0.5 else ["south"]
        rows.append(
            (
                ["send", *things[:2], "to", *town, *things[2:]],
                ["O"] * 4 + encode([Span(0, len(town), "town")], len(town)) + ["O"] * 2,
            )
        )
    return rows


def task_of(folder: Path, **more: object) -> Task:
    rows = [{"words": words, "tags": tags} for words, tags in sentences()]
    given = {"name": "towns", "kind": "tag", "data": {"source": rows, "input": "words", "target": "tags"}}
    return Task.from_mapping(given | more, folder)


def test_conll_files_side_by_side_files_and_rows_give_the_same_examples(tmp_path: Path) -> None:
    rows = sentences()
    block = "\n\n".join("\n".join(f"{w} NN {t}" for w, t in zip(*row, strict=True)) for row in rows)
    write(tmp_path, "all.conll", f"-DOCSTART- -X- O\n\n# a comment\n{block}\n")
    write(tmp_path, "seq.in", "".join(" ".join(words) + "\n" for words, _ in rows))
    write(tmp_path, "seq.out", "".join(" ".join(tags) + "\n" for _, tags in rows))
    vocabulary = sorted({word for words, _ in rows for word in words})
    write(tmp_path, "vocabulary", "\n".join(vocabulary) + "\n")
    write(tmp_path, "ids", "".join(" ".join(str(vocabulary.index(w)) for w in words) + "\n" for words, _ in rows))
    sources = {
        "conll": {"source": "all.conll", "input": "tokens", "target": "tags"},
        "lines": {"source": "lines:words=seq.in;tags=seq.out", "input": "words", "target": "tags"},
        "numbers": {
            "source": "lines:words=ids;tags=seq.out", "input": "words", "target": "tags",
            "lookup": {"words": "vocabulary"},
        },
    }  # fmt: skip
    expected = sorted(row.target or "" for row in (*task_of(tmp_path).train, *task_of(tmp_path).test))
    for name, data in sources.items():
        task = Task.from_mapping({"name": name, "kind": "tag", "data": data}, tmp_path)
        assert sorted(row.target or "" for row in (*task.train, *task.test)) == expected
        assert task.labels == ("town",) and task.metric == "entity_f1"
        assert "[words](label)" in task.instructions[0]
        assert task.prompt(task.train[0]).choices == ()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"source": "lines:words=a", "input": "words"}, "kind tag needs target"),
        ({"source": "lines:words;tags", "input": "words", "target": "tags"}, "write lines:words=FILE"),
        (
            {"source": "lines:words=a;tags=b", "input": "words", "target": "tags"},
            "different numbers of lines: a 2, b 1",
        ),
        (
            {"source": "lines:words=a;tags=a", "lookup": {"word": "b"}, "input": "words", "target": "tags"},
            "no column word",
        ),
        ({"source": "lines:words=a;tags=a", "lookup": {"words": "c"}, "input": "words", "target": "tags"}, "no file"),
        (
            {"source": "lines:words=a;tags=a", "lookup": {"words": "b"}, "input": "words", "target": "tags"},
            "no number below 1",
        ),
        ({"source": "x.conll", "input": "tokens", "target": "tags"}, "3 columns, not 2"),
    ],
)
def test_bad_sources_of_words_are_told_in_one_line(data: dict[str, object], said: str, tmp_path: Path) -> None:
    write(tmp_path, "a", "one two\nthree\n")
    write(tmp_path, "b", "O O\n")
    write(tmp_path, "x.conll", "one O\ntwo NN O\n")
    with pytest.raises(RungError, match=said):
        Task.from_mapping({"name": "t", "kind": "tag", "data": data}, tmp_path)


def test_init_guesses_tagged_words_and_spans(tmp_path: Path) -> None:
    from rung.task.guess import guess_task

    rows = sentences()
    write(
        tmp_path,
        "a.jsonl",
        "\n".join(json.dumps({"id": n, "tokens": w, "ner_tags": t}) for n, (w, t) in enumerate(rows)),
    )
    write(tmp_path, "b.conll", "\n\n".join("\n".join(f"{w}\t{t}" for w, t in zip(*row, strict=True)) for row in rows))
    spans = [
        {
            "body": f"note {n} {n * 7}: send it to east now",
            "found": [[len(f"note {n} {n * 7}: send it to "), len(f"note {n} {n * 7}: send it to east"), "town"]],
        }
        for n in range(60)
    ]
    write(tmp_path, "c.jsonl", "\n".join(json.dumps(row) for row in spans))
    for name, source, target in (
        ("a.jsonl", "tokens", "ner_tags"),
        ("b.conll", "tokens", "tags"),
        ("c.jsonl", "body", "found"),
    ):
        guess = guess_task([str(tmp_path / name)], tmp_path)
        (tmp_path / "guessed.yaml").write_text(guess.text)
        task = Task.load(tmp_path / "guessed.yaml")
        assert (task.kind, task.metric, task.labels) == ("tag", "entity_f1", ("town",)), guess.text
        assert f"input: {source}" in guess.text and f"target: {target}" in guess.text
        assert "(town)" in str(task.train[0].target)


# -- words and tags of an encoder --------------------------------------------------------------------------------------


def test_words_lie_where_the_tokenizer_puts_them(base: Base) -> None:
    model = Model.load(str(base("bert")))
    (words,) = word_ids(model, ["where is  my order, please"])
    assert [("where is  my order, please")[s:e] for s, e in zip(words.starts, words.ends)] == [
        "where", "is", "my", "order", ",", "please",
    ]  # fmt: skip
    vectors = word_vectors(model, [words])[0]
    states = model.module(input_ids=torch.tensor([words.ids])).last_hidden_state[0].detach().numpy()
    np.testing.assert_allclose(vectors, states[list(words.firsts)], atol=1e-5)


def test_spans_within_words_are_counted_as_torn() -> None:
    from rung.system.tagging import words_by_space

    assert gold_tags(words_by_space("fly to boston."), "fly to [boston](city).") == (["O", "O", "B-city"], 1)
    assert gold_tags(words_by_space("new york now"), "[new york](city) now") == (["B-city", "I-city", "O"], 0)


def test_the_best_tags_are_the_best_of_all_well_formed_ones() -> None:
    tags = ("O", "B-a", "B-b", "I-a", "I-b")
    chance = np.random.default_rng(0)

    def fits(path: tuple[int, ...]) -> bool:
        return all(
            not tags[n].startswith("I-") or (w > 0 and tags[path[w - 1]] in (f"B-{tags[n][2:]}", tags[n]))
            for w, n in enumerate(path)
        )

    for _ in range(20):
        logits = chance.normal(size=(4, 5)) * 2
        scores = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        best = max(
            (p for p in product(range(5), repeat=4) if fits(p)),
            key=lambda p: sum(scores[w, n] for w, n in enumerate(p)),
        )
        assert best_tags(logits, tags) == [tags[n] for n in best]
    assert best_tags(np.zeros((0, 5)), tags) == []


def test_the_loss_of_a_step_is_the_weighted_mean_over_its_words_however_it_is_cut(base: Base) -> None:
    model = Model.load(str(base("bert")))
    texts = word_ids(model, ["good film", "send the red lamp to north please", "kettle"])
    rows = [TaggedIds(words, tuple(n % 3 for n in range(len(words)))) for words in texts]
    weights = np.array([1.0, 3.0, 0.5])
    chance = np.random.default_rng(0)
    tagger = EncoderTagger(
        model.module, ("O", "B-a", "I-a"), chance.normal(size=(3, 32)).astype(np.float32), np.zeros(3, np.float32)
    ).eval()
    objective = ClassObjective(row_loss(ClassLoss(), tagger.tags))
    count = sum(len(words) for words in texts)
    whole, cut = (TagRows(0, micro, weights).batches(rows) for micro in (4096, 1))
    assert len(whole) == 1 and len(cut) == 3
    assert int((whole[0]["labels"] >= 0).sum()) == count
    means = [sum(float(objective(tagger, piece)) for piece in pieces) / count for pieces in (whole, cut)]
    logits = torch.from_numpy(np.concatenate(word_logits(tagger, texts)))
    codes = torch.tensor([tag for row in rows for tag in row.tags])
    reference = float(torch.nn.functional.cross_entropy(logits, codes, torch.tensor(weights).float()))
    assert means == pytest.approx([reference, reference], rel=1e-5)


def test_a_tagger_and_a_lexicon_come_back_from_disk(base: Base, tmp_path: Path) -> None:
    body = Body(Model.load(str(base("bert"))))
    task = task_of(tmp_path)
    words = word_ids(body.model, [row.text for row in task.train])
    tags = [gold_tags(own, str(row.target))[0] for own, row in zip(words, task.train)]
    known = ("O", "B-town", "I-town")
    codes = np.array([known.index(tag) for own in tags for tag in own])
    head = fit_tag_head(np.concatenate(word_vectors(body.model, words)), codes, known)
    for number, system in enumerate(
        (Tagger(body.embedder, known, head.weight, head.bias), Lexicon({"south": "B-town"}))
    ):
        folder = tmp_path / f"bundle-{number}"
        folder.mkdir()
        save(system, folder, body=body, defaults=Defaults())
        asked = [Prompt((Message("user", text),)) for text in ("send red lamp to east west film", "to south")]
        said = system.answer(asked)
        assert [one.text for one in load(folder, body=body).answer(asked)] == [one.text for one in said]
        assert (number == 0 or "[south](town)" in said[1].text) and unmark(said[0].text)[0] == asked[0].text
    long = Tagger(body.embedder, known, head.weight, head.bias).answer([Prompt((Message("user", "film " * 400),))])
    assert long[0].error is not None and "do not fit" in long[0].error


@pytest.mark.slow
def test_a_climb_tags_with_an_encoder_from_floor_to_full(base: Base, tmp_path: Path) -> None:
    from rung.ladder.choice import Choice
    from rung.ladder.climb import climb

    rungs = [
        {"lora": {"rank": 4, "epochs": 1}},
        {"full": {"epochs": 2, "weights": "effective-number"}},
        "head",
        "zero-shot",
    ]
    task = task_of(tmp_path, rungs=rungs, also=["word_accuracy", "entity_macro_f1"])
    out = climb(
        task, str(base("bert")), out=tmp_path / "run", choice=Choice(everything=True), ledger=tmp_path / "l.sqlite"
    )
    entries = {entry.name: entry for entry in out.report.rungs}
    assert entries["zero-shot"].state == "skipped" and "words are tagged" in entries["zero-shot"].reason
    assert entries["floor"].validation.value > 0.5  # the words of towns are always the same
    for name in ("head", "lora", "full-effective-number"):
        assert entries[name].validation.value > 0.9, name
        assert entries[name].confusion.labels == ("town", NOTHING)
        assert entries[name].rows[0].answer.count("](town)") == 1
    assert "town" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.slow
def test_a_decoder_is_asked_for_marks_and_learns_from_them(base: Base, tmp_path: Path) -> None:
    from rung.ladder.choice import Choice
    from rung.ladder.climb import climb

    task = task_of(
        tmp_path, rungs=["zero-shot", {"few-shot": {"k": 2}}, {"full": {"epochs": 1, "learning_rate": 0.01}}]
    )
    out = climb(
        task, str(base("llama")), out=tmp_path / "run", choice=Choice(everything=True), ledger=tmp_path / "l.sqlite"
    )
    entries = {entry.name: entry for entry in out.report.rungs}
    assert {"zero-shot", "few-shot-2", "full"} <= entries.keys()
    assert all(entries[name].validation is not None for name in ("zero-shot", "few-shot-2", "full"))
    written = json.loads((tmp_path / "run" / "report.json").read_text())
    assert written["task"]["kind"] == "tag"
