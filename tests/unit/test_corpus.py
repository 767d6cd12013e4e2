"""Sources of text: how each kind is read, weighed, shuffled, held out, and rid of copies; what is refused, in one line."""

from __future__ import annotations

import gzip
import json
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pretraining import story
from rung.data import source as sources
from rung.data.blend import Blend
from rung.data.corpora import CORPORA
from rung.data.mixture import MixtureSettings
from rung.data.seen import Seen
from rung.data.source import Source
from rung.errors import RungError
from rung.model.tokenizer import Fertility, TokenizerSettings, train_tokenizer
from rung.model.vocabulary import LONGEST_LINE, stretches


def texts(count: int, start: int = 0) -> list[str]:
    return [story(i) for i in range(start, start + count)]


def write(folder: Path) -> None:
    """The same five texts in every form."""
    five = texts(5)
    (folder / "plain.txt").write_text("\n\n".join(five) + "\n\n\n\n")
    rows = [json.dumps({"text": text, "n": 1}) for text in five]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n")
    with gzip.open(folder / "packed.jsonl.gz", "wt") as stream:
        stream.write("\n".join(rows))
    pq.write_table(pa.table({"text": five, "n": [1] * 5}), folder / "rows.parquet")


@pytest.mark.parametrize(
    "name", ["plain.txt", "rows.jsonl", "packed.jsonl.gz", "rows.parquet", "plain.*", "hub:saved#train"]
)
def test_every_kind_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write(tmp_path)
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "train.jsonl").write_text((tmp_path / "rows.jsonl").read_text())
    monkeypatch.chdir(tmp_path)  # a folder stands in for the Hub: the library streams both alike
    assert list(Source(name, tmp_path).documents()) == texts(5)


def test_a_folder_is_all_its_files(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "notes.pdf").write_bytes(b"%PDF")
    assert len(list(Source(".", tmp_path).documents())) == 20


def test_plain_text_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Separators that lie across the end of a piece are found."""
    (tmp_path / "a.txt").write_text("<|endoftext|>".join(texts(30)))
    for size in (1, 7, 64):
        monkeypatch.setattr(sources, "CHUNK", size)
        assert list(Source("a.txt", tmp_path, separator="<|endoftext|>").documents()) == texts(30)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"place": "missing.txt"}, "no such file"),
        ({"place": "redpajamas"}, "did you mean redpajama"),
        ({"place": "plain.txt", "weight": 0.0}, "give a number above 0"),
        ({"place": "rows.jsonl", "column": "txt"}, "no column 'txt'; did you mean text"),
        ({"place": "rows.parquet", "column": "txt"}, "no column 'txt'; did you mean text"),
        ({"place": "rows.jsonl", "column": "n"}, "name a column of text"),
        ({"place": "bad.jsonl"}, "bad.jsonl:2: is not JSON"),
        ({"place": "bad.parquet"}, "is no Parquet file"),
        ({"place": "bad.txt"}, "is not UTF-8"),
        ({"place": "bad.txt.gz"}, "is no gzip file"),
        ({"place": "notes.pdf"}, "cannot be read"),
        ({"place": "c4"}, "corpus c4: cannot be streamed from the Hub"),
        ({"place": "hub:nobody/nothing"}, "cannot be streamed from the Hub"),
    ],
)
def test_one_line_for_every_slip(tmp_path: Path, given: dict[str, object], message: str) -> None:
    write(tmp_path)
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\n{"text" "b"}\n')
    for name in ("bad.parquet", "bad.txt.gz", "notes.pdf"):
        (tmp_path / name).write_bytes(b"%PDF-1.7")
    (tmp_path / "bad.txt").write_bytes(b"caf\xe9")
    with pytest.raises(RungError) as told:
        list(Source(folder=tmp_path, **given).documents())  # type: ignore[arg-type]
    assert message in str(told.value) and "\n" not in str(told.value)


def test_named_corpora_say_where_they_lie(tmp_path: Path) -> None:
    assert set(CORPORA) == {"c4", "refinedweb", "pile", "redpajama", "stackexchange"}
    for name, corpus in CORPORA.items():
        assert Source(name, tmp_path).corpus == corpus
    (tmp_path / "c4").mkdir()
    (tmp_path / "c4" / "a.txt").write_text("ours")
    assert list(Source("c4", tmp_path).documents()) == ["ours"]  # a folder of that name comes first


def blend(tmp_path: Path, weights: tuple[float, ...] = (3.0, 1.0), **given: object) -> Blend:
    """The second source has longer texts than the first."""
    (tmp_path / "a.txt").write_text("\n\n".join(texts(200)))
    (tmp_path / "b.txt").write_text("\n\n".join(story(i, 60) for i in range(1000, 1040)))
    made = [Source(f"{name}.txt", tmp_path, weight=w) for name, w in zip("ab", weights, strict=False)]
    return Blend(made, 5, **given)  # type: ignore[arg-type]


def test_weights_are_shares_of_characters(tmp_path: Path) -> None:
    made = blend(tmp_path)
    list(islice(made.training(), 600))
    first, second = (tally.characters for tally in made.tallies)
    assert first / (first + second) == pytest.approx(0.75, abs=0.01)
    assert made.tallies[1].rounds >= 1  # the small source came round again


def test_the_order_is_drawn_and_repeats(tmp_path: Path) -> None:
    one, two = (list(islice(blend(tmp_path, (1.0,)).training(), 450)) for _ in range(2))
    assert one == two
    assert sorted(one[:200]) == sorted(one[200:400]) and one[:200] != one[200:400] != texts(200)
    other = blend(tmp_path, (1.0,), shuffled=10)
    near = [texts(200).index(text) for text in islice(other.training(), 200)]
    assert sorted(near) == list(range(200)) and near != sorted(near)
    assert max(n - place for place, n in enumerate(near)) <= 10  # no more than ten at hand


def test_held_out_texts_are_never_trained_on(tmp_path: Path) -> None:
    held = list(blend(tmp_path, share=0.2).held_out())
    trained = set(islice(blend(tmp_path, share=0.2).training(), 900))
    once = list(blend(tmp_path, share=0.2).once())
    assert len(held) == len(set(held)) and not trained & set(held)
    assert set(once) == trained and len(once) + len(held) == 240
    assert len(held) / 240 == pytest.approx(0.2, abs=0.07)


def test_copies_are_left_out_in_every_round(tmp_path: Path) -> None:
    given = texts(20)
    near = given[3].replace(" the ", " a ", 1)
    assert near != given[3]
    (tmp_path / "a.txt").write_text("\n\n".join([*given, given[3].upper(), near]))
    for way, copies, near_copies in (("none", 0, 0), ("exact", 1, 0), ("near", 1, 1)):
        made = Blend([Source("a.txt", tmp_path)], 1, 0.0, way, 0.6)
        stay = 22 - copies - near_copies
        rounds = list(islice(made.training(), 3 * stay))
        assert len(set(rounds)) == stay
        assert all(sorted(rounds[:stay]) == sorted(rounds[n * stay : (n + 1) * stay]) for n in (1, 2))
        assert (made.tallies[0].copies, made.tallies[0].near_copies) == (copies, near_copies)


def test_near_copies_are_found_like_the_exact_search_finds_them() -> None:
    """Against the true Jaccard similarity of `task.duplicates`, away from the threshold."""
    from rung.task.duplicates import near_duplicates

    rng = np.random.default_rng(2)
    given = []
    for i in range(60):
        words = story(i, 80).split()
        given.append(" ".join(words))
        for _ in range(int(rng.integers(0, 12))):
            words[int(rng.integers(80))] = str(rng.integers(1000))
        given.append(" ".join(words))
    like = {j: max(s for i, k, s in near_duplicates(given, 0.3) if k == j) for _, j, _ in near_duplicates(given, 0.3)}
    seen = Seen("near", 0.8)
    fates = [seen.admit(text) for text in given]
    for place, fate in enumerate(fates):
        if like.get(place, 0.0) > 0.9:
            assert fate != "new"
        if like.get(place, 0.0) < 0.65:
            assert fate == "new"
    assert 5 < sum(fate != "new" for fate in fates) < 60


def test_a_source_without_a_text_is_named(tmp_path: Path) -> None:
    made = blend(tmp_path)
    (tmp_path / "b.txt").write_text("\n\n \n\n")
    with pytest.raises(RungError, match=r"corpus source b.txt: holds no document to train on"):
        list(islice(made.training(), 10))


@pytest.mark.parametrize(
    ("corpus", "message"),
    [
        ({"sources": ["a.txt"], "deduplicate": "fuzzy"}, "unknown deduplicate"),
        ({"sources": ["a.txt"], "validation": 1.0}, "give a share from 0 to below 1"),
        ({"sources": ["a.txt"], "validation": "some"}, "give a number"),
        ({"sources": [{"source": "a.txt", "wieght": 2}]}, "did you mean weight"),
        ({"sources": [{"source": "a.txt", "weight": "much"}]}, "give a number"),
        ({"sources": [3]}, "names no source"),
        ({"sources": ["a.txt"], "similarity": 2}, "give more than 0 and at most 1"),
        ({"texts": ["a.txt"], "generator": "made"}, "one of them"),
        ({"sources": ["a.txt"], "seperator": "x"}, "did you mean separator"),
    ],
)
def test_corpus_refuses(tmp_path: Path, corpus: dict[str, object], message: str) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(RungError, match=message):
        MixtureSettings.from_mapping(corpus, tmp_path)


@pytest.mark.parametrize(("kind", "size"), [("bpe", 300), ("unigram", 45), ("wordpiece", 90)])
def test_each_tokenizer_reads_its_text_back(tmp_path: Path, kind: str, size: int) -> None:
    given = texts(80)
    tokenizer = train_tokenizer(given, TokenizerSettings(vocabulary=size, kind=kind, sentinels=2), mask=True)
    tokenizer.save_pretrained(tmp_path)
    assert len(tokenizer) == size and tokenizer.mask_token_id is not None
    ids = tokenizer(given[0], add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids).replace(" .", ".") == given[0]
    found = Fertility.of(tokenizer, given)
    assert found.texts == 80 and found.unknown_share == 0.0
    assert found.tokens_per_word == pytest.approx(
        sum(len(tokenizer(t, add_special_tokens=False)["input_ids"]) for t in given)
        / sum(len(t.split()) for t in given),
        abs=1e-3,
    )
    strange = Fertility.of(tokenizer, ["жук ☃"])
    assert (strange.unknown_share > 0) == (kind != "bpe")


def test_unigram_survives_long_lines_and_words() -> None:
    rng = np.random.default_rng(0)
    wild = "".join(chr(int(c)) for c in rng.integers(97, 123, 30_000))
    given = [wild, " ".join(texts(60)), "x" * 5000, *texts(40)]
    assert max(len(part) for text in given for part in stretches(text)) <= LONGEST_LINE + 1
    assert "".join(stretches(given[1])) == given[1]
    made = train_tokenizer(given, TokenizerSettings(vocabulary=120, kind="unigram"))
    assert len(made) == 120


def test_unknown_tokenizer_kind() -> None:
    with pytest.raises(RungError, match="did you mean unigram"):
        TokenizerSettings(kind="unigramm")
