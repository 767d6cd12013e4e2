"""Training a tokenizer from text: a byte-level BPE with turn marks and a chat template.

The marks are single tokens, so that a turn can never be mistaken for text. How prompts are laid out with the template
is the matter of `layout`; loading a finished tokenizer is that of `load`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rung.errors import RungError

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


@dataclass(frozen=True)
class TokenizerSettings:
    """`vocabulary`: tokens in all, the 256 bytes and the marks included; `window`: the most tokens a text may have."""

    vocabulary: int = 4096
    window: int = 1024

    def __post_init__(self) -> None:
        if self.vocabulary <= SMALLEST:
            raise RungError(
                f"vocabulary {self.vocabulary} leaves no room for merges",
                where="tokenizer",
                mend=f"use more than {SMALLEST}",
            )
        if self.window < 1:
            raise RungError(f"window {self.window} is no length", where="tokenizer", mend="use 1 or more")


def train_tokenizer(texts: Iterable[str], settings: TokenizerSettings) -> Any:
    """A `PreTrainedTokenizerFast` trained on `texts` (Sennrich et al. 2016, over bytes).

    The same texts in the same order give the same tokenizer. Digits stand alone, so that numbers of any length are
    read alike. Raises RungError where the texts are too few for the vocabulary.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    digits = pre_tokenizers.Split(Regex(r"\p{N}"), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary,
        special_tokens=list(MARKS),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() < settings.vocabulary:
        raise RungError(
            f"the texts hold {tokenizer.get_vocab_size()} tokens, fewer than the vocabulary of {settings.vocabulary}",
            where="tokenizer",
            mend="give more text or a smaller vocabulary",
        )
    begin = (BEGIN, tokenizer.token_to_id(BEGIN))
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[begin])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[f"<|{role}|>" for role in ROLES],
        model_max_length=settings.window,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped
