"""How each kind of System is written to a bundle and read back: one literal table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from rung.errors import RungError
from rung.generate.engine import Engine
from rung.model import adapters
from rung.model.layout import Shot
from rung.model.tuned import FRONTS, MODULES, tuned_front, tuned_module
from rung.run import dump_json, read_json, write_atomic
from rung.system.body import Body, Embedder
from rung.system.encoded import Headed, NearestLabelled, Similar
from rung.system.floor import Constant, Echo, Lead, Position
from rung.system.prompted import Prompted
from rung.system.remote import Remote
from rung.system.shots import FixedShots, NearestShots
from rung.system.tagging import Lexicon, Tagger
from rung.types import Message, System

SHOTS = "shots.jsonl"
HEAD = "head.safetensors"
LEXICON = "lexicon.json"
WEIGHTS = (*FRONTS, *MODULES)


@dataclass(frozen=True)
class Form:
    """One kind of System: its type, and how its settings and files are written and read."""

    name: str
    type: type
    write: Callable[[Any, Path], dict[str, Any]]
    read: Callable[[Mapping[str, Any], Path, Any], System]


@dataclass(frozen=True)
class Tuned:
    """A System whose weights were trained: `inner` answers, `write_weights` puts them into a bundle's folder.

    `write_weights` makes exactly one folder there, in a form of `model.tuned`. `held` is the precision of the base
    beside which they were trained, where it is not the body's own (QLoRA's 4 bits).
    """

    inner: Prompted | Headed | Tagger
    write_weights: Callable[[Path], None]
    held: str | None = None

    def answer(self, prompts: Any) -> Any:
        """What the inner System answers."""
        return self.inner.answer(prompts)


def _write_prompted(system: Prompted, folder: Path) -> dict[str, Any]:
    shots = system.shots
    pool: tuple[Shot, ...] = ()
    settings: dict[str, Any] = {"instruction": system.instruction, "normalise": system.normalise, "shots": "fixed"}
    if isinstance(shots, NearestShots):
        settings |= {"shots": "nearest", "k": shots.k}
        pool = shots.pool
    elif isinstance(shots, FixedShots):
        pool = shots.shots
    lines = [
        json.dumps({"prompt": [[m.role, m.content] for m in inputs], "answer": answer}, ensure_ascii=False)
        for inputs, answer in pool
    ]
    if lines:
        write_atomic(folder / SHOTS, "\n".join(lines) + "\n")
    return settings


def _read_prompted(settings: Mapping[str, Any], folder: Path, body: Body) -> Prompted:
    pool = _read_shots(folder / SHOTS)
    shots = NearestShots(pool, settings["k"]) if settings["shots"] == "nearest" else FixedShots(pool)
    return Prompted(_engine(folder, body), body.layout, settings["instruction"], shots, settings["normalise"])


def _read_shots(file: Path) -> tuple[Shot, ...]:
    if not file.is_file():
        return ()
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
    return tuple((tuple(Message(role, text) for role, text in row["prompt"]), row["answer"]) for row in rows)


def _engine(folder: Path, body: Body) -> Engine:
    """The engine of a bundle's own weights, or the base's where it has none."""
    if (folder / "soft_prompt").is_dir() and body.model.kind == "encoder-decoder":
        return Engine(body.model, module=adapters.adapted_copy(body.model, folder / "soft_prompt"))
    if (front := tuned_front(folder)) is not None:
        return Engine(body.model, virtual=front)
    module = tuned_module(body.model, folder)
    return body.engine if module is None else Engine(body.model, module=module)


def _write_tuned(system: Tuned, folder: Path) -> dict[str, Any]:
    system.write_weights(folder)
    _settle_order(folder / "adapter" / "adapter_config.json")
    held = {} if system.held is None else {"held": system.held}
    if isinstance(system.inner, Prompted):
        return {"inner": "prompted", **held, **_write_prompted(system.inner, folder)}
    if isinstance(system.inner, Tagger):
        return {"inner": "tagger", **held, **_write_tagger(system.inner, folder)}
    return {"inner": "headed", **held, **_write_headed(system.inner, folder)}


def _settle_order(file: Path) -> None:
    """peft lists the modules of an adapter from a set: in another order in each process, which would be another digest."""
    if file.is_file():
        config = json.loads(file.read_text(encoding="utf-8"))
        for key in ("target_modules", "exclude_modules", "feedforward_modules", "modules_to_save"):
            if isinstance(config.get(key), list):
                config[key] = sorted(config[key])
        write_atomic(file, json.dumps(config, indent=2, sort_keys=True) + "\n")


def _read_tuned(settings: Mapping[str, Any], folder: Path, body: Body) -> System:
    if not any((folder / name).is_dir() for name in WEIGHTS):
        raise RungError(f"its weights are gone ({', '.join(WEIGHTS)})", where=str(folder), mend="take a whole copy")
    if "held" in settings:
        body = Body(replace(body.model, dtype=settings["held"]))
    if settings["inner"] == "tagger":
        return _read_tagger(settings, folder, body)
    return (
        _read_prompted(settings, folder, body)
        if settings["inner"] == "prompted"
        else _read_headed(settings, folder, body)
    )


def _write_head(system: Headed | Tagger, folder: Path) -> None:
    from safetensors.numpy import save_file

    tensors = {"weight": np.ascontiguousarray(system.weight), "bias": np.ascontiguousarray(system.bias)}
    save_file(tensors, folder / HEAD)


def _write_headed(system: Headed, folder: Path) -> dict[str, Any]:
    _write_head(system, folder)
    return {"labels": list(system.labels)}


def _write_tagger(system: Tagger, folder: Path) -> dict[str, Any]:
    _write_head(system, folder)
    return {"tags": list(system.tags)}


def _read_tagger(settings: Mapping[str, Any], folder: Path, body: Body) -> Tagger:
    from safetensors.numpy import load_file

    head = load_file(folder / HEAD)
    module = tuned_module(body.model, folder)
    embedder = body.embedder if module is None else Embedder(body.model, module)
    return Tagger(embedder, tuple(settings["tags"]), head["weight"], head["bias"])


def _write_lexicon(system: Lexicon, folder: Path) -> dict[str, Any]:
    write_atomic(folder / LEXICON, dump_json(dict(system.tags)))
    return {}


def _read_headed(settings: Mapping[str, Any], folder: Path, body: Body) -> Headed:
    from safetensors.numpy import load_file

    head = load_file(folder / HEAD)
    module = tuned_module(body.model, folder)
    embedder = body.embedder if module is None else Embedder(body.model, module)
    return Headed(embedder, tuple(settings["labels"]), head["weight"], head["bias"])


def _write_nearest(system: NearestLabelled, folder: Path) -> dict[str, Any]:
    lines = [json.dumps(list(row), ensure_ascii=False) for row in system.pool]
    write_atomic(folder / SHOTS, "\n".join(lines) + "\n")
    return {"labels": list(system.labels), "k": system.k, "sharpness": system.sharpness}


def _read_nearest(settings: Mapping[str, Any], folder: Path, body: Body) -> NearestLabelled:
    rows = [json.loads(line) for line in (folder / SHOTS).read_text(encoding="utf-8").split("\n") if line]
    pool = tuple((text, label) for text, label in rows)
    return NearestLabelled(body.embedder, tuple(settings["labels"]), pool, settings["k"], settings["sharpness"])


def _write_similar(system: Similar, folder: Path) -> dict[str, Any]:
    return {"labels": list(system.labels), "descriptions": list(system.descriptions)}


def _read_similar(settings: Mapping[str, Any], folder: Path, body: Body) -> Similar:
    return Similar(body.embedder, tuple(settings["labels"]), tuple(settings["descriptions"]))


def _write_remote(system: Remote, _: Path) -> dict[str, Any]:
    """Where the model is and the name of the variable that holds the key; never the key."""
    return {part: getattr(system, part) for part in ("url", "model", "instruction", "key_variable", "timeout_s")}


FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "prompted": Form("prompted", Prompted, _write_prompted, _read_prompted),
        "tuned": Form("tuned", Tuned, _write_tuned, _read_tuned),
        "similar": Form("similar", Similar, _write_similar, _read_similar),
        "nearest-labelled": Form("nearest-labelled", NearestLabelled, _write_nearest, _read_nearest),
        "headed": Form("headed", Headed, _write_headed, _read_headed),
        "tagger": Form("tagger", Tagger, _write_tagger, _read_tagger),
        "lexicon": Form("lexicon", Lexicon, _write_lexicon, lambda _, folder, __: Lexicon(read_json(folder / LEXICON))),
        "constant": Form("constant", Constant, lambda s, _: {"text": s.text}, lambda v, _, __: Constant(v["text"])),
        "position": Form("position", Position, lambda s, _: {"place": s.place}, lambda v, _, __: Position(v["place"])),
        "lead": Form("lead", Lead, lambda s, _: {"sentences": s.sentences}, lambda v, _, __: Lead(v["sentences"])),
        "remote": Form("remote", Remote, _write_remote, lambda v, _, __: Remote(**v)),
        "echo": Form("echo", Echo, lambda s, _: {}, lambda v, _, __: Echo()),
    }
)
