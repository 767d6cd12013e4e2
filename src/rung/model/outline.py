"""A model of which the configuration alone is read: modules with every shape and no number, on torch's meta device.

It can be asked what a real `Model` can, as far as weights are not needed, and adapted by the same methods, so that what
a training would take is known before anything is fetched or spent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rung.errors import RungError, nearest
from rung.model.build import AUTO_CLASSES, configuration
from rung.model.load import BUNDLED, Model, ModelKind, _minilm, know, quiet

DEPTHS = ("num_hidden_layers", "num_layers", "n_layer", "encoder_layers", "decoder_layers", "num_decoder_layers")
PACKED = {"nf4": 0.516, "int8": 1.0}
"""Bytes a weight of linear layers, scales included (NF4: blocks of 64 with scales in 8 bits; Dettmers et al. 2023)."""


@dataclass(frozen=True, eq=False)
class Outline(Model):
    """A model without weights. `dtype` are the numbers that it would be held in; packed ones compute in bfloat16.
    Two outlines are the same only where they are one object, so that counts can be kept by outline."""

    __eq__, __hash__ = object.__eq__, object.__hash__

    @classmethod
    def of(cls, config: Mapping[str, Any], *, name: str = "", dtype: str = "auto", device: str = "cpu") -> Outline:
        """The outline of a `config.json`. Raises RungError where it names no type that transformers knows."""
        from transformers import CONFIG_MAPPING

        kind = config.get("model_type")
        know(str(kind))
        if kind not in CONFIG_MAPPING:
            mend = nearest(str(kind), CONFIG_MAPPING.keys()) if kind else "name one, such as llama"
            raise RungError(f"model_type is {kind!r}", where=name or "config.json", mend=mend)
        return cls(name or str(kind), Path(), config, dtype, device)

    @cached_property
    def parameters(self) -> int:
        """The number of weights, tied ones once."""
        return sum(weight.numel() for weight in self.fresh("float32").parameters())

    @cached_property
    def window(self) -> int:
        """The most tokens of a row; 2^40 where the architecture has no such limit."""
        text = self.config.get("text_config") or self.config
        names = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
        return next((int(text[name]) for name in names if isinstance(text.get(name), int)), 1 << 40)

    @property
    def precision(self) -> str:
        """What `dtype` says; `auto` is what the configuration says, else float32."""
        told = self.config.get("dtype") or self.config.get("torch_dtype") or "float32"
        return str(told) if self.dtype == "auto" else self.dtype

    @property
    def packed(self) -> float:
        """Bytes a weight of linear layers where these are held in few bits, else 0."""
        return PACKED.get(self.precision, 0.0)

    @property
    def layers(self) -> int:
        """Layers of the deepest stack, as the configuration tells."""
        text = self.config.get("text_config") or self.config
        return max((int(text[name]) for name in DEPTHS if isinstance(text.get(name), int)), default=1)

    def shallow(self, layers: int) -> Outline:
        """The same architecture with fewer layers in every stack."""

        def cut(config: Mapping[str, Any], whole: int) -> dict[str, Any]:
            lists = {k: v[:layers] for k, v in config.items() if isinstance(v, list) and len(v) == whole}
            depths = {name: min(layers, config[name]) for name in DEPTHS if isinstance(config.get(name), int)}
            nested = {k: cut(v, whole) for k, v in config.items() if k == "text_config" and isinstance(v, Mapping)}
            return {**config, **lists, **depths, **nested}

        return replace(self, config=cut(self.config, self.layers))

    @cached_property
    def module(self) -> Any:
        """The same, for those who only ask what layers it has."""
        return self.fresh().requires_grad_(False)

    def fresh(self, dtype: str | None = None) -> Any:
        """A module on the meta device, with the head that its kind is trained by."""
        import torch
        import transformers

        quiet()
        held = dtype or self.precision
        stored = getattr(transformers, (self.config.get("architectures") or ["-"])[0], None)
        number = getattr(torch, "bfloat16" if held in PACKED else held)
        with _told(self.name), torch.device("meta"):
            made = transformers.CONFIG_MAPPING[self.config["model_type"]].from_dict(dict(self.config))
            if stored is not None:  # which head there is, where the configuration tells
                return stored._from_config(made, dtype=number)
            return getattr(transformers, AUTO_CLASSES[self.kind]).from_config(made, dtype=number)


class _Vocabulary:
    """As much of a tokenizer as a configuration asks for."""

    bos_token_id = eos_token_id = pad_token_id = 0

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size


def outline_of_recipe(path: Path, name: str) -> Outline:
    """The outline of a pretraining recipe's `model:`, with the vocabulary that its tokenizer is to have."""
    import yaml

    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RungError(f"not valid YAML: {str(error).splitlines()[0]}", where=name, mend="mend the file") from error
    model = recipe.get("model") if isinstance(recipe, Mapping) else None
    if not isinstance(model, Mapping):
        raise RungError("has no model", where=name, mend="name a recipe of `rung pretrain`, or a config.json")
    tokenizer, train = (
        recipe.get(key) if isinstance(recipe.get(key), Mapping) else {} for key in ("tokenizer", "train")
    )
    words = _Vocabulary(int(tokenizer.get("vocabulary", 8192)))
    kinds: dict[str, ModelKind] = {"masked": "encoder", "span-corruption": "encoder-decoder"}
    kind = kinds.get(str(train.get("objective")), "decoder")
    longest = max((int(stage["length"]) for stage in train.get("stages") or [] if "length" in stage), default=None)
    made = configuration(model, words, kind=kind, window=longest)
    return Outline.of(made.to_dict(), name=name)


def outline(name: str, *, dtype: str = "auto") -> Outline:
    """The outline of a folder, a config.json, a recipe.yaml, `tiny`, `minilm`, or a Hub id, whose config alone is fetched."""
    path = {"tiny": lambda: BUNDLED, "minilm": _minilm}.get(name, lambda: Path(name).expanduser())()
    file = path / "config.json" if path.is_dir() else path
    if file.suffix in (".yaml", ".yml") and file.is_file():
        return replace(outline_of_recipe(file, name), dtype=dtype)
    if not file.is_file():
        if path.exists() or name.startswith((".", "/", "~")) or name.count("/") != 1:
            mend = "name a folder, a config.json, a recipe.yaml, a Hub id such as owner/name, `tiny` or `minilm`"
            raise RungError(f"no configuration {name!r}", where="size", mend=mend)
        file = _from_hub(name)
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise RungError(
            f"not valid JSON: {error}", where=str(file), mend="save it again with save_pretrained"
        ) from error
    if not isinstance(config, dict):
        raise RungError("is no configuration", where=str(file), mend="name a config.json in Hugging Face form")
    return Outline.of(config, name=name, dtype=dtype)


def _from_hub(name: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(name, "config.json"))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        mend = "check the name and the connection, or name a local folder"
        raise RungError(f"cannot fetch its config.json ({reason})", where=name, mend=mend) from error


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Whatever transformers says of a configuration that makes no module, as one line."""
    try:
        yield
    except RungError:
        raise
    except Exception as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RungError(
            f"its configuration makes no module ({said[:160]})", where=name, mend="mend config.json"
        ) from error
