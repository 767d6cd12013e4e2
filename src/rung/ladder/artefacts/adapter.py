"""A base with an adapter of peft's own form beside it, as something an artefact is made of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from rung.errors import RungError
from rung.generate.engine import Engine
from rung.ladder.artefacts.source import Source
from rung.model import adapters
from rung.model.load import Model
from rung.model.whole import folded, is_plain, save_whole
from rung.system.body import Embedder
from rung.types import System

PROMPTS = ("PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING", "CPT", "MULTITASK_PROMPT_TUNING")
"""Kinds of adapter that stand before the prompt, and have no place in the weights."""


def with_adapter(source: Source, folder: Path, scratch: Path, *, any_base: bool = False) -> Source:
    """`source`, a base, with the adapter of `folder` in its weights; as it was, it is asked with the two side by side.

    Raises RungError where `folder` holds no adapter, one that is no change of weights, or one of another base (unless
    `any_base`: then only shapes decide).
    """
    if source.saved is not None:
        raise RungError("a saved System has its own adapter", where="--adapter", mend="name a base model")
    file = folder / adapters.ADAPTER_FILE
    if not file.is_file():
        raise RungError(f"no {adapters.ADAPTER_FILE}", where=str(folder), mend="name a folder in peft's form")
    config = json.loads(file.read_text(encoding="utf-8"))
    if str(config.get("peft_type")) in PROMPTS:
        raise RungError("is a learnt prompt and has no place in the weights", where=str(folder), mend="keep it beside")
    _check_base(config, source.model, folder, any_base)
    whole = scratch / "adapted"
    whole.mkdir()
    try:
        module = adapters.merged_copy(source.model, folder)
    except (RuntimeError, ValueError) as error:  # peft's word for layers that are not there, or of other shapes
        said = str(error).strip().splitlines()
        raise RungError(
            f"does not fit {source.model.name} ({said[-1].strip() if said else type(error).__name__})",
            where=str(folder),
            mend="name its own base",
        ) from error
    save_whole(module if is_plain(module) else folded(module, where=str(folder)), source.model, whole)

    def beside() -> System:
        system: Any = source.asked(source.model)
        own = adapters.adapted_copy(source.model, folder).get_base_model()
        if hasattr(system, "embedder"):
            return replace(system, embedder=Embedder(source.model, own))
        return replace(system, engine=Engine(source.model, module=own))

    name = f"{source.name} with {folder.name}"
    return replace(source, name=name, model=Model.load(str(whole), device=source.model.device), original=beside)


def _check_base(config: dict[str, Any], model: Model, folder: Path, any_base: bool) -> None:
    told = str(config.get("base_model_name_or_path") or "")
    known = {model.name, model.folder.name, Path(model.name).name}
    if told and not any_base and told not in known and Path(told).name not in known:
        mend = "name its own base, or say with --accept that this is it"
        raise RungError(f"was trained on {told}, not on {model.name}", where=str(folder), mend=mend)
