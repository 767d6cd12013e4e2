"""Whether a checkpoint in Hugging Face form is one of this model. `transformers` loads the names that fit and goes on.

Only names and shapes are read, from the files' headers; loading is the Trainer's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open

from rung.errors import RungError

WHOLE, INDEX, ADAPTER = "model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors"


def check_same_model(module: Any, checkpoint: Path) -> None:
    """Raises RungError where the weights in `checkpoint` are not those of `module`, by name and shape.

    Tied weights may be stored under one of their names. A folder in another form is left to the Trainer to judge.
    """
    if (checkpoint / ADAPTER).is_file():
        stored, own = _shapes([checkpoint / ADAPTER]), _adapter_shapes(module)
    elif (checkpoint / WHOLE).is_file() or (checkpoint / INDEX).is_file():
        stored, own = _shapes(_files(checkpoint)), _tensor_shapes(module.state_dict())
    else:
        return
    missing = own.keys() - stored.keys() - _tied(module)
    unknown = stored.keys() - own.keys()
    other = sorted(name for name in stored.keys() & own.keys() if stored[name] != own[name])
    if other:
        what = f"{other[0]} is {list(stored[other[0]])} there and {list(own[other[0]])} here"
    elif unknown or missing:
        what = f"only one of the two has {min(unknown | missing)}"
    else:
        return
    raise RungError(
        f"a checkpoint of another model: {what}",
        where=str(checkpoint),
        mend="go on with the model it was trained from, or start afresh in another folder",
    )


def _files(checkpoint: Path) -> list[Path]:
    if (checkpoint / WHOLE).is_file():
        return [checkpoint / WHOLE]
    index = json.loads((checkpoint / INDEX).read_text())
    return [checkpoint / name for name in sorted(set(index["weight_map"].values()))]


def _shapes(files: list[Path]) -> dict[str, tuple[int, ...]]:
    found = {}
    for file in files:
        with safe_open(file, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118 (not a mapping)
                found[name] = tuple(opened.get_slice(name).get_shape())
    return found


def _tensor_shapes(state: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items() if hasattr(tensor, "shape")}


def _adapter_shapes(module: Any) -> dict[str, tuple[int, ...]]:
    from peft import get_peft_model_state_dict

    if not hasattr(module, "peft_config"):
        return {}
    return _tensor_shapes(get_peft_model_state_dict(module, adapter_name=module.active_adapters[0]))


def _tied(module: Any) -> set[str]:
    """Names that share their storage with another: one of each is enough in a file."""
    seen: dict[int, list[str]] = {}
    for name, tensor in module.state_dict().items():
        seen.setdefault(tensor.data_ptr(), []).append(name)
    return {name for names in seen.values() if len(names) > 1 for name in names}
