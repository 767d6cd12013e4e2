"""The Porter stemmer (Porter 1980, "An algorithm for suffix stripping"), with the departures that NLTK's default makes.

ROUGE's stems are compared with published numbers, and those come from NLTK's variant: a few irregular words, `ie`
endings of short words, words of two letters left alone. Each departure is marked below.
"""

from __future__ import annotations

from functools import lru_cache

_LETTERS = {ord(one): "v" if one in "aeiou" else "c" for one in "abcdefghijklmnopqrstuvwxz0123456789"}

# Departure: words that the rules would spoil.
_IRREGULAR = {
    "skies": "sky", "sky": "sky", "dying": "die", "lying": "lie", "tying": "tie", "news": "news", "innings": "inning",
    "inning": "inning", "outings": "outing", "outing": "outing", "cannings": "canning", "canning": "canning",
    "howe": "howe", "proceed": "proceed", "exceed": "exceed", "succeed": "succeed",
}  # fmt: skip

# Suffix, what takes its place; the first that fits decides, whether or not its condition holds.
_STEP_2 = (
    ("ational", "ate"), ("tional", "tion"), ("enci", "ence"), ("anci", "ance"), ("izer", "ize"), ("bli", "ble"),
    ("alli", "al"), ("entli", "ent"), ("eli", "e"), ("ousli", "ous"), ("ization", "ize"), ("ation", "ate"),
    ("ator", "ate"), ("alism", "al"), ("iveness", "ive"), ("fulness", "ful"), ("ousness", "ous"), ("aliti", "al"),
    ("iviti", "ive"), ("biliti", "ble"), ("fulli", "ful"),
)  # fmt: skip
_STEP_3 = (
    ("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", ""),
)  # fmt: skip
_STEP_4 = (
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti",
    "ous", "ive", "ize",
)  # fmt: skip
_ENDS_2 = ("logi", *(suffix for suffix, _ in _STEP_2))
_ENDS_3 = tuple(suffix for suffix, _ in _STEP_3)


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """The stem of a lower-case word."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) <= 2:
        return word
    word = _plural(word)
    word = _past(word)
    word = _final_y(word)
    if word.endswith(_ENDS_2):  # most words end in none of them
        word = _double_suffix(word)
    if word.endswith(_ENDS_3):
        word = _replace(word, _STEP_3)
    if word.endswith(_STEP_4):
        word = _single_suffix(word)
    return _tidy(word)


def _shape(word: str) -> str:
    """Each letter as v, a vowel, or c, a consonant; y is a consonant at the start and after a vowel."""
    shape = word.translate(_LETTERS)
    while (at := shape.find("y")) >= 0:
        shape = f"{shape[:at]}{'v' if at and shape[at - 1] == 'c' else 'c'}{shape[at + 1 :]}"
    return shape


def _measure(word: str) -> int:
    """Porter's m: how often a vowel is followed by a consonant."""
    return _shape(word).count("vc")


def _has_vowel(word: str) -> bool:
    return "v" in _shape(word)


def _double_consonant(word: str) -> bool:
    return len(word) >= 2 and word[-1] == word[-2] and _shape(word).endswith("c")


def _short_end(word: str) -> bool:
    """Consonant, vowel, consonant other than w, x, y at the end. Departure: also vowel, consonant as a whole word."""
    shape = _shape(word)
    return shape == "vc" or (shape.endswith("cvc") and word[-1] not in "wxy")


def _plural(word: str) -> str:
    """Step 1a. Departure: `ies` after a single letter leaves `ie` (ties, tie)."""
    if word.endswith("ies"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("sses"):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _past(word: str) -> str:
    """Step 1b. Departure: `ied` becomes `ie` after a single letter, else `i`."""
    if word.endswith("ied"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for suffix in ("ed", "ing"):
        base = word.removesuffix(suffix)
        if base != word and _has_vowel(base):
            return _restored(base)
    return word


def _restored(base: str) -> str:
    if base.endswith(("at", "bl", "iz")):
        return base + "e"
    if _double_consonant(base):
        return base if base[-1] in "lsz" else base[:-1]
    return base + "e" if _measure(base) == 1 and _short_end(base) else base


def _final_y(word: str) -> str:
    """Step 1c. Departure: y becomes i only after a consonant that is not the first letter (enjoy stays, by stays)."""
    base = word[:-1]
    return base + "i" if word.endswith("y") and len(base) > 1 and _shape(base).endswith("c") else word


def _double_suffix(word: str) -> str:
    """Step 2. Departures: `alli` is stripped and step 2 done again; `fulli`, and `logi` measured with its l."""
    if word.endswith("alli") and _measure(word[:-4]) > 0:
        return _double_suffix(word[:-4] + "al")
    if word.endswith("logi"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    return _replace(word, _STEP_2)


def _replace(word: str, rules: tuple[tuple[str, str], ...]) -> str:
    for suffix, instead in rules:
        if word.endswith(suffix):
            base = word[: -len(suffix)]
            return base + instead if _measure(base) > 0 else word
    return word


def _single_suffix(word: str) -> str:
    """Step 4: what is left of a suffix goes where m > 1; `ion` only after s or t."""
    for suffix in _STEP_4:
        if word.endswith(suffix):
            base = word[: -len(suffix)]
            fits = _measure(base) > 1 and (suffix != "ion" or base[-1] in "st")
            return base if fits else word
    return word


def _tidy(word: str) -> str:
    """Step 5: a final e, and one l of two."""
    if word.endswith("e"):
        base = word[:-1]
        measure = _measure(base)
        if measure > 1 or (measure == 1 and not _short_end(base)):
            word = base
    return word[:-1] if word.endswith("ll") and _measure(word[:-1]) > 1 else word
