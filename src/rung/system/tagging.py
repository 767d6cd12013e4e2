"""Tagging with an encoder: a linear head on the vector of each word, and the likeliest tags that make sense together.

Tags are B-label, I-label and O; an I stands only behind a B or I of its label, so answers are always well formed. The
answer is the text with its spans marked (`rung.metrics.marked`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rung.metrics.bio import OUTSIDE, decode, encode
from rung.metrics.marked import Span, mark, unmark
from rung.model.words import WordIds, word_ids
from rung.system.body import Embedder
from rung.types import Completion, Prompt


@dataclass(frozen=True)
class Tagger:
    """A linear head over the vectors of words: `weight` (tags, hidden) and `bias` (tags,)."""

    embedder: Embedder = field(repr=False)
    tags: tuple[str, ...]
    weight: np.ndarray = field(repr=False)
    bias: np.ndarray = field(repr=False)

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Each prompt's text with its spans marked."""
        started = time.perf_counter()
        model = self.embedder.model
        texts = word_ids(model, [prompt.text for prompt in prompts])
        window = model.sentence_window
        fit = [row for row, text in enumerate(texts) if len(text.ids) <= window]
        vectors = self.embedder.words([prompts[row].text for row in fit])
        out = [
            Completion("", len(text.ids), error=f"{len(text.ids)} tokens do not fit the window of {window}")
            for text in texts
        ]
        for row, (words, own) in zip(fit, vectors):
            said = marked(prompts[row].text, words, own @ self.weight.T + self.bias, self.tags)
            out[row] = Completion(said, len(texts[row].ids))
        share = (time.perf_counter() - started) / max(1, len(prompts))
        return [Completion(c.text, c.prompt_tokens, 0, share, error=c.error) for c in out]


def marked(text: str, words: WordIds, logits: np.ndarray, tags: Sequence[str]) -> str:
    """The text with the spans of its likeliest tags; `logits` (words, tags)."""
    spans = decode(best_tags(logits, tags), "strict")
    return mark(text, [Span(words.starts[s.start], words.ends[s.end - 1], s.label) for s in spans])


def best_tags(logits: np.ndarray, tags: Sequence[str]) -> list[str]:
    """The sequence of tags with the greatest sum of log-probabilities among the well-formed ones (Viterbi).

    An I-label follows B-label or I-label only; nothing else is forbidden, and no order is learnt.
    """
    if not len(logits):
        return []
    scores = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    place = {tag: n for n, tag in enumerate(tags)}
    inside = np.array([n for n, tag in enumerate(tags) if tag.startswith("I-")], dtype=int)
    begins = np.array([place.get(f"B-{tags[n][2:]}", n) for n in inside], dtype=int)
    best = scores[0].copy()
    best[inside] = -np.inf
    back = np.zeros(scores.shape, dtype=int)
    for word in range(1, len(scores)):
        back[word] = best.argmax()
        before = np.full(len(tags), best.max())
        goes_on = best[begins] >= best[inside]
        back[word, inside] = np.where(goes_on, begins, inside)
        before[inside] = np.where(goes_on, best[begins], best[inside])
        best = before + scores[word]
    path = [int(best.argmax())]
    for word in range(len(scores) - 1, 0, -1):
        path.append(int(back[word, path[-1]]))
    return [tags[n] for n in reversed(path)]


def gold_tags(words: WordIds, target: str) -> tuple[list[str], int]:
    """The tags of a text's words under its marked target, and how many spans begin or end within a word.

    Such a span covers every word that it touches; a word that two touch belongs to the first.
    """
    spans, found, torn, free = unmark(target)[1], [], 0, 0
    for span in sorted(spans):
        touched = [w for w in range(free, len(words)) if words.starts[w] < span.end and words.ends[w] > span.start]
        whole = touched and words.starts[touched[0]] == span.start and words.ends[touched[-1]] == span.end
        torn += not whole
        if touched:
            found.append(Span(touched[0], touched[-1] + 1, span.label))
            free = touched[-1] + 1
    return encode(found, len(words)), torn


@dataclass(frozen=True)
class Lexicon:
    """The most frequent tag of each word in training, in lower case; O for others. No model: a floor."""

    tags: Mapping[str, str] = field(repr=False)

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Each prompt's text with what its words usually are."""
        out = []
        for prompt in prompts:
            words = words_by_space(prompt.text)
            spans = decode([self.tags.get(prompt.text[s:e].lower(), OUTSIDE) for s, e in zip(words.starts, words.ends)])
            out.append(
                Completion(
                    mark(prompt.text, [Span(words.starts[s.start], words.ends[s.end - 1], s.label) for s in spans])
                )
            )
        return out


def words_by_space(text: str) -> WordIds:
    """Words as white space parts them, without a tokenizer."""
    starts, ends, place = [], [], 0
    for word in text.split():
        starts.append(text.index(word, place))
        place = starts[-1] + len(word)
        ends.append(place)
    return WordIds((), tuple(range(len(starts))), tuple(starts), tuple(ends))
