"""The ways to cut text into tokens: byte-level BPE, Unigram, WordPiece, each with its splitter, decoder and trainer.

What the finished tokenizer is called by, its marks and its chat template, is the matter of `tokenizer`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from rung.errors import RungError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Kind = Literal["bpe", "unigram", "wordpiece"]
UNKNOWN = "<|unk|>"
LONGEST_LINE = 1_000
"""Characters of a text that a trainer gets at once. Unigram's likelihood overflows on very long words and lines."""
_STRETCH = re.compile(rf"\S{{{LONGEST_LINE}}}|.{{1,{LONGEST_LINE}}}(?:\s|\Z)", re.DOTALL)


def bpe(vocabulary: int, marks: Sequence[str]) -> tuple[Tokenizer, Any]:
    """Byte-level BPE (Sennrich et al. 2016, over bytes): nothing is unknown. Digits stand alone."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    digits = pre_tokenizers.Split(Regex(r"\p{N}"), behavior="isolated")
    made.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(marks),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    return made, trainer


def unigram(vocabulary: int, marks: Sequence[str]) -> tuple[Tokenizer, Any]:
    """Unigram (Kudo 2018) over words and line breaks; signs that training did not see are unknown."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.Unigram())
    alone = pre_tokenizers.Split(Regex(r"\p{N}|\n"), behavior="isolated")
    words = pre_tokenizers.Metaspace(prepend_scheme="never")
    made.pre_tokenizer = pre_tokenizers.Sequence([alone, words])
    made.decoder = decoders.Metaspace(prepend_scheme="never")
    trainer = trainers.UnigramTrainer(
        vocab_size=vocabulary, special_tokens=[*marks, UNKNOWN], unk_token=UNKNOWN, show_progress=False
    )
    return made, trainer


def wordpiece(vocabulary: int, marks: Sequence[str]) -> tuple[Tokenizer, Any]:
    """WordPiece as BERT's (Devlin et al. 2019), case kept; white space between words is not kept."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    made.normalizer = normalizers.NFC()
    digits = pre_tokenizers.Split(Regex(r"\p{N}"), behavior="isolated")
    made.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.BertPreTokenizer()])
    made.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, special_tokens=[*marks, UNKNOWN], show_progress=False, continuing_subword_prefix="##"
    )
    return made, trainer


KINDS: dict[str, Callable[[int, Sequence[str]], tuple[Any, Any]]] = {
    "bpe": bpe,
    "unigram": unigram,
    "wordpiece": wordpiece,
}


def fit(kind: str, texts: Iterable[str], vocabulary: int, marks: Sequence[str]) -> Tokenizer:
    """A `tokenizers.Tokenizer` of `vocabulary` tokens trained on `texts`; the same texts in the same order give the same.

    Raises RungError where the texts are too few for the vocabulary, or the trainer breaks on them.
    """
    made, trainer = KINDS[kind](vocabulary, marks)
    given = texts if kind == "bpe" else (part for text in texts for part in stretches(text))
    try:
        made.train_from_iterator(given, trainer)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # the library's panics are no Exception
            raise
        raise RungError(
            f"the trainer of {kind} broke on these texts ({error})",
            where="tokenizer",
            mend="give more text, a smaller vocabulary, or kind: bpe",
        ) from None
    found = made.get_vocab_size()
    if found < vocabulary:
        raise RungError(
            f"the texts hold {found} tokens, fewer than the vocabulary of {vocabulary}",
            where="tokenizer",
            mend="give more text or a smaller vocabulary",
        )
    return made


def stretches(text: str) -> Iterator[str]:
    """`text` in pieces of at most 1,000 characters, cut at white space where there is some."""
    for match in _STRETCH.finditer(text):
        if match.group().strip():
            yield match.group()
