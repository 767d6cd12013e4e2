"""The weights that are looked at, and one pass of a text through them: logits by the usual route, attention by the eager one.

Only eager attention gives its weights away, and it rounds otherwise than the one that answers are drawn by; so logits and
attention come from two passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from rung.errors import RungError
from rung.generate.plain import cached
from rung.model.load import Model, quiet
from rung.model.virtual import Virtual, places, virtual_of


@dataclass(frozen=True)
class Opened:
    """A model, its module (perhaps tuned), and what was learnt to stand before every text: vectors, or keys and values.

    `name` is what it was asked for by. `predicts` says whether the module has a head over the vocabulary.
    """

    model: Model
    module: Any
    name: str
    virtual: Virtual | None = None
    predicts: bool = True

    @classmethod
    def of(cls, model: Model) -> Opened:
        """A base as it is; of an encoder, with the head that fills masks where the folder has one."""
        if model.kind != "encoder":
            return cls(model, model.module, model.name)
        with_head = _masked(model)
        return cls(model, model.module if with_head is None else with_head, model.name, predicts=with_head is not None)

    @property
    def front(self) -> int:
        """How many learnt places stand before the text."""
        return places(self.virtual)

    @property
    def vectors(self) -> torch.Tensor | None:
        """The learnt vectors (tokens, hidden) before the text, where it is vectors that were learnt."""
        learnt = virtual_of(self.module) if self.virtual is None else self.virtual
        return None if isinstance(learnt, tuple) else learnt

    @property
    def embedding(self) -> torch.Tensor:
        """The table of input embeddings, (vocabulary, hidden)."""
        table: torch.Tensor = self.module.get_input_embeddings().weight
        return table

    def start(self) -> list[int]:
        """What stands before every answer of an encoder–decoder."""
        token = self.module.config.decoder_start_token_id
        if token is None:
            where = str(self.model.folder)
            raise RungError("names no decoder_start_token_id", where=where, mend="add it to config.json")
        return [int(token)]

    @torch.inference_mode()
    def run(self, ids: Sequence[int], answer: Sequence[int] = (), *, attention: bool = False) -> Any:
        """The module's output for one text, and for encoder–decoders the answer's ids, start mark included."""
        inputs = self._inputs(ids)
        if answer:
            inputs["decoder_input_ids"] = torch.tensor([list(answer)], device=self.module.device)
        if not attention:
            return self.module(**inputs)
        with _eager(self.module):
            return self.module(**inputs, output_attentions=True)

    def _inputs(self, ids: Sequence[int]) -> dict[str, Any]:
        rows = torch.tensor([list(ids)], device=self.module.device)
        if self.virtual is None:
            return {"input_ids": rows, "attention_mask": torch.ones_like(rows)}
        if isinstance(self.virtual, tuple):
            mask = torch.ones((1, self.front + len(ids)), dtype=torch.long, device=rows.device)
            return {"input_ids": rows, "attention_mask": mask, "past_key_values": cached(self.module, self.virtual, 1)}
        embedded = self.module.get_input_embeddings()(rows)
        whole = torch.cat([self.virtual.to(embedded).unsqueeze(0), embedded], 1)
        return {"inputs_embeds": whole, "attention_mask": torch.ones(whole.shape[:2], device=whole.device).long()}


@contextmanager
def _eager(module: Any) -> Iterator[None]:
    """Within it the module attends by the route that gives its weights away."""
    before = module.config._attn_implementation
    module.set_attn_implementation("eager")
    try:
        yield
    finally:
        module.set_attn_implementation(before)


def _masked(model: Model) -> Any:
    """The encoder with its masked-language-model head; None where the folder holds none."""
    import transformers

    if not any("ForMaskedLM" in name or "ForPreTraining" in name for name in model.config.get("architectures") or ()):
        return None
    quiet()
    module, found = transformers.AutoModelForMaskedLM.from_pretrained(
        str(model.folder),
        dtype="auto" if model.precision in ("int8", "nf4") else model.precision,  # the head fills masks, nothing more
        trust_remote_code=model.trust_remote_code,
        use_safetensors=True,
        output_loading_info=True,
    )
    if found["missing_keys"]:
        return None
    return module.to(model.device).requires_grad_(False).eval()
