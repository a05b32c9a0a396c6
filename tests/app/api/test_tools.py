"""Tool calls as openai-python asks for them, by random models that would never make any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from app.fake import ScriptedBackend
from app.remote import Address, RemoteEngine
from app.store import Store
from engine import Engine
from tests.app import plain_http
from tests.app.api.conftest import api_server, client_of
from tests.engine.tool_templates import HERMES
from tests.tiny import write_tiny_llama

ASKED: list[Any] = [{"role": "user", "content": "Is it warm in Oslo?"}]
FUNCTION: dict[str, Any] = {
    "name": "get_weather",
    "description": "Tells the weather.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"enum": ["Oslo", "Rome"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
}
TOOLS: list[Any] = [{"type": "function", "function": FUNCTION}]
MARKER = "<tool_call>"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("tools") / "tiny.gguf"
    write_tiny_llama(path, context=2048, layers=1, chat_template=HERMES, controls=(MARKER,))
    with Engine.load(path, kernels="torch") as engine:
        yield engine


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[str]:
    with Store.open(tmp_path_factory.mktemp("served") / "home") as store, api_server(store, engine) as address:
        yield address


@pytest.fixture(scope="module")
def hop(tmp_path_factory: pytest.TempPathFactory, address: str) -> Iterator[str]:
    """A server that has the first one answer."""
    remote = RemoteEngine.connect(Address.parse(address))
    with Store.open(tmp_path_factory.mktemp("hop") / "home") as store, api_server(store, remote) as hop:
        yield hop


@pytest.fixture(params=["here", "elsewhere"])
def client(request: pytest.FixtureRequest, address: str, hop: str) -> Iterator[openai.OpenAI]:
    with client_of(address if request.param == "here" else hop) as client:
        yield client


def ask(client: openai.OpenAI, **more: Any) -> ChatCompletion:
    more = {"messages": ASKED, "tools": TOOLS, "seed": 1, "max_tokens": 200} | more
    answer = client.chat.completions.create(model="", **more)
    return ChatCompletion.model_validate(answer.model_dump(), strict=True)


def assert_call(call: Any) -> None:
    assert call.function.name == "get_weather"
    arguments = json.loads(call.function.arguments)
    assert arguments["city"] in ("Oslo", "Rome")
    assert 1 <= arguments["days"] <= 9


NAMED = {"type": "function", "function": {"name": "get_weather"}}


@pytest.mark.parametrize("choice", ["required", NAMED])
def test_a_call(client: openai.OpenAI, choice: Any) -> None:
    [made] = ask(client, tool_choice=choice, parallel_tool_calls=False).choices
    assert made.finish_reason == "tool_calls"
    assert made.message.content is None
    assert made.message.tool_calls is not None
    [call] = made.message.tool_calls
    assert call.type == "function"
    assert call.id
    assert_call(call)


def test_a_streamed_call_is_the_same(client: openai.OpenAI) -> None:
    [made] = ask(client, tool_choice="required", parallel_tool_calls=False).choices
    stream = client.chat.completions.create(
        model="", messages=ASKED, tools=TOOLS, tool_choice="required", seed=1, parallel_tool_calls=False, stream=True
    )
    chunks = [ChatCompletionChunk.model_validate(chunk.model_dump(), strict=True) for chunk in stream]
    deltas = [delta for chunk in chunks for delta in chunk.choices[0].delta.tool_calls or ()]
    first, *others = deltas
    assert (first.index, first.type) == (0, "function")
    assert first.id
    assert first.function is not None
    assert all(delta.id is None and delta.type is None for delta in others)
    arguments = "".join(delta.function.arguments or "" for delta in deltas if delta.function)
    assert made.message.tool_calls is not None
    [call] = made.message.tool_calls
    assert call.type == "function"
    assert (first.function.name, arguments) == (call.function.name, call.function.arguments)
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_the_model_decides(client: openai.OpenAI, engine: Engine) -> None:
    marker = engine._tokenizer.special_tokens[MARKER]
    [made] = ask(client, logit_bias={str(marker): 100}, parallel_tool_calls=False).choices
    assert made.finish_reason == "tool_calls"
    assert made.message.tool_calls
    [said] = ask(client, logit_bias={str(marker): -100}, max_tokens=20).choices
    assert said.message.tool_calls is None
    assert said.message.content
    [none] = ask(client, tool_choice="none", logit_bias={str(marker): 100}, max_tokens=20).choices
    assert none.message.tool_calls is None


def test_several_calls_and_their_results(client: openai.OpenAI, engine: Engine) -> None:
    end = engine._tokenizer.eos_ids
    [made] = ask(client, tool_choice="required", logit_bias={str(id): -100 for id in end}).choices
    calls = made.message.tool_calls
    assert calls
    assert len(calls) > 1
    assert len({call.id for call in calls}) == len(calls)
    # Those that are whole are told to the model, with what came of them.
    whole = [call.model_dump() for call in calls[:-1]]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "cold"} for call in whole]
    messages = [*ASKED, {"role": "assistant", "content": None, "tool_calls": whole}, *results]
    [said] = ask(client, messages=messages, tool_choice="none", max_tokens=10).choices
    assert said.message.tool_calls is None
    longer = ask(client, messages=messages, tool_choice="none", max_tokens=1).usage
    shorter = ask(client, tool_choice="none", max_tokens=1).usage
    assert longer is not None
    assert shorter is not None
    assert longer.prompt_tokens > shorter.prompt_tokens + len(whole) * len(whole[0]["function"]["arguments"])


def test_a_call_that_is_cut_off_says_so(client: openai.OpenAI) -> None:
    [made] = ask(client, tool_choice="required", max_tokens=40).choices
    assert made.finish_reason == "length"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "nothing"}}}]}, "tools"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools.0.type"),
        ({"tools": TOOLS * 200}, "tools"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "other"}}}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": TOOLS, "response_format": {"type": "json_object"}}, "tools"),
        ({"functions": [FUNCTION]}, "functions"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]}, None),
        ({"tools": TOOLS, "messages": [*ASKED, {"role": "assistant", "content": "It"}]}, "tools"),
    ],
)
def test_what_cannot_be_called_is_refused(address: str, more: dict[str, Any], param: str | None) -> None:
    response = plain_http.post(f"{address}/v1/chat/completions", json={"messages": ASKED} | more, timeout=20)
    assert response.status_code == 400
    assert response.json()["error"]["message"]
    assert param is None or response.json()["error"]["param"] == param


def test_a_model_without_tools_refuses_them(tmp_path: Path) -> None:
    path = write_tiny_llama(tmp_path / "tiny.gguf", layers=1)
    with (
        Engine.load(path, kernels="torch") as engine,
        Store.open(tmp_path / "home") as store,
        api_server(store, engine) as address,
        client_of(address) as client,
        pytest.raises(openai.BadRequestError, match="cannot call tools"),
    ):
        ask(client)


def test_tools_are_told_to_the_tokenizer(address: str) -> None:
    body = {"messages": ASKED}
    without = plain_http.post(f"{address}/tokenize", json=body).json()["count"]
    assert plain_http.post(f"{address}/tokenize", json=body | {"tools": TOOLS}).json()["count"] > without + 100
    begun = plain_http.post(f"{address}/tokenize", json=body | {"add_generation_prompt": False}).json()["count"]
    assert begun < without


def test_the_least_tokens_and_tokens_that_end(client: openai.OpenAI, engine: Engine) -> None:
    end = str(min(engine._tokenizer.eos_ids))
    more: dict[str, Any] = {"tools": openai.omit, "logit_bias": {end: 100}, "temperature": 0}
    assert ask(client, **more).choices[0].message.content == ""
    least = ask(client, **more, extra_body={"min_tokens": 5})
    assert least.usage is not None
    assert least.usage.completion_tokens == 6
    letter = engine.tokenize("x")[0]
    stopped = ask(client, **more | {"logit_bias": {str(letter): 100}}, extra_body={"stop_token_ids": [letter]})
    assert (stopped.choices[0].message.content, stopped.choices[0].finish_reason) == ("", "stop")
    with pytest.raises(openai.BadRequestError, match="max_tokens"):
        ask(client, **more, extra_body={"min_tokens": 500})


def test_an_answer_without_its_beginning(client: openai.OpenAI) -> None:
    usage = [
        ask(client, tools=openai.omit, max_tokens=1, extra_body={"add_generation_prompt": begun}).usage
        for begun in (True, False)
    ]
    assert usage[0] is not None
    assert usage[1] is not None
    assert usage[0].prompt_tokens > usage[1].prompt_tokens


def test_a_scripted_model_has_no_tools(tmp_path: Path) -> None:
    with Store.open(tmp_path / "home") as store, api_server(store, ScriptedBackend()) as address:
        response = plain_http.post(f"{address}/v1/chat/completions", json={"messages": ASKED, "tools": TOOLS})
        assert response.json()["error"]["param"] == "tools"


def test_probabilities_come_from_elsewhere_too(client: openai.OpenAI) -> None:
    for top in (openai.omit, 2):
        answer = ask(client, tools=openai.omit, max_tokens=10, logprobs=True, top_logprobs=top)
        assert answer.choices[0].logprobs is not None
        told = answer.choices[0].logprobs.content
        assert told
        assert answer.usage is not None
        assert 0 <= answer.usage.completion_tokens - len(told) <= 1
        assert {len(entry.top_logprobs) for entry in told} == {2 if top == 2 else 0}
