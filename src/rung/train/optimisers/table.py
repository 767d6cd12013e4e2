"""Every optimiser by name in one literal table: its rule, where it comes from, what it can be told, what it keeps.

Values and makers only; torch is loaded when one is made, so that settings can be checked without it. Which weights an
optimiser moves is decided in `build`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from rung.errors import MissingExtra, RungError, nearest

Groups = Sequence[dict[str, Any]]
Options = Mapping[str, Any]


@dataclass(frozen=True)
class Optimiser:
    """One row of the table.

    `make(groups, options)` gives the optimiser; a group has `params`, `lr`, `weight_decay` and `matrices` (whether it
    holds the matrices between layers). `options` are its own defaults, and so what it can be told. `rate` is a first
    guess of the learning rate as a multiple of AdamW's; `state` the bytes kept for each float32 weight. `full_batch`:
    every step sees all examples. `decay` says how a weight decay enters: apart from the gradient, or as L2 in it.
    """

    make: Callable[[Groups, Options], Any]
    rate: float
    state: float
    source: str
    options: Options
    decay: str = "L2"
    full_batch: bool = False


def optimiser(name: str) -> Optimiser:
    """The row of `name`. Raises RungError for an unknown one."""
    if name not in OPTIMISERS:
        raise RungError(f"unknown optimiser {name!r}", where="optimiser", mend=nearest(name, OPTIMISERS))
    return OPTIMISERS[name]


def options_of(name: str, **given: Any) -> dict[str, Any]:
    """The options of `name`, those of `given` that are not None over its own.

    Raises RungError for an option that this optimiser does not have, or a value outside its range.
    """
    row = optimiser(name)
    told = {key: value for key, value in given.items() if value is not None}
    for key, value in told.items():
        if key not in row.options:
            known = f"it has {' and '.join(row.options)}" if row.options else "it has none of its own"
            raise RungError(f"{name} has no option {key}", where="optimiser", mend=f"leave it out: {known}")
        shares = value if key == "betas" else (value,)
        if not all(0 <= share < 1 for share in shares) and key != "eps":
            raise RungError(f"{value} is no share below 1", where=key, mend="give 0 to below 1")
        if key == "eps" and not value > 0:
            raise RungError(f"{value} is not above 0", where=key, mend="give a number above 0")
    return {**row.options, **told}


def note(name: str, device: str) -> str:
    """What must be said about `name` on a device of this type (`cpu`, `cuda`); empty for most."""
    if name == "paged-adamw" and device != "cuda":
        return "paged-adamw: pages are of CUDA; on this device its states stay in ordinary memory"
    return ""


def lacking(name: str) -> str:
    """What must be installed for `name` and is not, in words; empty where nothing is missing."""
    if name not in ("adamw-8bit", "paged-adamw") or find_spec("bitsandbytes") is not None:
        return ""
    return f"{name} needs bitsandbytes: pip install 'rung[nf4]'"


def _sgd(groups: Groups, options: Options) -> Any:
    from torch.optim import SGD

    return SGD(groups, momentum=options.get("momentum", 0.0))


def _adagrad(groups: Groups, options: Options) -> Any:
    from torch.optim import Adagrad

    return Adagrad(groups, eps=options["eps"])


def _rmsprop(groups: Groups, options: Options) -> Any:
    from torch.optim import RMSprop

    return RMSprop(groups, alpha=options["smoothing"], eps=options["eps"])


def _adadelta(groups: Groups, options: Options) -> Any:
    from torch.optim import Adadelta

    return Adadelta(groups, rho=options["smoothing"], eps=options["eps"])


def _adam(groups: Groups, options: Options) -> Any:
    from torch.optim import Adam

    return Adam(groups, betas=options["betas"], eps=options["eps"], fused=True)


def _adamw(groups: Groups, options: Options) -> Any:
    from torch.optim import AdamW

    return AdamW(groups, betas=options["betas"], eps=options["eps"], fused=True)


def _adafactor(groups: Groups, options: Options) -> Any:
    from torch.optim import Adafactor

    return Adafactor(groups)


def _lion(groups: Groups, options: Options) -> Any:
    from rung.train.optimisers.lion import Lion

    return Lion(groups, betas=options["betas"])


def _muon(groups: Groups, options: Options) -> Any:
    from torch.optim import Muon

    from rung.train.optimisers.together import together

    def matrices(own: Groups) -> Any:
        return Muon(own, momentum=options["momentum"], adjust_lr_fn="match_rms_adamw")

    return together(groups, matrices, lambda rest: _adamw(rest, {"betas": options["betas"], "eps": options["eps"]}))


def _bitsandbytes() -> Any:
    try:
        import bitsandbytes
    except ImportError as error:
        raise MissingExtra("nf4", needs="bitsandbytes", what="an 8-bit or paged optimiser") from error
    return bitsandbytes.optim


def _adamw_8bit(groups: Groups, options: Options) -> Any:
    from rung.train.optimisers.together import together

    library = _bitsandbytes()

    def matrices(own: Groups) -> Any:
        return library.AdamW8bit(own, betas=options["betas"], eps=options["eps"])

    # Lookup tables keep states in 32 bits, without which training is unstable (Dettmers et al. 2022, section 2.3).
    return together(groups, matrices, lambda rest: _adamw(rest, options))


def _paged_adamw(groups: Groups, options: Options) -> Any:
    found = _bitsandbytes().PagedAdamW32bit(groups, betas=options["betas"], eps=options["eps"])
    found._cpu_paged_warned = True  # `note` says it
    return found


ADAM = {"betas": (0.9, 0.999), "eps": 1e-8}

OPTIMISERS: dict[str, Optimiser] = {
    "gradient-descent": Optimiser(
        _sgd, 500, 0, "the gradient of all examples at every step (Cauchy 1847)", {}, full_batch=True
    ),
    "sgd": Optimiser(_sgd, 500, 0, "Robbins and Monro 1951", {}),
    "momentum": Optimiser(_sgd, 50, 4, "Polyak 1964; Sutskever et al. 2013", {"momentum": 0.9}),
    "adagrad": Optimiser(_adagrad, 4, 4, "Duchi, Hazan and Singer 2011", {"eps": 1e-10}),
    "rmsprop": Optimiser(_rmsprop, 0.2, 4, "Tieleman and Hinton 2012", {"smoothing": 0.99, "eps": 1e-8}),
    "adadelta": Optimiser(_adadelta, 2000, 8, "Zeiler 2012", {"smoothing": 0.9, "eps": 1e-6}),
    "adam": Optimiser(_adam, 1, 8, "Kingma and Ba 2015", ADAM),
    "adamw": Optimiser(_adamw, 1, 8, "Loshchilov and Hutter 2019", ADAM, decay="apart"),
    "adafactor": Optimiser(_adafactor, 10, 0.1, "Shazeer and Stern 2018", {}, decay="apart"),
    "lion": Optimiser(_lion, 0.2, 4, "Chen et al. 2023", {"betas": (0.9, 0.99)}, decay="apart"),
    "muon": Optimiser(
        _muon, 2, 4, "Jordan et al. 2024, scaled as in Liu et al. 2025; AdamW beside matrices",
        {"momentum": 0.95, **ADAM}, decay="apart",
    ),
    "adamw-8bit": Optimiser(_adamw_8bit, 1, 2, "Dettmers et al. 2022", ADAM, decay="apart"),
    "paged-adamw": Optimiser(_paged_adamw, 1, 8, "Dettmers et al. 2023", ADAM, decay="apart"),
}  # fmt: skip
