"""Named variants of one base: plain LoRA adapters and soft prompts, side by side in one batch, come and gone at run time.

LoRA goes through peft's layers row by row; a soft prompt is keys and values at the front of its rows. Adapters of other
kinds change the weights in ways that rows cannot differ in: they run alone, as modules of their own.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from rung.errors import RungError, nearest
from rung.generate.request import BASE
from rung.model.adapters import ADAPTER_FILE, soft_prompt
from rung.model.virtual import Virtual, load_prefix

UNTOUCHED = "__base__"  # peft's word for rows that no adapter changes
_numbers = count()  # engines may share a module: no two of their adapters have the same name in it


class Adapters:
    """The variants that one module holds. `virtual`, where given, stands before the base's own contexts."""

    def __init__(self, module: Any, virtual: Virtual | None = None) -> None:
        self._module = module
        self._virtual: dict[str, Virtual] = {} if virtual is None else {BASE: virtual}
        self._lora: dict[str, str] = {}  # name to the name inside the module
        self._rows: list[str] | None = None
        self._hooked: set[int] = set()

    @property
    def names(self) -> list[str]:
        """What was loaded and not dropped."""
        return sorted({*self._lora, *self._virtual} - {BASE})

    def check(self, name: str) -> None:
        """Raises RungError for a name that is not loaded."""
        if name != BASE and name not in self.names:
            mend = nearest(name, self.names) if self.names else "load it first"
            raise RungError(f"no variant {name!r} is loaded", where="variant", mend=mend)

    def load(self, name: str, folder: Path) -> None:
        """Take in the adapter saved in `folder` (peft's form) as `name`.

        Raises RungError where the name is taken or empty, the folder holds none, or its kind must run alone.
        """
        if not name or name in self.names:
            raise RungError(f"the name {name!r} cannot be given", where="variant", mend="choose a new one")
        file = folder / ADAPTER_FILE
        if not file.is_file():
            raise RungError(f"no {ADAPTER_FILE}", where=str(folder), mend="name a folder that an adapter was saved to")
        config = json.loads(file.read_text(encoding="utf-8"))
        kind = str(config.get("peft_type"))
        if kind in ("PROMPT_TUNING", "P_TUNING"):
            self._virtual[name] = soft_prompt(folder)
        elif kind == "PREFIX_TUNING":
            self._virtual[name] = load_prefix(folder)
        elif kind == "LORA" and not config.get("use_dora") and not config.get("modules_to_save"):
            self._lora[name] = f"{name.replace('.', '_')}_{next(_numbers)}"
            self._inject(name, folder)
        else:
            raise RungError(
                f"{_called(config, kind)} changes weights for all rows", where=str(folder), mend="run it alone"
            )

    def drop(self, name: str) -> None:
        """Let go of a variant."""
        self.check(name)
        if name in self._virtual:
            del self._virtual[name]
            return
        from peft.tuners.lora import LoraLayer

        inner = self._lora.pop(name)
        for layer in self._module.modules():
            if isinstance(layer, LoraLayer):
                layer.delete_adapter(inner)

    def virtual(self, variant: str) -> Virtual | None:
        """Embeddings (tokens, hidden), or keys and values, that stand before every context of a variant."""
        return self._virtual.get(variant)

    @contextmanager
    def active(self, rows: Sequence[str]) -> Iterator[None]:
        """Within it, row r of a batch goes through the variant `rows[r]`."""
        self._rows = [self._lora.get(name, UNTOUCHED) for name in rows] if self._lora else None
        try:
            yield
        finally:
            self._rows = None

    def _inject(self, name: str, folder: Path) -> None:
        from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
        from peft.tuners.lora import LoraLayer
        from safetensors.torch import load_file

        config = LoraConfig.from_pretrained(str(folder))
        config.inference_mode = True
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*multiple adapters in the model.*")  # which is what is wanted
            inject_adapter_in_model(config, self._module, self._lora[name])
        found = set_peft_model_state_dict(
            self._module, load_file(folder / "adapter_model.safetensors"), adapter_name=self._lora[name]
        )
        if found.unexpected_keys:
            self.drop(name)
            raise RungError(
                f"does not fit the base: {found.unexpected_keys[0]}", where=str(folder), mend="name its base"
            )
        self._module.requires_grad_(False).eval()
        for layer in self._module.modules():
            if isinstance(layer, LoraLayer) and id(layer) not in self._hooked:
                self._hooked.add(id(layer))
                layer.register_forward_pre_hook(self._name_rows, with_kwargs=True)

    def _name_rows(self, _: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if self._rows is not None:
            return args, {**kwargs, "adapter_names": self._rows}
        return args, {"adapter_names": [UNTOUCHED] * len(args[0]), **kwargs}


def _called(config: dict[str, Any], kind: str) -> str:
    return "DoRA" if config.get("use_dora") else "an adapter with whole layers" if kind == "LORA" else kind
