"""A model behind an OpenAI-style HTTP endpoint (`POST …/chat/completions`), as a System. No weights, no likelihoods.

The key comes from an environment variable alone; it is sent to the named endpoint and nowhere else, and is taken out of
whatever an endpoint says. A call that fails after its retries is an error row.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rung.errors import RungError
from rung.types import Completion, Prompt, Sampling, TokenChance

if TYPE_CHECKING:
    import httpx2

KEY_VARIABLE = "RUNG_API_KEY"
PATH = "/chat/completions"
LONGEST_WAIT_S = 60.0
_REFUSED = (401, 403, 404)
"""What an endpoint says to a wrong key, model or path: no row of it would fare better."""


@dataclass(frozen=True)
class Remote:
    """A hosted model: `url` is the endpoint's base (`https://host/v1`), `model` the name it knows the model by.

    `timeout_s` bounds one call, `retries` the further tries after 429, 5xx and lost connections, which wait `backoff_s`,
    twice that, and so on, or what the endpoint asks for; `workers` calls are under way at once.
    """

    url: str
    model: str
    instruction: str = ""
    key_variable: str = KEY_VARIABLE
    timeout_s: float = 60.0
    retries: int = 4
    backoff_s: float = 0.5
    workers: int = 4
    _reached: threading.Event = field(default_factory=threading.Event, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        import httpx2

        try:
            parsed = httpx2.URL(self.url)
        except httpx2.InvalidURL as error:
            raise RungError(f"is no URL: {error}", where=self.url, mend="write https://HOST/v1#MODEL") from error
        if parsed.userinfo:
            raise RungError("a URL may not carry a key", where=parsed.host, mend=f"put it into {self.key_variable}")
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise RungError("is no HTTP address", where=self.url, mend="write https://HOST/v1#MODEL")

    @classmethod
    def of(cls, address: str, instruction: str = "") -> Remote:
        """From `URL#MODEL`. Raises RungError where the model is missing."""
        url, _, model = address.partition("#")
        if not model:
            raise RungError("does not say which model", where=address, mend=f"write {address}#MODEL")
        return cls(url.rstrip("/"), model, instruction)

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """One completion a prompt.

        Raises RungError where the endpoint cannot be reached or refuses, as long as it has never answered.
        """
        import httpx2

        if not prompts:
            return []
        with httpx2.Client(timeout=self.timeout_s, headers=self._headers(), follow_redirects=False) as client:
            first = self._ask(client, prompts[0])
            with ThreadPoolExecutor(self.workers) as pool:
                return [first, *pool.map(lambda prompt: self._ask(client, prompt), prompts[1:])]

    def _headers(self) -> dict[str, str]:
        key = os.environ.get(self.key_variable, "").strip()
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _ask(self, client: httpx2.Client, prompt: Prompt) -> Completion:
        import httpx2

        started, content, fault = time.perf_counter(), self._content(prompt), ""
        for attempt in range(self.retries + 1):
            try:
                said = client.post(self._address, json=content)
            except httpx2.TransportError as error:
                fault = f"no connection ({type(error).__name__}: {self._safe(str(error))})"
                wait = None
            else:
                if said.is_success:
                    self._reached.set()
                    return replace(self._read(said, prompt), latency_s=time.perf_counter() - started)
                fault = f"HTTP {said.status_code}: {self._safe(_message(said))}"
                if said.status_code in _REFUSED and not self._reached.is_set():
                    mend = f"check the address, the model's name and the key in {self.key_variable}"
                    raise RungError(fault, where=self.url, mend=mend)
                if said.status_code != 429 and said.status_code < 500:
                    break
                wait = _asked_wait(said)
            if attempt < self.retries:
                time.sleep(self.backoff_s * 2**attempt if wait is None else wait)
        if not self._reached.is_set() and fault.startswith("no connection"):
            raise RungError(fault, where=self.url, mend="check that the endpoint runs and can be reached")
        return Completion("", error=fault, latency_s=time.perf_counter() - started)

    @property
    def _address(self) -> str:
        return self.url if self.url.endswith(PATH) else self.url + PATH

    def _content(self, prompt: Prompt) -> dict[str, Any]:
        """The request. Settings that are off are left out: many endpoints know only the common ones."""
        rules = [self.instruction] if self.instruction else []
        if prompt.choices:
            rules.append("Answer with exactly one of these and nothing else: " + " | ".join(prompt.choices))
        turns = [{"role": message.role, "content": message.content} for message in prompt.messages]
        if rules:
            turns.insert(0, {"role": "system", "content": "\n\n".join(rules)})
        content: dict[str, Any] = {"model": self.model, "messages": turns, **_settings(prompt.sampling)}
        if prompt.schema is not None:
            schema = {"name": "answer", "schema": dict(prompt.schema), "strict": True}
            content["response_format"] = {"type": "json_schema", "json_schema": schema}
        return content

    def _read(self, said: httpx2.Response, prompt: Prompt) -> Completion:
        """The completion in a response; an error where it holds none."""
        try:
            body = said.json()
            texts = [one["message"]["content"] for one in body["choices"]]
            usage = body.get("usage") or {}
            read, written = (int(usage.get(key) or 0) for key in ("prompt_tokens", "completion_tokens"))
            chances = _chances(body["choices"][0].get("logprobs"))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return Completion("", error=f"no chat completion came back: {self._safe(said.text)}")
        if not texts or not isinstance(texts[0], str):
            reason = body["choices"][0].get("finish_reason") if texts else "no choices"
            return Completion("", read, written, error=f"no text came back ({reason})")
        first, *others = [_as_choice(str(text or "").strip(), prompt.choices) for text in texts]
        return Completion(first, read, written, others=tuple(others), logprobs=chances)

    def _safe(self, text: str) -> str:
        """What an endpoint said, on one line, without the key."""
        key = os.environ.get(self.key_variable, "").strip()
        line = " ".join(text.split())
        return (line.replace(key, "…") if key else line)[:200]


def _settings(sampling: Sampling) -> dict[str, Any]:
    """Sampling as endpoints name it; those of the last line are vLLM's and llama.cpp's own."""
    off = Sampling()
    found: dict[str, Any] = {"max_tokens": sampling.max_new_tokens, "temperature": sampling.temperature}
    for name in ("top_p", "frequency_penalty", "presence_penalty", "n", "top_k", "min_p", "repetition_penalty"):
        if (value := getattr(sampling, name)) != getattr(off, name):
            found[name] = value
    if sampling.temperature > 0:
        found["seed"] = sampling.seed
    if sampling.stop:
        found["stop"] = list(sampling.stop)
    if sampling.logit_bias:
        found["logit_bias"] = {str(token): bias for token, bias in sampling.logit_bias}
    if sampling.logprobs is not None:
        found |= {"logprobs": True, "top_logprobs": sampling.logprobs}
    return found


def _as_choice(text: str, choices: Sequence[str]) -> str:
    """The choice that was meant, spelt as the task has it; the text itself where it is none."""
    plain = text.strip(" \t\r\n.\"'`*").casefold()
    return next((choice for choice in choices if choice.casefold() == plain), text)


def _chances(logprobs: Mapping[str, Any] | None) -> tuple[TokenChance, ...]:
    return tuple(
        TokenChance(
            one["token"],
            float(one["logprob"]),
            tuple((other["token"], float(other["logprob"])) for other in one.get("top_logprobs") or ()),
        )
        for one in (logprobs or {}).get("content") or ()
    )


def _message(said: httpx2.Response) -> str:
    """What an endpoint gives as the reason of its refusal."""
    try:
        error = said.json()["error"]
        return str(error["message"] if isinstance(error, Mapping) else error)
    except (ValueError, KeyError, TypeError):
        return said.text


def _asked_wait(said: httpx2.Response) -> float | None:
    """The seconds of a Retry-After header, within bounds; None where there is none, or a date."""
    asked = said.headers.get("retry-after", "")
    try:
        return min(LONGEST_WAIT_S, max(0.0, float(asked)))
    except ValueError:
        return None
