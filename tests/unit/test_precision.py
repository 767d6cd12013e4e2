"""The numbers that a base is held in: chosen by memory, stated, and near to what the stored weights say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rung.errors import RungError
from rung.generate.engine import Engine
from rung.ladder.precision import fitted
from rung.model.load import Model

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
    with pytest.raises(RungError, match="--dtype: unknown dtype 'int4'; "):
        Model.load(str(base("llama")), dtype="int4")


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
