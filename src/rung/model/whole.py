"""A module as one plain model in a folder of Hugging Face form: adapters folded into the weights, 4-bit weights spelt out.

What was trained beside NF4 weights is folded into the numbers that these stand for, so that the whole answers as the
two did. Which artefact is made of it, and whether it may be, is the ladder's matter.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from rung.errors import RungError
from rung.model.load import IDENTITY_FILES, Model

WRITTEN = ("config.json", "generation_config.json")
"""What `save_pretrained` writes itself; everything else beside the weights is the base's own, byte for byte."""


def save_whole(module: Any, model: Model, folder: Path) -> None:
    """Write `module`, a plain transformers one, into the existing `folder`, with the files that `model` has beside its
    weights: tokenizer, chat template, pooling."""
    module.save_pretrained(str(folder))
    for name in IDENTITY_FILES:
        file = model.folder / name
        if name not in WRITTEN and file.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / name)


def is_plain(module: Any) -> bool:
    """Whether no layer of an adapter and no weight in few bits is inside."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    few = any(hasattr(one, "quant_state") or hasattr(one, "qdata") for one in module.parameters())
    return not few and not any(isinstance(layer, BaseTunerLayer) for layer in module.modules())


def folded(module: Any, *, where: str) -> Any:
    """`module` with LoRA's updates in its weights and 4-bit weights in the numbers of the rest, changed in place.

    Raises RungError for adapters that are no sum with a weight, which cannot be folded, and for int8 weights.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    done: list[str] = []
    for name, layer in list(module.named_modules()):
        if any(name.startswith(f"{outer}.") for outer in done[-1:]):
            continue  # a part of what was folded just now
        plain = layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer
        four_bits = hasattr(getattr(plain, "weight", None), "quant_state")
        if not four_bits and plain is layer:
            continue
        weight = _spelt_out(plain, module.dtype).float() + _update(layer, plain, where)
        module.set_submodule(name, _plain_layer(plain, weight.to(module.dtype)))
        done.append(name)
    if not is_plain(module):
        raise RungError("weights held as int8 are not spelt out", where=where, mend="name the base in other numbers")
    for sign in ("is_loaded_in_4bit", "is_quantized", "hf_quantizer", "quantization_method"):
        if hasattr(module, sign):
            delattr(module, sign)
    if hasattr(module.config, "quantization_config"):
        del module.config.quantization_config
    return module.eval()


def _plain_layer(old: Any, weight: Any) -> Any:
    """A layer of the kind that the architecture has, with this weight (outputs, inputs) and the bias of `old`."""
    import torch
    from transformers.pytorch_utils import Conv1D

    outputs, inputs = weight.shape
    transposed = getattr(old, "source_cls", None) is Conv1D
    with torch.device("meta"):
        new = Conv1D(outputs, inputs) if transposed else torch.nn.Linear(inputs, outputs, bias=old.bias is not None)
    new.weight = torch.nn.Parameter(weight.t().contiguous() if transposed else weight, requires_grad=False)
    if old.bias is not None:
        new.bias = torch.nn.Parameter(old.bias.data.to(weight.dtype), requires_grad=False)
    return new


def _spelt_out(layer: Any, dtype: Any) -> Any:
    """The weight (outputs, inputs) that a layer computes with."""
    weight = layer.weight
    if not hasattr(weight, "quant_state"):
        return weight.data
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(weight.data, weight.quant_state).to(dtype)


def _update(layer: Any, plain: Any, where: str) -> Any:
    """What the active adapters of a layer add to its weight; zero where there are none."""
    if layer is plain:
        return 0.0
    if not hasattr(layer, "get_delta_weight") or any(getattr(layer, "use_dora", {}).values()):
        kind = type(layer).__name__
        raise RungError(f"an adapter of kind {kind} cannot be folded into 4-bit weights", where=where, mend="keep both")
    return sum(layer.get_delta_weight(name).float() for name in layer.active_adapters)
