"""How many bytes training or serving a model takes at its peak, before a weight is loaded.

Training is counted by running one step on tensors that have shapes and no numbers (`count`), on a module in outline
(`model.outline`); serving is arithmetic on the configuration. What is measured in a run is put beside these by others.
"""

from __future__ import annotations

from rung.model.memory.shape import ModelShape
from rung.model.memory.use import MemoryUse, serve_memory, train_memory

__all__ = ["MemoryUse", "ModelShape", "serve_memory", "train_memory"]
