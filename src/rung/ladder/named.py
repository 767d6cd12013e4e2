"""A System by its name on the command line: a saved one's folder, a run, a model, or an endpoint's URL#MODEL."""

from __future__ import annotations

from pathlib import Path

from rung.errors import RungError
from rung.ladder.climb import recommended_system
from rung.run import IDENTITY
from rung.system.body import Body
from rung.system.bundle import MANIFEST, Saved, bundle_digest, load
from rung.system.prompted import Prompted
from rung.system.remote import Remote
from rung.types import System, digest


def system_named(
    name: str | Path,
    *,
    instruction: str = "",
    rung: str | None = None,
    base: str | None = None,
    dtype: str = "auto",
) -> System:
    """The System of a name. A model and an endpoint answer zero-shot, behind `instruction`.

    `rung` chooses among those of a run (else the recommended one), `base` names a saved System's base where it lies
    elsewhere, `dtype` holds a model in other numbers. Raises RungError for a name that leads nowhere, and for an encoder, which cannot be prompted.
    """
    from rung.model.load import Model

    if is_endpoint(name):
        return Remote.of(str(name), instruction)
    folder = Path(name)
    if (folder / MANIFEST).is_file():
        return load(folder, base=base)
    if (folder / IDENTITY).is_file() or rung is not None:
        return recommended_system(folder, rung, base=base)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise RungError(
            "holds no System", where=str(name), mend=f"name a run, or a folder with {MANIFEST} or a model's config.json"
        )
    model = Model.load(str(name), dtype=dtype)
    if model.kind == "encoder":
        raise RungError("is an encoder and cannot be prompted", where=str(name), mend="name a decoder, or a System")
    body = Body(model)
    return Prompted(body.engine, body.layout, instruction)


def precision_of(system: System) -> str | None:
    """The numbers that a System's weights are held in; None where nobody here knows (an endpoint, a floor)."""
    inner = system.inner if isinstance(system, Saved) else system
    if isinstance(inner, Prompted):
        return inner.engine.model.precision
    embedder = getattr(inner, "embedder", None)
    return None if embedder is None else str(embedder.model.precision)


def is_endpoint(name: str | Path) -> bool:
    """Whether a name is the URL of an endpoint."""
    return str(name).startswith(("http://", "https://"))


def artefact_of(system: System) -> str:
    """What the ledger knows a System by: the digest of its files, of its weights and prompt, or of its address."""
    if isinstance(system, Saved):
        return bundle_digest(system.folder)
    if isinstance(system, Prompted):
        return digest(["zero-shot", system.engine.model.digest, system.instruction])
    if isinstance(system, Remote):
        return digest(["remote", system.url, system.model, system.instruction])
    raise ValueError(f"a {type(system).__name__} has no name on the command line")
