"""Which parameters move: each method on each family that has it, trained for real, kept small, read back the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rung.errors import RungError
from rung.generate.engine import Engine
from rung.model.components import component, is_bias, layer_number
from rung.model.load import Model
from rung.model.methods import METHODS, moving_share
from rung.model.tuned import save_tuned, tuned_front, tuned_module
from rung.model.virtual import places, virtual_of
from rung.train.answers import base_of
from rung.train.loop import fit
from rung.train.settings import TrainExample, TrainSettings

EXAMPLES = [TrainExample.of([5 + n, 9, 11 + n, 4], [20 + n % 3, 1]) for n in range(12)]
DECODERS = ("llama", "gpt2")
SETTINGS = TrainSettings(learning_rate=0.01, epochs=4, batch_size=6, precision="float32", checkpoint_seconds=None)
Base = Callable[[str], Path]


def made(name: str) -> Any:
    fields = {"lora": {"rank": 4}, "qlora": {"rank": 4}, "components": {"parts": ("attention", "norms")}}
    return METHODS[name](**fields.get(name, {}))


def fits(name: str, kind: str) -> bool:
    return not (name == "biases" and kind == "llama")


CASES = [(name, kind) for name in METHODS for kind in DECODERS if fits(name, kind)]


def likelihoods(model: Model, module: Any = None, virtual: Any = None) -> list[float]:
    engine = Engine(model, module=module, virtual=virtual)
    return engine.loglikelihood([(e.context_ids, e.answer_ids) for e in EXAMPLES])


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_trained_kept_and_read_back(base: Base, tmp_path: Path, name: str, kind: str) -> None:
    if name == "qlora":
        pytest.importorskip("bitsandbytes")
        if kind == "gpt2":
            pytest.skip("GPT-2's layers are no linear ones")
    model, method = Model.load(str(base(kind))), made(name)
    module = method.prepare(model, seed=3, start=[7, 8])
    frozen = {n: w.detach().clone() for n, w in module.named_parameters() if not w.requires_grad}
    assert all(w.dtype == torch.float32 for w in module.parameters() if w.requires_grad)
    moving, share = moving_share(module)
    assert 0 < share <= 1 and (share == 1) == (name in ("full", "half")), share
    before = likelihoods(model, None, virtual_of(module))
    rate = 0.05 if method.trains == "virtual" else 0.01
    result = fit(module, EXAMPLES, replace(SETTINGS, learning_rate=rate), folder=tmp_path / "fit", validation=EXAMPLES)
    assert result.trainable == moving
    for n, w in module.named_parameters():
        if n in frozen:
            assert torch.equal(w, frozen[n]), n
    front = virtual_of(module)
    seen = model if name != "qlora" else Model.load(str(base(kind)), dtype="nf4")
    after = likelihoods(seen, None, front) if front is not None else likelihoods(seen, base_of(module).eval())
    assert sum(after) > sum(before), "learnt something of its examples"

    folder = save_tuned(module, method.kept, tmp_path / "bundle", seen)
    held = sum(file.stat().st_size for file in folder.iterdir() if file.suffix == ".safetensors")
    if share < 1:
        whole = sum(w.nbytes for w in model.module.parameters())
        assert held < whole, "the small form is smaller than the base"
    front = tuned_front(tmp_path / "bundle")
    again = likelihoods(seen, tuned_module(seen, tmp_path / "bundle"), front)
    assert again == pytest.approx(after, abs=2e-2 if name == "qlora" else 1e-3)
    assert places(front) == (20 if method.trains == "virtual" else 0)


@pytest.mark.parametrize("kind", ["bert", "t5", "bart", "qwen3", "gemma3", "gpt-neox", "mistral"])
def test_other_families_take_what_they_have(base: Base, kind: str) -> None:
    """Each method either prepares a module that moves, or says in one line why not."""
    model = Model.load(str(base(kind)))
    refused = {}
    for name in METHODS:
        if name == "qlora":
            continue
        method = made(name)
        if why := method.why_not(model):
            refused[name] = why
            continue
        try:
            module = method.prepare(model)
        except RungError as error:
            refused[name] = str(error)
            continue
        assert 0 < moving_share(module)[1] <= 1
    virtual = {"prompt-tuning", "p-tuning", "prefix-tuning"}
    expected = {
        "bert": virtual,
        "t5": {"prefix-tuning", "biases"},
        "bart": {"prefix-tuning"},
        "gpt-neox": set(),
    }.get(kind, {"biases"})
    assert refused.keys() == expected, refused


def test_parts_are_what_they_say(base: Base) -> None:
    model = Model.load(str(base("gpt2")))

    def moving(name: str, **fields: Any) -> list[str]:
        module = METHODS[name](**fields).prepare(model)
        return [n for n, w in module.named_parameters() if w.requires_grad]

    assert all(is_bias(n) for n in moving("biases"))
    assert {layer_number(n) for n in moving("last-layers", k=1)} == {1, None}
    assert not any("wte" in n or "wpe" in n for n in moving("last-layers", k=2))
    assert {layer_number(n) for n in moving("layers", numbers=(0,))} == {0}
    assert {component(n) for n in moving("components", parts="norms")} == {"norms"}


def test_half_rests_in_turn(base: Base) -> None:
    method, model = METHODS["half"](), Model.load(str(base("llama")))
    module = method.prepare(model)
    every = dict(module.named_parameters())
    rounds = [set(method.held_still(module, n, seed=1)) for n in range(6)]
    for resting in rounds:
        assert abs(len(resting) - len(every) / 2) <= 1
    assert len({frozenset(resting) for resting in rounds}) > 3
    assert set().union(*rounds) == every.keys(), "each rests some time"
    with method.around(module, 0, 4, 1):
        assert {n for n, w in every.items() if not w.requires_grad} == rounds[0]
    assert all(w.requires_grad for w in every.values())


def test_half_moves_only_the_other_half(base: Base, tmp_path: Path) -> None:
    from rung.train.hooks import Hooks

    method, model = METHODS["half"](), Model.load(str(base("llama")))
    module = method.prepare(model)
    before = {n: w.detach().clone() for n, w in module.named_parameters()}
    resting = set(method.held_still(module, 0, seed=5))
    settings = TrainSettings(learning_rate=0.01, max_steps=3, batch_size=4, weight_decay=0.1, precision="float32")
    hooks = Hooks(around=lambda m, step: method.around(m, step, 100, 5))
    fit(module, EXAMPLES, settings, folder=tmp_path, hooks=hooks)
    moved = {n for n, w in module.named_parameters() if not torch.equal(w, before[n])}
    assert moved == before.keys() - resting


@pytest.mark.parametrize(
    ("name", "fields", "says"),
    [
        ("lora", {"rank": 0}, "rank is 0"),
        ("lora", {"target": ("quux",)}, "no layer is called quux"),
        ("lora", {"target": "quux"}, "no layer is called quux"),
        ("bottleneck", {"width": 0}, "width is 0"),
        ("bottleneck", {"behind": ("wall",)}, "unknown place"),
        ("last-layers", {"k": 3}, "has 2 layers"),
        ("layers", {"numbers": (2,)}, "no layer 2 of 2"),
        ("components", {"parts": ("attentoin",)}, "did you mean attention"),
        ("biases", {}, "has no such weights"),
        ("prompt-tuning", {"tokens": 101}, "choose 1 to 100"),
        ("p-tuning", {"hidden": 0}, "hidden is 0"),
    ],
)
def test_what_does_not_fit_is_one_line(base: Base, name: str, fields: dict[str, Any], says: str) -> None:
    model = Model.load(str(base("llama")))
    with pytest.raises(RungError, match=says) as told:
        METHODS[name](**fields).prepare(model)
    assert "\n" not in str(told.value)


def test_a_bundle_of_another_base_is_refused(base: Base, tmp_path: Path) -> None:
    llama, other = Model.load(str(base("llama"))), Model.load(str(base("gpt2")))
    for name in ("last-layers", "bottleneck"):
        method = made(name)
        save_tuned(method.prepare(llama), method.kept, tmp_path / name, llama)
        with pytest.raises(RungError, match="base"):
            tuned_module(other, tmp_path / name)


@pytest.mark.parametrize("name", ["lora", "bottleneck"])
def test_an_encoder_in_4_bits_stays_so_beside_its_adapter(base: Base, name: str) -> None:
    pytest.importorskip("bitsandbytes")
    model = Model.load(str(base("bert")), dtype="nf4")
    module = made(name).prepare(model)
    packed = [w for w in module.parameters() if hasattr(w, "quant_state")]
    assert packed and not any(w.requires_grad for w in packed)
