"""Training a tokenizer from text, with turn marks and a chat template, and measuring how finely it cuts.

The marks are single tokens, so that a turn can never be mistaken for text. How prompts are laid out with the template
is the matter of `layout`; loading a finished tokenizer is that of `load`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rung.errors import RungError, nearest
from rung.model.vocabulary import KINDS, UNKNOWN, fit

PAD, BEGIN, END = "<|pad|>", "<|begin|>", "<|end|>"
ROLES = ("system", "user", "assistant")
MARKS = (PAD, BEGIN, END, *(f"<|{role}|>" for role in ROLES))
# One line without spare white space: a template's line breaks after a tag are eaten when it is saved and loaded.
CHAT_TEMPLATE = (
    "{{ '<|begin|>' }}"
    "{%- for message in messages -%}"
    "{%- if message.role not in ['system', 'user', 'assistant'] -%}"
    "{{ raise_exception('no mark for the role ' + message.role) }}"
    "{%- endif -%}"
    "{{ '<|' + message.role + '|>' + message.content + '<|end|>' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}{%- endif -%}"
)
SMALLEST = 256 + len(MARKS)
MASK = "<|mask|>"


@dataclass(frozen=True)
class TokenizerSettings:
    """`vocabulary`: tokens in all, marks included (and, for `bpe`, the 256 bytes); `window`: the most tokens of a text.

    `kind` is `bpe` (of bytes), `unigram` or `wordpiece`. `sentinels` stand for spans that are cut out of a text.
    """

    vocabulary: int = 4096
    window: int = 1024
    kind: str = "bpe"
    sentinels: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise RungError(f"unknown kind {self.kind!r}", where="tokenizer", mend=nearest(self.kind, KINDS))
        if self.sentinels < 0:
            raise RungError(f"sentinels is {self.sentinels}", where="tokenizer", mend="use 0 or more")
        smallest = (SMALLEST if self.kind == "bpe" else len(MARKS) + 1) + self.sentinels
        if self.vocabulary <= smallest:
            raise RungError(
                f"vocabulary {self.vocabulary} leaves no room for merges",
                where="tokenizer",
                mend=f"use more than {smallest}",
            )
        if self.window < 1:
            raise RungError(f"window {self.window} is no length", where="tokenizer", mend="use 1 or more")


def train_tokenizer(texts: Iterable[str], settings: TokenizerSettings, *, mask: bool = False) -> Any:
    """A `PreTrainedTokenizerFast` trained on `texts`, with a mask token where asked for.

    The same texts in the same order give the same tokenizer. Digits stand alone, so that numbers of any length are
    read alike. Raises RungError where the texts are too few for the vocabulary.
    """
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    sentinels = [f"<extra_id_{number}>" for number in range(settings.sentinels)]
    marks = [*MARKS, *([MASK] if mask else []), *sentinels]
    tokenizer = fit(settings.kind, texts, settings.vocabulary, marks)
    begin = (BEGIN, tokenizer.token_to_id(BEGIN))
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[begin])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[f"<|{role}|>" for role in ROLES] + sentinels,
        model_max_length=settings.window,
        clean_up_tokenization_spaces=False,
        padding_side="left",
        **({"mask_token": MASK} if mask else {}),
        **({} if settings.kind == "bpe" else {"unk_token": UNKNOWN}),
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


@dataclass(frozen=True)
class Fertility:
    """How finely a tokenizer cuts some texts: words are what white space parts, bytes are UTF-8."""

    tokens_per_word: float
    bytes_per_token: float
    unknown_share: float
    texts: int

    @classmethod
    def of(cls, tokenizer: Any, texts: Iterable[str]) -> Fertility:
        """Measured on `texts`; raises RungError where they hold no token."""
        tokens = unknown = words = size = count = 0
        for text in texts:
            ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]  # however long
            tokens += len(ids)
            unknown += sum(one == tokenizer.unk_token_id for one in ids) if tokenizer.unk_token_id is not None else 0
            words += len(text.split())
            size += len(text.encode("utf-8", "surrogatepass"))
            count += 1
        if not tokens:
            raise RungError("no text to measure the tokenizer on", where="tokenizer", mend="give texts")
        return cls(round(tokens / max(words, 1), 4), round(size / tokens, 4), round(unknown / tokens, 6), count)
