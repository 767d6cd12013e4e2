"""What an artefact is made of: a System or a base taken apart into whole weights and the way they are asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rung.errors import RungError
from rung.generate.engine import Engine
from rung.ladder.named import artefact_of, is_endpoint, system_named
from rung.model.layout import Layout
from rung.model.load import Model
from rung.model.whole import folded, is_plain, save_whole
from rung.run import IDENTITY
from rung.system.body import Embedder
from rung.system.bundle import MANIFEST, Saved
from rung.system.encoded import Headed, NearestLabelled, Similar
from rung.system.prompted import Prompted
from rung.task import Task
from rung.types import System

Asked = Callable[[Model], System]


@dataclass(frozen=True)
class Source:
    """`model` holds whole weights, `asked(other)` is the same System on other weights of the same kind; `saved` is the
    System as it lies on disk, None for a base; `original` gives it as it was asked before, where that is neither.
    `identity` is what the ledger knows it by."""

    name: str
    identity: str
    model: Model
    asked: Asked = field(repr=False)
    saved: Saved | None = field(default=None, repr=False)
    original: Callable[[], System] | None = field(default=None, repr=False)

    @property
    def system(self) -> System:
        """As it is asked before anything is made of it."""
        if self.original is not None:
            return self.original()
        return self.asked(self.model) if self.saved is None else self.saved


def source_named(
    name: str, scratch: Path, *, task: Task | None = None, rung: str | None = None, base: str | None = None
) -> Source:
    """Take apart a run, a saved System or a base. Whole weights that are nowhere on disk yet are written into `scratch`.

    A base is asked zero-shot with the task's first instruction; an encoder, for the label most like the text. Raises
    RungError for what has no weights here, or weights that cannot be folded into one model.
    """
    if is_endpoint(name):
        raise RungError("an endpoint gives no weights", where=name, mend="name a run, a System's folder or a model")
    folder = Path(name)
    if not (folder / MANIFEST).is_file() and not (folder / IDENTITY).is_file() and rung is None:
        return _of_base(Model.load(name), task)
    saved = system_named(folder, rung=rung, base=base)
    if not isinstance(saved, Saved):
        raise RungError("is no saved System", where=name, mend="name a run or a folder with system.json")
    model, asked = _taken_apart(saved, scratch)
    return Source(f"{folder.name}/{saved.form}" if rung is None else rung, artefact_of(saved), model, asked, saved)


def _of_base(model: Model, task: Task | None) -> Source:
    instruction = (*task.instructions, "")[0] if task else ""
    if model.kind == "encoder":
        labels = task.labels if task else ()
        plain = tuple(label.replace("_", " ").replace("-", " ") for label in labels)
        return Source(model.name, model.digest, model, lambda other: Similar(Embedder(other), labels, plain))
    return Source(model.name, model.digest, model, lambda other: Prompted(Engine(other), Layout.of(other), instruction))


def _taken_apart(saved: Saved, scratch: Path) -> tuple[Model, Asked]:
    inner: Any = saved.inner
    if isinstance(inner, Prompted):
        virtual = inner.engine.virtual

        def prompted(other: Model) -> System:
            own = replace(inner, engine=Engine(other, virtual=virtual), layout=Layout.of(other))
            return replace(saved, inner=own)

        return _whole(inner.engine.model, inner.engine.module, scratch, saved), prompted
    if isinstance(inner, Headed | NearestLabelled | Similar):
        embedder = inner.embedder
        module = embedder.module if embedder.trained else None
        return (
            _whole(embedder.model, module, scratch, saved),
            lambda other: replace(saved, inner=replace(inner, embedder=Embedder(other))),
        )
    raise RungError(f"a {saved.form} system has no weights", where=str(saved.folder), mend="name another rung")


def _whole(model: Model, module: Any, scratch: Path, saved: Saved) -> Model:
    """The model of a System's own weights: its base where those are untouched, else a folder in `scratch`."""
    if module is None or module is model.module:
        return model
    folder = scratch / "whole"
    folder.mkdir(parents=True)
    plain = module if is_plain(module) else folded(module, where=str(saved.folder))
    names, known = ({name for name, _ in one.named_parameters()} for one in (plain, model.module))
    if names != known:
        what = "its method puts layers beside the weights, which no plain model has"
        raise RungError(what, where=str(saved.folder), mend="keep the System as it is, or name another rung")
    save_whole(plain, model, folder)
    return Model.load(str(folder), device=model.device)
