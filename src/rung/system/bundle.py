"""A System on disk: `save` writes a folder that loads elsewhere, `load` reads it back.

The folder holds `system.json` (what the System is, and what it answers when a prompt leaves it open), the shots as
JSONL, and weights in standard Hugging Face form: a PEFT adapter, a soft prompt, or a whole model. Base weights are not
copied; they are named with their digest, which is checked on loading. Where the folder is a model itself, it is its own
base.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rung.errors import RungError, nearest
from rung.run import dump_json, read_json, write_atomic
from rung.system.body import Body
from rung.system.forms import FORMS
from rung.types import Completion, Message, Prompt, Sampling, System

FORMAT = 1
MANIFEST = "system.json"
HERE = "."
"""How a bundle names its base where its own folder is it."""


@dataclass(frozen=True)
class Defaults:
    """What a prompt gets where it leaves it open: the task's choices, schema and sampling."""

    choices: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    sampling: Sampling = field(default_factory=Sampling)

    def fill(self, prompt: Prompt) -> Prompt:
        """`prompt` with choices and schema of the task where it has none of its own."""
        return replace(prompt, choices=prompt.choices or self.choices, schema=prompt.schema or self.schema)


@dataclass(frozen=True)
class Saved:
    """A System that was loaded: answers like the one inside, with the task's defaults.

    `ask` takes a plain text and is what a first try wants.
    """

    folder: Path
    form: str
    base: str
    defaults: Defaults
    inner: System = field(repr=False)

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """One completion a prompt."""
        return self.inner.answer([self.defaults.fill(prompt) for prompt in prompts])

    def ask(self, text: str, *, choices: Sequence[str] = ()) -> Completion:
        """The answer to one new input."""
        return self.answer([self.prompt(text, choices=choices)])[0]

    def prompt(self, text: str, *, choices: Sequence[str] = ()) -> Prompt:
        """The prompt of a plain text, with the task's own sampling."""
        return Prompt((Message("user", text),), tuple(choices), sampling=self.defaults.sampling)

    def loglikelihood(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        """log P(answer | prompt) in nats. Raises RungError for a System that has none."""
        inner = self._local("loglikelihood")
        return list(inner.loglikelihood([(self.defaults.fill(prompt), said) for prompt, said in pairs]))

    def stream(self, prompt: Prompt) -> Iterator[str]:
        """The answer's text, piece by piece; at once where the System cannot stream."""
        if not hasattr(self.inner, "stream"):
            return iter([self.answer([prompt])[0].text])
        pieces: Iterator[str] = self.inner.stream(self.defaults.fill(prompt))
        return pieces

    def _local(self, what: str) -> Any:
        if not hasattr(self.inner, what):
            raise RungError(
                f"a {self.form} system has no {what}", where=str(self.folder), mend="ask a rung that reads prompts"
            )
        return self.inner

    def _repr_html_(self) -> str:
        return f"<b>System</b> <code>{self.form}</code> on <code>{self.base}</code> ({self.folder.name})"


def save(system: System, folder: Path, *, body: Body | None = None, defaults: Defaults | None = None) -> None:
    """Write `system` into the existing `folder`, which is empty, or is the model of `body` itself.

    Raises RungError for a kind that cannot be saved.
    """
    form = next((form for form in FORMS.values() if isinstance(system, form.type)), None)
    if form is None:
        raise RungError(
            f"a {type(system).__name__} cannot be saved", where=str(folder), mend=f"save one of {', '.join(FORMS)}"
        )
    defaults = defaults or Defaults()
    manifest = {
        "format": FORMAT,
        "form": form.name,
        "base": None if body is None else _base(body, folder),
        "settings": form.write(system, folder),
        "defaults": {
            "choices": list(defaults.choices),
            "schema": defaults.schema,
            "sampling": asdict(defaults.sampling),
        },
    }
    write_atomic(folder / MANIFEST, dump_json(manifest))


def load(folder: str | Path, *, base: str | None = None, body: Body | None = None) -> Saved:
    """Read a System that `save` wrote.

    `base` names the base model where it lies elsewhere than recorded; `body` shares one that is loaded. Raises
    RungError where the folder holds none, or where the base has other weights.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        raise RungError("no system here", where=str(folder), mend=f"name a folder that holds {MANIFEST}")
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise RungError("made by another version of Rung", where=str(folder / MANIFEST), mend="climb again")
    form = FORMS.get(str(manifest.get("form")))
    if form is None:
        said = str(manifest.get("form"))
        raise RungError(f"unknown kind of system {said!r}", where=str(folder / MANIFEST), mend=nearest(said, FORMS))
    with _whole(folder):
        known, given = manifest["base"], manifest["defaults"]
        defaults = Defaults(tuple(given["choices"]), given["schema"], Sampling.from_json(given["sampling"]))
        if known is not None:
            body = _body(folder, known, base, body)
        inner = form.read(manifest["settings"], folder, body)
        return Saved(folder, form.name, "" if known is None else known["name"], defaults, inner)


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    """What is missing or makes no sense in a bundle's files, as one line; libraries have a class of error for each."""
    try:
        yield
    except RungError:
        raise
    except Exception as error:
        said = (str(error).splitlines() or [""])[0]
        what = f"the system is damaged ({type(error).__name__}: {said})"
        raise RungError(what, where=str(folder), mend="climb again, or take a whole copy") from error


def bundle_digest(folder: Path) -> str:
    """SHA-256 over the files of a bundle: the identity of the artefact that ships."""
    whole = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with file.open("rb") as stream:
            inside = hashlib.file_digest(stream, "sha256").hexdigest()
        whole.update(f"{file.relative_to(folder).as_posix()}\0{inside}\n".encode())
    return whole.hexdigest()


def _base(body: Body, folder: Path) -> dict[str, str]:
    """What a bundle says of its base: the numbers it is held in are part of what was tested."""
    name = HERE if body.model.folder == folder.resolve() else body.model.name
    return {"name": name, "digest": body.model.digest, "dtype": body.model.dtype}


def _body(folder: Path, known: Mapping[str, str], base: str | None, body: Body | None) -> Body:
    from rung.model.load import Model

    if body is None:
        stored = str(folder) if known["name"] == HERE else known["name"]
        body = Body(Model.load(base or stored, dtype=known.get("dtype", "auto")))
    if body.model.digest != known["digest"]:
        raise RungError(
            f"was made on other weights than {body.model.name}", where=str(folder), mend="name its own base with --base"
        )
    return body
