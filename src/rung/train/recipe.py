"""The pretraining recipe: one YAML file, read into frozen values, with unknown keys refused.

What the values mean to the run is the matter of `pretrain`; the mixture of texts is described in `data`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from rung.data.mixture import MixtureSettings
from rung.errors import RungError, nearest
from rung.model.tokenizer import TokenizerSettings
from rung.train.masters import OptimiserSettings
from rung.train.objectives import OBJECTIVES
from rung.train.schedule import SCHEDULES
from rung.train.stream import Stage


@dataclass(frozen=True)
class PretrainSettings:
    """How long and how fast. The stages follow one another; `warmup` counts steps, `decay` is a share of them."""

    objective: str = "causal"
    stages: tuple[Stage, ...] = (Stage(length=512, rows=16, steps=1000),)
    schedule: str = "wsd"
    warmup: int = 50
    decay: float = 0.3
    dtype: str = "bfloat16"
    attention: str = "sdpa"
    validation_rows: int = 64
    checkpoint_minutes: float = 4.0
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)

    def __post_init__(self) -> None:
        for name, known in (("objective", OBJECTIVES), ("schedule", SCHEDULES), ("dtype", ("bfloat16", "float32"))):
            value = getattr(self, name)
            if value not in known:
                raise RungError(f"unknown {name} {value!r}", where="train", mend=nearest(str(value), known))

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return sum(stage.steps for stage in self.stages)


@dataclass(frozen=True)
class Recipe:
    """A base model, from text to weights. `source` is the file it was read from."""

    name: str
    seed: int
    corpus: MixtureSettings
    tokenizer: TokenizerSettings
    model: Mapping[str, Any]
    train: PretrainSettings
    source: Path = Path()

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
        top = ("name", "seed", "corpus", "tokenizer", "model", "train")
        _refuse_unknown(mapping, top, "recipe")
        for key in ("name", "corpus", "model"):
            if key not in mapping:
                raise RungError(f"{key} is missing", where="recipe", mend=f"add {key}")
        train = dict(mapping.get("train") or {})
        if "stages" in train:
            train["stages"] = _stages(train["stages"])
        train["optimiser"] = _value(OptimiserSettings, train.get("optimiser") or {}, "train.optimiser")
        return cls(
            name=str(mapping["name"]),
            seed=int(mapping.get("seed", 0)),
            corpus=MixtureSettings.from_mapping(mapping["corpus"], folder),
            tokenizer=_value(TokenizerSettings, mapping.get("tokenizer") or {}, "tokenizer"),
            model=dict(mapping["model"]),
            train=_value(PretrainSettings, train, "train"),
        )


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
    if not isinstance(mapping, Mapping):
        raise RungError(f"{mapping!r} is not a mapping", where=where, mend="write key: value lines")
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
            kinds = {int: "a whole number", float: "a number", str: "a word"}
            raise RungError(f"{key} is {value!r}", where=where, mend=f"give {kinds.get(type(default), 'a mapping')}")
        given[key] = value
    return kind(**given)


def _refuse_unknown(mapping: Mapping[str, Any], known: Any, where: str) -> None:
    for key in mapping:
        if key not in known:
            raise RungError(f"unknown key {key!r}", where=where, mend=nearest(str(key), known))
