"""Whom `rung look` looks at: a base, or the weights and the prompt of a saved System. What is found is `generate.look`'s."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rung.errors import RungError
from rung.generate.look.found import Look
from rung.generate.look.look import look
from rung.generate.look.opened import Opened
from rung.generate.look.reading import Read, read
from rung.generate.look.settings import Wanted
from rung.model.layout import Layout
from rung.model.load import Model
from rung.model.virtual import Virtual
from rung.system.bundle import MANIFEST, Saved, load
from rung.system.prompted import Prompted
from rung.types import Message

if TYPE_CHECKING:
    import torch


def look_at(
    name: str,
    text: str,
    wanted: Wanted,
    *,
    as_prompt: bool = False,
    base: str | None = None,
    dtype: str = "auto",
    trust_remote_code: bool = False,
) -> Look:
    """Look at the model or saved System called `name` reading `text`; `as_prompt` lays it out as an input to be answered.

    Raises RungError where there is no such model, or where the System runs no weights of its own that read prompts.
    """
    if (Path(name) / MANIFEST).is_file():
        saved = load(name, base=base)
        prompted = _prompted(saved)
        engine = prompted.engine
        opened = Opened(engine.model, engine.module, name, _embeddings(engine.virtual))
        if not as_prompt:
            return look(opened, read(engine.model, text), wanted)
        (rendered,) = prompted.rendered([saved.prompt(text)])
        return look(opened, read(engine.model, rendered, prompted.layout.style), wanted)
    model = _model(name, dtype, trust_remote_code)
    return look(Opened.of(model), _read(model, text, as_prompt), wanted)


def _embeddings(virtual: Virtual | None) -> torch.Tensor | None:
    if isinstance(virtual, tuple):
        raise RungError("a trained prefix has no embeddings to show", where="MODEL", mend="look at its base")
    return virtual


def _prompted(saved: Saved) -> Prompted:
    if not isinstance(saved.inner, Prompted):
        told = f"a {saved.form} system reads no prompts"
        raise RungError(told, where=str(saved.folder), mend="name a prompted or tuned one, or its base")
    return saved.inner


def _model(name: str, dtype: str, trust_remote_code: bool) -> Model:
    try:
        return Model.load(name, dtype=dtype, trust_remote_code=trust_remote_code)
    except RungError as error:
        if error.where != "--base":
            raise
        raise RungError(error.what, where="MODEL", mend=error.mend) from error


def _read(model: Model, text: str, as_prompt: bool) -> Read:
    if not as_prompt:
        return read(model, text)
    if model.kind == "encoder":
        raise RungError("an encoder answers no prompts", where="--as-prompt", mend="leave it out")
    layout = Layout.of(model)
    return read(model, layout.text("", (), (Message("user", text),)), layout.style)
