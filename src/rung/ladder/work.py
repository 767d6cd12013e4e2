"""Computed cost: operations counted from tokens and parameters, never from a clock.

A forward pass over T tokens of a model with N parameters takes 2·N·T operations, the backward pass as many again for
the activations and, where the weights themselves learn, for the weights (Kaplan et al. 2020, section 2.1). Attention's
own products are left out, as usual below windows of some thousand tokens. Money follows from a declared price of a
machine hour and a nominal rate, so it ranks rungs and says orders of magnitude; what the clock said stands under
`measured`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rung.types import Budget

NOMINAL_RATE = 1e12
"""Operations a second by which a machine hour is converted to money. One for all rungs, so it never changes an order."""


@dataclass(frozen=True)
class Facts:
    """What the counting needs: the size of the base and average token counts of a task's rows.

    `prompt` counts the zero-shot prompt, `shot` one row shown as an example, `answer` what one request must read or
    write (the tokens of all choices, or of a target), `target` one right answer. `width` is the length of the base's vectors.
    """

    parameters: int
    prompt: float
    shot: float
    answer: float
    target: float
    train: int
    validation: int
    wordings: int = 1
    width: int = 0


@dataclass(frozen=True)
class Work:
    """Operations to adapt once, and for one request; tokens of a request's prompt and answer.

    Of `adapt`, `learning` are spent on passes forward and back, in so many optimizer `steps`. `shared` of the prompt's
    tokens are shots that every request shows alike: they cost each of them, though this machine computes them once.
    """

    adapt: float
    request: float
    prompt_tokens: float
    answer_tokens: float
    learning: float = 0.0
    steps: float = 0.0
    shared: float = 0.0

    def cost(self, budget: Budget) -> float:
        """Operations over the artefact's life: adapting once, then the declared traffic."""
        return self.adapt + self.request * budget.requests

    def price(self, budget: Budget) -> float:
        """The same in the user's currency."""
        return money(self.cost(budget), budget)


def money(operations: float, budget: Budget) -> float:
    """What so many operations cost at the nominal rate and the declared price of a machine hour."""
    return operations / NOMINAL_RATE / 3600 * budget.machine_hour


def priced(amount: float, budget: Budget, digits: int = 3) -> str:
    """An amount of money with its currency; of machine hours where no price was declared.

    >>> priced(0.00907, Budget(machine_hour=0.4, currency="EUR")), priced(2, Budget(currency="$")), priced(3, Budget())
    ('0.00907 EUR', '$2', '3 machine hours')
    """
    number = f"{amount:.{digits}g}"
    if not budget.is_priced:
        return f"{number} machine hours"
    sign = budget.currency
    return f"{number} {sign}".rstrip() if sign.isalpha() or not sign else f"{sign}{number}"


def prompting(facts: Facts, *, shots: int = 0, fixed: bool = False, virtual: int = 0, trials: int = 1) -> Work:
    """A prompt with `shots` examples and `virtual` soft tokens, chosen by `trials` passes over validation.

    `fixed`: the shots are the same in every prompt.
    """
    prompt = facts.prompt + shots * facts.shot + virtual
    request = 2.0 * facts.parameters * (prompt + facts.answer)
    shared = shots * facts.shot if fixed else 0.0
    return Work(request * facts.validation * trials, request, prompt, facts.answer, shared=shared)


def training(
    facts: Facts, *, epochs: float, passes: int, weights: bool, virtual: int = 0, batch_size: int = 16
) -> Work:
    """`epochs` over the training rows and `passes` over validation; `weights` says whether the base's own learn.

    `virtual` counts soft tokens in front of each prompt, while training and after.
    """
    served = prompting(facts, virtual=virtual)
    row = facts.prompt + virtual + facts.target
    learning = (6.0 if weights else 4.0) * facts.parameters * row * facts.train * epochs
    adapt = learning + served.request * facts.validation * passes
    steps = math.ceil(facts.train / batch_size) * epochs
    return Work(adapt, served.request, served.prompt_tokens, served.answer_tokens, learning, steps)


def mean(values: Sequence[float]) -> float:
    """The average; 0 for none."""
    return sum(values) / len(values) if values else 0.0
