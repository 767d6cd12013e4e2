"""The usual shapes of rows, read without conversion: alpaca, sharegpt, messages, prompt/completion, question/answer.

Each reader turns a row into (prompt, answers) or raises `Unusable`. Columns named by the task file are `rows`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from rung.task.cells import Unusable, cell_text
from rung.types import Message, Role

Parts = tuple[tuple[Message, ...], tuple[str, ...]]  # the prompt, and the right answers
Shape = Callable[[Mapping[str, Any]], Parts]

_ROLES: Mapping[str, Role] = {
    "system": "system", "developer": "system", "user": "user", "human": "user",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "bot": "assistant", "chatgpt": "assistant",
}  # fmt: skip


def read_turns(turns: Any) -> tuple[Message, ...]:
    """A conversation as messages, from `role`/`content` or `from`/`value`; parts of text are joined."""
    if not isinstance(turns, Sequence) or isinstance(turns, str):
        raise Unusable("the conversation is not a list of turns")
    found = []
    for turn in turns:
        if not isinstance(turn, Mapping):
            raise Unusable("a turn is not an object")
        said = turn.get("role", turn.get("from"))
        role = _ROLES.get(str(said).lower())
        if role is None:
            raise Unusable("a turn has a role that is not read", str(said))
        found.append(Message(role, _content(turn.get("content", turn.get("value")))))
    return tuple(found)


def _content(content: Any) -> str:
    if not isinstance(content, list):
        return cell_text(content)
    pieces = []
    for part in content:
        text = part.get("text", part.get("value")) if isinstance(part, Mapping) else part
        if not isinstance(text, str) or (isinstance(part, Mapping) and part.get("type", "text") != "text"):
            raise Unusable("a turn holds something other than text")
        pieces.append(text)
    return "\n".join(pieces)


def _conversation(column: str, values: Mapping[str, Any]) -> Parts:
    turns = read_turns(values.get(column))
    if not turns or turns[-1].role != "assistant":
        raise Unusable("the last turn is not the assistant's")
    return _with_system(values, turns[:-1]), (turns[-1].content,)


def _with_system(values: Mapping[str, Any], turns: tuple[Message, ...]) -> tuple[Message, ...]:
    system = cell_text(values.get("system"))
    return (Message("system", system), *turns) if system.strip() else turns


def messages(values: Mapping[str, Any]) -> Parts:
    """`messages`: a list of {role, content}; the last turn of the assistant is the answer."""
    return _conversation("messages", values)


def sharegpt(values: Mapping[str, Any]) -> Parts:
    """`conversations`: a list of {from, value}; the last turn of the assistant is the answer."""
    return _conversation("conversations", values)


def alpaca(values: Mapping[str, Any]) -> Parts:
    """`instruction`, `input` (may be empty), `output`; `system` and `history` (pairs) where there are."""
    asked = [text for text in (cell_text(values.get("instruction")), cell_text(values.get("input"))) if text.strip()]
    turns: list[Message] = []
    for pair in values.get("history") or ():
        if not isinstance(pair, Sequence) or len(pair) != 2:
            raise Unusable("the history is not a list of pairs")
        turns += [Message("user", cell_text(pair[0])), Message("assistant", cell_text(pair[1]))]
    turns.append(Message("user", "\n\n".join(asked)))
    return _with_system(values, tuple(turns)), (cell_text(values.get("output")),)


def _pair(asked: str, answered: str) -> Shape:
    def read(values: Mapping[str, Any]) -> Parts:
        prompt = values.get(asked)
        turns = read_turns(prompt) if isinstance(prompt, list) else (Message("user", cell_text(prompt)),)
        answer = values.get(answered)
        if isinstance(answer, list) and answer and isinstance(answer[-1], Mapping):
            return _with_system(values, turns), (read_turns(answer)[-1].content,)
        return _with_system(values, turns), (cell_text(answer),)

    return read


# Each shape: the columns that it needs, and its reader. The order is the order of `detect`.
SHAPES: Mapping[str, tuple[tuple[str, ...], Shape]] = {
    "messages": (("messages",), messages),
    "sharegpt": (("conversations",), sharegpt),
    "alpaca": (("instruction", "output"), alpaca),
    "prompt-completion": (("prompt", "completion"), _pair("prompt", "completion")),
    "question-answer": (("question", "answer"), _pair("question", "answer")),
}


def detect(columns: Collection[str]) -> str | None:
    """The shape that rows with these columns have, or None."""
    return next((name for name, (needs, _) in SHAPES.items() if all(column in columns for column in needs)), None)
