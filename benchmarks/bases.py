"""The two bases of the benchmarks of the engine: the bundled one, and a Llama of 30 million parameters, random but seeded.

What is measured is the work, not the answers: random weights take as long as trained ones. The larger one has the bundled
tokenizer and a window of 2,048 tokens.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from rung.model.build import build
from rung.model.load import Model

LARGER = {
    "model_type": "llama",
    "hidden_size": 512,
    "intermediate_size": 1376,
    "num_hidden_layers": 9,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}


def bundled() -> Model:
    """`tiny`, in float32: so that both sides can be held to the same tokens."""
    return Model.load("tiny", dtype="float32")


def larger(folder: Path | None = None) -> Model:
    """The Llama of 30 million parameters, written to `folder` (default: a temporary one)."""
    folder = folder or Path(tempfile.mkdtemp(prefix="rung-llama-30m-"))
    tokenizer = Model.load("tiny").tokenizer
    if not (folder / "config.json").is_file():
        build(LARGER, tokenizer, seed=1).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return Model.load(str(folder), dtype="float32")
