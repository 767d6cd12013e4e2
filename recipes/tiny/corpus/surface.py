"""Classification by how a text is written rather than what it is about: mood, length, form, numbers, politeness."""

from __future__ import annotations

from .classes import Classes, topic_sentence
from .draw import Draw
from .texts import Library

GOOD = (
    "wonderful",
    "great",
    "lovely",
    "excellent",
    "delicious",
    "perfect",
    "brilliant",
    "fantastic",
    "charming",
    "superb",
    "amazing",
    "pleasant",
    "fresh",
    "friendly",
    "beautiful",
    "fun",
)
BAD = (
    "terrible",
    "awful",
    "horrible",
    "disappointing",
    "dull",
    "poor",
    "bad",
    "ugly",
    "broken",
    "rude",
    "boring",
    "dirty",
    "useless",
    "nasty",
    "stale",
    "slow",
)
REVIEWS = (
    "the {t} was {x}",
    "{x} {t}, really {y}",
    "such a {x} {t}",
    "I found the {t} {x} and {y}",
    "what a {x} {t}",
    "{x}!",
    "a {x} and {y} {t}",
    "honestly the {t} is {x}",
    "we thought it was {x}",
    "everything about the {t} felt {x}",
    "my {t} turned out {x}",
)
YES = (
    "I like the {t}",
    "we enjoyed the {t} a lot",
    "I would buy the {t} again",
    "the {t} made me smile",
    "everyone loved the {t}",
    "best {t} ever",
)
NO = (
    "I hate the {t}",
    "the {t} was a waste of money",
    "never buying that {t} again",
    "the {t} made me sad",
    "nobody liked the {t}",
    "worst {t} ever",
)


def mood(draw: Draw, library: Library) -> Classes:
    def text(d: Draw, c: int) -> str:
        thing = d.pick(d.pick(library.topics).things)
        if d.chance(0.3):
            return d.pick((YES, NO)[c]).format(t=thing)
        x, y = d.some((GOOD, BAD)[c], 2)
        return d.pick(REVIEWS).format(t=thing, x=x, y=y)

    return Classes(
        (("positive", "good", "happy", "great"), ("negative", "bad", "unhappy", "terrible")),
        text,
        draw.pick(("How does the writer feel?", "Is the review good or bad?", "")),
    )


def rewritten(draw: Draw, library: Library) -> Classes:
    """A sentence on anything, written in one of two or three ways."""
    ways = draw.some(tuple(WAYS), draw.number(2, 3))

    def text(d: Draw, c: int) -> str:
        topic = d.pick(library.topics)
        plain = topic_sentence(d, topic.things, topic.actions).rstrip("?!.")
        return WAYS[ways[c]](d, plain)

    return Classes(tuple((way,) for way in ways), text, draw.pick(("How is it written?", "Name the style.", "")))


WAYS = {
    "plain": lambda d, s: s,
    "capitals": lambda d, s: s.upper(),
    "question": lambda d, s: d.pick(
        ("is it true that {}?", "did you know {}?", "really, {}?", "why is it that {}?")
    ).format(s),
    "shout": lambda d, s: s + d.pick(("!!!", "!", "!!")),
    "polite": lambda d, s: d.pick(
        ("excuse me, {}, thank you", "would you kindly note: {}, please", "if I may, {}, many thanks")
    ).format(s),
    "rude": lambda d, s: d.pick(("hey idiot, {}", "shut up, {}", "you fool, {}")).format(s),
    "number": lambda d, s: f"{s} {d.number(10, 9999)}",
    "list": lambda d, s: "\n".join("- " + w for w in s.split()[-4:]),
    "short": lambda d, s: " ".join(s.split()[:2]),
    "doubled": lambda d, s: f"{s} {s}",
    "email": lambda d, s: f"{s} {d.pseudoword()}@{d.pseudoword()}.{d.pick(('com', 'org', 'net'))}",
    "link": lambda d, s: f"{s} www.{d.pseudoword()}.{d.pick(('com', 'org', 'net'))}",
    "quoted": lambda d, s: f'"{s}"',
    "spaced": lambda d, s: " ".join(s.replace(" ", "")[:14]),
    "backwards": lambda d, s: " ".join(reversed(s.split())),
    "future": lambda d, s: d.pick(
        ("tomorrow I will say: {}", "next year we will see {}", "soon they are going to hear {}")
    ).format(s),
    "past": lambda d, s: d.pick(("yesterday I said: {}", "last year we saw {}", "long ago they heard {}")).format(s),
    "denial": lambda d, s: d.pick(("it is not so that {}", "I do not think {}", "never, {}", "no, {}")).format(s),
    "money": lambda d, s: f"{s} ${d.number(1, 900)}.{d.number(10, 99)}",
    "json": lambda d, s: '{"text": "' + s + '"}',
}


def numbers(draw: Draw, library: Library) -> Classes:
    """Which of two kinds a number is."""
    kind = draw.number(0, 2)
    pairs = ((("small", "low"), ("big", "high")), (("even",), ("odd",)), (("short",), ("long",)))

    def text(d: Draw, c: int) -> str:
        if kind == 0:
            return str(d.number(1, 99) if c == 0 else d.number(1000, 99999))
        if kind == 1:
            return str(2 * d.number(1, 49) + c)
        words = [d.pick(d.pick(library.topics).things) for _ in range(d.number(1, 2) if c == 0 else d.number(7, 10))]
        return " ".join(words)

    return Classes(pairs[kind], text, "")


def letters(draw: Draw, library: Library) -> Classes:
    """Words by their first or last letters."""
    words = [word for word in library.by_keyword if len(word) > 3]
    end = draw.chance(0.4)
    marks = draw.some("abcdefghlmnoprstw" if not end else "degklnrsty", 2)
    pools = [[w for w in words if (w[-1] if end else w[0]) == mark] for mark in marks]
    pools = [pool or words for pool in pools]
    return Classes(tuple((mark.upper(),) for mark in marks), lambda d, c: d.pick(pools[c]), "")


def rare(draw: Draw, library: Library, count: int) -> Classes:
    """One of the surface families."""
    family = draw.weighted((mood, rewritten, numbers, letters), (3, 5, 1, 1))
    return family(draw, library)
