"""A base that answers by prompt: with an instruction, perhaps shots, perhaps tuned weights behind it.

Options are ranked by log-likelihood, free answers are generated. Prompts that do not fit the window come back as
errors, never cut.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from rung.errors import RungError
from rung.generate.constraint import Constraint, json_schema, regex
from rung.generate.engine import Engine
from rung.model.layout import Layout
from rung.model.virtual import places
from rung.system.shots import FixedShots, Shots
from rung.types import Completion, Prompt

Normalise = Literal["none", "bytes"]


def byte_length(choice: str) -> float:
    """By what the likelihood of a choice is divided under `bytes`: its length in UTF-8."""
    return float(max(1, len(choice.encode("utf-8", "surrogatepass"))))


@dataclass(frozen=True)
class Prompted:
    """A decoder or encoder–decoder behind a prompt."""

    engine: Engine = field(repr=False)
    layout: Layout = field(repr=False)
    instruction: str = ""
    shots: Shots = field(default_factory=FixedShots, repr=False)
    normalise: Normalise = "none"

    def contexts(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Token ids of each prompt with its instruction and shots."""
        return self.layout.contexts(self.rendered(prompts))

    def rendered(self, prompts: Sequence[Prompt]) -> list[str]:
        """Each prompt as the base reads it."""
        shots = self.shots.pick([prompt.messages for prompt in prompts])
        return [self.layout.text(self.instruction, own, prompt.messages) for prompt, own in zip(prompts, shots)]

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """One completion a prompt: the likeliest choice, or a generated text."""
        started = time.perf_counter()
        contexts = self.contexts(prompts)
        results: dict[int, Completion] = {}
        for row, (prompt, context) in enumerate(zip(prompts, contexts)):
            if (over := self._overflow(prompt, context)) > 0:
                error = f"the prompt is {over} tokens too long for the window of {self.engine.model.window}"
                results[row] = Completion("", len(context), error=error)
        ranked = [row for row in range(len(prompts)) if row not in results and prompts[row].choices]
        free = [row for row in range(len(prompts)) if row not in results and not prompts[row].choices]
        results.update(zip(ranked, self._rank([prompts[r] for r in ranked], [contexts[r] for r in ranked])))
        results.update(zip(free, self._generate([prompts[r] for r in free], [contexts[r] for r in free])))
        share = (time.perf_counter() - started) / max(1, len(prompts))
        return [replace(results[row], latency_s=share) for row in range(len(prompts))]

    def loglikelihood(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        """log P(answer | prompt) in nats, summed over the answer's tokens."""
        contexts = self.contexts([prompt for prompt, _ in pairs])
        return self.engine.loglikelihood([(ids, self.layout.answer(said)) for ids, (_, said) in zip(contexts, pairs)])

    def stream(self, prompt: Prompt) -> Iterator[str]:
        """The answer's text, piece by piece. Raises RungError where the prompt does not fit."""
        if prompt.choices:
            yield self.answer([prompt])[0].text
            return
        (context,) = self.contexts([prompt])
        if (over := self._overflow(prompt, context)) > 0:
            raise RungError(f"the prompt is {over} tokens too long for the window", where="prompt", mend="shorten it")
        shown = False
        for piece in self.engine.stream(
            context, prompt.sampling, end=self.layout.end, stop=self.layout.stop, constraint=constraint(prompt)
        ):
            text = piece if shown else piece.lstrip()
            shown = shown or bool(text)
            if text:
                yield text

    def longest(self, prompt: Prompt) -> int:
        """The most tokens that the answer to `prompt` may need."""
        if prompt.choices:
            return max(len(self.layout.answer(choice)) for choice in prompt.choices)
        return prompt.sampling.max_new_tokens

    def overflows(self, prompts: Sequence[Prompt]) -> list[int]:
        """By how many tokens each prompt, with its answer, is too long for the window; 0 where it fits."""
        return [max(0, self._overflow(p, ids)) for p, ids in zip(prompts, self.contexts(prompts))]

    def _overflow(self, prompt: Prompt, context: Sequence[int]) -> int:
        virtual = places(self.engine.virtual)
        if self.engine.model.kind == "encoder-decoder":
            return max(len(context), self.longest(prompt)) + virtual - self.engine.model.window
        return len(context) + self.longest(prompt) + virtual - self.engine.model.window

    def _rank(self, prompts: Sequence[Prompt], contexts: Sequence[list[int]]) -> list[Completion]:
        known: dict[str, list[int]] = {}
        answers = [[known.setdefault(c, self.layout.answer(c)) for c in prompt.choices] for prompt in prompts]
        out = []
        for prompt, context, scores in zip(prompts, contexts, self.engine.choose(contexts, answers)):
            if self.normalise == "bytes":
                scores = [score / byte_length(choice) for score, choice in zip(scores, prompt.choices)]
            by_choice = dict(zip(prompt.choices, scores))
            best = max(by_choice, key=lambda choice: by_choice[choice])
            read = sum(len(known[choice]) for choice in prompt.choices)
            out.append(Completion(best, len(context), read, choice_scores=by_choice))
        return out

    def _generate(self, prompts: Sequence[Prompt], contexts: Sequence[list[int]]) -> list[Completion]:
        made = self.engine.generate(
            contexts,
            [prompt.sampling for prompt in prompts],
            end=self.layout.end,
            stop=self.layout.stop,
            constraints=[constraint(prompt) for prompt in prompts],
        )
        return [
            Completion(
                answer.text.strip(),
                len(context),
                sum(len(one.tokens) for one in (answer, *answer.others)),
                others=tuple(other.text.strip() for other in answer.others),
                logprobs=answer.chances,
            )
            for context, answer in zip(contexts, made)
        ]


def constraint(prompt: Prompt) -> Constraint | None:
    """What the answer to a prompt must be. Raises RungError for a schema or a pattern that no grammar can follow."""
    if prompt.schema is not None:
        return json_schema(prompt.schema)
    return regex(prompt.pattern) if prompt.pattern else None
