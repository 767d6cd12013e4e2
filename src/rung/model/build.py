"""A module to pretrain: random weights from a configuration, or the weights of a model to go on with.

The architectures are those of `transformers`, and `lstm`; the shape of a given size is found in `dial`. Nothing trains here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rung.errors import RungError, nearest
from rung.model.dial import FAMILIES, read_size, shaped
from rung.model.load import Model, ModelKind, know

AUTO_CLASSES: dict[ModelKind, str] = {
    "decoder": "AutoModelForCausalLM",
    "encoder": "AutoModelForMaskedLM",
    "encoder-decoder": "AutoModelForSeq2SeqLM",
}


def build(
    config: Mapping[str, Any], tokenizer: Any, *, kind: ModelKind = "decoder", seed: int = 0, window: int | None = None
) -> Any:
    """A fresh `PreTrainedModel` in float32 for `tokenizer`.

    `config` names a `model_type` and fields of its configuration class (`hidden_size`, `num_hidden_layers`, …), or a
    `size` in parameters, from which they follow; the vocabulary and the special tokens come from the tokenizer. `window`
    is the most tokens of a row, where the architecture needs to know. Raises RungError for a type or field that is not
    known, or a type that makes no model of this `kind`.
    """
    import torch

    made = configuration(config, tokenizer, kind=kind, window=window)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _module(made, kind)


def _module(made: Any, kind: ModelKind) -> Any:
    import torch
    import transformers

    auto = getattr(transformers, AUTO_CLASSES[kind])
    try:
        return auto.from_config(made, dtype=torch.float32)
    except (ValueError, KeyError) as error:
        fitting = {"decoder": "llama", "encoder": "bert", "encoder-decoder": "t5"}[kind]
        raise RungError(
            f"{made.model_type} makes no {kind}: {str(error).splitlines()[0][:160]}",
            where="model",
            mend=f"choose another model_type, such as {fitting}",
        ) from error


def continued(model: Model, kind: ModelKind) -> Any:
    """The weights of `model` in float32, with the head that a `kind` is trained by.

    Raises RungError where the model is of another kind, has no such head, or has fewer embeddings than its tokenizer tokens.
    """
    if model.kind != kind:
        mend = "choose an objective that fits it: causal or prefix-lm (decoder), masked (encoder), span-corruption (encoder-decoder)"
        raise RungError(f"is a {model.kind}, and the objective trains a {kind}", where=str(model.folder), mend=mend)
    module = _with_masked_head(model) if kind == "encoder" else model.fresh("float32")
    rows = module.get_input_embeddings().num_embeddings
    if len(model.tokenizer) > rows:
        raise RungError(
            f"the tokenizer has {len(model.tokenizer)} tokens and the model {rows} embeddings",
            where=str(model.folder),
            mend="put the tokenizer there that the model was trained with",
        )
    return module


def _with_masked_head(model: Model) -> Any:
    import torch
    import transformers

    know(model.config["model_type"])
    module, found = transformers.AutoModelForMaskedLM.from_pretrained(
        str(model.folder), dtype=torch.float32, use_safetensors=True, output_loading_info=True
    )
    if found["missing_keys"]:
        raise RungError(
            f"has no head for masked tokens ({min(found['missing_keys'])} is missing)",
            where=str(model.folder),
            mend="name a folder saved from a masked language model",
        )
    return module.to(model.device)


def configuration(
    config: Mapping[str, Any], tokenizer: Any, *, kind: ModelKind = "decoder", window: int | None = None
) -> Any:
    """The `PreTrainedConfig` of the mapping, with unknown fields refused and a `size` turned into a shape."""
    from transformers import CONFIG_MAPPING

    fields = dict(config)
    name = fields.pop("model_type", None)
    if name is None:
        raise RungError("no model_type", where="model", mend="name one, such as llama")
    know(name)
    if name not in CONFIG_MAPPING:
        raise RungError(f"unknown model_type {name!r}", where="model", mend=nearest(str(name), CONFIG_MAPPING.keys()))
    blank = CONFIG_MAPPING[name]()
    known = set(blank.to_dict()) - {"model_type", "transformers_version", "architectures"}
    size = fields.pop("size", None)
    for key in fields:
        if key not in known:
            raise RungError(f"unknown key {key!r}", where="model", mend=nearest(key, {*known, "size"}))
    if window is not None and "max_position_embeddings" in known:
        fields = {"max_position_embeddings": window, **fields}
    elif window is not None and "n_positions" in known:
        fields = {"n_positions": window, **fields}
    if blank.is_encoder_decoder or kind == "encoder-decoder":
        fields = {"decoder_start_token_id": tokenizer.pad_token_id, **fields}

    def made(given: Mapping[str, Any]) -> Any:
        return CONFIG_MAPPING[name](
            vocab_size=len(tokenizer),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **given,
        )

    return made(fields) if size is None else made(_sized(name, size, fields, tokenizer, kind, made))


def _sized(
    name: str, size: Any, fields: dict[str, Any], tokenizer: Any, kind: ModelKind, made: Callable[[Any], Any]
) -> dict[str, Any]:
    import torch

    def count(shape: dict[str, Any]) -> int:
        with torch.device("meta"):
            return int(_module(made({**shape, **fields}), kind).num_parameters())

    shape = FAMILIES[name](64, 2, 2) if name in FAMILIES else {}
    turned = {key for key, value in shape.items() if isinstance(value, int) and not isinstance(value, bool)}
    for key in sorted(turned & fields.keys()):
        raise RungError(f"has both size and {key}", where="model", mend="leave one of them out")
    return {**shaped(name, read_size(size), len(tokenizer), count), **fields}
