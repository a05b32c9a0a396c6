"""What a server is found to be by what it tells, and by what it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.backend import NoTokenizer
from app.context import count_tokens
from app.models import Models
from app.remote import Address, RemoteEngine, RemoteSource
from app.remote.connection import Patience
from app.remote.discovery import UNTOLD_CONTEXT
from app.remote.errors import NotThere, RemoteError, ServerFailed, Starting
from tests.app.remote.scripted import DONE, Handler, Scripted, delta, scripted, stream
from tests.app.serving import LIMIT_SECONDS

QUICK = Patience(connect=5, reply=10, first=20, next=20, pause=0.01)
PROPS = {"default_generation_settings": {"n_ctx": 700}, "chat_template": "{{ '<think>' }}"}


def found(server: Scripted, **options: Any) -> RemoteEngine:
    engine = RemoteEngine.connect(Address.parse(server.url), patience=QUICK, **options)
    engine.close()
    return engine


@pytest.mark.parametrize(
    ("card", "pages", "kind", "context"),
    [
        ({"owned_by": "vllm", "max_model_len": 500}, {}, "vLLM", 500),
        ({"owned_by": "sglang", "max_model_len": 600}, {}, "SGLang", 600),
        ({"owned_by": "llamacpp", "meta": {"n_ctx_train": 9000}}, {"/props": PROPS}, "llama.cpp", 700),
        ({"owned_by": "someone"}, {"/props": PROPS}, "llama.cpp", 700),
        # A proxy's own name before vLLM.
        ({"owned_by": "router", "max_model_len": 500}, {"/version": {"version": "0.1"}}, "vLLM", 500),
        ({"owned_by": "fireside", "max_model_len": 800}, {}, "Fireside", 800),
        ({"owned_by": "openai"}, {}, "OpenAI's API", UNTOLD_CONTEXT),
        ({"max_model_len": True}, {}, "OpenAI's API", UNTOLD_CONTEXT),
        ({"max_model_len": -5}, {"/props": [], "/version": "new"}, "OpenAI's API", UNTOLD_CONTEXT),
        ({"max_model_len": 2**80}, {"/props": {"default_generation_settings": 3}}, "llama.cpp", UNTOLD_CONTEXT),
    ],
)
def test_its_kind_and_its_context(card: dict[str, Any], pages: dict[str, Any], kind: str, context: int) -> None:
    with scripted(stream(), {"id": "m", **card}) as server:
        server.pages |= pages
        info = found(server).info
    assert (info.kernels, info.context, info.remote) == (kind, context, server.url)
    told = " ".join(info.ignored)
    assert ("4,096 tokens are assumed" in told) == (context == UNTOLD_CONTEXT)
    assert ("top_k, min_p, repetition_penalty are not told" in told) == (kind == "OpenAI's API")


def test_a_context_that_is_given_is_an_upper_bound_or_what_is_assumed() -> None:
    with scripted(stream()) as server:
        assert found(server, context=100).info.context == 100
        assert found(server, context=10_000).info.context == 500
        server.card = {"id": "m"}
        assert found(server, context=10_000).info.context == 10_000


def test_the_model_that_was_asked_for_or_the_first() -> None:
    with scripted(stream()) as server:
        server.pages["models"] = {"data": [{"id": "a"}, None, {"id": 3}, {"id": ""}, {"id": "/x/b.gguf"}]}
        assert (found(server).info.name, found(server).models) == ("a", ("a", "/x/b.gguf"))
        assert found(server, model="b.gguf").info.name == "b.gguf"
        with pytest.raises(NotThere, match=r"does not have 'c': it has a, /x/b\.gguf"):
            found(server, model="c")


@pytest.mark.parametrize("listed", [{"data": []}, {"data": None}, {}, [], "models", {"data": [{"name": "a"}]}])
def test_a_list_that_is_none(listed: Any) -> None:
    with scripted(stream()) as server:
        server.pages["models"] = listed
        with pytest.raises(ServerFailed, match="lists no model"):
            found(server)


def test_a_list_that_is_too_long_no_json_or_not_there() -> None:
    replies = [
        lambda handler: handler.json(["x" * 9_000_000]),
        lambda handler: (handler.begin("application/json"), handler.say(b'{"data": [')),
        lambda handler: handler.json({"error": "no"}, 404),
    ]
    for reply in replies:
        with scripted(stream()) as server:
            server.pages["models"] = reply
            with pytest.raises(RemoteError) as caught:
                found(server)
            assert "\n" not in str(caught.value)


def test_one_that_is_not_ready_is_waited_for(tmp_path: Path) -> None:
    asked: list[int] = []

    def starting(handler: Handler) -> None:
        asked.append(1)
        if len(asked) < 2:
            return handler.json({"error": {"message": "Loading model"}}, 503)
        return handler.json({"data": [{"id": "m"}]})

    with scripted(stream(delta("Hello"), DONE)) as server:
        server.pages["models"] = lambda handler: handler.json({"error": "Loading model"}, 503)
        with pytest.raises(Starting, match="Loading model"):
            found(server)
        # Fireside's list is empty meanwhile.
        server.pages["/health"], server.pages["models"] = server.pages["models"], {"data": []}
        with pytest.raises(Starting, match="Loading model"):
            found(server)
        server.pages["models"] = starting
        address = Address.parse(server.url)
        source = RemoteSource(address, connect=lambda: RemoteEngine.connect(address, patience=QUICK))
        models = Models(tmp_path, "none")
        models.switch(source)
        assert models.backend(LIMIT_SECONDS).info.name == "m"
        assert (models.state.status, models.remote) == ("ready", server.url)
        models.close()


def test_tokens_are_counted_by_the_server_or_estimated() -> None:
    with scripted(stream()) as server:
        engine = RemoteEngine.connect(Address.parse(server.url), patience=QUICK)
        server.pages["/tokenize"] = {"tokens": [5, 6]}
        assert engine.tokenize("Hello") == [5, 6]
        assert count_tokens(engine, "Hello") == 2
        server.pages["/tokenize"] = {"tokens": "many"}
        with pytest.raises(NoTokenizer):
            engine.tokenize("Hello")
        del server.pages["/tokenize"]
        assert count_tokens(engine, "x" * 30) == 10
        asked = len(server.requests)
        assert count_tokens(engine, "x" * 30) == 10
        assert len(server.requests) == asked
        engine.close()
