"""Whether a module keeps to an objective's masks: found by trying on a few random tokens, before anything is trained.

A decoder that sees ahead, or documents that see each other, would give a low loss that means nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rung.errors import RungError
from rung.train.objectives.objective import Objective
from rung.train.objectives.rows import NoiseSettings, Rows, Tokens

LENGTH = 8  # tokens of each of two documents
CLOSE = 1e-4


@torch.no_grad()
def check_module(module: Any, objective: Objective, tokens: Tokens, *, apart: bool) -> None:
    """Raises RungError where `module` lets a token see what the objective, or `apart`, hides from it."""
    was_training, last = module.training, 2 * LENGTH - 1
    module.eval()
    try:
        ahead = objective.predicts_next and _seen(module, objective, tokens, apart, change=last, read=slice(0, last))
        others = apart and _seen(module, objective, tokens, apart, change=0, read=None)
        back = "prefix" not in _batch(objective, tokens, apart, 0) or _seen(
            module, objective, tokens, apart, change=1, read=slice(0, 1), prefix=4
        )
    except (RuntimeError, ValueError, TypeError, IndexError) as error:  # architectures without attention take no mask
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise _unfit(module, f"the architecture takes no mask of who sees whom ({reason})") from error
    finally:
        module.train(was_training)
    if ahead:
        raise _unfit(module, "tokens see what comes after them, so their prediction would mean nothing")
    if others:
        raise _unfit(module, "packed documents see each other: the architecture does not keep to a mask")
    if not back:
        raise _unfit(module, "the prefix is not read in both directions: the architecture does not keep to a mask")


def _unfit(module: Any, what: str) -> RungError:
    mend = "choose another model_type, the objective causal, or separate_documents: false"
    return RungError(what, where=f"model {module.config.model_type}", mend=mend)


def _batch(objective: Objective, tokens: Tokens, apart: bool, change: int | None) -> dict[str, torch.Tensor]:
    """Two documents in one row; the token at `change` is another."""
    rng = np.random.default_rng(3)
    plain = np.setdiff1d(np.arange(tokens.vocabulary), list(tokens.special))
    ids = rng.choice(plain, size=(1, 2 * LENGTH))
    if change is not None:
        ids[0, change] = plain[0] if ids[0, change] != plain[0] else plain[1]
    numbers = np.repeat([0, 1], LENGTH)[None]
    rows = Rows(ids, np.ones(ids.shape, dtype=np.float32), numbers, apart)
    draw = [np.random.default_rng(5)]
    return objective.prepare(rows, tokens, NoiseSettings(), draw).batch


def _seen(
    module: Any,
    objective: Objective,
    tokens: Tokens,
    apart: bool,
    *,
    change: int,
    read: slice | None,
    prefix: int | None = None,
) -> bool:
    """Whether the scores at `read` (None: those of the second document) change with the token at `change`."""
    found = []
    for place in (None, change):
        batch = _batch(objective, tokens, apart, place)
        if prefix is not None:
            batch["prefix"] = torch.arange(2 * LENGTH)[None] < prefix
        elif "prefix" in batch:
            batch["prefix"] = torch.zeros_like(batch["prefix"])
        batch = {name: part.to(module.device) for name, part in batch.items()}
        places = batch["segments"][0] == 1 if read is None else read
        found.append(module(**objective.form.inputs(module, batch)).logits[0, places].float())
    scale = max(1.0, float(found[0].abs().max()))
    return bool((found[0] - found[1]).abs().max() > CLOSE * scale)
