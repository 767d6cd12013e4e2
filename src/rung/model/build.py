"""A model from scratch: a configuration mapping in, a module with random weights out.

The architectures are those of `transformers`; nothing here trains them or chooses their sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rung.errors import RungError, nearest

AUTO_CLASSES = {
    "causal": "AutoModelForCausalLM",
    "masked": "AutoModelForMaskedLM",
    "span-corruption": "AutoModelForSeq2SeqLM",
}


def build(config: Mapping[str, Any], tokenizer: Any, *, objective: str = "causal", seed: int = 0) -> Any:
    """A fresh `PreTrainedModel` in float32 for `tokenizer`.

    `config` names a `model_type` and fields of its configuration class (`hidden_size`, `num_hidden_layers`, …); the
    vocabulary and the special tokens come from the tokenizer. Raises RungError for a type or field that is not known.
    """
    import torch
    import transformers

    made = configuration(config, tokenizer)
    auto = getattr(transformers, AUTO_CLASSES[objective])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return auto.from_config(made, dtype=torch.float32)
        except (ValueError, KeyError) as error:
            raise RungError(
                f"{made.model_type} does not fit the objective {objective}: {str(error).splitlines()[0]}",
                where="model",
                mend="choose another model_type",
            ) from error


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
    return CONFIG_MAPPING[kind](
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **fields,
    )
