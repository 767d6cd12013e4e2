"""How a prompt and its answer become token ids.

One place decides where the instruction stands, how shots are shown, and where the answer begins, so that prompting,
training and serving read the same ids. Chat templates are used where the tokenizer has one; else a plain layout.
Nothing here chooses instructions or shots, and nothing is ever cut: who calls checks lengths against the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rung.errors import RungError
from rung.model.load import Model
from rung.types import Message

Shot = tuple[tuple[Message, ...], str]

ASKED, PROBE = "\u00a7question\u00a7", "\u00a7answer\u00a7"


@dataclass(frozen=True)
class Layout:
    """Renders prompts for one base.

    `style` is `chat` (the tokenizer's template), `plain` (labelled lines for a decoder without a template) or
    `seq2seq` (the same lines, closed as the encoder expects; the answer starts a text of its own).
    """

    tokenizer: Any
    style: str

    @classmethod
    def of(cls, model: Model) -> Layout:
        """The layout that fits `model`."""
        tokenizer = model.tokenizer
        if model.kind == "encoder-decoder":
            return cls(tokenizer, "seq2seq")
        return cls(tokenizer, "chat" if getattr(tokenizer, "chat_template", None) else "plain")

    def text(self, instruction: str, shots: Sequence[Shot], messages: Sequence[Message]) -> str:
        """The prompt as text, up to where the answer begins."""
        if self.style == "chat":
            return self._chat(self._turns(instruction, shots, messages))
        blocks = [instruction] if instruction else []
        blocks += [f"{_plain_input(inputs)}\nAnswer: {answer}" for inputs, answer in shots]
        blocks.append(f"{_plain_input(messages)}\nAnswer:")
        return "\n\n".join(blocks)

    def context(self, instruction: str, shots: Sequence[Shot], messages: Sequence[Message]) -> list[int]:
        """Token ids of the prompt, up to where the answer begins."""
        return self.encode(self.text(instruction, shots, messages))

    def contexts(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of many rendered prompts at once."""
        # The chat template writes its own special tokens, so the tokenizer must not add them a second time.
        encoded = self.tokenizer(list(texts), add_special_tokens=self.style != "chat")["input_ids"] if texts else []
        rows = [list(map(int, ids)) for ids in encoded]
        if self.style == "plain" and self._closing:
            rows = [ids[: -len(self._closing)] if ids[-len(self._closing) :] == self._closing else ids for ids in rows]
        return rows

    def encode(self, text: str) -> list[int]:
        """Token ids of one rendered prompt."""
        return self.contexts([text])[0]

    def answer(self, text: str, *, end: bool = False) -> list[int]:
        """Token ids of an answer as it continues a prompt; with `end`, closed by the end mark.

        The ids are those of `enc(prompt + answer)` after `enc(prompt)`, found on the prompt's last characters. Where the
        tokenizer joins the two at their boundary, the answer is encoded as a text of its own. Each text is encoded once:
        a task asks for the same labels at every row.
        """
        if text not in self._answers:
            self._answers[text] = self._encoded(text)
        ids = self._answers[text]
        return [*ids, *self.end] if end else list(ids)

    @cached_property
    def _answers(self) -> dict[str, tuple[int, ...]]:
        return {}

    def _encoded(self, text: str) -> tuple[int, ...]:
        stem, gap = self._boundary
        before, after = self._bare(stem) if stem else [], self._bare(f"{stem}{gap}{text}")
        if after[: len(before)] != before:
            before, after = [], self._bare(text)
        if len(after) == len(before) or not text.strip():
            raise RungError(
                f"the tokenizer gives no tokens of its own to {text!r}", where="answer", mend="use another label word"
            )
        return tuple(after[len(before) :])

    @cached_property
    def end(self) -> list[int]:
        """Token ids that close an answer: the template's own mark, else the tokenizer's end of sequence."""
        if self.style == "chat":
            closing, special = self._chat_closing(), set(self.tokenizer.all_special_ids)
            marks = [token for token in (self._bare(closing) if closing else []) if token in special]
            if marks:
                return marks[:1]
        eos = self.tokenizer.eos_token_id
        return [] if eos is None else [int(eos)]

    @cached_property
    def stop(self) -> tuple[str, ...]:
        """Strings at which a generated answer ends although no end mark came."""
        return ("\nInput:",) if self.style == "plain" else ()

    def _bare(self, text: str) -> list[int]:
        return list(map(int, self.tokenizer(text, add_special_tokens=False)["input_ids"]))

    @cached_property
    def _closing(self) -> list[int]:
        """Special ids that the tokenizer appends to every text (BERT's [SEP], some Llamas' </s>)."""
        bare, full = self._bare("a"), list(map(int, self.tokenizer("a")["input_ids"]))
        after = len(full) - len(bare) - (full.index(bare[0]) if bare and bare[0] in full else 0)
        return full[len(full) - after :] if after > 0 else []

    def _turns(self, instruction: str, shots: Sequence[Shot], messages: Sequence[Message]) -> list[dict[str, str]]:
        """One system turn at the most, at the start: templates refuse others or drop them without a word."""
        own = [m.content for m in messages if m.role == "system"]
        system = [text for text in (instruction, *own) if text]
        turns = []
        for inputs, answer in shots:
            turns += _opened(
                _spoken(inputs), [m.content for m in inputs if m.role == "system" and m.content not in own]
            )
            turns.append({"role": "assistant", "content": answer})
        turns += _spoken(messages)
        if self._has_system and system:
            return [{"role": "system", "content": "\n\n".join(system)}, *turns]
        return _opened(turns, system)

    @cached_property
    def _has_system(self) -> bool:
        probe = [{"role": "system", "content": PROBE}, {"role": "user", "content": "u"}]
        try:
            return PROBE in self._chat(probe)
        except RungError:
            return False

    def _chat(self, turns: list[dict[str, str]], *, answer: bool = True) -> str:
        from jinja2 import TemplateError

        try:
            return str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=answer))
        except TemplateError as error:
            raise RungError(
                f"the chat template refuses the prompt: {error}", where="chat template", mend="mend chat_template.jinja"
            ) from error

    def _chat_closing(self) -> str:
        turns = [{"role": "user", "content": "u"}, {"role": "assistant", "content": PROBE}]
        whole = self._chat(turns, answer=False)
        return whole.partition(PROBE)[2]

    @cached_property
    def _boundary(self) -> tuple[str, str]:
        """The text that every prompt ends in, and the space between it and the answer.

        Of a template, the space is what a finished conversation writes there (Llama 2: one blank); more than space, such
        as an empty thought, is left to the model.
        """
        if self.style == "plain":
            return "Answer:", " "
        if self.style == "seq2seq":
            return "", ""
        asked = {"role": "user", "content": ASKED}
        stem = self._chat([asked]).rpartition(ASKED)[2]
        whole = self._chat([asked, {"role": "assistant", "content": PROBE}], answer=False)
        between = whole.rpartition(ASKED)[2].partition(PROBE)[0]
        gap = between.removeprefix(stem) if between.startswith(stem) else ""
        return stem, "" if gap.strip() else gap


def _plain_input(messages: Sequence[Message]) -> str:
    if len(messages) == 1:
        return f"Input: {messages[0].content}"
    return "\n".join(f"{m.role.capitalize()}: {m.content}" for m in messages)


def _spoken(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in messages if m.role != "system"]


def _opened(turns: list[dict[str, str]], words: Sequence[str]) -> list[dict[str, str]]:
    """`turns` with the words of a system in front of the first user's own."""
    if not words:
        return turns
    at = next((number for number, turn in enumerate(turns) if turn["role"] == "user"), None)
    if at is None:
        return [{"role": "user", "content": "\n\n".join(words)}, *turns]
    opened = {"role": "user", "content": "\n\n".join([*words, turns[at]["content"]])}
    return [*turns[:at], opened, *turns[at + 1 :]]
