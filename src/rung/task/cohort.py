"""Which examples belong together: near duplicates by their input, and rows of one group. Splits and folds keep them whole.

Also what of an example is compared at all. The comparison itself is `duplicates`, the dividing is `splits`.
"""

from __future__ import annotations

from collections.abc import Sequence

from rung.task.duplicates import clusters
from rung.task.splits import join_units
from rung.types import Example

NEAR = 0.8  # Jaccard similarity from which two inputs are near duplicates
BOILERPLATE = 0.5  # shingles in more than half of the texts are the prompt's wording, not the row's content


def compared_text(example: Example) -> str:
    """What of an example is compared: its turns without the system's, and its choices; never the answer.

    Choices belong to it because benchmarks ask "Which of these is true?" many times over.
    """
    turns = [message.content for message in example.prompt if message.role != "system"]
    return "\n".join([*turns, *sorted(example.choices)])


def units_of(examples: Sequence[Example]) -> list[int]:
    """The unit of each example: near duplicates and rows of one group (and theirs in turn) share one."""
    near = clusters([compared_text(example) for example in examples], NEAR, BOILERPLATE)
    if not any("group" in example.meta for example in examples):
        return near
    return join_units(near, [str(example.meta.get("group", f"row {n}")) for n, example in enumerate(examples)])
