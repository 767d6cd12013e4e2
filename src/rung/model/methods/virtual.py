"""What stands before every prompt and is trained: embeddings (prompt tuning, P-tuning), keys and values (prefix tuning)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rung.errors import RungError
from rung.model import adapters
from rung.model.load import Model
from rung.model.methods.method import Kept, Trains, Unpaced, frozen

MOST_TOKENS = 100


@dataclass(frozen=True)
class _Front(Unpaced):
    """`tokens` places before the prompt."""

    name: ClassVar[str]
    trains: ClassVar[Trains] = "virtual"
    kept: ClassVar[Kept] = "soft_prompt"
    tokens: int = 20

    def __post_init__(self) -> None:
        if not isinstance(self.tokens, int) or not 1 <= self.tokens <= MOST_TOKENS:
            raise RungError(f"tokens is {self.tokens}", where=self.name, mend=f"choose 1 to {MOST_TOKENS}")

    def why_not(self, model: Model) -> str:
        """An encoder reads no prompts, and the window must hold more than the virtual tokens."""
        if model.kind == "encoder":
            return "an encoder reads no prompts"
        return f"{self.tokens} virtual tokens fill the window of {model.window}" if self.tokens >= model.window else ""

    def _frozen(self, model: Model) -> Any:
        self.check(self.why_not(model), "choose another method")
        return frozen(model)


@dataclass(frozen=True)
class PromptTuning(_Front):
    """Trained embeddings (Lester et al. 2021), which begin as those of the instruction's own words."""

    name: ClassVar[str] = "prompt-tuning"

    def prepare(self, model: Model, *, seed: int = 0, start: Sequence[int] = ()) -> Any:
        """The frozen base behind its trained embeddings."""
        return adapters.prompt_tuning(self._frozen(model), self.tokens, list(start) or None, seed)


@dataclass(frozen=True)
class PTuning(_Front):
    """Embeddings written by a small trained network (Liu et al. 2021); once trained they are kept alone."""

    name: ClassVar[str] = "p-tuning"
    hidden: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.hidden, int) or self.hidden < 1:
            raise RungError(f"hidden is {self.hidden}", where=self.name, mend="give a whole number from 1")

    def prepare(self, model: Model, *, seed: int = 0, start: Sequence[int] = ()) -> Any:
        """The frozen base behind the network's embeddings."""
        return adapters.p_tuning(self._frozen(model), self.tokens, self.hidden, seed)


@dataclass(frozen=True)
class PrefixTuning(_Front):
    """Trained keys and values in front of every layer's own (Li and Liang 2021)."""

    name: ClassVar[str] = "prefix-tuning"
    kept: ClassVar[Kept] = "prefix"

    def why_not(self, model: Model) -> str:
        """Needs a decoder whose layers keep keys and values."""
        if model.kind == "encoder-decoder":
            return "keys and values before an encoder–decoder's are not served here"
        if model.config.get("model_type") in ("mamba", "mamba2", "falcon_mamba", "rwkv"):
            return "its layers keep no keys and values"
        return super().why_not(model)

    def prepare(self, model: Model, *, seed: int = 0, start: Sequence[int] = ()) -> Any:
        """The frozen base behind keys and values that begin as those of the instruction's words."""
        return adapters.prefix_tuning(self._frozen(model), self.tokens, list(start) or None, seed)
