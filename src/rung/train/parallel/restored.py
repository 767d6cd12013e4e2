"""Putting a module back as it was: layouts leave hooks, other classes and shards behind, and a System wants none of them.

A module that was laid out ends whole and plain, in every process, its tied weights tied. What is laid out how is in the
layouts.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.distributed.tensor import DTensor

Whole = Callable[[torch.Tensor], torch.Tensor]


@contextlib.contextmanager
def restored(module: Any, whole: Whole) -> Iterator[None]:
    """Take down in the end what the block puts up in `module`: hooks, and weights that `whole` makes whole again."""
    kept = [(part, _dicts(part)) for part in module.modules()]
    try:
        yield
    finally:
        made: dict[int, torch.nn.Parameter] = {}
        for part, dicts in kept:
            for name, weight in part._parameters.items():
                if weight is not None and id(weight) not in made:
                    made[id(weight)] = _plain(weight, whole)
                if weight is not None:
                    part._parameters[name] = made[id(weight)]
            for name, entries in dicts.items():
                getattr(part, name).clear()
                getattr(part, name).update(entries)


def _plain(weight: torch.nn.Parameter, whole: Whole) -> torch.nn.Parameter:
    if not isinstance(weight, DTensor):
        return weight
    return torch.nn.Parameter(whole(weight.detach()).contiguous(), requires_grad=weight.requires_grad)


def _dicts(part: Any) -> dict[str, dict[Any, Any]]:
    """The hooks of a module, by the attribute that holds them."""
    return {name: dict(value) for name, value in vars(part).items() if "hooks" in name and isinstance(value, dict)}


@contextlib.contextmanager
def shells(parts: list[tuple[Any, str]]) -> Iterator[list[Any]]:
    """Stand-ins for modules, each (its parent, its name there), with hooks and a class of their own.

    What is done to a stand-in itself is gone in the end; what is in it is shared.
    """
    originals = [getattr(parent, name) for parent, name in parts]
    made = [_shell(one) for one in originals]
    for (parent, name), stand_in in zip(parts, made, strict=True):
        setattr(parent, name, stand_in)
    try:
        yield made
    finally:
        for (parent, name), original, stand_in in zip(parts, originals, made, strict=True):
            original._parameters.update(stand_in._parameters)
            original.train(stand_in.training)
            setattr(parent, name, original)


def _shell(module: Any) -> Any:
    made = copy.copy(module)
    for name, value in vars(module).items():
        if isinstance(value, dict):
            vars(made)[name] = copy.copy(value)
    return made
