"""F1 over the fields of a JSON object: how much of what was to be extracted was extracted.

Whether an answer fits a schema is checked elsewhere; here it only matters whether it is an object and what it says.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rung.errors import RungError
from rung.metrics.metric import Answer
from rung.types import Example


def field_f1(answer: Answer, example: Example) -> float:
    """F1 between the fields of the answer and of a right answer; the best over the right answers.

    With credit c(f) in 0..1 for each field both have, F1 = 2 Σ c / (fields of the answer + fields of the target):

    - null, "", [], {} and a missing field all say nothing: they are no fields. Nothing asked and nothing said is 1.
    - strings are equal after whitespace is stripped and collapsed; case counts.
    - numbers are equal by value (1 = 1.0), to one part in 10^9; true and false equal only themselves; a number never
      equals a string.
    - lists are compared as bags: the credit is the F1 of their elements, whatever their order.
    - objects inside are compared by the same F1.

    An answer that is no JSON object scores 0. Raises RungError for a target that is none.
    """
    said = parse_object(answer)
    if said is None:
        return 0.0
    return max(_objects(said, right) for right in _targets(example))


def parse_object(text: Answer) -> Mapping[str, Any] | None:
    """The JSON object that the whole text is; None where it is none (NaN and Infinity are no JSON)."""
    if text is None:
        return None
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):  # no JSON, or nested deeper than anything meant as an answer
        return None
    return value if isinstance(value, dict) else None


@dataclass(frozen=True)
class FieldScore:
    """One top-level field over a split: `expected` rows have it, `answered` rows said it, `credit` sums what was right."""

    name: str
    expected: int
    answered: int
    credit: float

    @property
    def f1(self) -> float:
        """2 credit / (expected + answered); 0 where nobody had it."""
        total = self.expected + self.answered
        return 2 * self.credit / total if total else 0.0


def field_scores(answers: Sequence[Answer], examples: Sequence[Example]) -> tuple[FieldScore, ...]:
    """Each top-level field by itself, in the order of first appearance in the targets.

    With several right answers to a row, the one the answer comes closest to is taken.
    """
    expected: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    credit: dict[str, float] = {}
    for answer, example in zip(answers, examples, strict=True):
        said = _spoken(parse_object(answer) or {})
        right = _spoken(max(_targets(example), key=lambda target: _objects(said, target)))
        expected.update(right.keys())
        answered.update(said.keys())
        for name in right:
            credit[name] = credit.get(name, 0.0) + (_credit(said[name], right[name]) if name in said else 0.0)
    names = [*expected, *(name for name in answered if name not in expected)]
    return tuple(FieldScore(name, expected[name], answered[name], credit.get(name, 0.0)) for name in names)


def _targets(example: Example) -> list[Mapping[str, Any]]:
    found = []
    for text in example.answers:
        target = parse_object(text)
        if target is None:
            shown = text if len(text) <= 60 else text[:60] + "…"
            raise RungError(
                f"the target {shown} is no JSON object", where=f"row {example.id}", mend="score it by another metric"
            )
        found.append(target)
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _spoken(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields that say something. 0 and false do; an object of nothing but nothing does not."""
    return {name: item for name, item in value.items() if not _says_nothing(item)}


def _says_nothing(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, dict):
        return all(_says_nothing(item) for item in value.values())
    return value is None or value == []


def _objects(said: Mapping[str, Any], right: Mapping[str, Any]) -> float:
    said, right = _spoken(said), _spoken(right)
    total = len(said) + len(right)
    shared = sum(_credit(said[name], right[name]) for name in said if name in right)
    return 2 * shared / total if total else 1.0


def _credit(said: Any, right: Any) -> float:
    if isinstance(said, dict) and isinstance(right, dict):
        return _objects(said, right)
    if isinstance(said, list) and isinstance(right, list):
        return _bags(said, right)
    return float(_equal(said, right))


def _bags(said: list[Any], right: list[Any]) -> float:
    """F1 of the elements; each finds at most one equal partner."""
    open_partners = list(right)
    found = 0
    for item in said:
        partner = next((n for n, other in enumerate(open_partners) if _equal(item, other)), None)
        if partner is not None:
            del open_partners[partner]
            found += 1
    return 2 * found / (len(said) + len(right))


def _equal(first: Any, second: Any) -> bool:
    """Equal as JSON values; inside a list, elements are right or wrong as a whole."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, int | float) and isinstance(second, int | float):
        return first == second or (_finite(first, second) and math.isclose(first, second, rel_tol=1e-9))
    if isinstance(first, str) and isinstance(second, str):
        return first.split() == second.split()
    if isinstance(first, dict | list) and type(first) is type(second):
        return _credit(first, second) == 1.0
    return first is None and second is None


def _finite(*values: float) -> bool:
    return all(abs(value) < 1e300 for value in values)  # larger integers do not fit a float
