"""Answers in JSON, as openai-python asks for them, by a random model that would never say any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from app.store import Store
from engine import Engine
from tests.app import plain_http
from tests.app.api.conftest import api_server, client_of
from tests.tiny import write_tiny_llama

ASKED: list[Any] = [{"role": "user", "content": "hello"}]


class Fire(BaseModel):
    place: Literal["forest", "beach"]
    logs: int
    lit: bool


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("json")
    with (
        Engine.load(write_tiny_llama(folder / "tiny.gguf", context=512)) as engine,
        Store.open(folder / "home") as store,
        api_server(store, engine) as address,
    ):
        yield address


@pytest.fixture
def client(address: str) -> Iterator[openai.OpenAI]:
    with client_of(address) as client:
        yield client


def test_an_answer_is_parsed_into_a_class(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(model="", messages=ASKED, response_format=Fire, seed=1, temperature=0.2)
    assert answer.choices[0].finish_reason == "stop"
    assert isinstance(answer.choices[0].message.parsed, Fire)


def test_json_mode(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="",
        messages=ASKED,
        response_format={"type": "json_object"},
        stream=True,
        seed=2,
        max_tokens=300,
        logit_bias={str(3 + ord("}")): 100},
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert isinstance(json.loads(text), dict)


@pytest.mark.parametrize(
    "response_format",
    [
        {"type": "yaml"},
        {"type": "json_schema"},
        {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nothing"}}},
        {"type": "json_schema", "json_schema": {"name": "x", "schema": {"not": {"type": "string"}}}},
    ],
)
def test_schemas_that_cannot_be_held_to_are_refused(address: str, response_format: dict[str, Any]) -> None:
    body = {"messages": ASKED, "response_format": response_format}
    response = plain_http.post(f"{address}/v1/chat/completions", json=body)
    assert response.status_code == 400
    assert "response_format" in response.json()["error"]["param"]


def test_an_answer_in_json_is_not_continued(address: str) -> None:
    messages = [*ASKED, {"role": "assistant", "content": "{"}]
    body = {"messages": messages, "response_format": {"type": "json_object"}}
    assert plain_http.post(f"{address}/v1/chat/completions", json=body).status_code == 400


def test_the_same_seed_gives_the_same_answer_whole_and_streamed(client: openai.OpenAI) -> None:
    same: dict[str, Any] = {"model": "", "messages": ASKED, "seed": 5, "max_tokens": 30}
    whole = client.chat.completions.create(**same)
    stream = client.chat.completions.create(**same, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == whole.choices[0].message.content
    assert client.chat.completions.create(**same).usage.prompt_tokens_details.cached_tokens > 0  # pyright: ignore


def test_tokens_and_back(address: str) -> None:
    reply = plain_http.post(f"{address}/tokenize", json={"prompt": "ⴲ fire"}).json()
    assert plain_http.post(f"{address}/detokenize", json={"tokens": reply["tokens"]}).json() == {"prompt": "ⴲ fire"}
    chat = plain_http.post(f"{address}/tokenize", json={"messages": ASKED}).json()
    assert chat["count"] > 5
    assert chat["max_model_len"] == 512
