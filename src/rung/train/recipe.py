"""The pretraining recipe: one YAML file, read into frozen values, with unknown keys refused.

What the values mean to the run is the matter of `pretrain`; the mixture of texts is described in `data`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from rung.data.mixture import MixtureSettings, resolve
from rung.errors import RungError, nearest
from rung.model.dial import read_size
from rung.model.tokenizer import TokenizerSettings
from rung.train.masters import OptimiserSettings
from rung.train.objectives import OBJECTIVES
from rung.train.objectives.rows import NoiseSettings
from rung.train.parallel.settings import ParallelSettings
from rung.train.schedule import SCHEDULES
from rung.train.stream import Stage

ATTENTION = ("sdpa", "eager")


@dataclass(frozen=True)
class GuardSettings:
    """What a model that is trained on must not forget: its perplexity on the text of `file` may rise by the share
    `margin` at most. Texts are cut at `separator`; `rows` rows of the last stage's length are measured."""

    file: str = ""
    margin: float = 0.05
    separator: str = "\n\n"
    column: str = "text"
    rows: int = 64

    def __post_init__(self) -> None:
        if self.margin < 0 or self.rows < 1:
            raise RungError("margin is below 0 or rows below 1", where="guard", mend="give a share, such as 0.05")


@dataclass(frozen=True)
class PretrainSettings:
    """How long and how fast. The stages follow one another; `warmup` counts steps, `decay` is a share of them.

    With `separate_documents`, those packed into one row never see each other, and each has positions of its own.
    `noise` says how the objectives that mend a text spoil it. `samples` texts are written with every validation.
    """

    objective: str = "causal"
    stages: tuple[Stage, ...] = (Stage(length=512, rows=16, steps=1000),)
    schedule: str = "wsd"
    warmup: int = 50
    decay: float = 0.3
    dtype: str = "bfloat16"
    attention: str = "sdpa"
    validation_rows: int = 64
    checkpoint_minutes: float = 4.0
    separate_documents: bool = False
    samples: int = 2
    noise: NoiseSettings = field(default_factory=NoiseSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    parallel: ParallelSettings = field(default_factory=ParallelSettings)

    def __post_init__(self) -> None:
        for name, known in (("objective", OBJECTIVES), ("schedule", SCHEDULES), ("dtype", ("bfloat16", "float32"))):
            value = getattr(self, name)
            if value not in known:
                raise RungError(f"unknown {name} {value!r}", where="train", mend=nearest(str(value), known))
        if self.attention not in ATTENTION:
            mend = nearest(self.attention, ATTENTION)
            raise RungError(f"unknown attention {self.attention!r}", where="train", mend=mend)
        for name in ("validation_rows", "samples", "warmup", "decay"):
            if getattr(self, name) < 0:
                raise RungError(f"{name} is {getattr(self, name)}", where="train", mend="give 0 or more")

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return sum(stage.steps for stage in self.stages)


@dataclass(frozen=True)
class Recipe:
    """A base model, from text to weights; `source` is the file it was read from.

    It begins with a new `tokenizer` and `model`, with the tokenizer of a folder (`tokenizer_of`) and a new model, or with
    both of the model `begins_with` (the recipe's `from`), which is then trained on; `guard` watches what it forgets.
    """

    name: str
    seed: int
    corpus: MixtureSettings
    tokenizer: TokenizerSettings
    model: Mapping[str, Any]
    train: PretrainSettings
    source: Path = Path()
    tokenizer_of: str = ""
    begins_with: str = ""
    guard: GuardSettings | None = None

    @classmethod
    def load(cls, path: Path) -> Recipe:
        """Read a recipe. Raises RungError for a missing file, a wrong value or an unknown key."""
        try:
            mapping = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise RungError("no such recipe", where=str(path), mend="name a recipe.yaml") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise RungError(f"not valid YAML: {error}", where=str(path), mend="mend the file") from error
        if not isinstance(mapping, Mapping):
            raise RungError("not a mapping", where=str(path), mend="write keys such as name, corpus, model, train")
        return replace(cls.from_mapping(mapping, path.parent), source=path)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], folder: Path) -> Recipe:
        """The recipe in `mapping`; its paths are relative to `folder`."""
        top = ("name", "seed", "corpus", "tokenizer", "model", "train", "from", "guard")
        _refuse_unknown(mapping, top, "recipe")
        for key in ("name", "corpus", *(() if "from" in mapping else ("model",))):
            if key not in mapping:
                raise RungError(f"{key} is missing", where="recipe", mend=f"add {key}")
        for key in ("tokenizer", "model"):
            if "from" in mapping and key in mapping:
                mend = f"leave out {key}: that of the model in `from` is used"
                raise RungError(f"has both from and {key}", where="recipe", mend=mend)
        if "guard" in mapping and "from" not in mapping:
            raise RungError("has a guard and no from", where="recipe", mend="a new model has nothing to forget")
        tokenizer = dict(_mapping(mapping.get("tokenizer") or {}, "tokenizer"))
        folder_of = tokenizer.pop("folder", "")
        if folder_of and tokenizer:
            mend = "name either a folder, or the settings of a new tokenizer"
            raise RungError(f"has both folder and {next(iter(tokenizer))}", where="tokenizer", mend=mend)
        model = dict(_mapping(mapping.get("model") or {}, "model"))
        if "size" in model:
            read_size(model["size"])
        return cls(
            name=str(mapping["name"]),
            seed=int(mapping.get("seed", 0)),
            corpus=MixtureSettings.from_mapping(mapping["corpus"], folder),
            tokenizer=_value(TokenizerSettings, tokenizer, "tokenizer"),
            model=model,
            train=_train(mapping.get("train") or {}),
            tokenizer_of=_base(folder_of, folder),
            begins_with=_base(mapping.get("from") or "", folder),
            guard=_guard(mapping["guard"], folder) if "guard" in mapping else None,
        )


def _train(given: Any) -> PretrainSettings:
    train = dict(_mapping(given, "train"))
    if "stages" in train:
        train["stages"] = _stages(train["stages"])
    train["optimiser"] = _value(OptimiserSettings, train.get("optimiser") or {}, "train.optimiser")
    train["parallel"] = ParallelSettings.from_mapping(train.get("parallel") or {}, "train.parallel")
    train["noise"] = _value(NoiseSettings, train.get("noise") or {}, "train.noise")
    made: PretrainSettings = _value(PretrainSettings, train, "train")
    return made


def _guard(given: Any, folder: Path) -> GuardSettings:
    guard: GuardSettings = _value(GuardSettings, given, "guard")
    file = resolve(guard.file, folder)
    if not guard.file or not file.exists():
        raise RungError(f"no such file {file}", where="guard", mend="name a file of general text")
    return replace(guard, file=str(file))


def _base(name: Any, folder: Path) -> str:
    """A folder relative to the recipe's, or a name that `Model.load` knows."""
    if not isinstance(name, str):
        raise RungError(f"{name!r} is no folder", where="recipe", mend="name a folder in Hugging Face form")
    path = resolve(name, folder)
    return str(path) if name and path.is_dir() else name


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise RungError(f"{value!r} is not a mapping", where=where, mend="write key: value lines")
    return value


def _stages(rows: Any) -> tuple[Stage, ...]:
    if not isinstance(rows, list) or not rows:
        raise RungError("stages is no list", where="train", mend="write - {length: 512, rows: 16, steps: 1000}")
    for row in rows:
        _refuse_unknown(row, ("length", "rows", "steps"), "train.stages")
        if len(row) < 3:
            raise RungError(f"{row} is not complete", where="train.stages", mend="give length, rows and steps")
    return tuple(Stage(**row) for row in rows)


def _value(kind: type, mapping: Mapping[str, Any], where: str) -> Any:
    """A frozen dataclass from a mapping, each value of the type of its default."""
    _mapping(mapping, where)
    known = {spec.name: spec for spec in fields(kind)}
    _refuse_unknown(mapping, known, where)
    blank = kind()
    given: dict[str, Any] = {}
    for key, value in mapping.items():
        default = getattr(blank, key)
        fits = isinstance(value, type(default)) and not (isinstance(value, bool) and not isinstance(default, bool))
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            value, fits = float(value), True
        if not fits:
            kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
            raise RungError(f"{key} is {value!r}", where=where, mend=f"give {kinds.get(type(default), 'a mapping')}")
        given[key] = value
    return kind(**given)


def _refuse_unknown(mapping: Mapping[str, Any], known: Any, where: str) -> None:
    for key in mapping:
        if key not in known:
            raise RungError(f"unknown key {key!r}", where=where, mend=nearest(str(key), known))
