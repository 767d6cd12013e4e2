"""Small word lists behind the measures, each with its source. They are starting points: a user's own take their place."""

from __future__ import annotations

Pairs = tuple[tuple[str, str], ...]

CONTRACTIONS: Pairs = tuple(
    (full, short)
    for full, short in (
        ("is not", "isn't"), ("are not", "aren't"), ("was not", "wasn't"), ("were not", "weren't"),
        ("do not", "don't"), ("does not", "doesn't"), ("did not", "didn't"), ("has not", "hasn't"),
        ("have not", "haven't"), ("had not", "hadn't"), ("will not", "won't"), ("would not", "wouldn't"),
        ("cannot", "can't"), ("could not", "couldn't"), ("should not", "shouldn't"), ("must not", "mustn't"),
        ("I am", "I'm"), ("you are", "you're"), ("we are", "we're"), ("they are", "they're"), ("it is", "it's"),
        ("that is", "that's"), ("what is", "what's"), ("there is", "there's"), ("I have", "I've"),
        ("you have", "you've"), ("we have", "we've"), ("they have", "they've"), ("I will", "I'll"),
        ("you will", "you'll"), ("we will", "we'll"), ("they will", "they'll"), ("let us", "let's"),
    )
)  # fmt: skip
"""Full and contracted forms of English (any grammar)."""

GENDER: Pairs = (
    ("he", "she"), ("him", "her"), ("his", "her"), ("himself", "herself"), ("man", "woman"), ("men", "women"),
    ("boy", "girl"), ("boys", "girls"), ("father", "mother"), ("fathers", "mothers"), ("dad", "mom"), ("son", "daughter"),
    ("sons", "daughters"), ("brother", "sister"), ("brothers", "sisters"), ("husband", "wife"), ("husbands", "wives"),
    ("uncle", "aunt"), ("nephew", "niece"), ("grandfather", "grandmother"), ("grandson", "granddaughter"),
    ("gentleman", "lady"), ("gentlemen", "ladies"), ("male", "female"), ("males", "females"), ("king", "queen"),
    ("prince", "princess"), ("actor", "actress"), ("waiter", "waitress"), ("mr", "ms"), ("sir", "madam"),
)  # fmt: skip
"""Definitional pairs, the first of each male: after Bolukbasi et al. (2016, arXiv:1607.06520)."""

NAMES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        ("Adam", "Alan", "Andrew", "Brad", "Frank", "Greg", "Harry", "Jack", "Josh", "Justin", "Matthew", "Paul", "Peter"),
        ("Alonzo", "Darnell", "Deion", "Jamel", "Jerome", "Lamar", "Lamont", "Leroy", "Malik", "Terrence", "Tyree", "Tyrone"),
    ),
    (
        ("Amanda", "Colleen", "Ellen", "Emily", "Heather", "Katie", "Kristin", "Lauren", "Megan", "Nancy", "Rachel"),
        ("Ebony", "Lakisha", "Latisha", "Latoya", "Malika", "Nichelle", "Shaniqua", "Shereen", "Tanisha", "Tia", "Yolanda"),
    ),
)  # fmt: skip
"""First names borne mostly by European Americans and by African Americans, men's and women's apart: some of those in
Caliskan, Bryson & Narayanan (2017, arXiv:1608.07187)."""

DIALECT: Pairs = (
    ("going to", "finna"), ("is not", "ain't"), ("isn't", "ain't"), ("are not", "ain't"), ("aren't", "ain't"),
    ("the", "da"), ("that", "dat"), ("this", "dis"), ("them", "dem"), ("they", "dey"), ("with", "wit"),
    ("something", "sumn"), ("nothing", "nun"), ("want to", "wanna"), ("your", "yo"), ("because", "cuz"),
    ("doing", "doin"), ("coming", "comin"), ("trying", "tryna"), ("isn't anything", "ain't nothin"),
)  # fmt: skip
"""Words of Standard American English and of African American English, as written in messages: features described by
Green (2002) and, as transformations, by Ziems et al. (2022, arXiv:2204.03031)."""

SURNAMES: dict[str, tuple[str, ...]] = {
    "asian": ("chen", "cho", "chung", "huang", "khan", "kim", "lin", "liu", "singh", "tang", "wang", "wong", "wu", "yang"),
    "hispanic": (
        "castro", "cruz", "diaz", "garcia", "gomez", "gonzalez", "lopez", "martinez", "medina", "perez", "rivera",
        "rodriguez", "sanchez", "torres",
    ),
    "white": (
        "adams", "anderson", "clark", "davis", "harris", "johnson", "jones", "lewis", "moore", "nelson", "taylor",
        "thompson", "wilson", "wright",
    ),
}  # fmt: skip
"""Surnames borne mostly by one group in the census of the United States: some of those in Garg et al. (2018,
arXiv:1711.08412)."""

OCCUPATIONS: tuple[str, ...] = (
    "accountant", "analyst", "artist", "assistant", "baker", "carpenter", "cashier", "chef", "cleaner", "clerk",
    "counselor", "designer", "developer", "doctor", "driver", "editor", "engineer", "farmer", "guard", "hairdresser",
    "housekeeper", "janitor", "lawyer", "librarian", "manager", "mechanic", "nurse", "receptionist", "scientist",
    "secretary", "sheriff", "tailor", "teacher", "writer",
)  # fmt: skip
"""Occupations of labour statistics, as coreference tests of gender use them (Zhao et al. 2018, arXiv:1804.06876)."""

ADJECTIVES: tuple[str, ...] = (
    "aggressive", "ambitious", "beautiful", "brilliant", "calm", "caring", "clever", "dangerous", "emotional", "fearful",
    "gentle", "hysterical", "intelligent", "kind", "lazy", "logical", "loyal", "poor", "quiet", "rational", "strong",
    "successful", "ugly", "violent", "weak", "wise",
)  # fmt: skip
"""Words for character and looks, written for Rung after the kinds that Garg et al. (2018) count."""
