"""The objective of tuning on answers: which rows a step computes, and the loss of the answers' tokens.

Packed rows where the module is seen to honour them, padded rows elsewhere. How rows are laid out is in `pack`, how
weights move in `trainer`.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import torch

from rung.errors import RungError
from rung.model.embed import by_length
from rung.train import pack
from rung.train.classes import Epochs
from rung.train.settings import TrainExample, TrainSettings

LayoutName = Literal["packed", "padded", "pairs"]
MICRO_TOKENS = {"cpu": 1024, "cuda": 16384}


@dataclass(frozen=True)
class RowLayout:
    """How this module's examples become tensors.

    `prefix` is the ids that all examples share (packed rows only), `virtual` the trained embeddings before them,
    `reason` says why packing was not used.
    """

    name: LayoutName
    pad_id: int
    micro_tokens: int
    row_tokens: int = 0
    prefix: tuple[int, ...] = ()
    virtual: int = 0
    reason: str = ""

    def describe(self) -> str:
        """In words, for the report."""
        if self.name == "packed":
            return f"packed rows of {self.row_tokens} tokens, prefix of {len(self.prefix) + self.virtual} shared"
        return "padded rows" + (f" ({self.reason})" if self.reason else "")

    def batches(self, examples: Sequence[TrainExample]) -> list[dict[str, torch.Tensor]]:
        """The examples of one step as tensors, in pieces of at most `micro_tokens` tokens."""
        if self.name == "packed":
            return self._packed(examples)
        build = pack.padded_tensors if self.name == "padded" else pack.sequence_pair_tensors
        groups = by_length([len(example) for example in examples], self.micro_tokens)
        return [build([examples[i] for i in group], self.pad_id) for group in groups]

    def _packed(self, examples: Sequence[TrainExample]) -> list[dict[str, torch.Tensor]]:
        own = [len(example) - 1 - len(self.prefix) for example in examples]
        room = max(1, self.row_tokens - len(self.prefix) - self.virtual)
        rows = [
            pack.pack_row([examples[i] for i in sorted(row)], self.prefix, self.virtual)
            for row in pack.plan_rows(own, room)
        ]
        widths = [len(row.ids) + self.virtual for row in rows]
        groups = by_length(widths, self.micro_tokens)
        return [pack.packed_tensors([rows[i] for i in group], self.pad_id) for group in groups]


class Layout(Protocol):
    """How examples become tensors: `labels` in every batch tell how many targets it has."""

    def batches(self, examples: Sequence[Any]) -> list[dict[str, torch.Tensor]]: ...


@dataclass(frozen=True)
class AnswerLoss:
    """Summed cross-entropy (nats) of the answers' tokens in one batch, a scalar float32 tensor."""

    layout: RowLayout

    def __call__(self, module: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        logits = answer_logits(module, batch, self.layout)
        labels = batch["labels"]
        return torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), labels.flatten(), ignore_index=pack.IGNORED, reduction="sum"
        )


def answer_logits(module: Any, batch: Mapping[str, torch.Tensor], layout: RowLayout) -> torch.Tensor:
    """Logits (rows, targets, vocabulary) that line up with `batch["labels"]`."""
    base = base_of(module)
    labels = batch["labels"]
    if layout.name == "pairs":
        shifted = base.prepare_decoder_input_ids_from_labels(labels=labels)
        inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
        logits: torch.Tensor = module(**inputs, decoder_input_ids=shifted, use_cache=False).logits
        return logits
    if layout.name == "packed":
        call, inputs = _packed_call(module, base, batch, layout.virtual)
    else:
        call, inputs = module, {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    if "logits_to_keep" in inspect.signature(base.forward).parameters:
        inputs["logits_to_keep"] = labels.shape[1]
    logits = call(**inputs, use_cache=False).logits
    return logits[:, -labels.shape[1] :]


def _packed_call(
    module: Any, base: Any, batch: Mapping[str, torch.Tensor], virtual: int
) -> tuple[Callable[..., Any], dict[str, Any]]:
    ids, positions, segments = batch["input_ids"], batch["position_ids"], batch["segments"]
    inputs: dict[str, Any] = {"input_ids": ids}
    call: Callable[..., Any] = module
    if virtual:
        # peft would put the trained embeddings in front of each row by itself, but drops position ids while doing so.
        rows = ids.shape[0]
        trained, call = module.get_prompt(batch_size=rows), base
        own = positions
        front = torch.arange(virtual, device=ids.device).expand(rows, virtual)
        positions = torch.cat([front, positions], dim=1)
        segments = torch.cat([torch.full_like(front, pack.PREFIX_SEGMENT), segments], dim=1)
        if isinstance(trained, torch.Tensor):
            words = base.get_input_embeddings()(ids)
            inputs = {"inputs_embeds": torch.cat([trained.to(words.dtype), words], dim=1)}
        else:  # keys and values: they are attended to, but nothing is computed for them
            inputs["past_key_values"] = trained
    mask = pack.row_mask(segments, positions)
    if "past_key_values" in inputs:
        mask, positions = mask[..., virtual:, :], own
    dtype = next(base.parameters()).dtype
    inputs["attention_mask"] = pack.for_attention(mask, base.config._attn_implementation, dtype)
    inputs["position_ids"] = positions
    return call, inputs


def base_of(module: Any) -> Any:
    """The transformers module inside an adapted one, or the module itself."""
    return module.get_base_model() if hasattr(module, "get_base_model") else module


def virtual_tokens(module: Any) -> int:
    """How many trained embeddings stand before every prompt (soft prompts), else 0."""
    config = getattr(module, "active_peft_config", None)
    if config is None or not config.is_prompt_learning:
        return 0
    return int(config.num_virtual_tokens)


def choose_layout(module: Any, examples: Sequence[TrainExample], settings: TrainSettings) -> RowLayout:
    """Packed rows where `module` is seen to honour them, else padded ones, with the reason."""
    base = base_of(module)
    micro = settings.micro_tokens or MICRO_TOKENS.get(base.device.type, MICRO_TOKENS["cpu"])
    pad = max(0, getattr(base.config.get_text_config(), "pad_token_id", None) or 0)
    if base.config.is_encoder_decoder:
        if settings.batching == "packed":
            raise RungError("an encoder–decoder has no packed rows", where="batching", mend="say auto or padded")
        return RowLayout("pairs", pad, micro, reason="an encoder–decoder")
    virtual = virtual_tokens(module)
    shared = pack.common_prefix([example.context_ids for example in examples])
    prefix = examples[0].context_ids[:shared]
    reason = "as asked" if settings.batching == "padded" else packing_refused(module, examples, prefix, virtual)
    if reason:
        if settings.batching == "packed":
            raise RungError(f"rows cannot be packed: {reason}", where="batching", mend="say auto or padded")
        return RowLayout("padded", pad, micro, virtual=virtual, reason=reason)
    own = sum(len(example) - 1 - shared for example in examples) / len(examples)
    step = max(1, round(own * min(len(examples), settings.batch_size)))
    text = base.config.get_text_config()
    weights = sum(p.numel() for p in base.parameters()) - base.get_input_embeddings().weight.numel()
    best = pack.best_row_length(step, shared + virtual, weights, text.num_hidden_layers, text.hidden_size)
    row = settings.row_tokens or min(best, max(micro, pack.ROW_LENGTHS[0]))
    # Some layers with a window count places in the row instead of positions.
    return RowLayout("packed", pad, micro, min(row, pack.window_of(base.config) or row), prefix, virtual)


def packing_refused(module: Any, examples: Sequence[TrainExample], prefix: Sequence[int], virtual: int) -> str:
    """Why this module's rows cannot be packed; empty where they can.

    Two short examples are computed packed, alone, and packed without a mask. Packing holds when its logits are those
    of the examples alone, and far nearer to them than what a module that ignores the mask would give.
    """
    base = base_of(module)
    window, longest = pack.window_of(base.config), max(len(example) for example in examples) + virtual
    if window is not None and longest > window:
        return f"some layers see only {window} tokens and an example has {longest}"
    if base.config._attn_implementation not in ("sdpa", "eager"):
        return f"attention by {base.config._attn_implementation} takes no mask of its own"
    pair = _probe_pair(examples, prefix)
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            alone, packed, blind = _probe_logits(module, pair, base.device, virtual)
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError, KeyError) as error:
        # Any of these is a module's way to say that it does not take such a mask or positions.
        return f"the model does not take packed rows ({type(error).__name__})"
    finally:
        module.train(training)
    scale = float(alone.abs().max())
    wrong, unmasked = float((packed - alone).abs().max()), float((blind - alone).abs().max())
    return "" if wrong <= max(1e-5 * scale, 0.1 * unmasked) else "the model does not keep packed rows apart"


def _probe_pair(examples: Sequence[TrainExample], prefix: Sequence[int]) -> list[TrainExample]:
    start = tuple(prefix[:3])
    words = [token for example in examples[:4] for token in example.context_ids[-6:] + example.answer_ids[:3]]
    words = (words * 16)[:16]
    return [
        TrainExample((*start, *words[:4]), tuple(words[4:7])),
        TrainExample((*start, *words[7:14]), tuple(words[14:])),
    ]


def _probe_logits(
    module: Any, pair: list[TrainExample], device: torch.device, virtual: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    shared = pack.common_prefix([example.context_ids for example in pair])
    layout = RowLayout("packed", 0, 1 << 20, 1 << 20, pair[0].context_ids[:shared], virtual)
    batch = {key: value.to(device) for key, value in layout.batches(pair)[0].items()}
    answers = batch["labels"][0] != pack.IGNORED
    packed = answer_logits(module, batch, layout)[0].float()[answers]
    # One segment for all, positions as they stand: what a module computes that looks at neither.
    seen = torch.full_like(batch["segments"], pack.PREFIX_SEGMENT)
    line = torch.arange(virtual, virtual + seen.shape[1], device=device)[None]
    blind = answer_logits(module, batch | {"segments": seen, "position_ids": line}, layout)[0].float()[answers]
    padded = RowLayout("padded", 0, 1 << 20, virtual=virtual)
    alone = []
    for example in pair:
        single = {key: value.to(device) for key, value in padded.batches([example])[0].items()}
        alone.append(answer_logits(module, single, padded)[0].float())
    return torch.cat(alone), packed, blind


@dataclass(frozen=True)
class ShuffledSteps:
    """The batches of a whole training, one an optimizer step; each is a function of the seed and its number alone.

    `epochs` draws the rows of each epoch where not every row is to be read once in it.
    """

    examples: Sequence[Any]
    layout: Layout
    batch_size: int
    total: int
    seed: int
    epochs: Epochs | None = None
    _orders: dict[int, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return self.total

    @property
    def per_epoch(self) -> int:
        """Steps of one epoch: every example is seen once, or as `epochs` draws."""
        return -(-len(self.epochs or self.examples) // self.batch_size)

    def members(self, step: int) -> list[int]:
        """Which examples step number `step` (from 0) reads."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch not in self._orders:
            self._orders.clear()
            chance = np.random.default_rng([self.seed, epoch])
            own = chance.permutation(len(self.examples)) if self.epochs is None else self.epochs.order(epoch)
            self._orders[epoch] = own
        return [int(i) for i in self._orders[epoch][place * self.batch_size : (place + 1) * self.batch_size]]

    def __getitem__(self, step: int) -> dict[str, Any]:
        if not 0 <= step < self.total:
            raise IndexError(step)
        return step_of(self.layout.batches([self.examples[i] for i in self.members(step)]))


def step_of(batches: list[dict[str, torch.Tensor]]) -> dict[str, Any]:
    """One optimizer step: its batches, the number of target tokens and of computed tokens in them."""
    return {
        "micros": batches,
        "targets": sum(int((batch["labels"] != pack.IGNORED).sum()) for batch in batches),
        "tokens": sum(_computed(batch) for batch in batches),
    }


def _computed(batch: Mapping[str, torch.Tensor]) -> int:
    if "segments" in batch:
        return int((batch["segments"] != pack.PADDING_SEGMENT).sum())
    return int(batch["attention_mask"].sum())


def mean_loss(module: Any, examples: Sequence[TrainExample], layout: RowLayout) -> float:
    """Mean cross-entropy (nats a target token) of `examples`, without gradients, in evaluation mode."""
    training = module.training
    module.eval()
    loss, device = AnswerLoss(layout), base_of(module).device
    total, targets = 0.0, 0
    with torch.no_grad():
        for batch in _chunks(examples, layout):
            placed = {key: value.to(device) for key, value in batch.items()}
            total += float(loss(module, placed))
            targets += int((batch["labels"] != pack.IGNORED).sum())
    module.train(training)
    return total / targets


def _chunks(examples: Sequence[TrainExample], layout: RowLayout) -> Iterator[dict[str, torch.Tensor]]:
    for start in range(0, len(examples), 256):
        yield from layout.batches(examples[start : start + 256])


def digest_of(examples: Sequence[TrainExample]) -> str:
    """SHA-256 over the ids of all examples, in order."""
    whole = hashlib.sha256()
    for example in examples:
        whole.update(
            np.array([len(example.context_ids), *example.context_ids, *example.answer_ids], np.int64).tobytes()
        )
    return whole.hexdigest()
