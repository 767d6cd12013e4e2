"""A tiny recipe for the tests of pretraining: its model, its texts, its settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

MODEL = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "tie_word_embeddings": True,
    "max_position_embeddings": 64,
}
TEXT = "the river ran under an old stone bridge while nine quiet herons waited for fish in cold morning light"
WORDS = TEXT.split()


def story(seed: int, words: int = 24) -> str:
    rng = np.random.default_rng([5, seed])
    return " ".join(WORDS[int(i)] for i in rng.integers(len(WORDS), size=words)) + f" {seed}."


def mapping(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "a.txt").write_text("\n\n".join(story(i) for i in range(60)))
    return {
        "name": "small",
        "seed": 3,
        "corpus": {"texts": ["a.txt"], "tokenizer_documents": 60, "validation": 0.1},
        "tokenizer": {"vocabulary": 300, "window": 64},
        "model": MODEL,
        "train": {
            "stages": [{"length": 32, "rows": 2, "steps": 5}, {"length": 64, "rows": 2, "steps": 4}],
            "warmup": 2,
            "validation_rows": 2,
        },
    }
