"""The whole answer to `rung size MODEL`: every table as plain values, from which the terminal, the page and JSON are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from rung.errors import RungError
from rung.model.memory import MemoryUse, ModelShape
from rung.model.outline import PACKED, Outline
from rung.train.optimisers.table import OPTIMISERS
from rung.train.size.cards import Card
from rung.train.size.compute import Duration, training_operations
from rung.train.size.demand import STAGES, Setting, counted, demand
from rung.train.size.fits import WAYS, Fit, cheapest, fits, freest
from rung.train.size.parts import Parts, parts_of

CHUNK = 1024
"""Tokens whose logits exist at once where the cross-entropy is computed in pieces."""
LOGIT = {"float32": 12.0, "mixed": 16.0, "bfloat16": 14.0, "int8": 14.0, "nf4": 14.0}
"""Bytes of a logit, its float32 form, its log-softmax and the gradients of these that are in use at once."""
STORED = {"float32": 4.0, "bfloat16": 2.0, **{name: PACKED[name] for name in ("int8", "nf4")}}
HELD = ("adamw", "adamw-8bit", "adafactor", "lion", "muon", "momentum", "sgd")
"""The optimisers that the table tells of, AdamW first."""


@dataclass(frozen=True)
class Way:
    """A way to train: how many weights move, and what it takes."""

    setting: Setting
    moved: int
    use: MemoryUse


@dataclass(frozen=True)
class Sizing:
    """What was asked and what came of it, in bytes, numbers and operations."""

    model: str
    setting: Setting
    parts: Parts
    use: MemoryUse
    stored: Mapping[str, int]
    states: Mapping[str, float]
    activations: Mapping[str, float]
    logits: Mapping[str, float]
    cache: Mapping[str, float]
    ways: tuple[Way, ...]
    stages: Mapping[int, Mapping[int, int]]
    card: Card | None = None
    fits: tuple[Fit, ...] = ()
    duration: Duration | None = None

    @property
    def rules(self) -> dict[str, float]:
        """The rules of thumb: 4 bytes a parameter to hold in float32, six times as much to train (24 GB a billion)."""
        return {"hold": 4.0 * self.parts.total, "train": 24.0 * self.parts.total}

    @property
    def cheapest(self) -> Fit | None:
        """The way with the least work a token that fits the card."""
        return cheapest(self.fits)

    @property
    def freest(self) -> Fit | None:
        """The way that moves most of those that fit the card."""
        return freest(self.fits)

    def to_json(self) -> dict[str, Any]:
        """As plain values for a JSON document."""
        told = asdict(self) | {"use": self.use.to_json(), "rules_of_thumb": self.rules}
        told["ways"] = [asdict(way) | {"use": way.use.to_json()} for way in self.ways]
        for name in ("cheapest", "freest"):
            best = getattr(self, name)
            told[name] = asdict(best) if best else None
        if self.duration is not None:
            own = self.duration
            told["duration"] |= {
                "seconds": own.seconds,
                "tokens_per_second": own.tokens_per_second,
                "petaflop_days": own.petaflop_days,
            }
        return told


def size(outline: Outline, setting: Setting, *, card: Card | None = None, duration: Duration | None = None) -> Sizing:
    """Work out every table for `outline`. Raises RungError for a setting that does not fit the architecture."""
    parts, shape = parts_of(outline), ModelShape.of(outline.config)
    tokens = setting.rows * setting.length
    both = {key: counted(outline, _plain(setting, on)) for key, on in _choices(outline, setting)}
    return Sizing(
        model=outline.name,
        setting=setting,
        parts=parts,
        use=demand(outline, setting),
        stored={name: _stored(outline, name, parts) for name in STORED},
        states={name: OPTIMISERS[name].state * sum(both["kept"].trained) for name in HELD},
        activations={key: step.activations - step.logits for key, step in both.items()},
        logits={"full": LOGIT[setting.precision] * tokens * shape.vocabulary,
                "chunked": LOGIT[setting.precision] * min(tokens, CHUNK) * shape.vocabulary},
        cache={name: shape.cache_width * tokens * max(STORED[name], 1.0) for name in ("float32", "bfloat16", "int8")},
        ways=tuple(_ways(outline, setting)),
        stages=_stages(outline, setting),
        card=card,
        fits=tuple(fits(outline, setting, card.memory)) if card else (),
        duration=duration,
    )  # fmt: skip


def operations(outline: Outline, parts: Parts, tokens: float, length: int) -> float:
    """Operations of training on `tokens`, attention in rows of `length` included."""
    text = outline.config.get("text_config") or outline.config
    width = next((int(text[name]) for name in ("hidden_size", "d_model", "n_embd") if text.get(name)), 0)
    attends = ModelShape.of(outline.config).kv_width > 0
    layers = parts.layers if attends else 0
    return training_operations(_multiplied(parts), tokens, layers=layers, width=width, length=length)


def _multiplied(parts: Parts) -> int:
    """Parameters that a token is multiplied with: looking up an embedding is no product, an output head is one."""
    looked_up = 0 if parts.tied else parts.components["embeddings"]
    return parts.active - looked_up


def _plain(setting: Setting, checkpointing: bool) -> Setting:
    return replace(setting.alone(), checkpointing=checkpointing)


def _choices(outline: Outline, setting: Setting) -> list[tuple[str, bool]]:
    """Whether layers are kept or computed again; architectures without checkpointing only keep."""
    again = getattr(outline.fresh("float32"), "supports_gradient_checkpointing", False)
    return [("kept", False), *([("computed again", True)] if again and setting.method != "prefix-tuning" else [])]


def _stored(outline: Outline, name: str, parts: Parts) -> int:
    if name not in PACKED:
        return round(parts.total * STORED[name])
    inside = parts.components["attention"] + parts.components["feed-forward"]
    return round(inside * STORED[name] + (parts.total - inside) * STORED["bfloat16"])


def _ways(outline: Outline, setting: Setting) -> list[Way]:
    """Every way to train that the architecture has, kept and computed again."""
    found = []
    for method, precision in WAYS:
        for checkpointing in (False, True):
            way = replace(setting, method=method, precision=precision, checkpointing=checkpointing, devices=1, stage=0)
            try:
                use = demand(outline, way)
            except RungError:
                continue  # the architecture has no such method or no checkpointing
            found.append(Way(way, sum(counted(outline, way.alone()).trained), use))
    return found


def _stages(outline: Outline, setting: Setting) -> dict[int, dict[int, int]]:
    """Peak bytes of one device, by stage and number of devices: powers of two up to `setting.devices`, and that."""
    counts = sorted({2**n for n in range(12) if 2**n <= setting.devices} | {setting.devices})
    return {
        stage: {n: demand(outline, replace(setting, devices=n, stage=stage)).total for n in counts} for stage in STAGES
    }
