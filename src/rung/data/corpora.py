"""Well-known corpora by name: where they lie on the Hub, and which column holds the text. They are streamed, never stored.

A literal table and no code; reading them is the matter of `source`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NamedCorpus:
    """A data set of the Hub. `about` says what it is and where it differs from the corpus of that name."""

    dataset: str
    config: str | None
    split: str
    column: str
    about: str


CORPORA: dict[str, NamedCorpus] = {
    "c4": NamedCorpus("allenai/c4", "en", "train", "text", "C4, English, cleaned (Raffel et al. 2020)"),
    "refinedweb": NamedCorpus(
        "tiiuae/falcon-refinedweb", None, "train", "content", "RefinedWeb, the public part (Penedo et al. 2023)"
    ),
    "pile": NamedCorpus(
        "monology/pile-uncopyrighted", None, "train", "text", "The Pile without its copyrighted parts (Gao et al. 2020)"
    ),
    "redpajama": NamedCorpus(
        "cerebras/SlimPajama-627B", None, "train", "text", "RedPajama-1T, cleaned and deduplicated (SlimPajama, 2023)"
    ),
    "stackexchange": NamedCorpus(
        "common-pile/stackexchange_filtered", None, "train", "text", "Stack Exchange, from the Common Pile (2025)"
    ),
}
