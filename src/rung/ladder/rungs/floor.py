"""The floor of every table: what can be had without a model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from rung.evaluate import Evaluation, evaluate
from rung.ladder.rung import Desk
from rung.ladder.work import Facts, Work
from rung.system.body import Body
from rung.system.floor import Constant, Echo, Lead, Position
from rung.system.tagging import Lexicon, gold_tags, words_by_space
from rung.task import Task
from rung.types import System


@dataclass(frozen=True)
class Floor:
    """The best trivial answer: the majority class, the most frequent place of the right choice; for free answers the
    most frequent target, the input's first sentences, or the input itself; for tags nothing marked, or each word's most
    frequent tag; whichever scores best on validation."""

    name: ClassVar[str] = "floor"

    @property
    def label(self) -> str:
        """`floor`."""
        return self.name

    def why_not(self, body: Body, task: Task) -> str:
        """A floor needs nothing but training rows."""
        return ""

    def work(self, facts: Facts) -> Work:
        """No model, no operations."""
        return Work(0.0, 0.0, 0.0, 0.0)

    def adapt(self, body: Body, task: Task, desk: Desk) -> System:
        """Try the trivial answers that the kind of task allows."""
        tried: list[tuple[str, System, Evaluation]] = []
        for what, system in _candidates(task):
            tried.append((what, system, evaluate(system, task)))
        what, system, evaluation = max(tried, key=lambda one: one[2].score.value)
        desk.validation = evaluation
        desk.note(chosen={"answer": what}, trivial={name: result.score.value for name, _, result in tried})
        return system


def _candidates(task: Task) -> list[tuple[str, System]]:
    if task.kind == "choose":
        places = Counter(row.choices.index(row.target) for row in task.train if row.target in row.choices)
        place = min(places, key=lambda p: (-places[p], p), default=0)
        return [(f"choice {place + 1}", Position(place))]
    if task.kind == "tag":
        return [("nothing marked", Lexicon({})), ("most frequent tag of each word", lexicon(task))]
    targets = Counter(row.target for row in task.train if row.target is not None)
    common = min(targets, key=lambda target: (-targets[target], target))
    if task.kind == "classify":
        return [("majority class", Constant(common))]
    options: list[tuple[str, System]] = [("most frequent answer", Constant(common))]
    if task.schema is None:
        options += [("first sentence", Lead(1)), ("first two sentences", Lead(2)), ("copy of the input", Echo())]
    return options


def lexicon(task: Task) -> Lexicon:
    """The most frequent tag of each training word; the first in the alphabet of equals."""
    counts: dict[str, Counter[str]] = {}
    for row in task.train:
        words = words_by_space(row.text)
        for start, end, tag in zip(words.starts, words.ends, gold_tags(words, str(row.target))[0]):
            counts.setdefault(row.text[start:end].lower(), Counter())[tag] += 1
    usual = {word: min(own, key=lambda tag: (-own[tag], tag)) for word, own in counts.items()}
    return Lexicon({word: usual[word] for word in sorted(usual) if usual[word] != "O"})
