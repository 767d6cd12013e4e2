"""A model behind an endpoint: what is sent, what is read, what is tried again, and a key that nobody ever sees."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from endpoint import chat, endpoint
from rung.errors import RungError
from rung.evaluate.asking import ask
from rung.system.bundle import load, save
from rung.system.remote import Remote
from rung.types import Message, Prompt, Sampling, TokenChance

KEY = "sk-secret-0123456789"


def prompt(text: str, *choices: str, **sampling: Any) -> Prompt:
    return Prompt((Message("user", text),), choices, sampling=Sampling(**{"max_new_tokens": 5, **sampling}))


def quick(url: str, **more: Any) -> Remote:
    return Remote(url, "small", **{"backoff_s": 0.01, "retries": 2, **more})


def test_answers_come_back_in_order_with_their_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNG_API_KEY", KEY)

    def reply(content: dict[str, Any], place: int) -> tuple[int, Any]:
        number = int(content["messages"][-1]["content"])
        time.sleep(0.02 * (number % 3))
        return 200, chat(f" number {number}\n")

    with endpoint(reply) as served:
        said = quick(served.url, instruction="Say the number.").answer([prompt(str(n)) for n in range(12)])
    assert [one.text for one in said] == [f"number {n}" for n in range(12)]
    assert all((one.prompt_tokens, one.completion_tokens, one.error) == (7, 2, None) for one in said)
    assert all(one.latency_s > 0 for one in said)
    assert {one["Authorization"] for one in served.headers} == {f"Bearer {KEY}"}
    first = next(one for one in served.requests if one["messages"][-1]["content"] == "0")
    assert first == {
        "model": "small", "max_tokens": 5, "temperature": 0.0,
        "messages": [{"role": "system", "content": "Say the number."}, {"role": "user", "content": "0"}],
    }  # fmt: skip


def test_settings_choices_and_schema_are_sent() -> None:
    def reply(content: dict[str, Any], place: int) -> tuple[int, Any]:
        logprobs = {"content": [{"token": "No", "logprob": -0.1, "top_logprobs": [{"token": "Yes", "logprob": -2.3}]}]}
        return 200, chat(" NO.", logprobs=logprobs)

    with endpoint(reply) as served:
        asked = prompt("ok?", "Yes", "No", temperature=0.5, seed=3, top_p=0.9, stop=("\n",), logprobs=1)
        (said,) = quick(served.url).answer([asked])
        quick(served.url).answer([Prompt((Message("user", "x"),), schema={"type": "object"})])
    assert said.text == "No" and said.logprobs == (TokenChance("No", -0.1, (("Yes", -2.3),)),)
    one, two = served.requests
    assert one["messages"][0]["content"].endswith(": Yes | No")
    assert (one["seed"], one["top_p"], one["stop"], one["top_logprobs"]) == (3, 0.9, ["\n"], 1)
    assert two["response_format"]["json_schema"]["schema"] == {"type": "object"}


@pytest.mark.parametrize("status", [429, 500, 503])
def test_busy_endpoints_are_asked_again(status: int) -> None:
    with endpoint(lambda _, place: (status, "later") if place < 2 else (200, chat("at last"))) as served:
        (said,) = quick(served.url).answer([prompt("x")])
    assert (said.text, said.error, len(served.requests)) == ("at last", None, 3)


def test_an_endpoint_says_how_long_to_wait() -> None:
    with endpoint(
        lambda _, place: (429, "later") if place < 1 else (200, chat("ok")), {"Retry-After": "0.3"}
    ) as served:
        started = time.perf_counter()
        (said,) = quick(served.url, backoff_s=0.0).answer([prompt("x")])
    assert said.text == "ok" and time.perf_counter() - started >= 0.3


def test_what_fails_after_its_retries_is_an_error_row_and_loses_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNG_API_KEY", KEY)
    bad = {
        "busy": (503, "overloaded"), "wrong": (400, {"error": {"message": f"bad request with {KEY}"}}), "odd": (200, "<html>"),
        "empty": (200, chat(None, finish_reason="content_filter")), "late": (401, "expired"),
    }  # fmt: skip

    def reply(content: dict[str, Any], place: int) -> tuple[int, Any]:
        return bad.get(content["messages"][-1]["content"], (200, chat("fine")))

    with endpoint(reply) as served:
        said = quick(served.url).answer([prompt(text) for text in ("good", *bad, "good")])
    assert [one.text for one in said] == ["fine", "", "", "", "", "", "fine"]
    assert [one.error for one in said] == [
        None, "HTTP 503: overloaded", "HTTP 400: bad request with …", "no chat completion came back: <html>",
        "no text came back (content_filter)", "HTTP 401: expired", None,
    ]  # fmt: skip
    assert sum(one["messages"][-1]["content"] == "busy" for one in served.requests) == 3
    assert KEY not in repr(said)


def test_a_slow_answer_is_given_up() -> None:
    def reply(content: dict[str, Any], place: int) -> tuple[int, Any]:
        time.sleep(0.6 if content["messages"][-1]["content"] == "slow" else 0)
        return 200, chat("ok")

    with endpoint(reply) as served:
        said = quick(served.url, timeout_s=0.2, retries=0).answer([prompt("quick"), prompt("slow")])
    assert said[0].text == "ok" and said[1].error is not None and "ReadTimeout" in said[1].error


def test_nobody_there_and_refusals_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNG_API_KEY", KEY)
    with pytest.raises(RungError, match=r"no connection .*; check that the endpoint runs"):
        ask(quick("http://127.0.0.1:9/v1", retries=0), [prompt("x")] * 3)
    with endpoint(lambda *_: (401, {"error": f"wrong key {KEY}"})) as served, pytest.raises(RungError) as caught:
        quick(served.url).answer([prompt("x")])
    assert str(caught.value).endswith(
        "HTTP 401: wrong key …; check the address, the model's name and the key in RUNG_API_KEY"
    )
    with endpoint(lambda *_: (200, chat("x"))) as served, pytest.raises(RungError, match="HTTP 404"):
        quick(served.url.removesuffix("/v1") + "/v2").answer([prompt("x")])


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("http://127.0.0.1/v1", "does not say which model; write http://127.0.0.1/v1#MODEL"),
        ("http://me:secret@host/v1#m", "host: a URL may not carry a key; put it into RUNG_API_KEY"),
        ("ftp://host/v1#m", "is no HTTP address"),
    ],
)
def test_addresses_that_cannot_be(address: str, line: str) -> None:
    with pytest.raises(RungError) as caught:
        Remote.of(address)
    assert line in str(caught.value) and "secret" not in str(caught.value)


def test_a_saved_remote_holds_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNG_API_KEY", KEY)
    with endpoint(lambda *_: (200, chat("hello"))) as served:
        system = Remote.of(f"{served.url}#small", "Be kind.")
        save(system, tmp_path)
        assert load(tmp_path).inner == system and load(tmp_path).ask("hi").text == "hello"
    assert KEY not in (tmp_path / "system.json").read_text() and KEY not in repr(system)
