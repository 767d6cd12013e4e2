"""A pruned artefact: what was measured on the task's own training texts, and how much of the model is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rung.ladder.artefacts.made import Build
from rung.ladder.artefacts.source import Source
from rung.model.export.folder import write_folder
from rung.model.load import Model
from rung.model.prune import Pruning, zeros
from rung.task import Task

TEXTS = 32
"""Training rows by which a layer's influence is measured."""


def build_pruned(pruning: Pruning, task: Task | None, told: Callable[[str], None]) -> Build:
    """Prunes the weights of a source; `told` hears how much of them is left."""

    def build(source: Source, folder: Path) -> Model:
        rows = task.train[:TEXTS] if task else ()
        ids = [source.model.tokenizer(row.text)["input_ids"][: source.model.window] for row in rows]

        def change(module: Any) -> Any:
            before = sum(weight.numel() for weight in module.parameters())
            changed = pruning.apply(module, [row for row in ids if row])
            after = sum(weight.numel() for weight in changed.parameters())
            told(f"{after:,} of {before:,} weights stay, {zeros(changed):.1%} of those in linear layers are zero")
            return changed

        return write_folder(source.model, folder, change=change)

    return build
