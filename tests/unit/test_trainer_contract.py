"""`rung.Trainer` means by every argument what `transformers.Trainer` documents: one case an argument, both run on the same.

What is ours beside it (moving weights only, a batch kept, steps) is at the end.
"""

from __future__ import annotations

import gc
import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from test_train import llama

import rung
from rung.errors import RungError
from rung.train.breaks import OutOfMemory
from rung.train.settings import Diverged

Kind = type[transformers.Trainer]
BOTH = (transformers.Trainer, rung.Trainer)


@pytest.fixture(autouse=True, scope="module")
def quick_collections() -> Iterator[None]:
    """The Trainer collects garbage at each start: a quarter of a second with transformers loaded."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def rows(count: int = 12, *, ragged: bool = True) -> list[dict[str, torch.Tensor]]:
    """Texts of random ids, with more or less of them learnt."""
    made = []
    for number in range(count):
        ids = torch.randint(
            3, 50, (6 + (number % 4 if ragged else 0),), generator=torch.Generator().manual_seed(number)
        )
        labels = ids.clone()
        labels[: number % 3] = -100
        made.append({"input_ids": ids, "labels": labels})
    return made


def padded(batch: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    def whole(name: str, fill: int) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence([row[name] for row in batch], batch_first=True, padding_value=fill)

    return {"input_ids": whole("input_ids", 0), "labels": whole("labels", -100)}


def arguments(folder: Path, **more: Any) -> transformers.TrainingArguments:
    plain = {
        "max_steps": 4, "per_device_train_batch_size": 3, "learning_rate": 1e-2, "logging_steps": 1, "save_strategy": "no",
        "report_to": "none", "disable_tqdm": True, "use_cpu": True, "dataloader_pin_memory": False,
    }  # fmt: skip
    return transformers.TrainingArguments(output_dir=str(folder), **(plain | more))


def trainer(kind: Kind, folder: Path, args: dict[str, Any] | None = None, **named: Any) -> transformers.Trainer:
    if "model_init" not in named:
        named.setdefault("model", llama(dropout=0.1))
    named.setdefault("train_dataset", rows())
    named.setdefault("data_collator", padded)
    made = kind(args=arguments(folder / kind.__module__, **(args or {})), **named)
    made.remove_callback(transformers.PrinterCallback)
    return made


def losses(made: transformers.Trainer) -> list[float]:
    return [entry["loss"] for entry in made.state.log_history if "loss" in entry]


def ends(made: transformers.Trainer) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in made.model.parameters()]


def equal(one: transformers.Trainer, other: transformers.Trainer) -> bool:
    """The same losses, step by step, and the same bits at the end."""
    pairs = zip(ends(one), ends(other), strict=True)
    return losses(one) == losses(other) != [] and all(torch.equal(a, b) for a, b in pairs)


def both(folder: Path, args: dict[str, Any] | None = None, **named: Any) -> transformers.Trainer:
    """Trains parent and ours on the same and gives ours, which must be equal to the bit. Callables make fresh values."""
    made = []
    for kind in BOTH:
        fresh = {name: value() if name in ("model", "train_dataset", "callbacks", "optimizers") else value
                 for name, value in named.items()}  # fmt: skip
        made.append(trainer(kind, folder, args, **fresh))
        made[-1].train()
    assert equal(*made)
    return made[1]


# One case an argument of the parent


def case_model(folder: Path) -> None:
    first = both(folder, model=lambda: llama(1))
    assert losses(first) != losses(both(folder, model=lambda: llama(2)))
    with pytest.raises(RuntimeError, match="either a `model` or `model_init`"):
        rung.Trainer(args=arguments(folder))


def case_args(folder: Path) -> None:
    plain = losses(both(folder))
    for more in (
        {"label_smoothing_factor": 0.2},
        {"gradient_accumulation_steps": 2},
        {"lr_scheduler_type": "cosine", "warmup_steps": 2},
        {"max_grad_norm": 0.1},
        {"weight_decay": 0.5},
        {"optim": "adafactor"},
        {"seed": 7},
        {"bf16": True},
        {"neftune_noise_alpha": 5.0},
        {"max_steps": -1, "num_train_epochs": 2},
    ):
        assert losses(both(folder, more)) != plain, more


def case_data_collator(folder: Path) -> None:
    seen: list[int] = []

    def collate(batch: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        seen.append(len(batch))
        return padded(batch)

    made = both(folder, data_collator=collate)
    assert set(seen) == {3}
    assert losses(made) != losses(both(folder, {"per_device_train_batch_size": 2}, data_collator=collate))
    even = {"train_dataset": lambda: rows(ragged=False), "data_collator": None}  # the default one only stacks
    assert losses(both(folder, **even))


class Walk(torch.utils.data.IterableDataset):
    """Rows in an order that its generator draws anew on each walk."""

    def __init__(self) -> None:
        self.generator = torch.Generator()

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        made = rows()
        for place in torch.randperm(len(made), generator=self.generator):
            yield made[int(place)]


class Epochs(torch.utils.data.IterableDataset):
    """Rows in an order of the epoch's."""

    def __init__(self) -> None:
        self.epochs = [0]

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        made = rows()
        yield from (made[int(i)] for i in np.random.default_rng(self.epochs[-1]).permutation(len(made)))


def case_train_dataset(folder: Path) -> None:
    import datasets

    mapped = losses(both(folder, train_dataset=rows))
    seeded = both(folder, {"max_steps": 8}, train_dataset=Walk)
    assert losses(seeded)[:4] != losses(seeded)[4:] and losses(seeded)[:4] != mapped
    told = both(folder, {"max_steps": 8}, train_dataset=Epochs)
    assert 1 in told.train_dataset.epochs and losses(told)[:4] != mapped
    listed = [{name: value.tolist() for name, value in row.items()} for row in rows(ragged=False)]

    def table() -> datasets.Dataset:
        return datasets.Dataset.from_list([row | {"remark": "not for the model"} for row in listed])

    both(folder, train_dataset=table, data_collator=None)
    with pytest.raises(ValueError, match="max_steps has to be specified"):
        trainer(rung.Trainer, folder, {"max_steps": -1}, train_dataset=Walk())


def case_eval_dataset(folder: Path) -> None:
    found = []
    for kind in BOTH:
        one = trainer(kind, folder, eval_dataset=rows(5)).evaluate()
        made = trainer(kind, folder, {"eval_strategy": "steps", "eval_steps": 2},
                       eval_dataset={"short": rows(3), "long": rows(8)})  # fmt: skip
        made.train()
        told = [entry for entry in made.state.log_history if "eval_short_loss" in entry or "eval_long_loss" in entry]
        assert [entry["step"] for entry in told] == [2, 2, 4, 4]
        found.append([one["eval_loss"]] + [entry.get("eval_short_loss", entry.get("eval_long_loss")) for entry in told])
    assert found[0] == found[1] and len(set(found[0])) == 5


def case_processing_class(folder: Path) -> None:
    from bases import tokenizer

    tok = tokenizer()
    texts = [dict(tok(text)) for text in ("where is my order", "send money back please", "the lamp broke")]
    listed = [row | {"labels": row["input_ids"][:1] * 4} for row in texts]

    def model() -> torch.nn.Module:
        torch.manual_seed(0)
        return transformers.AutoModelForSequenceClassification.from_config(
            transformers.BertConfig(vocab_size=len(tok), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                                    num_attention_heads=2, num_labels=2)
        )  # fmt: skip

    labelled = [{**row, "labels": number % 2} for number, row in enumerate(listed)]
    made = both(folder, model=model, train_dataset=lambda: labelled, data_collator=None, processing_class=tok)
    made.save_model(str(folder / "saved"))
    assert transformers.AutoTokenizer.from_pretrained(folder / "saved").get_vocab() == tok.get_vocab()


def case_model_init(folder: Path) -> None:
    first = losses(both(folder, model_init=lambda: llama(1)))
    assert first == losses(both(folder, model_init=lambda trial: llama(1 if trial is None else 2)))
    assert first != losses(both(folder, model_init=lambda: llama(2)))
    made = trainer(rung.Trainer, folder, model_init=lambda: llama())
    again = []
    for _ in range(2):  # each training starts from a new model
        made.train()
        again.append(losses(made))
    assert again[0] == again[1][-4:]
    with pytest.raises(ValueError, match="not both"):
        trainer(rung.Trainer, folder, model=llama(), model_init=lambda: llama())


def case_compute_loss_func(folder: Path) -> None:
    items: list[int] = []

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        items.append(int(num_items_in_batch))
        logits = outputs.logits[:, :-1].flatten(0, 1)
        total = torch.nn.functional.cross_entropy(logits, labels[:, 1:].flatten(), reduction="sum")
        return total / num_items_in_batch

    pieces = both(folder, {"gradient_accumulation_steps": 4, "per_device_train_batch_size": 3, "max_steps": 1},
                  compute_loss_func=loss, model=llama)  # fmt: skip
    targets = sum(int((row["labels"][1:] != -100).sum()) for row in rows())
    assert items == [targets] * 8  # the items of the whole accumulated batch, four times in either trainer
    whole = both(folder, {"per_device_train_batch_size": 12, "max_steps": 1}, compute_loss_func=loss, model=llama)
    assert sum(losses(pieces)) == pytest.approx(losses(whole)[0], rel=1e-5)
    doubled = both(folder, {"max_steps": 1}, compute_loss_func=lambda *a, **k: 2 * loss(*a, **k), model=llama)
    single = both(folder, {"max_steps": 1}, compute_loss_func=loss, model=llama)
    assert losses(doubled)[0] == pytest.approx(2 * losses(single)[0])


def case_compute_metrics(folder: Path) -> None:
    def right(found: Any) -> tuple[int, int]:
        told = np.asarray(found.label_ids)[:, 1:]
        guess = np.asarray(found.predictions)[:, :-1].argmax(-1)
        return int((guess == told)[told != -100].sum()), int((told != -100).sum())

    kept: list[tuple[int, int]] = []

    def batched(found: Any, compute_result: bool = False) -> dict[str, float]:
        kept.append(right(found))
        if not compute_result:
            return {}
        total, seen = sum(a for a, _ in kept), sum(b for _, b in kept)
        kept.clear()
        return {"accuracy": total / seen}

    values = []
    for kind in BOTH:
        at_once = trainer(kind, folder, eval_dataset=rows(ragged=False),
                          compute_metrics=lambda found: {"accuracy": np.divide(*right(found))})  # fmt: skip
        in_parts = trainer(kind, folder, {"batch_eval_metrics": True, "per_device_eval_batch_size": 5},
                           eval_dataset=rows(ragged=False), compute_metrics=batched)  # fmt: skip
        values += [at_once.evaluate()["eval_accuracy"], in_parts.evaluate()["eval_accuracy"]]
    assert len(set(values)) == 1 and 0 <= values[0] < 1
    with pytest.raises(ValueError, match="compute_result"):
        trainer(rung.Trainer, folder, {"batch_eval_metrics": True}, compute_metrics=lambda found: {})


def case_callbacks(folder: Path) -> None:
    class Halt(transformers.TrainerCallback):
        def __init__(self) -> None:
            self.told: list[str] = []

        def on_step_begin(self, args: Any, state: Any, control: Any, **named: Any) -> None:
            self.told.append("begin")
            assert named["model"] is not None and named["optimizer"] is not None

        def on_step_end(self, args: Any, state: Any, control: Any, **named: Any) -> None:
            self.told.append("end")
            control.should_training_stop = state.global_step == 2

    made = both(folder, callbacks=lambda: [Halt()])
    halt = next(c for c in made.callback_handler.callbacks if isinstance(c, Halt))
    assert halt.told == ["begin", "end"] * 2 and len(losses(made)) == 2


def case_optimizers(folder: Path) -> None:
    module: list[torch.nn.Module] = []

    def own_model() -> torch.nn.Module:
        module.append(llama())
        return module[-1]

    def own() -> tuple[Any, Any]:
        mover = torch.optim.SGD(module[-1].parameters(), lr=0.05)
        return mover, torch.optim.lr_scheduler.StepLR(mover, 1, gamma=0.5)

    made = both(folder, {"max_grad_norm": 0.0}, model=own_model, optimizers=own)
    rates = [entry["learning_rate"] for entry in made.state.log_history if "learning_rate" in entry]
    assert rates == pytest.approx([0.05, 0.025, 0.0125, 0.00625])
    assert isinstance(made.optimizer.optimizer, torch.optim.SGD)


def case_optimizer_cls_and_kwargs(folder: Path) -> None:
    made = both(folder, optimizer_cls_and_kwargs=(torch.optim.RMSprop, {"lr": 1e-3, "alpha": 0.5}))
    assert made.optimizer.param_groups[0]["alpha"] == 0.5
    assert losses(made) != losses(both(folder, optimizer_cls_and_kwargs=(torch.optim.RMSprop, {"lr": 2e-3})))
    with pytest.raises(RuntimeError, match="incompatible"):
        trainer(rung.Trainer, folder, optimizer_cls_and_kwargs=(torch.optim.SGD, {"lr": 1.0}),
                optimizers=(torch.optim.SGD(llama().parameters(), lr=1.0), None))  # fmt: skip


def case_preprocess_logits_for_metrics(folder: Path) -> None:
    shapes: list[tuple[int, ...]] = []

    def count(found: Any) -> dict[str, float]:
        shapes.append(found.predictions.shape)
        return {"mean": float(found.predictions.mean())}

    values = [
        trainer(kind, folder, eval_dataset=rows(ragged=False), compute_metrics=count,
                preprocess_logits_for_metrics=lambda logits, labels: logits.argmax(-1) + 0 * labels).evaluate()["eval_mean"]
        for kind in BOTH
    ]  # fmt: skip
    assert values[0] == values[1] and shapes == [(12, 6)] * 2


CASES: dict[str, Callable[[Path], None]] = {
    "model": case_model,
    "args": case_args,
    "data_collator": case_data_collator,
    "train_dataset": case_train_dataset,
    "eval_dataset": case_eval_dataset,
    "processing_class": case_processing_class,
    "model_init": case_model_init,
    "compute_loss_func": case_compute_loss_func,
    "compute_metrics": case_compute_metrics,
    "callbacks": case_callbacks,
    "optimizers": case_optimizers,
    "optimizer_cls_and_kwargs": case_optimizer_cls_and_kwargs,
    "preprocess_logits_for_metrics": case_preprocess_logits_for_metrics,
}


def test_every_argument_of_the_parent_has_a_case() -> None:
    assert list(CASES) == [n for n in inspect.signature(transformers.Trainer.__init__).parameters if n != "self"]


@pytest.mark.parametrize("argument", CASES)
def test_argument(argument: str, tmp_path: Path) -> None:
    CASES[argument](tmp_path)


# What the parent can do beside training


def test_evaluate_and_predict_equal_the_parent(tmp_path: Path) -> None:
    found = []
    for kind in BOTH:
        found.append(trainer(kind, tmp_path, {"max_steps": 2}))
        found[-1].train()
    said = [made.predict(rows(5, ragged=False), metric_key_prefix="held") for made in found]
    assert np.array_equal(said[0].predictions, said[1].predictions) and said[1].predictions.shape == (5, 6, 50)
    assert said[0].metrics["held_loss"] == said[1].metrics["held_loss"]
    assert np.array_equal(said[1].label_ids, np.stack([row["labels"] for row in rows(5, ragged=False)]))


SAVING = {"save_strategy": "steps", "save_steps": 2}


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("optimiser", [None, "lion"])
def test_a_resumed_training_ends_as_one_that_was_not(tmp_path: Path, frozen: bool, optimiser: str | None) -> None:
    def build() -> torch.nn.Module:
        module = llama(dropout=0.2)
        if frozen:
            module.get_input_embeddings().requires_grad_(False)
        return module

    straight = trainer(rung.Trainer, tmp_path, SAVING, model=build(), optimiser=optimiser)
    straight.train()
    checkpoint = Path(straight.args.output_dir) / "checkpoint-2"
    assert (checkpoint / "trainable.safetensors").exists() is frozen
    assert (checkpoint / "model.safetensors").exists() is not frozen
    resumed = trainer(rung.Trainer, tmp_path, SAVING, model=build(), optimiser=optimiser)
    resumed.train(resume_from_checkpoint=str(checkpoint))
    assert all(torch.equal(a, b) for a, b in zip(ends(straight), ends(resumed), strict=True))
    assert losses(straight) == losses(resumed)


def test_the_whole_is_saved_where_it_is_asked_for(tmp_path: Path) -> None:
    module = llama()
    module.get_input_embeddings().requires_grad_(False)
    made = trainer(rung.Trainer, tmp_path, SAVING, model=module, trainable_only=False)
    made.train()
    again = transformers.AutoModelForCausalLM.from_pretrained(Path(made.args.output_dir) / "checkpoint-4")
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), module.parameters(), strict=True))
    small = trainer(rung.Trainer, tmp_path / "small", SAVING, model=module)
    small.save_model(str(tmp_path / "saved"))  # a call of the user's writes all there is
    transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "saved")


def test_the_best_of_moving_weights_is_loaded_at_the_end(tmp_path: Path) -> None:
    module = llama()
    module.get_input_embeddings().requires_grad_(False)
    args = {**SAVING, "eval_strategy": "steps", "eval_steps": 2, "load_best_model_at_end": True, "learning_rate": 0.5,
            "metric_for_best_model": "loss", "greater_is_better": True}  # fmt: skip
    made = trainer(rung.Trainer, tmp_path, args, model=module, eval_dataset=rows(4))
    made.train()
    assert made.state.best_model_checkpoint is not None
    assert made.evaluate()["eval_loss"] == made.state.best_metric


def test_adapters_keep_the_standard_form_and_resume(tmp_path: Path) -> None:
    from peft import AutoPeftModelForCausalLM, LoraConfig, get_peft_model

    llama().save_pretrained(tmp_path / "base")

    def build() -> Any:
        base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
        torch.manual_seed(0)
        return get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))

    straight = trainer(rung.Trainer, tmp_path, SAVING, model=build())
    straight.train()
    folder = Path(straight.args.output_dir)
    assert not (folder / "checkpoint-2" / "model.safetensors").exists()
    resumed = trainer(rung.Trainer, tmp_path, SAVING, model=build())
    resumed.train(resume_from_checkpoint=str(folder / "checkpoint-2"))
    assert all(torch.equal(a, b) for a, b in zip(ends(straight), ends(resumed), strict=True))
    AutoPeftModelForCausalLM.from_pretrained(folder / "checkpoint-4")
    other = get_peft_model(llama(), LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    with pytest.raises(RungError, match="a checkpoint of another model"):
        trainer(rung.Trainer, tmp_path, model=other).train(resume_from_checkpoint=str(folder / "checkpoint-2"))


def test_a_search_over_hyper_parameters_starts_each_trial_from_a_new_model(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    widths: list[float] = []

    def build(trial: Any) -> torch.nn.Module:
        widths.append(0.0 if trial is None else trial.params.get("learning_rate", 0.0))
        return llama()

    made = trainer(rung.Trainer, tmp_path, {"eval_strategy": "epoch"}, model_init=build, eval_dataset=rows(4),
                   optimiser="lion")  # fmt: skip
    best = made.hyperparameter_search(
        hp_space=lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-9, 1e-2, log=True)},
        backend="optuna", n_trials=3, direction="minimize",
        sampler=optuna.samplers.GridSampler({"learning_rate": [1e-9, 1e-4, 3e-3]}),
    )  # fmt: skip
    assert best.hyperparameters == {"learning_rate": 3e-3} and len(widths) == 4


# What is ours


def test_a_loss_that_is_no_number_ends_it_with_the_batch_kept(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    module = llama()
    with torch.no_grad():
        module.get_input_embeddings().weight[int(rows()[5]["input_ids"][0])] = float("nan")
    made = trainer(rung.Trainer, tmp_path, {"max_steps": 20, "seed": 3}, model=module)
    with pytest.raises(Diverged, match="look for the row that breaks it") as caught:
        made.train()
    assert caught.value.batch is not None and caught.value.batch.parent == Path(made.args.output_dir)
    kept = load_file(caught.value.batch)
    assert kept.keys() == {"input_ids", "labels"} and len(kept["input_ids"]) == 3
    assert int(rows()[5]["input_ids"][0]) in kept["input_ids"]


def test_memory_that_runs_out_is_one_line(tmp_path: Path) -> None:
    def loss(outputs: Any, labels: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        return torch.empty(1 << 60).sum()

    with pytest.raises(OutOfMemory, match="after step 0: out of memory"):
        trainer(rung.Trainer, tmp_path, compute_loss_func=loss).train()


@pytest.mark.parametrize("change", ["shape", "name"])
def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path, change: str) -> None:
    made = trainer(rung.Trainer, tmp_path, SAVING)
    made.train()
    checkpoint = Path(made.args.output_dir) / "checkpoint-2"
    config = llama().config.to_dict() | ({"intermediate_size": 48} if change == "shape" else {"num_hidden_layers": 3})
    other = transformers.AutoModelForCausalLM.from_config(transformers.LlamaConfig(**config))
    with pytest.raises(RungError, match="another model") as caught:
        trainer(rung.Trainer, tmp_path, model=other).train(resume_from_checkpoint=str(checkpoint))
    assert str(checkpoint) in str(caught.value) and ("32" if change == "shape" else "layers.2") in str(caught.value)


def test_steps_are_taken_as_they_are_cut(tmp_path: Path) -> None:
    def summed(module: Any, batch: Any) -> torch.Tensor:
        logits = module(input_ids=batch["input_ids"]).logits[:, :-1].flatten(0, 1)
        return torch.nn.functional.cross_entropy(logits, batch["labels"][:, 1:].flatten(), reduction="sum")

    def cut(size: int) -> list[dict[str, Any]]:
        pieces = [rows()[i : i + size] for i in range(0, 12, size)]
        targets = sum(int((row["labels"][1:] != -100).sum()) for row in rows())
        return [{"micros": [padded(piece) for piece in pieces], "targets": targets, "tokens": 0}] * 3

    found = []
    for size in (12, 5, 1):
        made = trainer(rung.Trainer, tmp_path, {"per_device_train_batch_size": 1, "max_steps": 3}, model=llama(),
                       train_dataset=cut(size), data_collator=lambda rows: rows[0], objective=summed)  # fmt: skip
        made.train()
        found.append(losses(made))
    assert found[0] == pytest.approx(found[1], rel=1e-4) and found[0] == pytest.approx(found[2], rel=1e-4)
    with pytest.raises(RungError, match="per_device_train_batch_size=1"):
        trainer(rung.Trainer, tmp_path, train_dataset=cut(4), objective=summed)


def test_an_optimiser_by_name_follows_the_arguments(tmp_path: Path) -> None:
    made = trainer(rung.Trainer, tmp_path, {"learning_rate": 3e-3, "weight_decay": 0.2}, optimiser="lion")
    made.train()
    assert {group["initial_lr"] for group in made.optimizer.param_groups} == {3e-3}
    assert sorted({group["weight_decay"] for group in made.optimizer.param_groups}) == [0.0, 0.2]
    plain = trainer(rung.Trainer, tmp_path, optimiser="adamw", model=llama())
    parent = trainer(transformers.Trainer, tmp_path, model=llama())
    for one in (plain, parent):
        one.train()
    assert equal(plain, parent)
    json.dumps(made.state.log_history)
