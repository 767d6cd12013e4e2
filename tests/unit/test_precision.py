"""The numbers that a base is held in: chosen by memory, stated, and near to what the stored weights say."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rung.errors import RungError
from rung.generate.engine import Engine
from rung.ladder.precision import fitted, not_trained
from rung.model import adapters
from rung.model.load import Model
from rung.model.precision import held_bytes
from rung.train.answers import base_of

Base = Callable[[str], Path]
CONTEXTS = [[5, 6, 7, 8], [5, 6, 9]]
ANSWERS = [[[3, 4], [10]], [[11, 12], [2]]]


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gpt-neox", "t5"])
def test_int8_weights_answer_nearly_the_same(kind: str, base: Base) -> None:
    pytest.importorskip("torchao", reason="torchao is not installed (pip install 'rung[int8]')")
    folder = str(base(kind))
    exact, small = Model.load(folder), Model.load(folder, dtype="int8")
    assert (exact.precision, small.precision) == ("float32", "int8")
    wanted, found = (Engine(model).choose(CONTEXTS, ANSWERS) for model in (exact, small))
    for ours, theirs in zip(found, wanted):
        assert ours == pytest.approx(theirs, rel=0.05) and ours != theirs
    linears = [layer for layer in small.module.modules() if isinstance(layer, torch.nn.Linear)]
    head = small.module.get_output_embeddings()
    held = {layer.weight.qdata.dtype for layer in linears if layer is not head}
    assert held == {torch.int8} and head.weight.dtype == torch.float32
    assert small.fresh().dtype == torch.float32  # what is trained never is


def test_a_module_without_linear_layers_is_one_line(base: Base) -> None:
    pytest.importorskip("torchao", reason="torchao is not installed (pip install 'rung[int8]')")
    with pytest.raises(RungError, match="a gpt2 has no linear layers that could be held as int8; take bfloat16"):
        _ = Model.load(str(base("gpt2")), dtype="int8").module


def test_the_finest_precision_that_half_of_the_memory_holds(base: Base) -> None:
    model = Model.load(str(base("llama")))
    size = 4 * model.parameters
    for memory, wanted in ((None, "float32"), (2 * size, "float32"), (size, "bfloat16"), (size // 2, "int8")):
        chosen, why = fitted(model, memory)
        assert chosen.precision == wanted and bool(why) == (wanted != "float32")
    assert fitted(model, 1000) == (model, "")  # nothing would do: the rungs say so
    asked = replace(model, dtype="float32")
    assert fitted(asked, size) == (asked, "")
    assert fitted(replace(model, dtype="auto"), size)[1] == (
        f"the base is held as bfloat16: as float32 its weights take {size / 1e6:,.0f} MB, over half of the memory budget"
    )


def test_an_unknown_dtype_is_one_line(base: Base) -> None:
    with pytest.raises(RungError, match="--dtype: unknown dtype 'int5'; "):
        Model.load(str(base("llama")), dtype="int5")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here, on which torchao packs int4")
def test_packed_int4_is_refused_where_torchao_does_not_pack(base: Base) -> None:
    with pytest.raises(RungError, match="torchao packs int4 for CUDA only, not for this processor; take nf4"):
        _ = Model.load(str(base("llama")), dtype="int4").module


def test_the_numbers_of_a_silent_configuration_are_those_of_its_weights(base: Base) -> None:
    model = Model.load(str(base("llama")))
    silent = {key: value for key, value in model.config.items() if key not in ("dtype", "torch_dtype")}
    assert replace(model, config=silent).precision == model.precision == "float32"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("llama", None),
        ("mamba", "this architecture takes no masks of ours"),
        ("t5", "an encoder–decoder reads each prompt whole"),
        ("mistral", "its sliding window, share nothing"),
    ],
)
def test_what_a_base_cannot_do_is_said(kind: str, words: str | None, base: Base) -> None:
    limits = Engine(Model.load(str(base(kind)))).limits
    assert limits == [] if words is None else words in limits[0]


needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed (pip install 'rung[nf4]')"
)


@needs_bitsandbytes
@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt-neox", "mamba", "t5"])
def test_4_bit_weights_answer_as_a_plain_forward_pass_of_theirs(kind: str, base: Base) -> None:
    from bitsandbytes.nn import Linear4bit, Params4bit

    folder = str(base(kind))
    exact, small = Model.load(folder), Model.load(folder, dtype="nf4")
    assert small.precision == "nf4" and small.digest == exact.digest
    head = small.module.get_output_embeddings()
    inside = [layer for layer in small.module.modules() if isinstance(layer, Linear4bit)]
    assert inside and head not in inside
    assert all(isinstance(one.weight, Params4bit) and one.weight.quant_state.nested for one in inside)
    assert held_bytes(small.module) < 0.5 * held_bytes(exact.module)
    engine = Engine(small)
    assert engine.shares == Engine(exact).shares
    found, wanted = engine.choose(CONTEXTS, ANSWERS), plain_scores(small)
    for ours, theirs in zip(found, wanted):
        assert ours == pytest.approx(theirs, rel=0.03)


def plain_scores(model: Model) -> list[list[float]]:
    """log P(answer | context) by one plain pass a pair."""
    module = model.module

    def score(context: list[int], answer: list[int]) -> float:
        whole = torch.tensor([context + answer])
        with torch.no_grad():
            if model.kind == "encoder-decoder":
                start = module.config.decoder_start_token_id
                given = {
                    "input_ids": torch.tensor([context]),
                    "decoder_input_ids": torch.tensor([[start, *answer[:-1]]]),
                }
                logits = module(**given).logits[0]
            else:
                logits = module(input_ids=whole).logits[0, len(context) - 1 : -1]
        return float(logits.float().log_softmax(-1)[range(len(answer)), answer].sum())

    return [[score(context, answer) for answer in options] for context, options in zip(CONTEXTS, ANSWERS)]


@needs_bitsandbytes
def test_4_bit_weights_take_half_a_byte_each_and_a_little(base: Base) -> None:
    module = Model.load(str(base("llama")), dtype="nf4").module
    weight = module.model.layers[0].mlp.up_proj.weight
    blocks = 32 * 64 // 64
    # 4 bits a weight, 8 a block; the 16 levels, and one group of scales of its own with its 256 levels.
    assert held_bytes(module.model.layers[0].mlp.up_proj) == 32 * 64 // 2 + blocks + 4 * (16 + 1 + 256)
    assert weight.quant_state.blocksize == 64


@needs_bitsandbytes
def test_adapters_train_beside_4_bit_weights_which_stay(base: Base, tmp_path: Path) -> None:
    model = Model.load(str(base("llama")), dtype="nf4")
    frozen = model.fresh()
    stored = {name: value.clone() for name, value in frozen.state_dict().items()}
    tuned = adapters.lora(frozen, 4, seed=1)
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    optimiser = torch.optim.AdamW([w for w in tuned.parameters() if w.requires_grad], lr=1e-2)
    losses = []
    for _ in range(6):
        tuned.eval()  # an evaluation between two steps must leave the weights as they can be trained on
        with torch.no_grad():
            tuned(input_ids=ids)
        tuned.train()
        loss = tuned(input_ids=ids, labels=ids).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.1
    now = {name.replace(".base_layer", ""): value for name, value in base_of(tuned).state_dict().items()}
    assert all(torch.equal(value, now[name]) for name, value in stored.items())
    adapters.save_adapter(tuned, tmp_path / "adapter", model.name)
    again = adapters.merged_copy(model, tmp_path / "adapter")
    with torch.no_grad():
        assert torch.equal(again(input_ids=ids).logits, tuned.eval()(input_ids=ids).logits)


@needs_bitsandbytes
def test_4_bit_weights_are_saved_and_loaded_bit_by_bit(base: Base, tmp_path: Path) -> None:
    model = Model.load(str(base("llama")), dtype="nf4")
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        before = model.module(input_ids=ids).logits  # bitsandbytes would repack here
        model.module.save_pretrained(tmp_path)
        model.tokenizer.save_pretrained(tmp_path)
        again = Model.load(str(tmp_path))
        assert again.precision == "nf4" and again.parameters == model.parameters
        assert torch.equal(again.module(input_ids=ids).logits, before)
    for name, value in model.module.state_dict().items():
        assert torch.equal(value, again.module.state_dict()[name]), name
    with pytest.raises(RungError, match="the weights are stored as nf4 and cannot be float32; name the model"):
        again.fresh("float32")


def test_what_rungs_of_each_precision_cannot_train() -> None:
    assert not_trained("nf4", "adapter") == not_trained("nf4", "virtual") == not_trained("bfloat16", "weights") == ""
    assert not_trained("nf4", "weights").startswith("weights held as nf4 do not move")
    assert not_trained("int8", "adapter").startswith("weights held as int8 are not trained")
