"""The table of rungs: every name that a task file or a command line may use, and the default ladders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from rung.errors import RungError, nearest
from rung.ladder.rung import Rung
from rung.ladder.rungs.encoding import Head, Nearest
from rung.ladder.rungs.floor import Floor
from rung.ladder.rungs.moving import (
    Biases,
    Bottleneck,
    Components,
    Full,
    Half,
    Ia3,
    LastLayers,
    Layers,
    Lora,
    PrefixTuning,
    PTuning,
    Qlora,
    SoftPrompt,
)
from rung.ladder.rungs.prompting import FewShot, OneShot, ZeroShot
from rung.model.load import ModelKind
from rung.task import RungRequest
from rung.task.document import show

RUNGS: Mapping[str, type[Any]] = MappingProxyType(
    {
        "floor": Floor,
        "zero-shot": ZeroShot,
        "one-shot": OneShot,
        "few-shot": FewShot,
        "soft-prompt": SoftPrompt,
        "nearest": Nearest,
        "head": Head,
        "p-tuning": PTuning,
        "prefix-tuning": PrefixTuning,
        "ia3": Ia3,
        "bottleneck": Bottleneck,
        "lora": Lora,
        "qlora": Qlora,
        "biases": Biases,
        "last-layers": LastLayers,
        "layers": Layers,
        "components": Components,
        "half": Half,
        "full": Full,
    }
)

# Shots at random and the same number nearest to the input: what separates the two is the choosing.
PROMPTED = (ZeroShot(), OneShot(), FewShot(4), FewShot(4, "nearest"), SoftPrompt(), Lora(), Full())
DEFAULT: Mapping[ModelKind, tuple[Rung, ...]] = MappingProxyType(
    {
        "decoder": PROMPTED,
        "encoder-decoder": PROMPTED,
        # A fitted head leaves a pretrained encoder little to gain from a wide search.
        "encoder": (ZeroShot(), Nearest(), Head(), Lora(rank=(8,)), Full()),
    }
)


def make_rung(request: RungRequest) -> Rung:
    """The rung that a task file asks for. Raises RungError for an unknown name or field, naming the nearest."""
    where = request.where or "rungs"
    if request.name not in RUNGS:
        raise RungError(f"unknown rung {request.name}", where=where, mend=nearest(request.name, RUNGS))
    made = RUNGS[request.name]
    known = {part.name for part in fields(made)}
    for key in request.fields:
        if key not in known:
            mend = nearest(key, known) if known else f"{request.name} has no fields"
            raise RungError(f"unknown field {key} of {request.name}", where=where, mend=mend)
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in request.fields.items()}
    hints = get_type_hints(made)
    for key, value in settings.items():
        if wanted := _misfit(value, hints[key]):
            said = show(request.fields[key])
            raise RungError(f"{key} of {request.name} is {said}", where=where, mend=f"give {wanted}")
    try:
        rung: Rung = made(**settings)
    except RungError as error:
        raise RungError(f"{error.where}: {error.what}", where=where, mend=error.mend) from error
    return rung


def _misfit(value: Any, hint: Any) -> str:
    """What a field of this type wants where `value` is something else; nothing where it fits.

    >>> _misfit(2, int), _misfit(2.5, int), _misfit((1, 2), tuple[float, ...] | float), _misfit("all", int | None)
    ('', 'a whole number', '', 'a whole number')
    """
    if hint is bool:
        return "" if isinstance(value, bool) else "true or false"
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    several = any(get_origin(part) is tuple for part in parts)
    atoms = {get_args(part)[0] if get_origin(part) is tuple else part for part in parts}
    allowed = tuple({int, float} if float in atoms else {int}) if atoms & {int, float} else (str,)
    values = value if isinstance(value, tuple) and several else (value,)
    fits = all(isinstance(one, allowed) and not isinstance(one, bool) for one in values)
    if (values and fits and all(math.isfinite(one) for one in values if isinstance(one, float))) or (
        value is None and NoneType in atoms
    ):
        return ""
    wanted = "a word" if allowed == (str,) else "a number" if float in atoms else "a whole number"
    return wanted + (", or a list of such" if several else "")


def ladder_of(requests: Sequence[RungRequest] | None, kind: ModelKind) -> tuple[Rung, ...]:
    """The floor, then the rungs asked for, or the default ladder of this kind of base.

    Raises RungError where two rungs have the same label.
    """
    rungs = DEFAULT[kind] if requests is None else tuple(make_rung(request) for request in requests)
    rungs = (Floor(), *(rung for rung in rungs if not isinstance(rung, Floor)))
    labels = [rung.label for rung in rungs]
    for label in labels:
        if labels.count(label) > 1:
            places = [one.where for one in requests or () if make_rung(one).label == label]
            raise RungError(f"two rungs are {label}", where=places[-1] or "rungs", mend="name each once")
    return rungs


def select(labels: Sequence[str], *, only: Sequence[str], skip: Sequence[str], start: str | None) -> set[str]:
    """The labels to climb by `--only`, `--skip` and `--from`; a rung's plain name stands for all its labels.

    Raises RungError for a name that is on no rung.
    """

    def expand(names: Sequence[str], flag: str) -> set[str]:
        found: set[str] = set()
        for name in names:
            hits = {label for label in labels if label == name or label.startswith(f"{name}-")}
            if not hits:
                raise RungError(f"no rung {name} on this ladder", where=flag, mend=nearest(name, labels))
            found |= {name} if name in labels else hits
        return found

    chosen = expand(only, "--only") if only else set(labels)
    chosen -= expand(skip, "--skip")
    if start is not None:
        first = min(labels.index(label) for label in expand([start], "--from"))
        chosen &= set(labels[first:])
    return (chosen | {"floor"}) & set(labels)
