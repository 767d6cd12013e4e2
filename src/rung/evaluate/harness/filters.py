"""What is taken from an answer before it is scored: the filters of lm-eval that need no code of their own.

A filter takes the answers to one prompt and gives as many, or fewer. What settings a filter has is read from its
parameters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Answers = Sequence[str]


def _regex(
    answers: Answers,
    regex_pattern: str = r"#### (\-?[0-9\.\,]+)",
    group_select: int = 0,
    fallback: str = "[invalid]",
) -> list[str]:
    """One match of each answer; where there is none at that place, the fallback."""
    pattern = re.compile(regex_pattern)

    def one(answer: str) -> str:
        found = pattern.findall(answer)
        if not -len(found) <= group_select < len(found):
            return fallback
        match = found[group_select]
        if isinstance(match, tuple):
            match = next((part for part in match if part), fallback)
        return str(match).strip()

    return [one(answer) for answer in answers]


def _mapped(answers: Answers, mapping_dict: Mapping[Any, Any] | None = None, default_value: Any = None) -> list[str]:
    """Each answer's value in a table; what is not in it becomes the default, or no text."""
    found = [(mapping_dict or {}).get(answer, default_value) for answer in answers]
    return ["" if value is None else str(value) for value in found]


FILTERS: Mapping[str, Callable[..., Answers]] = {
    "regex": _regex,
    "take_first": lambda answers: answers[:1],
    "take_first_k": lambda answers, k: answers[:k],
    "majority_vote": lambda answers: [Counter(answers).most_common(1)[0][0]],
    "lowercase": lambda answers: [answer.lower() for answer in answers],
    "uppercase": lambda answers: [answer.upper() for answer in answers],
    "remove_whitespace": lambda answers: [answer.strip() for answer in answers],
    "map": _mapped,
}


def filtered(answers: Answers, steps: Sequence[Mapping[str, Any]]) -> str:
    """What the steps make of the answers to one prompt: the first that is left."""
    for step in steps:
        settings = {key: value for key, value in step.items() if key != "function"}
        answers = FILTERS[step["function"]](answers, **settings)
    return answers[0]
