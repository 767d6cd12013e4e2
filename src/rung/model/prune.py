"""Fewer weights: small ones made zero, or layers, heads and neurons taken out so that the model really shrinks.

Zeros keep their place on disk and in memory; only what is taken out saves bytes and time. What a pruned model is worth
is scored by the ladder; nothing here trains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils import prune as masks

from rung.errors import RungError, nearest

Texts = Sequence[Sequence[int]]
"""Token ids of some texts of the task."""


@dataclass(frozen=True)
class Pruning:
    """`method` is a key of `METHODS`, `share` of what is taken: weights, layers, heads or neurons, 0 to 1."""

    method: str
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise RungError(f"unknown method {self.method!r}", where="--method", mend=nearest(self.method, METHODS))
        if not 0.0 < self.share < 1.0:
            raise RungError(f"is {self.share:g}", where="--share", mend="choose a share between 0 and 1")
        if self.method == "2:4" and self.share != 0.5:
            raise RungError("2:4 takes half of the weights", where="--share", mend="leave it out")

    def apply(self, module: Any, texts: Texts) -> Any:
        """`module` pruned, in place. Raises RungError where its architecture has no such parts, or too few of them."""
        with torch.no_grad():
            METHODS[self.method](module, self.share, texts)
        return module


def magnitude(module: Any, share: float, _: Texts) -> None:
    """The smallest weights of all linear layers but the head become zero, wherever they are (Han et al. 2015)."""
    layers = [(layer, "weight") for layer in _inside(module)]
    masks.global_unstructured(layers, pruning_method=masks.L1Unstructured, amount=share)
    for layer, name in layers:
        masks.remove(layer, name)


def two_of_four(module: Any, _: float, __: Texts) -> None:
    """Of every four neighbours in a row the two smallest become zero, which some GPUs multiply twice as fast (Mishra et
    al. 2021)."""
    for layer in _inside(module):
        weight = layer.weight
        if weight.shape[1] % 4:
            what = f"a layer has {weight.shape[1]} inputs, no multiple of 4"
            raise RungError(what, where="2:4", mend="take --method magnitude")
        fours = weight.abs().reshape(weight.shape[0], -1, 4)
        mask = torch.zeros_like(fours).scatter_(2, fours.topk(2, dim=2).indices, 1.0)
        masks.custom_from_mask(layer, "weight", mask.reshape(weight.shape))
        masks.remove(layer, "weight")


def layers(module: Any, share: float, texts: Texts) -> None:
    """The layers that turn the hidden states least go: 1 − the mean cosine between what goes in and what comes out (block
    influence; Men et al. 2024), over the tokens of `texts`."""
    stack = _stack(module)
    count = round(share * len(stack))
    if not 1 <= count < len(stack):
        what = f"{share:g} of {len(stack)} layers are {count}"
        raise RungError(what, where="--share", mend="choose one that leaves some layers, and takes one")
    influence = block_influence(module, stack, texts)
    gone = set(sorted(range(len(stack)), key=lambda place: (influence[place], place))[:count])
    kept = [place for place in range(len(stack)) if place not in gone]
    for place in sorted(gone, reverse=True):
        del stack[place]
    config = module.config
    config.num_hidden_layers = len(kept)
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[place] for place in kept]


def block_influence(module: Any, stack: Any, texts: Texts) -> list[float]:
    """1 − the mean cosine between the hidden states before and after each layer of `stack`, over all tokens of `texts`."""
    if not texts:
        raise RungError("needs texts to see what each layer does", where="layers", mend="name a task with --task")
    sums, tokens = [0.0] * len(stack), 0

    def watch(place: int) -> Callable[..., None]:
        def hook(_: Any, args: Any, kwargs: Mapping[str, Any], out: Any) -> None:
            before = args[0] if args else kwargs["hidden_states"]
            after = out[0] if isinstance(out, tuple) else out
            near = torch.nn.functional.cosine_similarity(before.float(), after.float(), dim=-1)
            sums[place] += float(near.sum())

        return hook

    hooks = [layer.register_forward_hook(watch(place), with_kwargs=True) for place, layer in enumerate(stack)]
    module.eval()
    for ids in texts:
        module(input_ids=torch.tensor([list(ids)], device=module.device))
        tokens += len(ids)
    for hook in hooks:
        hook.remove()
    return [1.0 - total / tokens for total in sums]


def neurons(module: Any, share: float, _: Texts) -> None:
    """Of each gated feed-forward part the neurons go whose weights are smallest: the product of the lengths of their rows
    in gate and up and of their column in down. What stays is a multiple of 8."""
    for layer in _llama_like(module, "neurons"):
        part = layer.mlp
        keep = max(8, round((1.0 - share) * part.gate_proj.out_features / 8) * 8)
        size = part.gate_proj.weight.norm(dim=1) * part.up_proj.weight.norm(dim=1) * part.down_proj.weight.norm(dim=0)
        kept = size.float().topk(min(keep, len(size))).indices.sort().values
        _cut(part.gate_proj, rows=kept)
        _cut(part.up_proj, rows=kept)
        _cut(part.down_proj, columns=kept)
    module.config.intermediate_size = len(kept)


def heads(module: Any, share: float, _: Texts) -> None:
    """Of each attention the key–value heads go, with the queries that read them, whose weights are smallest: the length
    of their columns in the output times that of their rows in the value. As many stay as divide the hidden size, which
    transformers asks of a Llama: at least the share goes."""
    config = module.config
    width = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
    groups, each = config.num_key_value_heads, config.num_attention_heads // config.num_key_value_heads
    wanted = groups - round(share * groups)
    keep = next((number for number in range(wanted, 0, -1) if config.hidden_size % (number * each) == 0), 0)
    if not 1 <= keep < groups:
        what = f"{share:g} of {groups} key–value heads are {groups - wanted}"
        raise RungError(what, where="--share", mend="choose one that leaves some heads, and takes one")
    for layer in _llama_like(module, "heads"):
        part = layer.self_attn
        value = part.v_proj.weight.reshape(groups, -1).norm(dim=1)
        out = part.o_proj.weight.reshape(part.o_proj.weight.shape[0], groups, -1).norm(dim=(0, 2))
        kept = (value * out).float().topk(keep).indices.sort().values
        own = (kept[:, None] * width + torch.arange(width, device=kept.device)).flatten()
        asked = (kept[:, None] * each * width + torch.arange(each * width, device=kept.device)).flatten()
        _cut(part.k_proj, rows=own)
        _cut(part.v_proj, rows=own)
        _cut(part.q_proj, rows=asked)
        _cut(part.o_proj, columns=asked)
    config.head_dim = width
    config.num_attention_heads, config.num_key_value_heads = keep * each, keep


METHODS: Mapping[str, Callable[[Any, float, Texts], None]] = {
    "magnitude": magnitude,
    "2:4": two_of_four,
    "layers": layers,
    "neurons": neurons,
    "heads": heads,
}


def zeros(module: Any) -> float:
    """The share of zeros among the weights of the linear layers but the head."""
    found = [layer.weight for layer in _inside(module)]
    return sum(int((weight == 0).sum()) for weight in found) / max(1, sum(weight.numel() for weight in found))


def _inside(module: Any) -> list[Any]:
    head = module.get_output_embeddings() if hasattr(module, "get_output_embeddings") else None
    found = [layer for layer in module.modules() if isinstance(layer, torch.nn.Linear) and layer is not head]
    if not found:
        what = f"a {module.config.model_type} has no linear layers to prune"
        raise RungError(what, where="--method", mend="take --method layers")
    return found


def _stack(module: Any) -> Any:
    """The list of the layers that follow each other."""
    lists = [one for one in module.modules() if isinstance(one, torch.nn.ModuleList)]
    found = [one for one in lists if len(one) == getattr(module.config, "num_hidden_layers", 0) and len(one) > 1]
    if len(found) != 1:
        what = f"a {module.config.model_type} has no single stack of layers"
        raise RungError(what, where="--method", mend="take --method magnitude")
    return found[0]


def _llama_like(module: Any, method: str) -> Any:
    stack = _stack(module)
    if not all(hasattr(getattr(layer, "mlp", None), "gate_proj") and hasattr(layer, "self_attn") for layer in stack):
        what = f"{method} are cut in decoders like Llama only, not in a {module.config.model_type}"
        raise RungError(what, where="--method", mend="take --method layers or magnitude")
    return stack


def _cut(layer: Any, *, rows: torch.Tensor | None = None, columns: torch.Tensor | None = None) -> None:
    """Keep some outputs (`rows`) or inputs (`columns`) of a linear layer."""
    weight = layer.weight if rows is None else layer.weight[rows]
    weight = weight if columns is None else weight[:, columns]
    layer.weight = torch.nn.Parameter(weight.contiguous(), requires_grad=False)
    if rows is not None and layer.bias is not None:
        layer.bias = torch.nn.Parameter(layer.bias[rows], requires_grad=False)
    layer.out_features, layer.in_features = layer.weight.shape
