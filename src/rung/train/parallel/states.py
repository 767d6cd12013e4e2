"""What an optimiser remembers, as files that know no layout: whole tensors by the names of the weights they belong to.

So a training begun in one layout goes on in any other. Tensors are safetensors, everything else is JSON; nothing is
pickled. Weights themselves are in `keep`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from rung.errors import RungError
from rung.train.parallel.layout import Layout

STATES, REST = "optimiser.safetensors", "optimiser.json"
BETWEEN = "|"  # between a weight's name and the name of what is remembered of it
WITHIN = "/"  # between the names of what is remembered in a mapping of its own

Numbers = dict[str, dict[str, Any]]


def save_states(folder: Path, module: Any, optimiser: Any, scheduler: Any, layout: Layout) -> None:
    """Write what `optimiser` and `scheduler` remember to `folder`; the first process does, all must call it.

    Raises RungError for a state that is neither tensors nor plain values.
    """
    known, names = optimiser.state_dict(), _names(module, optimiser)
    tensors: dict[str, torch.Tensor] = {}
    numbers: Numbers = {}
    for index, state in known["state"].items():
        for key, value in _flat(state):
            if isinstance(value, torch.Tensor):
                tensors[names[index] + BETWEEN + key] = value
            else:
                numbers.setdefault(names[index], {})[key] = value
    groups = [
        {
            **{key: value for key, value in group.items() if key != "params"},
            "names": [names[i] for i in group["params"]],
        }
        for group in known["param_groups"]
    ]
    whole = layout.gather(tensors)
    rest = layout.gather_json({"numbers": numbers, "groups": groups, "scheduler": scheduler.state_dict()})
    if layout.team.lead:
        folder.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_file(_apart(whole), folder / STATES)
        (folder / REST).write_text(_plain(rest))


def _apart(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors, each with memory of its own: 8-bit states share one table of codes, which no file can."""
    seen: set[int] = set()
    found = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        found[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return found


def load_states(folder: Path, module: Any, optimiser: Any, scheduler: Any, layout: Layout) -> None:
    """Give `optimiser` and `scheduler` back what `save_states` kept, laid out as the module is now.

    Raises RungError where the files are missing or of other weights.
    """
    rest, whole = _read(folder) if layout.team.lead else ({}, {})
    rest = layout.team.tell(rest)
    weights = dict(module.named_parameters())
    own = {name: weights[name] for name in _names(module, optimiser)}
    likes = _Likes(own)
    handed = layout.hand_out(whole, likes)
    state: Numbers = {}
    for full_name, tensor in handed.items():
        name, _, key = full_name.rpartition(BETWEEN)
        _put(state.setdefault(name, {}), key, tensor)
    for name, values in rest["numbers"].items():
        for key, value in values.items() if name in own else ():
            _put(state.setdefault(name, {}), key, value)
    order = list(own)
    blank = optimiser.state_dict()["param_groups"]
    sources = [_source(group, order, rest["groups"], folder) for group in blank]
    groups = [_group(group, rest["groups"][source]) for group, source in zip(blank, sources, strict=True)]
    optimiser.load_state_dict(
        {"state": {i: state[n] for i, n in enumerate(order) if n in state}, "param_groups": groups}
    )
    scheduler.load_state_dict(_by_group(rest["scheduler"], len(rest["groups"]), sources))


def _source(group: dict[str, Any], order: list[str], kept: list[dict[str, Any]], folder: Path) -> int:
    """Which kept group has the first weight of this one: a layout may part one group into several."""
    first = order[group["params"][0]] if group["params"] else None
    for place, other in enumerate(kept):
        if first in other["names"] or (first is None and not other["names"]):
            return place
    if first is None and kept:
        return 0
    raise _other(folder)


def _by_group(scheduler: dict[str, Any], count: int, sources: list[int]) -> dict[str, Any]:
    """A schedule's memory, what it keeps of each group in the order of the groups as they are now."""
    return {
        key: [value[source] for source in sources] if isinstance(value, list) and len(value) == count else value
        for key, value in scheduler.items()
    }


def _flat(state: Mapping[str, Any], way: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in state.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{way}{key}{WITHIN}")
        else:
            yield f"{way}{key}", value


def _put(state: dict[str, Any], way: str, value: Any) -> None:
    *outer, last = way.split(WITHIN)
    for key in outer:
        state = state.setdefault(key, {})
    state[last] = value


def _group(blank: dict[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
    """A group as it was kept, its weights as they are numbered now. JSON has no tuples: the blank one tells."""
    values = {key: value for key, value in kept.items() if key != "names"}
    return blank | {key: tuple(value) if isinstance(blank.get(key), tuple) else value for key, value in values.items()}


class _Likes(Mapping[str, torch.Tensor]):
    """The weight that a remembered tensor belongs to, by the tensor's own longer name."""

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        self._weights = weights

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._weights[name.rpartition(BETWEEN)[0]]

    def __iter__(self) -> Any:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)


def _names(module: Any, optimiser: Any) -> list[str]:
    """The names of the optimiser's weights, in the order of its groups."""
    known = {id(weight): name for name, weight in module.named_parameters()}
    found = [known.get(id(weight)) for group in optimiser.param_groups for weight in group["params"]]
    if None in found:
        raise RungError("the optimiser moves weights that the model does not have", where="training")
    return [name for name in found if name is not None]


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    try:
        return json.loads((folder / REST).read_text()), safetensors.torch.load_file(folder / STATES)
    except (OSError, ValueError) as error:
        raise RungError(
            f"the optimiser's state cannot be read ({error})",
            where=str(folder),
            mend="remove the folder and start afresh",
        ) from error


def _plain(rest: Any) -> str:
    try:
        return json.dumps(rest)
    except (TypeError, ValueError) as error:
        raise RungError(
            f"the optimiser or scheduler remembers what JSON cannot hold ({error})", where="training"
        ) from error


def _other(folder: Path) -> RungError:
    return RungError(
        "a checkpoint of another optimiser",
        where=str(folder),
        mend="set the optimiser it was made with, or start afresh",
    )
