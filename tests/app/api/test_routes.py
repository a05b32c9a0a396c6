"""Completions, models, tokens and metrics, as clients ask for them."""

from __future__ import annotations

import openai
import pytest
from openai.types import Completion

from app.fake import ScriptedBackend
from tests.app import plain_http


def test_a_completion(client: openai.OpenAI, scripted: ScriptedBackend) -> None:
    answer = client.completions.create(model="tiny.gguf", prompt="Once upon", max_tokens=3, logprobs=2)
    Completion.model_validate(answer.model_dump(), strict=True)
    [choice] = answer.choices
    assert (choice.text, choice.finish_reason) == ("Hello there, you", "length")
    assert choice.logprobs is not None
    assert choice.logprobs.tokens == ["Hello", " there", ", you"]
    assert choice.logprobs.text_offset == [0, 5, 11]
    assert scripted.requests[-1][1].max_tokens == 3


def test_a_completion_has_sixteen_tokens_unless_more_are_asked_for(
    client: openai.OpenAI, scripted: ScriptedBackend
) -> None:
    client.completions.create(model="tiny.gguf", prompt="Once")
    assert scripted.requests[-1][1].max_tokens == 16


def test_several_prompts(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="tiny.gguf", prompt=["one", "two words"], n=2, echo=True)
    assert [choice.text for choice in answer.choices] == [
        *["oneHello there, you."] * 2,
        *["two wordsHello there, you."] * 2,
    ]
    assert answer.usage is not None
    # A prompt has a token for its role and each word, and counts once.
    assert answer.usage.prompt_tokens == 2 + 3


def test_a_streamed_completion(client: openai.OpenAI) -> None:
    chunks = list(
        client.completions.create(
            model="tiny.gguf", prompt="Once", stream=True, stream_options={"include_usage": True}, logprobs=0
        )
    )
    for chunk in chunks:
        # Their types describe whole answers only, in which every choice has ended.
        told = chunk.model_dump()
        for choice in told["choices"]:
            choice["finish_reason"] = choice["finish_reason"] or "stop"
        Completion.model_validate(told, strict=True)
    *deltas, usage = chunks
    assert "".join(chunk.choices[0].text for chunk in deltas) == "Hello there, you."
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.completion_tokens == 4


@pytest.mark.parametrize(
    "more",
    [{"suffix": "end"}, {"best_of": 3}, {"prompt": []}, {"prompt": ["a"] * 9}, {"prompt": [-1]}, {"logprobs": 21}],
)
def test_completions_that_cannot_be_had(address: str, more: dict[str, object]) -> None:
    response = plain_http.post(f"{address}/v1/completions", json={"prompt": "a"} | more)
    assert response.status_code == 400
    assert response.json()["error"]["message"]


def test_models(client: openai.OpenAI) -> None:
    [model] = client.models.list().data
    assert model.id == "tiny.gguf"
    assert client.models.retrieve("tiny.gguf").model_dump()["max_model_len"] == 2048
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")


def test_tokens_and_back(address: str) -> None:
    reply = plain_http.post(f"{address}/tokenize", json={"prompt": "two words", "return_token_strs": True}).json()
    assert (reply["count"], reply["max_model_len"], reply["token_strs"]) == (2, 2048, ["two", "words"])
    assert plain_http.post(f"{address}/detokenize", json={"tokens": reply["tokens"]}).json() == {"prompt": "two words"}
    chat = plain_http.post(f"{address}/tokenize", json={"messages": [{"role": "user", "content": "two words"}]}).json()
    assert chat["count"] == 3
    assert plain_http.post(f"{address}/tokenize", json={}).status_code == 400
    assert plain_http.post(f"{address}/detokenize", json={"tokens": [-1]}).status_code == 400


def test_what_is_not_there_has_an_envelope_too(address: str) -> None:
    for method, path in (("POST", "/v1/files"), ("GET", "/v1/chat/completions"), ("DELETE", "/v1/models/tiny.gguf")):
        response = plain_http.request(method, address + path)
        assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_url")


def counted(address: str) -> dict[str, float]:
    lines = plain_http.get(f"{address}/metrics").text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_metrics_count(client: openai.OpenAI, address: str) -> None:
    before = counted(address)
    client.completions.create(model="tiny.gguf", prompt="one two")
    after = counted(address)
    expected = {
        'fireside_api_requests_total{path="/v1/completions",status="200"}': 1,
        'fireside_api_tokens_total{kind="generated"}': 4,
        'fireside_api_tokens_total{kind="prompt"}': 3,
        "fireside_api_time_to_first_token_seconds_count": 1,
    }
    assert {name: after[name] - before.get(name, 0) for name in expected} == expected
    assert after["fireside_api_answers_running"] == 0
