"""What a model under training writes: the same held-out beginnings gone on with, or the same gaps filled, step by step.

For people to read beside the curve; no score is made of it. Randomness is the samples' own, so that writing them changes
nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rung.run import read_json, write_atomic
from rung.train.stream import Steps

BEGUN, WRITTEN = 12, 40  # tokens given and written
TEMPERATURE = 0.8


@dataclass(frozen=True)
class Samples:
    """`count` texts of the validation rows in `steps`, written anew by the `module` as it stands.

    Kept in `file` by step, each `{"given": …, "written": …}`; of several processes one `writes`.
    """

    module: Any
    tokenizer: Any
    steps: Steps
    count: int
    file: Path
    writes: bool = True

    @torch.no_grad()
    def show(self, step: int) -> None:
        """Write the samples of `step`."""
        self.module.eval()
        write = self._goes_on if self.steps.objective.predicts_next else self._fills
        made = [write(number) for number in range(min(self.count, len(self.steps)))]
        if self.writes:
            known = read_json(self.file) if self.file.exists() else {}
            write_atomic(self.file, json.dumps({**known, str(step): made}, indent=1, ensure_ascii=False))

    def _goes_on(self, number: int) -> dict[str, str]:
        """The first tokens of a row, and what the model draws behind them."""
        row = self.steps.corpus.rows(number).ids[0]
        ids = [int(one) for one in row[: min(BEGUN, max(1, len(row) - WRITTEN))]]
        given, draw = len(ids), np.random.default_rng(number)
        while len(ids) < len(row) and len(ids) - given < WRITTEN:
            batch = self._on({"input_ids": torch.tensor([ids])})
            if self.steps.objective.form.prefixed:
                batch["segments"] = torch.zeros_like(batch["input_ids"])
                batch["prefix"] = torch.arange(len(ids), device=batch["input_ids"].device)[None] < given
            logits = self.module(**self.steps.objective.form.inputs(self.module, batch)).logits[0, -1]
            chances = (logits.double() / TEMPERATURE).softmax(-1).cpu().numpy()
            ids.append(int(draw.choice(len(chances), p=chances / chances.sum())))
            if ids[-1] == self.steps.tokens.end:
                break
        return {"given": self._text(ids[:given]), "written": self._text(ids[given:])}

    def _fills(self, number: int) -> dict[str, str]:
        """A spoilt row, and the likeliest token at each place that is asked for."""
        batch = self._on(self.steps[number]["micros"][0])
        logits = self.module(**self.steps.objective.form.inputs(self.module, batch)).logits[0]
        asked = batch["weights"][0] > 0
        likeliest = logits.argmax(-1)
        if logits.shape[0] == batch["input_ids"].shape[1] and self.steps.objective.architecture == "encoder":
            filled = torch.where(asked, likeliest, batch["input_ids"][0])
        else:  # what stood before each token is given, so this is a reading, not a free writing
            filled = likeliest[asked]
        return {"given": self._text(batch["input_ids"][0].tolist()), "written": self._text(filled.tolist())}

    def _on(self, batch: Any) -> dict[str, torch.Tensor]:
        return {name: part[:1].to(self.module.device) for name, part in batch.items()}

    def _text(self, ids: list[int]) -> str:
        kept = [one for one in ids if one != self.steps.tokens.pad]
        return str(self.tokenizer.decode(kept, clean_up_tokenization_spaces=False))
