"""The nouns that every room speaks: messages, examples, prompts, completions, scores, budgets, the System protocol.

Values only: frozen, comparable, without behaviour beyond their own shape. Nothing here reads files, loads models or
knows a metric.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

Role = Literal["system", "user", "assistant"]
TaskKind = Literal["generate", "classify", "choose", "tag"]
SplitName = Literal["train", "validation", "test"]
ScoreKind = Literal["binary", "graded", "corpus"]


def digest(value: Any) -> str:
    """SHA-256 (hex, 64 characters) of a JSON-ready value; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Example:
    """One row. The same value feeds training, prompting, evaluation and alignment."""

    id: str
    prompt: tuple[Message, ...]
    target: str | None = None
    references: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    rejected: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The input as one string: the contents of all messages, a line break between two."""
        return "\n".join(message.content for message in self.prompt)

    @property
    def answers(self) -> tuple[str, ...]:
        """Every right answer: the target, then the further references."""
        first = () if self.target is None else (self.target,)
        return first + self.references

    def content_hash(self) -> str:
        """SHA-256 of what the row says (prompt, answers, choices, rejected), whatever its id and meta."""
        turns = [[m.role, m.content] for m in self.prompt]
        return digest([turns, self.target, self.references, self.choices, self.rejected])


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is decoded.

    The order: log-probabilities of the model → `logit_bias` (token id, added logit) → `repetition_penalty` (on tokens of
    prompt and answer), `frequency_penalty` and `presence_penalty` (on tokens of the answer) → the likeliest token where
    `temperature` is 0 → `temperature` → `min_p` (share of the likeliest token's probability) → `top_k` → `top_p`. `top_k`
    0, `top_p` 1, `min_p` 0 and penalties of 1, 0 and 0 are off. `stop` strings and `stop_tokens` end an answer and are
    no part of it. `n` answers a prompt; `beams` above 1 searches instead of drawing; `logprobs` (None: none) reports each
    token's log-probability with so many alternatives.
    """

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    stop: tuple[str, ...] = ()
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    stop_tokens: tuple[int, ...] = ()
    n: int = 1
    beams: int = 1
    logprobs: int | None = None

    def __post_init__(self) -> None:
        if wrong := _out_of_range(self):
            raise ValueError(wrong)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Sampling:
        """The inverse of `dataclasses.asdict` behind JSON, whose lists it makes tuples again."""
        pairs = tuple((int(token), float(bias)) for token, bias in given.get("logit_bias", ()))
        lists = {key: tuple(given.get(key, ())) for key in ("stop", "stop_tokens")}
        return cls(**{**given, **lists, "logit_bias": pairs})


def _out_of_range(sampling: Sampling) -> str:
    """What is wrong with a setting: its name, the value, and the range; empty where nothing is."""
    ranges: dict[str, tuple[float, float]] = {
        "max_new_tokens": (1, float("inf")),
        "temperature": (0, float("inf")),
        "top_p": (1e-9, 1),
        "top_k": (0, float("inf")),
        "min_p": (0, 1),
        "repetition_penalty": (1e-9, float("inf")),
        "frequency_penalty": (-2, 2),
        "presence_penalty": (-2, 2),
        "n": (1, float("inf")),
        "beams": (1, float("inf")),
    }
    for name, (low, high) in ranges.items():
        value = getattr(sampling, name)
        if not low <= value <= high:
            return f"{name} is {value}; it lies between {low:g} and {high:g}"
    if sampling.logprobs is not None and sampling.logprobs < 0:
        return f"logprobs is {sampling.logprobs}; it counts alternatives, from 0"
    if sampling.beams > 1 and (sampling.temperature > 0 or sampling.n > sampling.beams):
        return "beams search for the likeliest answers: temperature is 0, and n is not above beams"
    return ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a System sees: the input, never a target.

    With `choices` the answer is one of them; with `schema` it is JSON that fits the schema; with `pattern` it matches
    that regular expression.
    """

    messages: tuple[Message, ...]
    choices: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    sampling: Sampling = Sampling()
    pattern: str = ""

    @property
    def text(self) -> str:
        """The contents of all messages, a line break between two."""
        return "\n".join(message.content for message in self.messages)


@dataclass(frozen=True, slots=True)
class TokenChance:
    """One token of an answer: its text, its log-probability (nats) before any setting, and the likeliest others."""

    token: str
    logprob: float
    others: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """What a System gave back for one prompt.

    `error` is set where the call returned nothing: then `text` is empty. A wrong format or an unknown label is not an
    error but a wrong answer. `choice_scores` holds the log-likelihood (nats, as ranked) of each choice. `others` are the
    further answers where `n` were asked for, `logprobs` the tokens' chances where those were.
    `prompt_tokens` and `completion_tokens` count what was computed for this request alone without any reuse;
    `latency_s` is wall-clock seconds.
    """

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_s: float = 0.0
    choice_scores: Mapping[str, float] | None = None
    error: str | None = None
    others: tuple[str, ...] = ()
    logprobs: tuple[TokenChance, ...] = ()


@runtime_checkable
class System(Protocol):
    """Whatever answers prompts: a prompted model, an adapter, a remote API, an agent."""

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """One completion a prompt, in the order of the prompts."""
        ...


@runtime_checkable
class LocalSystem(System, Protocol):
    """A System whose weights are at hand."""

    def loglikelihood(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        """log P(answer | prompt) in nats, summed over the tokens of the answer."""
        ...

    def stream(self, prompt: Prompt) -> Iterator[str]:
        """The answer's text, piece by piece."""
        ...


@dataclass(frozen=True)
class Score:
    """One metric over one split.

    `statistics` has shape (n, k), float64: what each example adds. For `binary` and `graded` k = 1 and `value` is the
    mean of the column. For `corpus` scores (macro-F1, BLEU) `value` is a function of the column sums; the metric of
    that name computes it. `worst` and `best` are the ends of the metric's scale.
    """

    metric: str
    kind: ScoreKind
    value: float
    statistics: np.ndarray
    worst: float = 0.0
    best: float = 1.0

    def __len__(self) -> int:
        return int(self.statistics.shape[0])

    @property
    def items(self) -> np.ndarray:
        """Shape (n,): the score of each example. Only `binary` and `graded` scores have one."""
        if self.kind == "corpus":
            raise ValueError(f"{self.metric} is a score of the whole split and has none for one example")
        column: np.ndarray = self.statistics[:, 0]
        return column


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent, and the traffic and prices by which cost is computed. None: no limit."""

    memory: int | None = None  # bytes
    time: float | None = None  # seconds, for the whole climb
    requests: int = 10_000  # answers expected over the artefact's life
    machine_hour: float = 1.0  # price of one machine hour
    currency: str = ""  # of that price, as the user wrote it; empty where none was named

    @property
    def is_priced(self) -> bool:
        """Whether a price was declared. If not, what is called cost counts machine hours."""
        return (self.machine_hour, self.currency) != (1.0, "")
