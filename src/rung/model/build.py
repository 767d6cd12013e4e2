"""A module to pretrain: random weights from a configuration, or the weights of a model to go on with.

The architectures are those of `transformers`; nothing here trains them or chooses their sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rung.errors import RungError, nearest
from rung.model.load import Model, ModelKind

AUTO_CLASSES: dict[ModelKind, str] = {
    "decoder": "AutoModelForCausalLM",
    "encoder": "AutoModelForMaskedLM",
    "encoder-decoder": "AutoModelForSeq2SeqLM",
}


def build(config: Mapping[str, Any], tokenizer: Any, *, kind: ModelKind = "decoder", seed: int = 0) -> Any:
    """A fresh `PreTrainedModel` in float32 for `tokenizer`.

    `config` names a `model_type` and fields of its configuration class (`hidden_size`, `num_hidden_layers`, …); the
    vocabulary and the special tokens come from the tokenizer. Raises RungError for a type or field that is not known.
    """
    import torch
    import transformers

    made = configuration(config, tokenizer)
    auto = getattr(transformers, AUTO_CLASSES[kind])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return auto.from_config(made, dtype=torch.float32)
        except (ValueError, KeyError) as error:
            raise RungError(
                f"{made.model_type} makes no {kind}: {str(error).splitlines()[0]}",
                where="model",
                mend="choose another model_type",
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


def configuration(config: Mapping[str, Any], tokenizer: Any) -> Any:
    """The `PreTrainedConfig` of the mapping, with unknown fields refused."""
    from transformers import CONFIG_MAPPING

    fields = dict(config)
    kind = fields.pop("model_type", None)
    if kind is None:
        raise RungError("no model_type", where="model", mend="name one, such as llama")
    if kind not in CONFIG_MAPPING:
        raise RungError(f"unknown model_type {kind!r}", where="model", mend=nearest(str(kind), CONFIG_MAPPING.keys()))
    known = set(CONFIG_MAPPING[kind]().to_dict()) - {"model_type", "transformers_version", "architectures"}
    for key in fields:
        if key not in known:
            raise RungError(f"unknown key {key!r}", where="model", mend=nearest(key, known))
    if CONFIG_MAPPING[kind]().is_encoder_decoder:
        fields = {"decoder_start_token_id": tokenizer.pad_token_id, **fields}
    return CONFIG_MAPPING[kind](
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **fields,
    )
