"""Memory counted on storage-less tensors: against torch's own account of a real step, the heap, parts that add up."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rung.errors import RungError
from rung.model.load import Model
from rung.model.memory import ModelShape, serve_memory, train_memory
from rung.model.memory.allocator import GnuHeap
from rung.model.memory.count import StepCount
from rung.model.methods import METHODS
from rung.model.outline import Outline, outline
from rung.train.answers import AnswerLoss, RowLayout, virtual_tokens
from rung.train.checkpointing import checkpointed
from rung.train.settings import TrainExample
from rung.train.size.step import answer_step

LLAMA = transformers.LlamaConfig(
    vocab_size=100,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
).to_dict()
ROWS = [TrainExample((5, 6, 7, 8) * 8, (9, 10, 11, 12) * 4), TrainExample((3,) * 20, (4,) * 12)] * 3


def test_shapes_are_read_from_every_kind_of_configuration() -> None:
    shape = ModelShape.of(LLAMA)
    assert (shape.layers, shape.hidden, shape.feed_forward, shape.kv_width, shape.decoder_layers) == (3, 64, 128, 32, 0)
    t5 = ModelShape.of(
        transformers.T5Config(vocab_size=100, d_model=64, d_kv=16, d_ff=128, num_layers=3, num_heads=4).to_dict()
    )
    assert (t5.layers, t5.kv_width, t5.decoder_layers) == (3, 64, 3)
    assert ModelShape.of(transformers.MambaConfig(num_hidden_layers=2).to_dict()).cache_width == 0
    with pytest.raises(RungError, match="hidden_size"):
        ModelShape.of({"model_type": "odd"})


class Alive(TorchDispatchMode):
    """Bytes of real tensors in use beside those given, by their storages."""

    def __init__(self, known: list[torch.Tensor]) -> None:
        super().__init__()
        self.seen = {tensor.untyped_storage()._cdata for tensor in known}
        self.now = self.most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in self.seen:
                storage = tensor.untyped_storage()
                key, size = storage._cdata, storage.nbytes()
                self.seen.add(key)
                self.now += size
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self._gone, key, size)
        return out

    def _gone(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.now -= size


def really(model: Model, method: str, kind: str, low: bool, again: bool) -> tuple[int, int, int]:
    """Bytes of gradients, the most in use beside the weights, and how many weights move, in a step of real numbers."""
    module = METHODS[method]().prepare(model).train()
    if again:
        checkpointed(module)
    layout = RowLayout(kind, 0, 128, 128, (), virtual_tokens(module))  # type: ignore[arg-type]
    batches = layout.batches(ROWS)
    known = [*module.parameters(), *module.buffers(), *(one for batch in batches for one in batch.values())]
    counter = Alive(known)
    with counter:
        for batch in batches:
            with torch.autocast("cpu", torch.bfloat16, enabled=low):
                loss = AnswerLoss(layout)(module, batch) / 2
            loss.backward()
            del loss
    gradients = sum(w.grad.nbytes for w in module.parameters() if w.grad is not None)
    return gradients, counter.most, sum(w.numel() for w in module.parameters() if w.requires_grad)


CASES = [("llama", method, low, again)
         for method in ("full", "lora", "prompt-tuning") for low in (False, True) for again in (False, True)]  # fmt: skip
CASES += [("gpt2", "full", False, False), ("gpt2", "lora", True, True), ("qwen3", "lora", True, False)]
CASES += [("t5", "full", False, False), ("t5", "prompt-tuning", False, True), ("gemma3", "full", True, False)]


@pytest.mark.parametrize(("kind", "method", "low", "again"), CASES)
def test_a_step_without_numbers_allocates_what_a_real_one_does(
    kind: str, method: str, low: bool, again: bool, base: Callable[[str], Path]
) -> None:
    folder = base(kind)
    counted = answer_step(
        outline(str(folder), dtype="float32"), METHODS[method](), ROWS, 128, low_precision=low, checkpointing=again
    )
    layout = "pairs" if kind == "t5" else "packed"
    gradients, most, trained = really(Model.load(str(folder), dtype="float32"), method, layout, low, again)
    assert sum(counted.trained) == trained
    assert counted.gradients == gradients
    assert counted.moving == pytest.approx(most, rel=0.03)
    assert counted.activations < counted.moving


def test_packed_weights_and_what_moves_beside_them() -> None:
    wide = answer_step(Outline.of(LLAMA, dtype="bfloat16"), METHODS["lora"](), ROWS, 128)
    packed = answer_step(Outline.of(LLAMA, dtype="nf4"), METHODS["lora"](), ROWS, 128)
    linear = 3 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128)
    assert sum(wide.weights) - sum(packed.weights) == pytest.approx(linear * (2 - 0.516), rel=1e-3)
    assert packed.trained == wide.trained


def test_the_parts_of_a_training_add_up() -> None:
    step = StepCount((4000,), (1000,), 4000, 900, 300, 5000, ((0, 900), (0, 0), (1, 4000), (1, 0)), 3)
    use = train_memory(step, keep_best=True, beside=0)
    assert (use.weights, use.optimizer, use.best_weights, use.activations, use.logits) == (4000, 8000, 4000, 600, 300)
    assert use.total == use.to_json()["total"] == round(4000 + 8000 + 4000 + 5000 + use.slack)
    assert train_memory(step, device="cuda").total == round(4000 + 8000 + 5000 * 1.1)
    assert train_memory(step, states=0, device="cuda").optimizer == 0


def test_the_heap_keeps_holes_and_gives_back_what_was_mapped() -> None:
    heap = GnuHeap()
    heap.take(0, 64 * 2**20)  # above every threshold: mapped, and gone when given back
    assert heap.held > 64 * 2**20
    heap.give(0)
    assert heap.held < 1000
    for block in range(1, 9):
        heap.take(block, 100_000)
    full = heap.held
    assert full > 800_000
    for block in range(2, 9, 2):
        heap.give(block)
    assert heap.held == pytest.approx(full, abs=64)  # holes between blocks in use stay with the process
    heap.take(20, 50_000)
    assert heap.held == pytest.approx(full, abs=64)  # and are used again
    assert heap.peak > 64 * 2**20


def test_freed_neighbours_become_one_hole() -> None:
    heap = GnuHeap()
    for block in range(4):
        heap.take(block, 60_000)
    held = heap.held
    heap.give(0)
    heap.give(1)
    heap.settle()
    heap.take(9, 110_000)
    assert heap.held == held


def test_the_cache_holds_a_key_and_a_value_a_token_and_layer() -> None:
    shape = ModelShape.of(LLAMA)
    assert serve_memory(shape, 1000, rows=2, length=10, weight_bytes=2).cache == 2 * 3 * 32 * 2 * 10 * 2
    assert serve_memory(shape, 1000, weight_bytes=0.516).weights == 516
