"""Looking into a model: tokens, neighbours, attention, what comes next, and how they are drawn."""

from __future__ import annotations

import doctest
import io
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from rung.errors import RungError
from rung.generate.engine import Engine
from rung.generate.look import attending, page, terminal
from rung.generate.look.found import Look
from rung.generate.look.look import look
from rung.generate.look.opened import Opened
from rung.generate.look.reading import read
from rung.generate.look.settings import Wanted
from rung.model.load import Model, ModelKind
from rung.model.neighbours import nearest_tokens, usual_angles
from rung.model.pieces import Pieces, visible
from rung.page import matrix
from rung.system.looking import look_at
from rung.types import Sampling

Base = Callable[[str], Path]
TEXT = "where is my parcel — naïve"


# -- neighbours --------------------------------------------------------------------------------------------------------


def test_neighbours_are_those_of_a_plain_search() -> None:
    torch.manual_seed(0)
    table, vectors = torch.randn(300, 16), torch.randn(5, 16)
    found = nearest_tokens(vectors, table, 4)
    for vector, own, usual in zip(vectors, found, usual_angles(vectors, table)):
        cosines = [float(vector @ row / (vector.norm() * row.norm())) for row in table]
        angles = sorted(math.degrees(math.acos(cosine)) for cosine in cosines)
        order = sorted(range(300), key=lambda n: -cosines[n])[:4]
        assert [one.token for one in own] == order
        assert [one.cosine for one in own] == pytest.approx([cosines[n] for n in order], abs=1e-5)
        assert [one.degrees for one in own] == pytest.approx(angles[:4], abs=1e-2)
        assert angles[148] <= usual <= angles[151]


def test_a_token_is_its_own_nearest_whatever_its_length() -> None:
    torch.manual_seed(1)
    table = torch.randn(40, 8) * torch.linspace(0.1, 5, 40)[:, None]
    for token, own in enumerate(nearest_tokens(7 * table, table, 1)):
        assert own[0].token == token and own[0].degrees < 0.1


def test_rows_of_zeros_have_no_direction() -> None:
    table = torch.eye(3)
    table[1] = 0
    vectors = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    (own, none) = nearest_tokens(vectors, table, 9)
    assert [one.token for one in own] == [0, 2] and own[0].degrees == pytest.approx(90)
    assert none == [] and math.isnan(usual_angles(vectors, table)[1])


def test_neighbours_refuse_what_has_no_angle() -> None:
    with pytest.raises(RungError, match="0 neighbours"):
        nearest_tokens(torch.ones(1, 2), torch.ones(3, 2), 0)
    with pytest.raises(RungError, match="width"):
        nearest_tokens(torch.ones(1, 2), torch.ones(3, 4), 1)


# -- tokens made visible -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b" a\tb\n", "␣a⇥b↵"),
        ("ï☃".encode(), "ï☃"),
        (b"\xe2\x82", "⟨E2 82⟩"),
        (b"a\xffb", "a⟨FF⟩b"),
        ("\u200b\x00".encode(), "⟨U+200B⟩⟨U+0000⟩"),
    ],
)
def test_what_cannot_be_seen_is_made_visible(content: bytes, shown: str) -> None:
    assert visible(content) == shown


def test_the_pieces_of_a_byte_level_text_are_its_bytes() -> None:
    model = Model.load("tiny")
    pieces = Pieces(model.tokenizer)
    text = "my naïve ☃\t\nparcel"
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert b"".join(pieces._bytes(model.tokenizer.convert_ids_to_tokens(i)) for i in ids) == text.encode()
    shown = [pieces.shown(i) for i in range(len(model.tokenizer))]
    assert all(shown) and not any("\n" in piece or "\x1b" in piece for piece in shown)
    assert pieces.shown(10**6) == "⟨id 1000000⟩"
    assert pieces.is_special(model.tokenizer.bos_token_id) and not pieces.is_special(ids[0])


def test_characters_of_tokens_cover_the_text(base: Base) -> None:
    for kind in ("llama-plain", "t5", "bert"):
        found = look_at(str(base(kind)), TEXT, Wanted())
        covered = {n for t in found.tokens if t.start is not None for n in range(t.start, t.end or 0)}
        assert covered == set(range(len(TEXT))), kind
        assert [t.position for t in found.tokens] == list(range(len(found.tokens)))


# -- what comes next ---------------------------------------------------------------------------------------------------


def test_the_chances_shown_are_those_that_answers_are_drawn_by(base: Base) -> None:
    wanted = Wanted(temperature=0.7, top_k=6, top_p=0.85, shown=600)
    found = look_at(str(base("llama-plain")), TEXT, wanted)
    (following,) = found.following
    drawn = {one.id: one.drawn for one in following.chances if one.drawn}
    assert following.kept == len(drawn) <= 6 and sum(drawn.values()) == pytest.approx(1, abs=1e-5)
    engine = Engine(Model.load(str(base("llama-plain"))))
    number = 1500
    made = engine.generate(
        [[token.id for token in found.tokens]],
        [Sampling(max_new_tokens=1, temperature=0.7, top_k=6, top_p=0.85, n=number)],
        end=[],
        stop=(),
    )[0]
    counts = Counter(answer.tokens[0] for answer in (made, *made.others))
    assert counts.keys() <= drawn.keys()
    chi = sum((counts[token] - number * share) ** 2 / (number * share) for token, share in drawn.items())
    assert chi < 20.5  # the 0.999 quantile for five degrees of freedom is 20.5; the seed is fixed


def test_probabilities_and_surprise_are_the_models_own(base: Base) -> None:
    found = look_at(str(base("llama-plain")), TEXT, Wanted(shown=9999, temperature=0.5))
    module = Model.load(str(base("llama-plain"))).module
    ids = [token.id for token in found.tokens]
    logits = module(torch.tensor([ids])).logits[0].float()
    shares = logits[-1].softmax(-1)
    (following,) = found.following
    assert [one.model for one in following.chances] == pytest.approx([float(shares[o.id]) for o in following.chances])
    assert [one.model for one in following.chances] == sorted((float(p) for p in shares), reverse=True)
    tempered = (logits[-1] / 0.5).softmax(-1)
    assert following.chances[3].tempered == pytest.approx(float(tempered[following.chances[3].id]), rel=1e-4)
    assert following.entropy == pytest.approx(float(-(shares * shares.log2()).sum()), abs=1e-4)
    assert found.tokens[0].bits is None
    for place in range(1, len(ids)):
        expected = -math.log2(float(logits[place - 1].softmax(-1)[ids[place]]))
        assert found.tokens[place].bits == pytest.approx(expected, abs=1e-3)


def test_learnt_vectors_stand_before_the_text(base: Base) -> None:
    model = Model.load(str(base("llama-plain")))
    torch.manual_seed(3)
    table = model.module.get_input_embeddings().weight
    virtual = torch.cat([table[[40, 50]] * 2, torch.randn(3, table.shape[1])])
    found = look(Opened(model, model.module, "soft", virtual), read(model, "where is my"), Wanted(shown=3))
    ids = [token.id for token in found.tokens]
    engine = Engine(model, virtual=virtual)
    best = found.following[0].chances
    said = engine.choose([ids], [[[one.id] for one in best]])[0]
    assert said == pytest.approx([math.log(one.model) for one in best], abs=1e-4)
    assert found.tokens[0].bits is not None and found.attention[0].keys[:2] == ("learnt 0", "learnt 1")
    learnt = [one for one in found.neighbourhoods if one.id is None]
    assert len(learnt) == 5 and [one.near[0].id for one in learnt[:2]] == [40, 50]


def test_learnt_keys_and_values_stand_before_the_text(base: Base) -> None:
    model = Model.load(str(base("llama-plain")))
    torch.manual_seed(4)
    virtual = tuple((torch.randn(1, 2, 3, 8), torch.randn(1, 2, 3, 8)) for _ in range(2))
    found = look(Opened(model, model.module, "prefix", virtual), read(model, "where is my"), Wanted(shown=3))
    ids = [token.id for token in found.tokens]
    said = Engine(model, virtual=virtual).choose([ids], [[[one.id] for one in found.following[0].chances]])[0]
    assert said == pytest.approx([math.log(one.model) for one in found.following[0].chances], abs=1e-4)
    (attention,) = found.attention
    assert attention.keys == ("learnt 0", "learnt 1", "learnt 2", *attention.queries) and len(attention.queries) == len(
        ids
    )
    head = attention.heads[0]
    own = [row[3 + n] for n, row in enumerate(head.weights)]
    assert head.own == pytest.approx(sum(own) / len(own), abs=1e-6)
    assert not [one for one in found.neighbourhoods if one.id is None] and found.tokens[0].bits is None


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_a_soft_prompt_of_an_encoder_decoder_is_looked_at(kind: str, base: Base) -> None:
    from peft import PromptTuningConfig, get_peft_model

    model = Model.load(str(base(kind)))
    # As `methods` makes them: before the encoder's text alone.
    settings = PromptTuningConfig(task_type="SEQ_2_SEQ_LM", num_virtual_tokens=4, num_transformer_submodules=1)
    soft = get_peft_model(model.fresh(), settings).eval()
    found = look(Opened(model, soft, "soft"), read(model, "where is my"), Wanted(shown=3))
    count = len(found.tokens)
    logits = soft(
        input_ids=torch.tensor([[token.id for token in found.tokens]]), attention_mask=torch.ones(1, count).long(),
        decoder_input_ids=torch.tensor([[found.answer[0].id]]),
    ).logits  # fmt: skip
    assert found.following[0].chances[0].id == int(logits[0, -1].argmax())
    assert found.answer[0].bits is None
    encoder = found.attention[0]
    assert len([one for one in found.neighbourhoods if one.id is None]) == 4
    assert encoder.kind == "encoder" and encoder.keys[:2] == ("learnt 0", "learnt 1") and len(encoder.keys) == count + 4


def test_an_encoder_decoder_is_looked_at_with_its_answer(base: Base) -> None:
    found = look_at(str(base("t5")), "where is my parcel", Wanted(answer="the lamp broke"))
    module = Model.load(str(base("t5"))).module
    text, said = ([token.id for token in tokens] for tokens in (found.tokens, found.answer))
    logits = module(input_ids=torch.tensor([text]), decoder_input_ids=torch.tensor([said])).logits[0]
    assert said[0] == 0 and len(said) == 4
    assert found.following[0].chances[0].id == int(logits[-1].argmax())
    assert {(one.kind, len(one.queries), len(one.keys)) for one in found.attention} == {
        ("encoder", len(text), len(text)), ("decoder", 4, 4), ("cross", 4, len(text)),
    }  # fmt: skip


def test_masks_are_filled_by_the_head_of_the_folder(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForMaskedLM

    from bases import tokenizer

    torch.manual_seed(0)
    words = tokenizer(chat=False)
    words.add_special_tokens({"mask_token": "[MASK]"})
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4
    )
    module = BertForMaskedLM(config).eval()
    module.save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    found = look_at(str(tmp_path), "where is my [MASK] please [MASK]", Wanted(temperature=0.1, top_k=1))
    logits = module(torch.tensor([[token.id for token in found.tokens]])).logits[0].detach()
    assert len(found.following) == 2
    for one in found.following:
        assert one.place is not None and found.tokens[one.place].piece == "[MASK]"
        assert one.chances[0].id == int(logits[one.place].argmax())
        assert one.chances[0].model == pytest.approx(float(logits[one.place].softmax(-1).max()), rel=1e-4)
    assert "write [MASK]" in look_at(str(tmp_path), "where", Wanted()).notes[-1]


# -- attention ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["llama-plain", "gpt2", "gemma3", "t5", "bart", "bert"])
def test_attention_is_the_modules_own_and_sums_to_one(kind: str, base: Base) -> None:
    found = look_at(str(base(kind)), TEXT, Wanted())
    assert found.attention
    for one in found.attention:
        assert len(one.heads) == 2 * 4
        for head in one.heads:
            assert all(sum(row) == pytest.approx(1, abs=1e-3) for row in head.weights)
            assert (len(head.weights), len(head.weights[0])) == (len(one.queries), len(one.keys))
            if one.kind in ("attention", "decoder") and kind != "bert":
                assert not any(w for q, row in enumerate(head.weights) for w in row[q + 1 :]), "looks ahead"


def test_looking_leaves_the_module_as_it_was(base: Base) -> None:
    opened = Opened.of(Model.load(str(base("llama-plain"))))
    before = opened.module.config._attn_implementation
    plain = opened.run([1, 2, 3]).logits
    seen = opened.run([1, 2, 3], attention=True)
    assert opened.module.config._attn_implementation == before == "sdpa"
    assert torch.equal(opened.run([1, 2, 3]).logits, plain)
    assert torch.allclose(seen.logits, plain, atol=1e-4)


def test_the_end_of_a_long_text_is_shown_and_the_rest_summed(base: Base) -> None:
    text = "where is my parcel please send money back " * 8
    found = look_at(str(base("llama-plain")), text, Wanted(layers=(1,), heads=(0, 3)))
    (one,) = found.attention
    count = len(found.tokens)
    assert one.folded == count - attending.DRAWN > 0
    assert one.keys[0] == f"{one.folded} earlier" and len(one.keys) == attending.DRAWN + 1
    assert [(head.layer, head.head) for head in one.heads] == [(1, 0), (1, 3)]
    module = Model.load(str(base("llama-plain"))).module
    module.set_attn_implementation("eager")
    whole = module(torch.tensor([[t.id for t in found.tokens]]), output_attentions=True).attentions[1][0, 3]
    module.set_attn_implementation("sdpa")
    row = one.heads[1].weights[-1]
    assert row[0] == pytest.approx(float(whole[-1, : one.folded].sum()), abs=1e-5)
    assert row[1:] == pytest.approx(whole[-1, one.folded :].tolist(), abs=1e-6)
    previous = sum(float(whole[n, n - 1]) for n in range(1, count)) / (count - 1)
    assert one.heads[1].previous == pytest.approx(previous, abs=1e-5)
    assert any("last tokens" in note for note in found.notes)


@pytest.mark.parametrize("kind", ["decoder", "encoder", "encoder-decoder"])
def test_an_lstm_is_looked_at_without_attention(kind: ModelKind, tmp_path: Path) -> None:
    from bases import tokenizer
    from rung.model.build import build

    words = tokenizer(chat=False)
    words.add_special_tokens({"mask_token": "[MASK]"})
    build({"model_type": "lstm", "hidden_size": 32, "num_hidden_layers": 2}, words, kind=kind).save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    found = look_at(str(tmp_path), "where is my [MASK] please", Wanted())
    assert len(found.following) == 1 and not found.attention
    assert "no attention weights" in found.notes[-1] and "2 layers" in found.facts and "heads" not in found.facts


def test_what_cannot_be_shown_is_said(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no attention weights" in look_at(str(base("mamba")), TEXT, Wanted()).notes[-1]
    assert "holds no masked-language-model head" in look_at(str(base("bert")), TEXT, Wanted()).notes[-1]
    monkeypatch.setattr("rung.generate.look.look.MOST_BYTES", 100)
    found = look_at(str(base("llama-plain")), TEXT, Wanted())
    assert not found.attention and "look at a shorter text" in found.notes[-1]


# -- whose neighbours --------------------------------------------------------------------------------------------------


def test_a_word_is_found_within_a_text_and_at_its_beginning(base: Base) -> None:
    found = look_at(str(base("llama-plain")), TEXT, Wanted(words=("parcel",), positions=(1,), neighbours=3))
    names = [one.name for one in found.neighbourhoods]
    assert "␣parcel" in names
    (again,) = look_at(str(base("llama-plain")), TEXT, Wanted(words=("␣parcel",))).neighbourhoods
    assert again.name == "␣parcel" and names[-1].endswith("(token 1)")
    for one in found.neighbourhoods:
        assert len(one.near) == 3 and one.id not in [near.id for near in one.near]


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        ({"words": ("zzzqqq",)}, "--word: 'zzzqqq' is no token of the vocabulary (6 tokens: z z z q q q); ask for one"),
        ({"positions": (99,)}, "--token: there is no token 99: the text has 11"),
        ({"layers": (2,)}, "--layer: there is no layer 2: the model has 2, counted from 0; give 0 to 1"),
        ({"heads": (9,)}, "--head: there is no head 9: the model has 4"),
        ({"answer": "x"}, "--answer: only an encoder–decoder has one"),
    ],
)
def test_what_is_not_there_is_refused(wanted: dict[str, object], line: str, base: Base) -> None:
    with pytest.raises(RungError, match=re.escape(line)):
        look_at(str(base("llama-plain")), "where is my parcel — ï", Wanted(**wanted))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"temperature": 0.0}, "--temperature: is 0: nothing is drawn"),
        ({"temperature": -1.0}, "--temperature: is -1"),
        ({"temperature": float("nan")}, "--temperature: is nan"),
        ({"top_p": 0.0}, "--top-p: is 0"),
        ({"top_p": 1.5}, "--top-p: is 1.5"),
        ({"top_k": -1}, "--top-k: is -1"),
        ({"min_p": 2.0}, "--min-p: is 2"),
        ({"neighbours": 0}, "--neighbours: is 0"),
        ({"layers": (-1,)}, "--layer: is -1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], line: str) -> None:
    with pytest.raises(RungError, match=re.escape(line)):
        Wanted(**settings)  # type: ignore[arg-type]


def test_a_text_beyond_the_window_is_refused(base: Base) -> None:
    with pytest.raises(RungError, match=r"text: has 30\d tokens and .* reads 256; shorten it"):
        look_at(str(base("llama-plain")), "where " * 301, Wanted())


# -- drawn -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [terminal, matrix])
def test_the_examples_in_the_docs_hold(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted > 0 and found.failed == 0


def _look(base: Base, text: str = TEXT) -> Look:
    return look_at(str(base("llama-plain")), text, Wanted(top_k=3))


def test_the_terminal_shows_everything_once(base: Base) -> None:
    found = _look(base)
    out = io.StringIO()
    terminal.show(found, Console(file=out, width=160, force_terminal=False))
    said = out.getvalue()
    for part in ("tokens  ", "neighbours  ", "attention  2 layers × 4 heads", "next  temperature 1, top-k 3: 3 of"):
        assert said.count(part) == 1
    for token in found.tokens:
        assert token.piece in said


def test_the_page_is_whole_and_cannot_be_broken_by_a_text(base: Base) -> None:
    evil = "</title><script>alert(1)</script> parcel"
    made = page.render(_look(base, evil))
    assert "<script" not in made and "&lt;script" in made
    places = re.findall(r'<a href="#([^"]+)"', made)
    assert len(places) > 8 and all(f'id="{place}"' in made for place in places)
    assert made.count('class="thumb"') == 8 and made.count('class="large sideways"') == 8


def test_stretches_of_one_shade_are_one_path() -> None:
    drawn = matrix.thumbnail([[1.0, 1.0, 0.0], [0.0, 0.3, 0.3]], "a map")
    assert drawn.count("<path") == 2 and "M0 0h2v1h-2z" in drawn and "M1 1h2v1h-2z" in drawn
    assert "<title>a map</title>" in drawn and 'viewBox="0 0 3 2"' in drawn
