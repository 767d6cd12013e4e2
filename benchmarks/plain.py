"""The peer of `climb`: the same rungs as plain transformers and peft scripts, one by one, nothing shared.

What an engineer writes first: every prompt in full, every choice its own sequence, padded batches, one prompt a training
row, the whole grid of settings. Same layout of prompts, same data, same seeds and steps as Rung's rungs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model

from rung.model.layout import Layout
from rung.model.load import Model
from rung.task import Task
from rung.types import Example

BATCH = 32


class PlainScorer:
    """Accuracy by summed log-likelihood: each (prompt, label) pair a padded row of its own."""

    def __init__(self, model: Model, task: Task) -> None:
        self.layout, self.task = Layout.of(model), task
        self.pad = model.tokenizer.pad_token_id or 0
        self.labels = [self.layout.answer(label) for label in task.labels]

    @torch.inference_mode()
    def answers(
        self, module: Any, instruction: str, shots: Sequence[Sequence[Any]], rows: Sequence[Example]
    ) -> list[str]:
        """The likeliest label of each row; `shots[i]` stand before row i."""
        module.eval()
        texts = [self.layout.text(instruction, own, row.prompt) for row, own in zip(rows, shots)]
        pairs = [(context, label) for context in self.layout.contexts(texts) for label in self.labels]
        scores: list[float] = []
        for start in range(0, len(pairs), BATCH):
            scores += self._batch(module, pairs[start : start + BATCH])
        width = len(self.labels)
        found = [scores[start : start + width] for start in range(0, len(scores), width)]
        return [self.task.labels[row.index(max(row))] for row in found]

    def _batch(self, module: Any, pairs: Sequence[tuple[list[int], list[int]]]) -> list[float]:
        longest = max(len(context) + len(label) for context, label in pairs)
        ids = torch.full((len(pairs), longest), self.pad)
        mask = torch.zeros((len(pairs), longest), dtype=torch.long)
        for row, (context, label) in enumerate(pairs):
            ids[row, : len(context) + len(label)] = torch.tensor(context + label)
            mask[row, : len(context) + len(label)] = 1
        device = next(module.parameters()).device
        logits = module(input_ids=ids.to(device), attention_mask=mask.to(device)).logits.cpu()
        logits = logits[:, -longest:].float().log_softmax(-1)  # a soft prompt puts its own positions in front
        return [
            float(logits[row, torch.arange(len(c) - 1, len(c) + len(a) - 1), torch.tensor(a)].sum())
            for row, (c, a) in enumerate(pairs)
        ]


def accuracy(answers: Sequence[str], rows: Sequence[Example]) -> float:
    """The share of right answers."""
    return sum(answer == row.target for answer, row in zip(answers, rows)) / len(rows)


def tuned(model: Model, how: str, settings: dict[str, Any], seed: int) -> Any:
    """A module ready to train: LoRA, a soft prompt, or everything."""
    torch.manual_seed(seed)
    if how == "full":
        return model.fresh("float32").requires_grad_(True)
    module = model.fresh()
    if how == "lora":
        rank = settings["rank"]
        config: Any = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    else:
        config = PromptTuningConfig(num_virtual_tokens=settings["tokens"], task_type="CAUSAL_LM")
    return get_peft_model(module, config)


def train(
    module: Any, model: Model, task: Task, instruction: str, rate: float, epochs: int, batch: int, seed: int
) -> tuple[float, int]:
    """Train on padded batches, one prompt a row; score validation after each epoch. Best score, tokens computed."""
    layout, scorer = Layout.of(model), PlainScorer(model, task)
    contexts = layout.contexts([layout.text(instruction, (), row.prompt) for row in task.train])
    rows = [(context, layout.answer(row.target or "", end=True)) for context, row in zip(contexts, task.train)]
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
    steps = epochs * -(-len(rows) // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    order = torch.Generator().manual_seed(seed)
    best, tokens = 0.0, 0
    for _ in range(epochs):
        module.train()
        for start in torch.randperm(len(rows), generator=order).split(batch):
            loss, count = _loss(module, [rows[i] for i in start.tolist()], scorer.pad)
            tokens += count
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
        with torch.autocast(model.module.device.type, torch.bfloat16):
            said = scorer.answers(module, instruction, [()] * len(task.validation), task.validation)
        best = max(best, accuracy(said, task.validation))
    return best, tokens


def _loss(module: Any, rows: Sequence[tuple[list[int], list[int]]], pad: int) -> tuple[torch.Tensor, int]:
    longest = max(len(context) + len(answer) for context, answer in rows)
    ids = torch.full((len(rows), longest), pad)
    labels = torch.full((len(rows), longest), -100)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for row, (context, answer) in enumerate(rows):
        whole = context + answer
        ids[row, : len(whole)], mask[row, : len(whole)] = torch.tensor(whole), 1
        labels[row, len(context) : len(whole)] = torch.tensor(answer)
    device = next(module.parameters()).device
    with torch.autocast(device.type, torch.bfloat16):
        loss: torch.Tensor = module(
            input_ids=ids.to(device), attention_mask=mask.to(device), labels=labels.to(device)
        ).loss
    return loss, ids.numel()
