"""Chat completions as openai-python asks for them; `strict` validates what it would otherwise take as it is."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from app.fake import ScriptedBackend
from app.store import Store
from engine import EngineError
from engine.errors import EngineBusy
from engine.reasoning import ThinkTags
from tests.app import plain_http
from tests.app.api.conftest import api_server, client_of
from tests.turnstile import crowded

ASKED: list[Any] = [{"role": "user", "content": "hello"}]


def post(address: str, **body: Any) -> httpx.Response:
    return plain_http.post(f"{address}/v1/chat/completions", json={"messages": ASKED} | body, timeout=20)


def chunks_of(response: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream, each valid by openai-python's types; the last is [DONE]."""
    *events, done = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert done == "[DONE]"
    return [ChatCompletionChunk.model_validate(json.loads(event), strict=True).model_dump() for event in events]


def test_an_answer(client: openai.OpenAI, scripted: ScriptedBackend) -> None:
    answer = client.chat.completions.create(model="tiny.gguf", messages=ASKED, seed=7, temperature=0.5)
    ChatCompletion.model_validate(answer.model_dump(), strict=True)
    assert answer.choices[0].message.content == "Hello there, you."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (2, 4, 6)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 0
    messages, sampling = scripted.requests[-1]
    assert list(messages) == ASKED
    assert (sampling.seed, sampling.temperature) == (7, 0.5)


def test_the_models_own_distribution_is_what_nobody_changed(client: openai.OpenAI, scripted: ScriptedBackend) -> None:
    client.chat.completions.create(model="tiny.gguf", messages=ASKED)
    sampling = scripted.requests[-1][1]
    assert (sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p) == (1.0, 0, 1.0, 0.0)


def test_every_setting_reaches_the_engine(client: openai.OpenAI, scripted: ScriptedBackend) -> None:
    client.chat.completions.create(
        model="tiny.gguf",
        messages=ASKED,
        max_completion_tokens=3,
        top_p=0.9,
        stop=["\n\n", "END"],
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        logit_bias={"5": -100},
        logprobs=True,
        top_logprobs=2,
        user="somebody",
        metadata={"a": "b"},
        store=False,
        extra_body={
            "top_k": 7,
            "min_p": 0.1,
            "repetition_penalty": 1.2,
            "ignore_eos": True,
            "min_tokens": 2,
            "stop_token_ids": [7],
        },
    )
    sampling = scripted.requests[-1][1]
    assert sampling.to_dict() == {
        "temperature": 1.0,
        "top_k": 7,
        "top_p": 0.9,
        "min_p": 0.1,
        "repetition_penalty": 1.2,
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
        "seed": None,
        "max_tokens": 3,
        "stop": ["\n\n", "END"],
        "logit_bias": {"5": -100.0},
        "ignore_eos": True,
        "logprobs": 2,
        "min_tokens": 2,
        "stop_token_ids": [7],
    }


def test_a_stream(address: str) -> None:
    chunks = chunks_of(post(address, stream=True, stream_options={"include_usage": True}))
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    *deltas, last, usage = chunks
    assert "".join(chunk["choices"][0]["delta"]["content"] or "" for chunk in deltas) == "Hello there, you."
    assert last["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 4
    assert all(chunk["usage"] is None for chunk in deltas)
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_a_stream_without_usage_has_none(address: str) -> None:
    assert all(chunk["choices"] and chunk["usage"] is None for chunk in chunks_of(post(address, stream=True)))


@pytest.mark.parametrize("stream", [False, True])
def test_logprobs(address: str, stream: bool) -> None:
    response = post(address, logprobs=True, top_logprobs=2, stream=stream)
    if stream:
        parts = [chunk["choices"][0]["logprobs"] for chunk in chunks_of(response)]
        content = [entry for part in parts if part for entry in part["content"]]
    else:
        answer = ChatCompletion.model_validate(response.json(), strict=True).model_dump()
        content = answer["choices"][0]["logprobs"]["content"]
    assert [entry["token"] for entry in content] == ["Hello", " there", ", you", "."]
    assert bytes(content[0]["bytes"]) == b"Hello"
    assert content[0]["logprob"] == pytest.approx(-math.log(2))
    assert [len(entry["top_logprobs"]) for entry in content] == [2, 2, 2, 2]


@pytest.mark.parametrize(("stream", "seed", "seeds"), [(False, 5, [5, 6, 7]), (True, -2, [2**63 - 2, 2**63 - 1, 0])])
def test_several_answers(address: str, scripted: ScriptedBackend, stream: bool, seed: int, seeds: list[int]) -> None:
    response = post(address, n=3, seed=seed, stream=stream)
    if stream:
        texts = ["", "", ""]
        for chunk in chunks_of(response):
            texts[chunk["choices"][0]["index"]] += chunk["choices"][0]["delta"]["content"] or ""
    else:
        texts = [choice["message"]["content"] for choice in response.json()["choices"]]
        assert response.json()["usage"]["prompt_tokens"] == 2
        assert response.json()["usage"]["completion_tokens"] == 12
    assert texts == ["Hello there, you."] * 3
    assert [sampling.seed for _, sampling in scripted.requests] == seeds


def test_thoughts_are_apart(tmp_path: Path) -> None:
    backend = ScriptedBackend(["<think>", "Hm", "</think>", "Yes"], tags=ThinkTags("<think>", "</think>"))
    with Store.open(tmp_path / "home") as store, api_server(store, backend) as address:
        message = post(address).json()["choices"][0]["message"]
        assert (message["reasoning_content"], message["content"]) == ("Hm", "Yes")
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks_of(post(address, stream=True))]
        assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == "Hm"
        assert "".join(delta["content"] or "" for delta in deltas) == "Yes"


def test_parts_and_the_new_name_of_system(address: str, scripted: ScriptedBackend) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]
    assert post(address, messages=messages).status_code == 200
    assert list(scripted.requests[-1][0]) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "ab"},
    ]


@pytest.mark.parametrize(
    ("body", "param", "status"),
    [
        ({"messages": []}, "messages", 400),
        ({"messages": "hello"}, "messages", 400),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages", 400),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]}, "messages.0.content.0.text", 400),
        ({"messages": [{"role": "king", "content": ""}]}, "messages.0.role", 400),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages.0.content", 400),
        ({"temperature": 3}, "temperature", 400),
        ({"temperature": "1"}, "temperature", 400),
        ({"max_tokens": 0}, "max_tokens", 400),
        ({"max_tokens": 2**63}, "max_tokens", 400),
        ({"seed": -(2**63) - 1}, "seed", 400),
        ({"n": 9}, "n", 400),
        ({"n": 0}, "n", 400),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", 400),
        ({"top_logprobs": 2}, "top_logprobs", 400),
        ({"stop": ["x"] * 17}, "stop", 400),
        ({"stop": 5}, "stop", 400),
        ({"logit_bias": {"x": 1}}, "logit_bias", 400),
        ({"audio": {"voice": "alloy"}}, "audio", 400),
        ({"guided_regex": "a+"}, "guided_regex", 400),
        ({"model": "gpt-5"}, "model", 404),
        ({"messages": [{"role": "user", "content": "word " * 3000}]}, "messages", 400),
    ],
)
def test_what_cannot_be_done_is_refused_with_an_envelope(
    address: str, body: dict[str, Any], param: str, status: int
) -> None:
    content = json.dumps({"messages": ASKED} | body)
    headers = {"content-type": "application/json"}
    response = plain_http.post(f"{address}/v1/chat/completions", content=content, headers=headers)
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert "\n" not in error["message"]
    assert error["param"] == param


@pytest.mark.parametrize(
    ("content", "words"),
    [
        *((content, "not JSON") for content in (b"{", b"\xff", b"[" * 100_000)),
        *((content, "must be a JSON object") for content in (b"", b"[]", b"null", b'"x"')),
        (b'{"messages": NaN}', "messages"),
    ],
)
def test_what_is_no_request_is_refused(address: str, content: bytes, words: str) -> None:
    headers = {"content-type": "application/json"}
    response = plain_http.post(f"{address}/v1/chat/completions", content=content, headers=headers)
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]


def test_plain_text_is_not_taken_for_json(address: str) -> None:
    body = json.dumps({"messages": ASKED})
    response = plain_http.post(f"{address}/v1/chat/completions", content=body, headers={"content-type": "text/plain"})
    assert response.status_code == 415


def test_errors_are_those_of_openai_python(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="context") as overflow:
        client.chat.completions.create(model="tiny.gguf", messages=[{"role": "user", "content": "word " * 3000}])
    assert overflow.value.code == "context_length_exceeded"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-5", messages=ASKED)


def leave(address: str, stream: bool) -> None:
    """Ask, and close the connection after 0.3 seconds."""
    asked = httpx.Request("POST", f"{address}/v1/chat/completions", json={"messages": ASKED, "stream": stream})
    with httpx.Client(timeout=0.3, verify=False) as client:
        if stream:
            response = client.send(asked, stream=True)
            sleep(0.3)
            response.close()
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.send(asked)


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_is_not_answered_further(tmp_path: Path, stream: bool) -> None:
    backend = ScriptedBackend(["word "] * 10_000, pace=0.02)
    with Store.open(tmp_path / "home") as store, api_server(store, backend) as address:
        leave(address, stream)
        left = monotonic()
        while "fireside_api_answers_running 0.0" not in plain_http.get(f"{address}/metrics").text:
            assert monotonic() - left < 0.5 * crowded()
            sleep(0.02)


def test_an_answer_that_fails_in_the_middle_says_so(tmp_path: Path) -> None:
    backend = ScriptedBackend(["a", "b", "c"], error=EngineError("the engine failed: try again"), error_at=2)
    with Store.open(tmp_path / "home") as store, api_server(store, backend) as address:
        events = [line for line in post(address, stream=True).text.split("\n\n") if line]
        assert json.loads(events[-1].removeprefix("data: "))["error"]["message"] == "the engine failed: try again"
        assert post(address).status_code == 500
        with client_of(address) as client, pytest.raises(openai.APIError, match="the engine failed"):
            list(client.chat.completions.create(model="tiny.gguf", messages=ASKED, stream=True))


def test_while_the_model_is_loaded_clients_are_asked_to_wait(tmp_path: Path) -> None:
    gate = threading.Event()
    with Store.open(tmp_path / "home") as store, api_server(store, ScriptedBackend(), gate) as address:
        response = post(address)
        assert (response.status_code, response.json()["error"]["code"]) == (503, "model_not_ready")
        assert int(response.headers["retry-after"]) > 0
        assert plain_http.get(f"{address}/health").status_code == 503
        assert plain_http.get(f"{address}/v1/models").json()["data"] == []
        gate.set()
        deadline = monotonic() + 20
        while plain_http.get(f"{address}/health").status_code != 200:
            assert monotonic() < deadline
        assert post(address).status_code == 200


def test_a_full_queue_asks_to_come_back(tmp_path: Path) -> None:
    with Store.open(tmp_path / "home") as store, api_server(store, ScriptedBackend(error=EngineBusy(8, 64))) as address:
        response = post(address)
        assert (response.status_code, response.json()["error"]["type"]) == (429, "rate_limit_error")
        assert int(response.headers["retry-after"]) > 0
