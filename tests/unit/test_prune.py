"""Pruning: what becomes zero or goes, that nothing else does, and that what is left loads and computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rung.errors import RungError
from rung.model.export.folder import write_folder
from rung.model.load import Model
from rung.model.prune import Pruning, block_influence, zeros

Base = Callable[[str], Path]
TEXTS = [[5, 6, 7, 8, 9], [60, 61, 62]]
IDS = torch.tensor([[5, 6, 7, 8]])


def pruned(model: Model, folder: Path, method: str, share: float = 0.5) -> Model:
    folder.mkdir()
    return write_folder(model, folder, change=lambda module: Pruning(method, share).apply(module, TEXTS))


def weights(module: Any) -> dict[str, torch.Tensor]:
    return dict(module.state_dict())


@pytest.mark.parametrize("kind", ["llama-plain", "gpt-neox", "bert"])
def test_the_smallest_weights_become_zero_and_no_others_move(kind: str, base: Base, tmp_path: Path) -> None:
    model = Model.load(str(base(kind)))
    before, after = weights(model.module), weights(pruned(model, tmp_path / "out", "magnitude", 0.3).module)
    assert zeros(model.module) == 0.0
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and not any("embed" in name or "head" in name or "norm" in name.lower() for name in moved)
    gone = torch.cat([before[name][after[name] != before[name]].abs() for name in moved])
    left = torch.cat([before[name][after[name] == before[name]].abs() for name in moved])
    assert gone.max() <= left.min() and len(gone) / (len(gone) + len(left)) == pytest.approx(0.3, abs=0.001)
    assert all((after[name][after[name] != before[name]] == 0).all() for name in moved)


def test_two_of_every_four_stay_the_larger_ones(base: Base, tmp_path: Path) -> None:
    model = Model.load(str(base("llama-plain")))
    small = pruned(model, tmp_path / "out", "2:4")
    before, after = weights(model.module), weights(small.module)
    name = "model.layers.1.mlp.down_proj.weight"
    fours, kept = before[name].abs().reshape(32, -1, 4), after[name].reshape(32, -1, 4)
    assert ((kept != 0).sum(-1) == 2).all() and zeros(small.module) == 0.5
    largest = fours.topk(2, dim=-1).values.sum(-1)
    assert torch.allclose(kept.abs().sum(-1), largest)


@pytest.mark.parametrize("kind", ["llama-plain", "gpt2", "bert", "gemma3"])
def test_the_layer_that_does_least_goes(kind: str, base: Base, tmp_path: Path) -> None:
    model = Model.load(str(base(kind)))
    stack = next(one for one in model.module.modules() if isinstance(one, torch.nn.ModuleList) and len(one) == 2)
    influence = block_influence(model.module, stack, TEXTS)
    assert len(influence) == 2 and influence[0] != influence[1] and all(0 <= one <= 2 for one in influence)
    small = pruned(model, tmp_path / "out", "layers", 0.5)
    assert small.parameters < model.parameters and small.module.config.num_hidden_layers == 1
    kept = max(range(2), key=lambda place: influence[place])
    after = weights(small.module)
    for name, value in weights(stack[kept]).items():
        own = next(own for own in after if own.endswith(f".0.{name}"))
        assert torch.equal(after[own], value)
    with torch.no_grad():
        assert small.module(input_ids=IDS)[0].isfinite().all()


def test_heads_and_neurons_that_go_are_those_that_did_nothing(base: Base, tmp_path: Path) -> None:
    """Parts whose output is nought are the smallest; without them the model computes what it did."""
    model = Model.load(str(base("llama-plain")))

    def emptied(module: Any) -> Any:
        with torch.no_grad():
            for layer in module.model.layers:
                layer.mlp.down_proj.weight[:, 10:26] = 0.0
                layer.self_attn.o_proj.weight[:, :16] = 0.0  # the first of two key–value heads: two queries of 8
        return module

    (tmp_path / "empty").mkdir()
    empty = write_folder(model, tmp_path / "empty", change=emptied)
    for method, share in (("neurons", 0.25), ("heads", 0.5)):
        small = pruned(empty, tmp_path / method, method, share)
        assert small.parameters < model.parameters
        with torch.no_grad():
            assert torch.allclose(small.module(input_ids=IDS).logits, empty.module(input_ids=IDS).logits, atol=1e-5)
    config = Model.load(str(tmp_path / "heads")).module.config
    assert (config.num_key_value_heads, config.num_attention_heads, config.head_dim) == (1, 2, 8)
    assert Model.load(str(tmp_path / "neurons")).module.config.intermediate_size == 48


@pytest.mark.parametrize(
    ("kind", "method", "share", "told"),
    [
        ("llama", "magnitud", 0.5, "--method: unknown method 'magnitud'; did you mean magnitude"),
        ("llama", "magnitude", 1.0, "--share: is 1; choose a share between 0 and 1"),
        ("llama", "2:4", 0.3, "2:4 takes half of the weights"),
        ("llama", "layers", 0.1, "0.1 of 2 layers are 0; choose one that leaves some layers, and takes one"),
        ("llama", "heads", 0.9, "0.9 of 2 key–value heads are 2"),
        ("gpt2", "magnitude", 0.5, "a gpt2 has no linear layers to prune; take --method layers"),
        ("gpt-neox", "neurons", 0.5, "neurons are cut in decoders like Llama only, not in a gpt_neox"),
        ("t5", "layers", 0.5, "a t5 has no single stack of layers"),
    ],
)
def test_what_cannot_be_pruned_is_one_line(kind: str, method: str, share: float, told: str, base: Base) -> None:
    with pytest.raises(RungError, match=told):
        Pruning(method, share).apply(Model.load(str(base(kind))).fresh(), TEXTS)


def test_a_layers_influence_needs_texts(base: Base) -> None:
    with pytest.raises(RungError, match="needs texts to see what each layer does; name a task"):
        Pruning("layers", 0.5).apply(Model.load(str(base("llama"))).fresh(), [])
