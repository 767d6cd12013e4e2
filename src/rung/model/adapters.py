"""Parameter-efficient methods of `peft`: how they are put beside a module, saved, loaded and merged.

An adapter only chooses which weights move; the loop is the same as for all of them. Files are in the standard form of
peft, so that any other tool reads them.
"""

from __future__ import annotations

import contextlib
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rung.errors import RungError
from rung.model.load import Model
from rung.model.precision import store_as
from rung.model.randomness import kept_randomness

ADAPTER_FILE = "adapter_config.json"


def lora(
    module: Any,
    rank: int = 8,
    alpha: float | None = None,
    dropout: float = 0.0,
    target: str | Sequence[str] = "all-linear",
    seed: int = 0,
    *,
    rank_stabilised: bool = False,
    dora: bool = False,
) -> Any:
    """`module` with low-rank updates (Hu et al. 2021) on the layers of `target`; only these train, in float32.

    `alpha` scales the update by alpha / rank (None: 2 × rank), or by alpha / √rank where `rank_stabilised`. The updates
    begin at zero, so the answers are at first the base's. Raises RungError where no layer fits `target`.
    """
    from peft import LoraConfig, get_peft_model

    if rank < 1:
        raise RungError(f"rank {rank} is below 1", where="lora", mend="give 1 or more")
    scale = 2.0 * rank if alpha is None else alpha
    names = target if isinstance(target, str) else list(target)
    config = LoraConfig(
        r=rank,
        lora_alpha=scale,  # peft's annotation says int; it divides by the rank all the same
        lora_dropout=dropout,
        target_modules=names,
        task_type=_task_type(module),
        fan_in_fan_out=_transposed(module),
        use_rslora=rank_stabilised,
        use_dora=dora,
    )
    if lack := no_such_layer(module, names):
        raise RungError(lack, where="lora", mend="name some of these")
    with _seeded(seed):
        try:
            return get_peft_model(module, config)
        except ValueError as error:
            raise RungError(f"no LoRA on {target!r}: {error}", where="lora", mend="name layers of the model") from error


def no_such_layer(module: Any, names: str | Sequence[str]) -> str:
    """Why LoRA finds no layer of these names, with those that there are; nothing where it does."""
    if names == "all-linear" or _names_layers(module, names):
        return ""
    known = sorted({name.rpartition(".")[2] for name, layer in module.named_modules() if _is_linear(layer)})
    said = names if isinstance(names, str) else ", ".join(names)
    return f"no layer is called {said}, but {', '.join(known)} are"


def _names_layers(module: Any, names: str | Sequence[str]) -> bool:
    """Whether every name is the end of some layer's; a single string is a pattern, as in peft."""
    layers = [name for name, _ in module.named_modules()]
    if isinstance(names, str):
        return any(re.fullmatch(names, layer) or layer == names or layer.endswith(f".{names}") for layer in layers)
    return all(any(layer == name or layer.endswith(f".{name}") for layer in layers) for name in names)


def _is_linear(layer: Any) -> bool:
    from transformers.pytorch_utils import Conv1D

    return isinstance(layer, torch.nn.Linear | Conv1D)


def ia3(module: Any, targets: Sequence[str], inside: Sequence[str], seed: int = 0) -> Any:
    """`module` with vectors that scale what the layers `targets` give, and what those of them `inside` take (IA³)."""
    from peft import IA3Config, get_peft_model

    config = IA3Config(
        target_modules=list(targets),
        feedforward_modules=list(inside),
        task_type=_task_type(module),
        fan_in_fan_out=_transposed(module),
    )
    with _seeded(seed):
        adapted = get_peft_model(module, config)
    for weight in adapted.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    return adapted


def p_tuning(module: Any, virtual_tokens: int, hidden: int = 128, seed: int = 0) -> Any:
    """`module` with embeddings before every prompt that a network of two hidden layers writes (Liu et al. 2021)."""
    from peft import PromptEncoderConfig, get_peft_model

    config = PromptEncoderConfig(
        task_type=_task_type(module),
        num_virtual_tokens=virtual_tokens,
        encoder_hidden_size=hidden,
        num_transformer_submodules=1,
    )
    with _seeded(seed):
        return get_peft_model(module, config)


def prefix_tuning(module: Any, virtual_tokens: int, init_ids: Sequence[int] | None = None, seed: int = 0) -> Any:
    """`module` with trained keys and values before every layer's own (Li and Liang 2021).

    They begin as those that the base computes for `init_ids` (repeated or cut), or for words drawn from the vocabulary:
    random numbers there, as peft would begin, drown what the layers attend to.
    """
    from peft import PrefixTuningConfig, get_peft_model

    with _seeded(seed):
        chosen = _beginning(module, virtual_tokens, init_ids)
        config = PrefixTuningConfig(
            task_type=_task_type(module), num_virtual_tokens=virtual_tokens, init_weights="zero"
        )
        adapted = get_peft_model(module, config)
        with torch.no_grad():
            cache = module(input_ids=chosen[None].to(module.device), use_cache=True).past_key_values
    start = [part for layer in cache.layers for part in (layer.keys, layer.values)]
    rows = torch.stack([part[0].transpose(0, 1).reshape(virtual_tokens, -1) for part in start], 1)
    weight = adapted.prompt_encoder[adapted.active_adapter].embedding.weight
    if rows.flatten(1).shape != weight.shape:
        raise RungError("its layers keep keys of several shapes", where="prefix-tuning", mend="take prompt-tuning")
    weight.data = rows.flatten(1).float().to(weight.device)
    return adapted


def _beginning(module: Any, virtual_tokens: int, init_ids: Sequence[int] | None) -> torch.Tensor:
    """The ids that `virtual_tokens` places begin as: those given, repeated or cut, else words drawn at random."""
    words = module.get_input_embeddings().num_embeddings
    ids = torch.randint(words, (virtual_tokens,)) if init_ids is None else torch.tensor(list(init_ids))
    return ids.repeat(-(-virtual_tokens // len(ids)))[:virtual_tokens]


def prompt_tuning(module: Any, virtual_tokens: int = 16, init_ids: Sequence[int] | None = None, seed: int = 0) -> Any:
    """`module` with trained embeddings before every prompt (Lester et al. 2021); only these train, in float32.

    They begin as the embeddings of `init_ids` (repeated or cut to `virtual_tokens`), else of words drawn from the
    vocabulary.
    """
    from peft import PromptTuningConfig, get_peft_model

    if virtual_tokens < 1:
        raise RungError(f"{virtual_tokens} virtual tokens", where="prompt_tuning", mend="give 1 or more")
    words = module.get_input_embeddings()
    if init_ids is not None and not len(init_ids):
        raise RungError("no ids to begin with", where="prompt_tuning", mend="give some, or None")
    with _seeded(seed):
        chosen = _beginning(module, virtual_tokens, init_ids)
        config = PromptTuningConfig(
            task_type=_task_type(module),
            num_virtual_tokens=virtual_tokens,
            # An encoder–decoder's decoder needs none: what the encoder reads is enough (peft would double them).
            num_transformer_submodules=1,
        )
        adapted = get_peft_model(module, config)
    weight = adapted.prompt_encoder[adapted.active_adapter].embedding.weight
    with torch.no_grad():
        start = words(chosen.to(words.weight.device)).float()
    weight.data = start.to(weight.device)
    return adapted


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with kept_randomness(), warnings.catch_warnings():
        # peft asks transformers for a property by its former name.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        torch.manual_seed(seed)
        yield


def _task_type(module: Any) -> str:
    if module.config.is_encoder_decoder:
        return "SEQ_2_SEQ_LM"
    return "CAUSAL_LM" if module.get_output_embeddings() is not None else "FEATURE_EXTRACTION"


def _transposed(module: Any) -> bool:
    """Whether the layers keep their weights as (inputs, outputs), as GPT-2's do."""
    from transformers.pytorch_utils import Conv1D

    return any(isinstance(layer, Conv1D) for layer in module.modules())


def save_adapter(module: Any, folder: Path, base_name: str) -> None:
    """Write the adapter in peft's form. `base_name` is recorded as the base, instead of where it lies here."""
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft asks the Hub about embeddings that it is told not to save
        module.save_pretrained(str(folder), save_embedding_layers=False)
    for card in folder.glob("README.md"):
        card.unlink()  # a model card of empty headings that names a local path
    file = folder / ADAPTER_FILE
    config = json.loads(file.read_text()) | {"base_model_name_or_path": base_name}
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def load_adapter(module: Any, folder: Path, *, trainable: bool = False) -> Any:
    """`module` with the adapter saved in `folder`. Raises RungError where there is none."""
    from peft import PeftModel

    if not (folder / ADAPTER_FILE).is_file():
        raise RungError(f"no {ADAPTER_FILE}", where=str(folder), mend="name a folder that an adapter was saved to")
    with _seeded(0):
        return PeftModel.from_pretrained(module, str(folder), is_trainable=trainable)


@dataclass(frozen=True)
class Merged:
    """A module with LoRA's updates added to its weights, and how far its logits moved (largest absolute change)."""

    module: Any
    difference: float
    scale: float


def merge(module: Any, probe_ids: Sequence[int], *, dtype: torch.dtype | None = None) -> Merged:
    """Add LoRA's updates to the weights in float32, then store these as `dtype` (None: float32).

    The logits of `probe_ids` are compared before and after, both in float32 products. Raises RungError where a float32
    merge moves them by more than 1e-3 of their size: then the adapter cannot be merged.
    """
    module = module.float().eval()
    ids = torch.tensor([list(probe_ids)], device=next(module.parameters()).device)
    inputs = {"input_ids": ids} | ({"decoder_input_ids": ids} if module.config.is_encoder_decoder else {})

    def output(of: Any) -> torch.Tensor:
        with torch.no_grad():
            found = of(**inputs)
        value: torch.Tensor = found["logits"] if "logits" in found else found[0]
        return value.float()

    before = output(module)
    merged = module.merge_and_unload()
    moved, scale = float((output(merged) - before).abs().max()), float(before.abs().max())
    if moved > 1e-3 * scale:
        raise RungError(f"merging moves the logits by {moved:.2g} of {scale:.2g}", where="merge", mend="serve unmerged")
    if dtype is not None and dtype != torch.float32:
        # What rounding the stored weights costs, by the products that they will be used in.
        moved = float((output(store_as(merged, dtype)) - before).abs().max())
    return Merged(merged, moved, scale)


# -- read back for serving ---------------------------------------------------------------------------------------------


def merged_copy(model: Model, folder: Path) -> Any:
    """A copy of the base with the LoRA updates of `folder` in its weights, in the base's own number format.

    Beside 4-bit weights they stay apart, as they were trained: rounded to 4 bits, most of them would be lost.
    """
    if model.precision == "nf4":
        return adapted_copy(model, folder).get_base_model()
    tuned = load_adapter(model.fresh("float32"), folder)
    probe = [(5 * n + 1) % int(tuned.config.get_text_config().vocab_size) for n in range(8)]
    return merge(tuned, probe, dtype=model.module.dtype).module.requires_grad_(False).eval()


def adapted_copy(model: Model, folder: Path) -> Any:
    """A copy of the base with the adapter of `folder` around it."""
    return load_adapter(model.fresh(), folder).requires_grad_(False).eval()


def soft_prompt(folder: Path) -> torch.Tensor:
    """The embeddings (tokens, hidden) of a saved soft prompt. Raises RungError where there is none."""
    from safetensors.torch import load_file

    file = folder / "adapter_model.safetensors"
    tensors = load_file(file) if file.is_file() else {}
    if "prompt_embeddings" not in tensors:
        raise RungError("holds no prompt embeddings", where=str(folder), mend="name a bundle with a soft prompt")
    return tensors["prompt_embeddings"]
