"""An LSTM in the forms of `transformers`: the baseline that transformers left behind, at any size, saved like any model.

Decoder (Graves 2013), bidirectional encoder for masked tokens, and encoder–decoder with attention (Sutskever et al. 2014;
Luong et al. 2015), after Hochreiter and Schmidhuber 1997. For pretraining and perplexity: no cache, no masks between the
documents of a row.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput, MaskedLMOutput, Seq2SeqLMOutput


class LstmConfig(PreTrainedConfig):
    """`hidden_size` is the width of embeddings and of what each layer gives, both directions together."""

    model_type = "lstm"
    vocab_size: int = 4096
    hidden_size: int = 256
    num_hidden_layers: int = 2
    initializer_range: float = 0.02
    tie_word_embeddings: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    decoder_start_token_id: int | None = None
    is_encoder_decoder: bool = False


class _Lstm(PreTrainedModel):
    config_class = LstmConfig
    base_model_prefix = "body"
    _supports_sdpa = False

    @torch.no_grad()
    def _init_weights(self, module: Any) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.LSTM):
            for name, weight in module.named_parameters():
                init.uniform_(weight, -(module.hidden_size**-0.5), module.hidden_size**-0.5)
                if name.startswith("bias_ih"):  # gates start open to the past (Jozefowicz et al. 2015)
                    weight[module.hidden_size : 2 * module.hidden_size] = 1.0


class LstmModel(_Lstm):
    """Embeddings and layers; states of all places, shape (rows, length, hidden)."""

    def __init__(self, config: LstmConfig, both_ways: bool = False) -> None:
        super().__init__(config)
        ways = 2 if both_ways else 1
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.LSTM(
            config.hidden_size,
            config.hidden_size // ways,
            config.num_hidden_layers,
            batch_first=True,
            bidirectional=both_ways,
        )
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of token vectors."""
        return self.embed_tokens

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Put another table in its place."""
        self.embed_tokens = value

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, start: Any = None, **_: Any
    ) -> BaseModelOutput:
        """States of all places and, as `hidden_states`, the last ones of each layer. Padding on the right is passed over."""
        words, lengths = self.embed_tokens(input_ids), _lengths(attention_mask, input_ids)
        if lengths is None:
            states, last = self.layers(words, start)
        else:
            packed = nn.utils.rnn.pack_padded_sequence(words, lengths.cpu(), batch_first=True, enforce_sorted=False)
            states, last = self.layers(packed, start)
            states, _length = nn.utils.rnn.pad_packed_sequence(
                states, batch_first=True, total_length=input_ids.shape[1]
            )
        return BaseModelOutput(last_hidden_state=states, hidden_states=last)


def _lengths(mask: torch.Tensor | None, ids: torch.Tensor) -> torch.Tensor | None:
    """Tokens of each row before the padding, or None where there is none. `mask` is (rows, length).

    Raises ValueError for a mask between tokens: a recurrent state cannot keep to it.
    """
    if mask is None:
        return None
    if mask.ndim != 2:
        raise ValueError("an LSTM reads a row from end to end and cannot keep its documents apart")
    lengths = mask.sum(dim=1)
    return None if bool((lengths == ids.shape[1]).all()) else lengths


class LstmForCausalLM(_Lstm):
    """Each place predicts the next token."""

    _tied_weights_keys: ClassVar = {"lm_head.weight": "body.embed_tokens.weight"}

    def __init__(self, config: LstmConfig) -> None:
        super().__init__(config)
        self.body = LstmModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> CausalLMOutput:
        """Logits, shape (rows, length, vocabulary)."""
        return CausalLMOutput(logits=self.lm_head(self.body(input_ids, attention_mask).last_hidden_state))


class LstmForMaskedLM(_Lstm):
    """Each place predicts its own token from both sides."""

    _tied_weights_keys: ClassVar = {"lm_head.weight": "body.embed_tokens.weight"}

    def __init__(self, config: LstmConfig) -> None:
        super().__init__(config)
        self.body = LstmModel(config, both_ways=True)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> MaskedLMOutput:
        """Logits, shape (rows, length, vocabulary)."""
        return MaskedLMOutput(logits=self.lm_head(self.body(input_ids, attention_mask).last_hidden_state))


class _Writer(_Lstm):
    """A decoder that begins with the reader's last states and attends to all of them at each place."""

    def __init__(self, config: LstmConfig) -> None:
        super().__init__(config)
        self.body = LstmModel(config)
        self.asked = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.joined = nn.Linear(2 * config.hidden_size, config.hidden_size, bias=False)
        self.post_init()

    def forward(self, input_ids: torch.Tensor, read: Any, seen: torch.Tensor | None) -> BaseModelOutput:
        """States (rows, length, hidden); `seen` (rows, 1, source length), bool, leaves out the source's padding."""
        layers = self.config.num_hidden_layers
        start = tuple(_together(state, layers) for state in read.hidden_states)
        states = self.body(input_ids, start=start).last_hidden_state
        found = nn.functional.scaled_dot_product_attention(
            self.asked(states), read.last_hidden_state, read.last_hidden_state, seen
        )
        return BaseModelOutput(last_hidden_state=torch.tanh(self.joined(torch.cat([states, found], dim=-1))))


def _together(state: torch.Tensor, layers: int) -> torch.Tensor:
    """Last states of both directions (2 × layers, rows, hidden / 2) side by side, (layers, rows, hidden)."""
    _, rows, width = state.shape
    return state.view(layers, 2, rows, width).transpose(1, 2).reshape(layers, rows, 2 * width).contiguous()


class LstmForConditionalGeneration(_Lstm):
    """Reads with a bidirectional LSTM, writes with another that attends to what was read."""

    _tied_weights_keys: ClassVar = {
        "lm_head.weight": "encoder.embed_tokens.weight",
        "decoder.body.embed_tokens.weight": "encoder.embed_tokens.weight",
    }

    def __init__(self, config: LstmConfig) -> None:
        config.is_encoder_decoder = True
        super().__init__(config)
        self.encoder = LstmModel(config, both_ways=True)
        self.decoder = _Writer(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of token vectors, shared by both sides."""
        return self.encoder.embed_tokens

    def get_encoder(self, modality: str | None = None) -> LstmModel:
        """The side that reads."""
        return self.encoder

    def get_decoder(self) -> _Writer:
        """The side that writes."""
        return self.decoder

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        decoder_input_ids: torch.Tensor | None = None,
        encoder_outputs: Any = None,
        **_: Any,
    ) -> Seq2SeqLMOutput:
        """Logits of the written side, shape (rows, target length, vocabulary); `attention_mask` is (rows, source)."""
        read = encoder_outputs if encoder_outputs is not None else self.encoder(input_ids, attention_mask)
        seen = None if attention_mask is None else attention_mask.bool()[:, None, :]
        states = self.decoder(decoder_input_ids, read, seen).last_hidden_state
        return Seq2SeqLMOutput(logits=self.lm_head(states))


def register() -> None:
    """Make the library know the model type `lstm`. Doing it again does nothing."""
    AutoConfig.register("lstm", LstmConfig, exist_ok=True)
    for auto, kind in (
        (AutoModelForCausalLM, LstmForCausalLM),
        (AutoModelForMaskedLM, LstmForMaskedLM),
        (AutoModelForSeq2SeqLM, LstmForConditionalGeneration),
    ):
        auto.register(LstmConfig, kind, exist_ok=True)
