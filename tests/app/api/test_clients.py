"""Clients that people use, as black boxes: whatever they send and read, as their newest versions do it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import openai
import pytest
from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field, SecretStr

from tests.app.api.caller import DOES, MODEL, caller_server, run_openai_client

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")


class Fire(BaseModel):
    """A fire."""

    place: Literal["forest", "beach"]
    logs: int = Field(ge=1, le=9)


def light(place: Literal["forest", "beach"]) -> str:
    """Light a fire."""
    return f"lit in the {place}"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with caller_server(tmp_path_factory.mktemp("clients")) as address:
        yield address


def test_openai_python(address: str) -> None:
    assert run_openai_client(sys.executable, address)[:-1] == DOES


def langchain(address: str, **more: Any) -> ChatOpenAI:
    more = {"model": MODEL, "seed": 1, "temperature": 1.0, "max_completion_tokens": 200} | more
    return ChatOpenAI(base_url=f"{address}/v1", api_key=SecretStr("none"), max_retries=0, **more)


def test_langchain(address: str) -> None:
    chat = langchain(address, max_completion_tokens=30)
    whole = chat.invoke("hello")
    assert whole.content
    assert whole.response_metadata["model_name"] == MODEL
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == 30 or whole.response_metadata["finish_reason"] == "stop"
    chunks = list(langchain(address, max_completion_tokens=30, stream_usage=True).stream("hello"))
    assert "".join(str(chunk.content) for chunk in chunks) == whole.content
    assert any(isinstance(chunk, AIMessageChunk) and chunk.usage_metadata for chunk in chunks)

    text = str(whole.content)
    stop = next(character for character in text[4:] if character not in text[:4])
    stopped = chat.invoke("hello", stop=[stop])
    assert (stopped.content, stopped.response_metadata["finish_reason"]) == (text[: text.index(stop)], "stop")

    told = chat.bind(logprobs=True, top_logprobs=2).invoke("hello").response_metadata["logprobs"]["content"]
    assert len(told) >= 20
    assert all(len(entry["top_logprobs"]) == 2 for entry in told)


def test_langchain_with_a_schema_and_tools(address: str) -> None:
    chat = langchain(address)
    for method in ("json_schema", "function_calling"):
        fire = chat.with_structured_output(Fire, method=method, strict=True).invoke("hello")
        assert isinstance(fire, Fire)
    called = chat.bind_tools([light], strict=True).invoke("hello")
    [call] = called.tool_calls  # type: ignore[attr-defined]
    assert call["name"] == "light"
    assert call["args"]["place"] in ("forest", "beach")
    streamed = None
    for chunk in chat.bind_tools([light], strict=True).stream("hello"):
        streamed = chunk if streamed is None else streamed + chunk
    assert isinstance(streamed, AIMessageChunk)
    assert streamed.tool_calls[0]["args"] == call["args"]
    result = {"role": "tool", "tool_call_id": call["id"], "content": light(**call["args"])}
    answer = chat.bind_tools([light], strict=True).invoke([{"role": "user", "content": "hello"}, called, result])
    assert answer.content


def test_langchain_is_told_of_errors(address: str) -> None:
    with pytest.raises(openai.BadRequestError, match="context"):
        langchain(address).invoke("word " * 3000)
    with pytest.raises(openai.NotFoundError):
        langchain(address, model="gpt-5").invoke("hello")


LLM_CLIENT = Path(__file__).with_name("llm_client.py")
EXTRA = """\
- model_id: fire
  model_name: {model}
  api_base: {address}/v1
  can_stream: true
  supports_schema: true
  supports_tools: true
- model_id: text
  model_name: {model}
  api_base: {address}/v1
  completion: true
"""
FUNCTION = """
def light(logs: int) -> str:
    "Light a fire."
    return f"lit with {logs}"
"""


class Told(NamedTuple):
    code: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def llm(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Told]]:
    """Runs the command `llm` with our server as an extra OpenAI model."""
    folder = tmp_path_factory.mktemp("llm")
    (folder / "extra-openai-models.yaml").write_text(EXTRA.format(model=MODEL, address=address))
    environment = os.environ | {"LLM_USER_PATH": str(folder), "OPENAI_API_KEY": "none", "NO_COLOR": "1"}
    command, pipe = [sys.executable, LLM_CLIENT], subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment, cwd=folder)
    assert process.stdin
    assert process.stdout
    given, taken = process.stdin, process.stdout

    def run(*arguments: str, model: str = "fire") -> Told:
        print(json.dumps(["prompt", "hello", "-m", model, "-o", "seed", "1", *arguments]), file=given, flush=True)
        return Told(*json.loads(taken.readline()))

    yield run
    given.close()
    assert process.wait(20) == 0
    taken.close()


def test_llm(llm: Callable[..., Told]) -> None:
    """Whole, streamed, with a stop string, and with probabilities, which it has for completions only."""
    whole = llm("--no-stream", "-o", "max_tokens", "30")
    assert whole.code == 0, whole.stderr
    streamed = llm("-o", "max_tokens", "30")
    assert streamed.stdout == whole.stdout
    text = whole.stdout.rstrip("\n")
    letter = next(character for character in text[4:] if character.isalnum() and character not in text[:4])
    assert llm("-o", "max_tokens", "30", "-o", "stop", letter).stdout.rstrip("\n") == text[: text.index(letter)]
    told = llm("-o", "logprobs", "2", "-o", "max_tokens", "5", "--no-stream", model="text")
    assert told.code == 0, told.stderr


def test_llm_with_a_schema_and_tools(llm: Callable[..., Told]) -> None:
    schema = json.dumps(Fire.model_json_schema())
    # Objects may have more properties than these schemas name, unless they are closed as soon as they may be.
    closes = ("-o", "logit_bias", json.dumps({str(3 + ord("}")): 100}))
    held = llm("--schema", schema, "-o", "max_tokens", "200", *closes)
    assert Fire.model_validate_json(held.stdout), held.stderr
    called = llm("--functions", FUNCTION, "--td", "-o", "max_tokens", "200", *closes)
    assert called.code == 0, called.stderr
    assert re.search(r"Tool call: light\(", called.stderr)
    assert "lit with " in called.stderr


def test_llm_is_told_of_errors(llm: Callable[..., Told]) -> None:
    refused = llm("-o", "temperature", "1.9", "-o", "max_tokens", "0")
    assert refused.code != 0
    assert "max_tokens" in refused.stderr
