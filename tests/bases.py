"""Tiny real bases for the tests: random weights, trained tokenizers, saved in Hugging Face form."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertModel,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

WORDS = [
    "where",
    "is",
    "my",
    "order",
    "the",
    "parcel",
    "never",
    "came",
    "please",
    "send",
    "money",
    "back",
    "refund",
    "lamp",
    "broke",
    "cannot",
    "log",
    "in",
    "password",
    "question",
    "about",
    "kettle",
    "size",
    "cancel",
    "card",
    "declined",
    "invoice",
    "good",
    "bad",
    "film",
    "great",
    "awful",
    "loved",
    "hated",
    "north",
    "south",
    "east",
    "west",
    "Answer",
    "Input",
    "red",
    "green",
    "blue",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "a",
    "an",
    "of",
    "to",
    "and",
    "for",
    "with",
    "on",
    "at",
    "by",
]
CHAT = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' }}{{ message['content'] }}{{ '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
SPECIAL = ["<pad>", "</s>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]


def tokenizer(*, chat: bool = True, closing: bool = False) -> PreTrainedTokenizerFast:
    """A byte-level BPE of some 600 tokens; with `closing`, texts end in </s> as T5's do."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = [" ".join(WORDS[i:] + WORDS[:i]) for i in range(len(WORDS))]
    bpe.train_from_iterator(text, trainer)
    if closing:
        bpe.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<pad>",
        eos_token="</s>",
        extra_special_tokens=SPECIAL[2:],
        model_max_length=256,
    )
    if chat:
        fast.chat_template = CHAT
    return fast


def save(module: torch.nn.Module, tok: PreTrainedTokenizerFast, folder: Path) -> Path:
    """Write weights and tokenizer as `save_pretrained` does."""
    module.save_pretrained(folder)
    tok.save_pretrained(folder)
    return folder


def make(kind: str, folder: Path, *, seed: int = 0) -> Path:
    """A base of `kind` with seeded random weights.

    llama, llama-plain, mistral, qwen3, gemma, gemma3, gpt2, gpt-neox, mamba, t5, bart, bert.
    """
    torch.manual_seed(seed)
    tok = tokenizer(chat=kind == "llama", closing=kind == "t5")
    size = len(tok)
    small = {"vocab_size": size, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1}
    wide = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    room = {"max_position_embeddings": 256}
    module: torch.nn.Module
    if kind.startswith("llama"):
        module = LlamaForCausalLM(LlamaConfig(**small, **wide, **room, num_key_value_heads=2, tie_word_embeddings=True))
    elif kind == "mistral":
        module = MistralForCausalLM(MistralConfig(**small, **wide, **room, num_key_value_heads=2, sliding_window=64))
    elif kind == "qwen3":
        module = Qwen3ForCausalLM(Qwen3Config(**small, **wide, **room, num_key_value_heads=2, head_dim=8))
    elif kind == "gemma":
        module = GemmaForCausalLM(GemmaConfig(**small, **wide, **room, num_key_value_heads=1, head_dim=16))
    elif kind == "gpt-neox":
        module = GPTNeoXForCausalLM(GPTNeoXConfig(**small, **wide, **room))
    elif kind == "gpt2":
        module = GPT2LMHeadModel(GPT2Config(**small, n_positions=256, n_embd=32, n_layer=2, n_head=4))
    elif kind == "gemma3":
        module = Gemma3ForCausalLM(
            Gemma3TextConfig(**small, **wide, **room, num_key_value_heads=2, head_dim=8, sliding_window=24)
        )
    elif kind == "mamba":
        module = MambaForCausalLM(MambaConfig(**small, hidden_size=32, num_hidden_layers=2, state_size=8))
    elif kind == "t5":
        module = T5ForConditionalGeneration(
            T5Config(vocab_size=size, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0)
        )
    elif kind == "bart":
        module = BartForConditionalGeneration(
            BartConfig(
                **small,
                d_model=32,
                encoder_layers=2,
                decoder_layers=2,
                encoder_attention_heads=4,
                decoder_attention_heads=4,
                encoder_ffn_dim=64,
                decoder_ffn_dim=64,
                max_position_embeddings=256,
                decoder_start_token_id=1,
                forced_eos_token_id=None,
            )
        )
    elif kind == "bert":
        module = BertModel(BertConfig(vocab_size=size, **wide, **room))
    else:
        raise ValueError(kind)
    with torch.no_grad():  # sharper than a fresh initialisation, so that likelihoods differ
        for name, weight in module.named_parameters():
            if weight.dim() > 1 and "norm" not in name:
                weight.mul_(4.0)
    return save(module, tok, folder)
